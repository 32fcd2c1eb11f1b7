//! Configurations of a rollout that does not end. Each change has a ConfigMap of its own, and those before
//! go together once every pod is of the newest template. Where a pod does not start that never comes, and
//! who goes on to change what it reads would make one after the other without end.

use super::children::control_plane::revision;
use super::context::Context;
use super::validate::ValidCluster;
use crate::kubernetes::store::{Kind, ObjectKey};
use crate::kubernetes::writer::WriteError;

/// So many of earlier revisions wait for the end of a rollout, whoever mounts them: for fewer no pod is
/// asked for.
const KEPT: usize = 10;

/// Lets go of those that no pod mounts, nor ever will, once there are many.
pub async fn let_go(cluster: &ValidCluster, context: &Context) {
    let earlier: Vec<_> = revision::earlier(cluster).collect();
    // Whoever deletes a StatefulSet may keep its pods.
    let Some(set) = cluster.control_plane.as_ref() else {
        return;
    };
    if earlier.len() <= KEPT {
        return;
    }
    let (namespace, name) = (&cluster.namespace, &cluster.name);
    let mounted = match context.mothership.pods.mounted(namespace, set).await {
        Ok(Some(mounted)) => mounted,
        Ok(None) => return,
        // Tried again with whatever brings us back.
        Err(error) => {
            return tracing::warn!(
                namespace,
                name,
                error,
                "what its pods mount could not be asked for"
            );
        }
    };
    let store = &context.mothership.store;
    for name in earlier.into_iter().filter(|name| !mounted.contains(name)) {
        let key = ObjectKey::new(Kind::ConfigMap, namespace, name);
        let Some(live) = store.get_owned(&key, &cluster.uid) else {
            continue;
        };
        match context.mothership.writer.delete(&key, &live).await {
            Ok(_) | Err(WriteError::Conflict { .. }) => {}
            Err(error) => tracing::warn!(%key, %error, "could not be deleted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use serde_json::{Value, json};

    use super::*;
    use crate::cluster::fixtures;
    use crate::kubernetes::fixtures::answer;

    fn config(number: usize) -> String {
        crds::names::config_revision("demo", &format!("{number:010x}"))
    }

    /// What is deleted of so many that were made one after the other. The set's template names the last;
    /// the pods of the first and of a later one have not been replaced.
    async fn deleted(configs: usize, seen: bool) -> Vec<String> {
        let pod = |index: usize, config: &str| {
            json!({"metadata": {"name": format!("kmc-demo-{index}"), "namespace": "ns",
                    "labels": {"controller-revision-hash": format!("r{index}")},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet",
                        "name": "kmc-demo", "uid": "set", "controller": true}]},
                "spec": {"containers": [],
                    "volumes": [{"name": "any", "configMap": {"name": config}}]}})
        };
        let pods = [pod(0, &config(0)), pod(1, &config(3))];
        let deleted = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&deleted);
        let context = fixtures::context(move |request| {
            let (to, pods) = (Arc::clone(&to), pods.clone());
            async move {
                let uri = request.uri().clone();
                if request.method() == "DELETE" {
                    let name = uri.path().rsplit('/').next().unwrap().to_owned();
                    to.lock().push(name);
                    return answer(&json!({"kind": "Status", "apiVersion": "v1"}));
                }
                if !uri.path().ends_with("/ns/pods") {
                    return std::future::pending().await;
                }
                let query = uri.query().unwrap();
                let is_it = |pod: &&Value| {
                    let name = pod["metadata"]["name"].as_str().unwrap();
                    query.contains(&format!("metadata.name%3D{name}&"))
                };
                let items: Vec<_> = pods.iter().filter(is_it).collect();
                answer(&json!({"metadata": {}, "items": items}))
            }
        });
        let mut observed = fixtures::made();
        observed.service = serde_json::from_value(json!({"spec": {
            "clusterIPs": ["10.0.0.77"], "ports": [
                {"name": "api", "port": 30443}, {"name": "konnectivity", "port": 30132}]}}))
        .unwrap();
        for number in 0..configs {
            let name = config(number);
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                    "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                        "name": "demo", "uid": "1", "controller": true}]}});
            let store = &context.mothership.store;
            store.put(Kind::ConfigMap, serde_json::from_value(object).unwrap(), 1);
            observed.existing.insert(name, None);
        }
        let volume = fixtures::valid(2, None, &observed).volumes().config;
        let generation = if seen { 7 } else { 6 };
        observed.control_plane = serde_json::from_value(json!({
            "metadata": {"name": "kmc-demo", "namespace": "ns", "uid": "set", "generation": 7},
            "spec": {"replicas": 2, "selector": {}, "serviceName": "x", "template": {"spec": {
                "containers": [],
                "volumes": [{"name": volume, "configMap": {"name": config(configs - 1)}}]}}},
            "status": {"observedGeneration": generation, "replicas": 2, "updatedReplicas": 0,
                "currentReplicas": 1, "currentRevision": "r0", "updateRevision": "r9"},
        }))
        .unwrap();
        let cluster = fixtures::valid(2, None, &observed);
        let_go(&cluster, &context).await;
        let mut deleted = std::mem::take(&mut *deleted.lock());
        deleted.sort();
        deleted
    }

    #[tokio::test]
    async fn of_many_configurations_those_stay_that_a_pod_may_read() {
        let unread = (0..20).filter(|number| ![0, 3, 19].contains(number));
        let unread: Vec<_> = unread.map(config).collect();
        assert_eq!(Box::pin(deleted(20, true)).await, unread);
    }

    #[tokio::test]
    async fn while_they_are_few_or_a_pod_may_come_that_reads_another_all_stay() {
        for (configs, seen) in [(KEPT + 1, true), (20, false)] {
            let deleted = Box::pin(deleted(configs, seen)).await;
            assert_eq!(deleted, Vec::<String>::new(), "{configs}");
        }
    }
}
