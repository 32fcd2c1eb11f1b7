//! Which ConfigMaps the pods of a StatefulSet mount, and which those may that are yet to come.
//!
//! A set makes pods of its newest template and, until a rollout has ended, of the one before it; of
//! those between it has what it made in their time and makes no more. So what none of its pods mounts
//! no pod ever will, unless the newest template or the one before the rollout says so: the first its
//! owner knows, and the other is that of the pods that have it still.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::MOST_PODS;
use super::trouble::is_of;

/// Label of a pod: of which revision of its set it is.
const REVISION: &str = "controller-revision-hash";

/// What is known of the pods of one set.
pub struct Mounts<'s> {
    set: &'s StatefulSet,
    status: &'s StatefulSetStatus,
    most: i32,
    own: i32,
    has_one_before: bool,
    mounted: BTreeSet<String>,
}

impl<'s> Mounts<'s> {
    /// Of a set that has seen its newest template: before that it may make pods of any. And of one whose
    /// pods are not too many to be asked for.
    pub fn new(set: &'s StatefulSet) -> Option<Self> {
        let status = set.status.as_ref()?;
        let wanted = set.spec.as_ref()?.replicas.unwrap_or(1);
        let most = status.replicas.max(wanted);
        let is_seen = status.observed_generation >= set.metadata.generation;
        (is_seen && most <= MOST_PODS).then(|| Self {
            set,
            status,
            most,
            own: 0,
            has_one_before: false,
            mounted: BTreeSet::new(),
        })
    }

    /// The names that its pods may have.
    pub fn pods(&self) -> Vec<String> {
        let name = self.set.name_any();
        let names = (0..self.most).map(|index| format!("{name}-{index}"));
        names.collect()
    }

    /// There is this one. What it mounts counts whoever's it is: it may be taken over.
    pub fn add(&mut self, pod: &Pod) {
        if is_of(pod, &self.set.uid().unwrap_or_default()) {
            self.own += 1;
            let revision = pod.labels().get(REVISION);
            self.has_one_before |=
                revision.is_some() && revision == self.status.current_revision.as_ref();
        }
        let volumes = pod
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten());
        let mounted = volumes.filter_map(|it| Some(it.config_map.as_ref()?.name.clone()));
        self.mounted.extend(mounted);
    }

    /// What they mount, once all pods are found that the set says to have, and one of the template before
    /// where it may make more of that.
    pub fn all(self) -> Option<BTreeSet<String>> {
        let strategy = self.set.spec.as_ref()?.update_strategy.as_ref();
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let held_back = rolling.and_then(|it| it.partition).unwrap_or_default();
        let before = self
            .status
            .current_replicas
            .unwrap_or_default()
            .max(held_back);
        let is_whole = self.own == self.status.replicas && (before == 0 || self.has_one_before);
        is_whole.then_some(self.mounted)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn set(status: &Value, partition: i32) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "kmc-a", "uid": "set", "generation": 5},
            "spec": {"replicas": 3, "selector": {}, "serviceName": "a", "template": {},
                "updateStrategy": {"rollingUpdate": {"partition": partition}}},
            "status": status,
        }))
        .unwrap()
    }

    fn pod(owner: &str, revision: &str, config: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "x", "labels": {(REVISION): revision}, "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "kmc-a", "uid": owner,
                "controller": true}]},
            "spec": {"containers": [], "volumes": [
                {"name": "config", "configMap": {"name": config}}, {"name": "data"}]},
        }))
        .unwrap()
    }

    /// A rollout from `r0` to `r9` of which the last pod is as it should be, and the one before it of
    /// something between.
    fn pods() -> Vec<Pod> {
        [("r0", "first"), ("r4", "between"), ("r9", "last")]
            .map(|(revision, config)| pod("set", revision, config))
            .into()
    }

    fn status(generation: i64, replicas: i32, before: i32) -> Value {
        json!({"observedGeneration": generation, "replicas": replicas, "currentReplicas": before,
            "currentRevision": "r0", "updateRevision": "r9"})
    }

    fn mounted(set: &StatefulSet, pods: &[Pod]) -> Option<Vec<String>> {
        let mut mounts = Mounts::new(set)?;
        for pod in pods {
            mounts.add(pod);
        }
        Some(mounts.all()?.into_iter().collect())
    }

    #[test]
    fn what_any_of_its_pods_mounts_is_known() {
        let whole = set(&status(5, 3, 1), 0);
        assert_eq!(
            Mounts::new(&whole).unwrap().pods(),
            ["kmc-a-0", "kmc-a-1", "kmc-a-2"]
        );
        let all = ["between", "first", "last"].map(str::to_owned);
        assert_eq!(mounted(&whole, &pods()), Some(all.into()));
        // One that nobody owns at the moment.
        let mut more = pods();
        more.push(pod("another", "x", "kept"));
        assert!(mounted(&whole, &more).unwrap().contains(&"kept".to_owned()));
        let more_pods = set(&status(5, 5, 1), 0);
        assert_eq!(Mounts::new(&more_pods).unwrap().pods().len(), 5);
    }

    #[rstest]
    #[case::the_template_is_not_seen(status(4, 3, 1), 0, 0)]
    #[case::a_pod_is_missing(status(5, 4, 1), 0, 0)]
    #[case::another_was_made(status(5, 2, 1), 0, 0)]
    #[case::one_of_before_may_come(status(5, 2, 1), 0, 1)]
    #[case::one_of_before_is_held_back(status(5, 2, 0), 1, 1)]
    #[case::too_many_to_be_asked_for(status(5, 33, 1), 0, 0)]
    #[case::nothing_is_said(json!(null), 0, 0)]
    fn nothing_is_known_while_another_may_be_mounted(
        #[case] status: Value,
        #[case] partition: i32,
        #[case] from: usize,
    ) {
        assert_eq!(mounted(&set(&status, partition), &pods()[from..]), None);
    }

    #[test]
    fn of_what_was_before_none_may_be_left() {
        let set = set(&status(5, 2, 0), 0);
        let rest = ["between", "last"].map(str::to_owned);
        assert_eq!(mounted(&set, &pods()[1..]), Some(rest.into()));
    }
}
