//! Which ConfigMap the pods read their configuration from. A container that starts anew reads it anew,
//! so pods of an older revision keep theirs until the last of them is replaced: while a change rolls out,
//! and while it cannot.
//!
//! The first configuration has the name that users know. So has the newest one in the end, but until no
//! pod reads it there any more, a changed one has a name of its own. A StatefulSet that says what is
//! wanted keeps the name that it says: no release rolls a pod for the name alone.

use crds::names;
use k8s_openapi::api::apps::v1::StatefulSet;

use super::CONFIG_DIGEST;
use super::k0s_config::{config_map, revision, static_digest};
use crate::apply::desired::Desired;
use crate::apply::is_rolling;
use crate::cluster::validate::{ValidCluster, found_version};

/// The name of the ConfigMap that the newest pods mount; `None` while the configuration is not known.
pub fn mounted(cluster: &ValidCluster) -> Option<String> {
    let config = static_digest(cluster)?;
    let first = names::config(&cluster.name);
    let own = names::config_revision(&cluster.name, &revision(cluster)?);
    let has_own = cluster.existing.contains_key(&own);
    let Some(set) = &cluster.control_plane else {
        // Whoever deletes a StatefulSet may keep its pods.
        return Some(if has_own { own } else { first });
    };
    let live = live(cluster, set);
    if live == Some(own.as_str()) {
        return Some(own);
    }
    let stays = if live == Some(first.as_str()) {
        digest_in(set) == Some(config.as_str())
            && found_version(set).is_none_or(|it| it == cluster.running_version())
    } else {
        // Back to what the pods had that are still there.
        !has_own && config_map(cluster, first.clone()).is_some_and(|first| cluster.has(&first))
    };
    Some(if stays { first } else { own })
}

/// The ConfigMaps with the configuration, of which the newest pods mount the first one.
pub fn config_maps(cluster: &ValidCluster) -> Vec<Desired> {
    let Some(mounted) = mounted(cluster) else {
        return Vec::new();
    };
    let known = names::config(&cluster.name);
    let reads_known = |set: &StatefulSet| {
        let is_free =
            live(cluster, set).is_some_and(|it| names::is_config_revision(&cluster.name, it));
        !is_free || is_rolling(set)
    };
    let stays = mounted == known
        || cluster.existing.contains_key(&known)
            && cluster.control_plane.as_ref().is_none_or(reads_known);
    let known = (!stays).then_some(known);
    let names = [mounted].into_iter().chain(known);
    names.filter_map(|name| config_map(cluster, name)).collect()
}

/// The ConfigMaps of other revisions than the newest.
pub fn earlier(cluster: &ValidCluster) -> impl Iterator<Item = String> {
    let newest = mounted(cluster);
    let set = cluster.control_plane.as_ref();
    let mounted = set.and_then(|set| live(cluster, set));
    let all = cluster.existing.keys().filter(move |name| {
        // A change may not be written yet.
        names::is_config_revision(&cluster.name, name) && Some(name.as_str()) != mounted
    });
    all.filter(move |name| newest.as_ref().is_some_and(|newest| newest != *name))
        .cloned()
}

/// The ConfigMap that the template of a StatefulSet names for the configuration.
fn live<'s>(cluster: &ValidCluster, set: &'s StatefulSet) -> Option<&'s str> {
    let pod = set.spec.as_ref()?.template.spec.as_ref()?;
    let volume = cluster.volumes().config;
    let mut volumes = pod.volumes.iter().flatten();
    let volume = volumes.find(|it| it.name == volume)?;
    Some(volume.config_map.as_ref()?.name.as_str())
}

/// The digest of what the pods read at their start.
fn digest_in(set: &StatefulSet) -> Option<&str> {
    let metadata = set.spec.as_ref()?.template.metadata.as_ref()?;
    let annotations = metadata.annotations.as_ref()?;
    Some(annotations.get(CONFIG_DIGEST)?.as_str())
}

#[cfg(test)]
mod tests {
    use crds::v1beta2::Cluster;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::children::{build, storage};
    use crate::cluster::dereference::Observed;
    use crate::cluster::validate::validate;
    use crate::cluster::{LEAF_LIFETIME, fixtures};
    use crate::kubernetes::store::Kind;

    const KNOWN: &str = "kmc-demo-config";

    /// A mothership that does what is built, and whose pods are replaced when the case says so.
    struct World {
        seen: Observed,
        /// What each ConfigMap with a configuration says of the argument.
        configs: Vec<(String, Option<String>)>,
    }

    impl World {
        fn new() -> Self {
            let mut seen = fixtures::made();
            seen.existing.remove(KNOWN);
            seen.service = serde_json::from_value(json!({"spec": {
                "clusterIPs": ["10.0.0.77"], "ports": [
                    {"name": "api", "port": 30443}, {"name": "konnectivity", "port": 30132}]}}))
            .unwrap();
            Self {
                seen,
                configs: Vec::new(),
            }
        }

        /// Writes what is built of this argument and version until nothing changes; how often the
        /// template has changed.
        fn write(&mut self, argument: Option<&str>, version: &str) -> usize {
            let cluster: Cluster = serde_json::from_value(json!({
                "metadata": {"name": "demo", "namespace": "team", "uid": "1"},
                "spec": {"version": version, "k0sConfig": {"spec": {"api": {
                    "extraArgs": {"profiling": argument}}}}},
            }))
            .unwrap();
            let mut rolls = 0;
            for _ in 0..4 {
                let mut valid = validate(&cluster, &self.seen, LEAF_LIFETIME).unwrap();
                if let Some(config) = storage::config(&valid) {
                    let hash = Some(config.hash().to_owned());
                    valid.existing.insert(config.key.name, hash);
                }
                let built = build(&valid);
                for wanted in &built.wanted {
                    let name = &wanted.key.name;
                    if wanted.key.kind == Kind::ConfigMap && name.starts_with(KNOWN) {
                        let text = wanted.body["data"]["K0SMOTRON_K0S_YAML"].as_str().unwrap();
                        let says: Value = serde_saphyr::from_str(text).unwrap();
                        let says = &says["spec"]["api"]["extraArgs"]["profiling"];
                        let says = says.as_str().map(str::to_owned);
                        self.configs.retain(|(config, _)| config != name);
                        self.configs.push((name.clone(), says));
                        let hash = Some(wanted.hash().to_owned());
                        self.seen.existing.insert(name.clone(), hash);
                    }
                    if wanted.key.kind == Kind::StatefulSet && *name == "kmc-demo" {
                        let live = self.seen.control_plane.take();
                        let mut set: StatefulSet =
                            serde_json::from_value(wanted.body.clone()).unwrap();
                        let template = |set: &StatefulSet| set.spec.clone().map(|it| it.template);
                        let before = live.as_ref().and_then(template);
                        let rolled = before.is_some_and(|it| Some(it) != template(&set));
                        rolls += usize::from(rolled);
                        set.metadata.generation = Some(1);
                        set.status = live.and_then(|live| live.status);
                        if let Some(status) = set.status.as_mut().filter(|_| rolled) {
                            status.updated_replicas = Some(0);
                        }
                        self.seen.control_plane = Some(set);
                    }
                }
                let set = self.seen.control_plane.as_ref();
                if set.is_some_and(is_rolling) {
                    continue;
                }
                for gone in built.obsolete {
                    self.seen.existing.remove(&gone.name);
                    self.configs.retain(|(config, _)| *config != gone.name);
                }
            }
            self.configs.sort();
            rolls
        }

        /// All pods are of the newest template.
        fn rolled(&mut self) {
            let set = self.seen.control_plane.as_mut().unwrap();
            set.status = serde_json::from_value(
                json!({"replicas": 1, "updatedReplicas": 1, "observedGeneration": 1}),
            )
            .unwrap();
        }

        fn mounted(&self) -> &str {
            let set = self.seen.control_plane.as_ref().unwrap();
            let pod = set.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
            let mut volumes = pod.volumes.iter().flatten();
            let config = volumes.find(|volume| volume.name == KNOWN).unwrap();
            &config.config_map.as_ref().unwrap().name
        }

        fn says(&self) -> Vec<&str> {
            let said = self.configs.iter().map(|(_, says)| says.as_deref());
            said.map(|says| says.unwrap_or("nothing")).collect()
        }
    }

    const OLD: &str = "v1.36.2+k0s.0";
    const NEW: &str = "v1.36.3+k0s.2";

    #[test]
    fn pods_of_an_older_revision_keep_their_configuration_until_they_are_replaced() {
        let mut world = World::new();
        assert_eq!(world.write(None, OLD), 0);
        world.rolled();
        assert_eq!((world.mounted(), world.says()), (KNOWN, vec!["nothing"]));

        assert_eq!(world.write(Some("a"), OLD), 1);
        assert_eq!(world.says(), ["nothing", "a"], "the pods start anew");
        let first = world.mounted().to_owned();
        assert_ne!(first, KNOWN);
        world.rolled();
        assert_eq!(
            world.write(Some("a"), OLD),
            0,
            "the name alone rolls nothing"
        );
        assert_eq!(world.says(), ["a", "a"], "users find the newest");

        assert_eq!(world.write(Some("b"), OLD), 1);
        assert_eq!(world.says().len(), 3, "{:?}", world.configs);
        assert!(world.configs.contains(&(first, Some("a".to_owned()))));
        world.rolled();
        assert_eq!(world.write(Some("b"), OLD), 0);
        assert_eq!(world.says(), ["b", "b"], "nobody needs the one between");
    }

    #[test]
    fn a_rollback_finds_what_the_pods_had() {
        let mut world = World::new();
        world.write(Some("a"), OLD);
        world.rolled();
        let template = |world: &World| {
            let set = world.seen.control_plane.clone().unwrap();
            set.spec.unwrap().template
        };
        let mut before = template(&world);
        for (argument, version) in [("b", OLD), ("a", NEW), ("c", NEW)] {
            assert_eq!(world.write(Some(argument), version), 1, "{argument}");
            assert_eq!(world.write(Some("a"), OLD), 1, "{argument}");
            assert!(template(&world) == before, "their pods stay as they are");
            world.rolled();
            world.write(Some("a"), OLD);
            assert_eq!(world.says().first(), Some(&"a"));
            // From a name of its own as well.
            world.write(Some("d"), OLD);
            world.rolled();
            world.write(Some("d"), OLD);
            world.write(Some("a"), OLD);
            world.rolled();
            world.write(Some("a"), OLD);
            before = template(&world);
        }
    }

    #[test]
    fn what_an_older_k0s_may_not_know_stays_from_its_pods() {
        let mut world = World::new();
        world.write(Some("a"), OLD);
        world.rolled();
        assert_eq!(world.write(Some("a"), NEW), 1);
        assert_ne!(world.mounted(), KNOWN);
    }

    #[test]
    fn what_was_made_under_the_name_that_users_know_rolls_once_at_most() {
        // What an earlier release made: the same template and the newest configuration.
        let mut world = World::new();
        world.write(Some("a"), OLD);
        world.rolled();
        assert_eq!(world.write(Some("a"), OLD), 0);
        // What upstream made: a template that says nothing of it.
        let set = world.seen.control_plane.as_mut().unwrap();
        let template = &mut set.spec.as_mut().unwrap().template;
        template.metadata = None;
        template.spec.as_mut().unwrap().volumes = None;
        world.seen.existing.insert(KNOWN.to_owned(), None);
        assert_eq!(world.write(Some("a"), OLD), 1);
        assert_eq!(world.seen.existing[KNOWN], None, "its pods still read it");
        world.rolled();
        assert_eq!(world.write(Some("a"), OLD), 0);
        assert_ne!(world.seen.existing[KNOWN], None);
    }

    /// Its pods may be kept, and start anew from what they had.
    #[test]
    fn who_deletes_a_set_in_the_middle_takes_no_configuration_from_its_pods() {
        for first in [None, Some("a")] {
            let mut world = World::new();
            world.write(None, OLD);
            world.rolled();
            if first.is_some() {
                world.write(first, OLD);
                world.rolled();
                world.write(first, OLD);
            }
            world.write(Some("b"), OLD);
            let before = world.configs.clone();
            world.seen.control_plane = None;
            world.write(Some("b"), OLD);
            assert_eq!(world.configs, before);
        }
    }

    #[test]
    fn who_deletes_a_configuration_rolls_nothing() {
        let mut world = World::new();
        world.write(None, OLD);
        world.rolled();
        world.write(Some("a"), OLD);
        world.rolled();
        world.write(Some("a"), OLD);
        let mounted = world.mounted().to_owned();
        for name in [KNOWN, &mounted] {
            world.seen.existing.remove(name);
            assert_eq!(world.write(Some("a"), OLD), 0, "{name}");
            assert!(world.seen.existing.contains_key(name));
        }
        // The StatefulSet, without its pods.
        world.seen.control_plane = None;
        assert_eq!(world.write(Some("a"), OLD), 0);
        assert_eq!(world.mounted(), mounted);
        // One that pods may still read: the newest is better than none.
        world.write(Some("b"), OLD);
        world.seen.existing.remove(KNOWN);
        world.write(Some("b"), OLD);
        assert!(world.seen.existing.contains_key(KNOWN));
    }
}
