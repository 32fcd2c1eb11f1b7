//! Namespaces and Clusters that policies look at, from the mothership or from files.

use std::collections::{BTreeMap, BTreeSet};

use crds::lookup::{Mothership, Namespace, Usage};
use crds::policy::read_policy;
use crds::v1beta2::ClusterPolicy;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use serde::Deserialize as _;
use serde_json::Value;

use crate::commands::policy::documents::Document;
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources;
use crate::session::Session;

/// What is known of the mothership: what the files say, and what it answered when it was asked.
#[derive(Debug, Default)]
pub struct Known {
    pub namespaces: BTreeMap<String, Namespace>,
    /// Clusters with their pods, by namespace and name.
    pub clusters: BTreeMap<(String, String), i64>,
}

impl Known {
    /// What is submitted together is there together.
    pub fn put_namespace(&mut self, document: &Document) -> Result<(), Error> {
        let found: ObjectMeta = document
            .object
            .get("metadata")
            .map(ObjectMeta::deserialize)
            .transpose()
            .map_err(|error| document.unreadable(&error.to_string()))?
            .unwrap_or_default();
        let namespace = Namespace {
            name: found.name.unwrap_or_default(),
            labels: found.labels.unwrap_or_default(),
            annotations: found.annotations.unwrap_or_default(),
        };
        self.namespaces.insert(namespace.name.clone(), namespace);
        Ok(())
    }

    /// One more Cluster, or another state of it.
    pub fn put_cluster(&mut self, namespace: &str, name: &str, cluster: &Value) {
        let replicas = cluster.pointer("/spec/replicas");
        let replicas = replicas.and_then(Value::as_i64).unwrap_or(1);
        let key = (namespace.to_owned(), name.to_owned());
        self.clusters.insert(key, replicas);
    }
}

impl Mothership for Known {
    fn namespace(&self, name: &str) -> Option<Namespace> {
        self.namespaces.get(name).cloned()
    }

    fn usage(&self, namespace: &str, but: &str) -> Usage {
        let others = self
            .clusters
            .iter()
            .filter(|((place, name), _)| place == namespace && name != but);
        others.fold(Usage::default(), |usage, (_, replicas)| Usage {
            clusters: usage.clusters + 1,
            replicas: usage.replicas.saturating_add(*replicas),
        })
    }
}

/// Asks for the policies.
pub async fn ask_policies(connection: &Connection<'_>) -> Result<Vec<ClusterPolicy>, Error> {
    let attempt = "list policies";
    let api = connection.api_everywhere(&resources::cluster_policies());
    let all = ListParams::default();
    let found = connection.call(attempt, || api.list(&all)).await?;
    found
        .items
        .into_iter()
        .map(|policy| {
            serde_json::to_value(policy)
                .and_then(|policy| read_policy(&policy))
                .map_err(|error| Error::io("read the mothership's policies", error.into()))
        })
        .collect()
}

/// Asks for a namespace with its labels.
pub async fn ask_namespace(connection: &Connection<'_>, name: &str) -> Result<Namespace, Error> {
    let api = connection.api_everywhere(&resources::namespaces());
    let attempt = format!("get namespace \"{name}\"");
    let metadata = connection.call(&attempt, || api.get(name)).await?.metadata;
    Ok(Namespace {
        name: name.to_owned(),
        labels: metadata.labels.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
    })
}

/// Asks for the namespaces of the objects, those of the files apart, and the Clusters in them. A
/// user who may not see a namespace gets the answer for one without labels, and is told.
///
/// # Errors
/// [`Error::Io`] for an object whose namespace has no name of one, before anything is asked; else
/// whatever the API server answers.
pub async fn ask(
    connection: &Connection<'_>,
    objects: &[Document],
    labels: bool,
    session: &Session,
    known: &mut Known,
) -> Result<(), Error> {
    let names = objects
        .iter()
        .filter(|document| !matches!(document.kind(), Ok(Some("ClusterPolicy"))))
        .map(|document| Ok(document.namespace()?.unwrap_or(&connection.namespace)));
    let names = names.collect::<Result<BTreeSet<&str>, Error>>()?;
    for name in names {
        if labels && !known.namespaces.contains_key(name) {
            match ask_namespace(connection, name).await {
                Ok(namespace) => {
                    known.namespaces.insert(name.to_owned(), namespace);
                }
                Err(error @ (Error::Forbidden { .. } | Error::NotFound { .. })) => {
                    session.out.note(&format!(
                        "warning: {error}; its labels count as none, unless --namespace-labels names them"
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        let api: kube::Api<DynamicObject> =
            kube::Api::namespaced_with(connection.client().clone(), name, &resources::clusters());
        let attempt = format!("list clusters in namespace \"{name}\"");
        let all = ListParams::default();
        let found = connection.call(&attempt, || api.list(&all)).await?;
        for cluster in found.items {
            let cluster_name = cluster.metadata.name.unwrap_or_default();
            known.put_cluster(name, &cluster_name, &cluster.data);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::mothership::client::testing;

    #[tokio::test]
    async fn nobody_is_asked_at_an_address_that_a_file_has_made_up() {
        for (namespace, requests) in [
            (json!("team-a"), 2),
            (json!(null), 2),
            (json!("kube-system/services/http:x:80/proxy/delete?id=1"), 0),
            (json!(".."), 0),
        ] {
            let (session, _) = testing::session();
            let asked = Arc::new(Mutex::new(Vec::new()));
            let seen = asked.clone();
            let connection = testing::connection(&session.out, move |_, path| {
                seen.lock().unwrap().push(path.to_owned());
                (200, json!({"metadata": {}, "items": []}))
            });
            let object = json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "metadata": {"name": "demo", "namespace": namespace}});
            let source = "pr.yaml".to_owned();
            let objects = [Document { source, object }];
            let mut known = Known::default();
            let answer = ask(&connection, &objects, true, &session, &mut known).await;
            assert_eq!(answer.is_ok(), requests > 0, "{namespace}");
            assert_eq!(asked.lock().unwrap().len(), requests, "{namespace}");
            if let Err(error) = answer {
                let said =
                    format!("cannot read pr.yaml: metadata.namespace: Invalid value: {namespace}");
                assert!(error.to_string().starts_with(&said), "{error}");
            }
        }
    }
}
