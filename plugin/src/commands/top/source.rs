//! Who tells what pods use: metrics.k8s.io, else the kubelets of the nodes that they run on.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use super::usage::{self, Usage};
use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::resources::resource;

/// How many kubelets are asked side by side.
const AT_ONCE: usize = 16;

/// What was measured, and by whom.
#[derive(Debug)]
pub struct Measured {
    pub usage: Usage,
    /// Lines for the person: who told it, and who did not answer.
    pub notes: Vec<String>,
}

/// Asks metrics.k8s.io, and where that tells nothing, the kubelets.
///
/// # Errors
/// [`Error::Unmeasured`] when neither tells anything.
pub async fn measure(
    connection: &Connection<'_>,
    namespace: Option<&str>,
    selector: &str,
    pods: &[Pod],
) -> Result<Measured, Error> {
    let why = match metrics(connection, namespace, selector).await? {
        Ok(usage) if pods.iter().any(|pod| usage.contains_key(&key(pod))) => {
            return Ok(Measured {
                usage,
                notes: vec!["measured by metrics.k8s.io".to_owned()],
            });
        }
        Ok(_) => "metrics.k8s.io has not measured them yet".to_owned(),
        Err(why) => format!("metrics.k8s.io: {why}"),
    };
    let of_pod = |pod: &Pod| pod.spec.as_ref()?.node_name.clone();
    let nodes: BTreeSet<String> = pods.iter().filter_map(of_pod).collect();
    if nodes.is_empty() {
        return Ok(Measured {
            usage: Usage::new(),
            notes: vec!["none of the pods runs yet".to_owned()],
        });
    }
    let asked = nodes.len();
    let answers: Vec<_> = stream::iter(nodes)
        .map(|node| async move {
            let answer = summary(connection, &node).await;
            (node, answer)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut usage = Usage::new();
    let mut silent = Vec::new();
    for (node, answer) in answers {
        match answer? {
            Ok(summary) => usage.extend(usage::of_summary(&summary)),
            Err(why) => silent.push(format!("the kubelet of node {node}: {why}")),
        }
    }
    if silent.len() == asked {
        return Err(Error::Unmeasured {
            tried: [vec![why], silent].concat(),
        });
    }
    let answered = asked - silent.len();
    let kubelets = if answered == 1 { "kubelet" } else { "kubelets" };
    let note = format!("measured by {answered} {kubelets} (stats/summary); {why}");
    let silent = silent.into_iter().map(|why| format!("not measured: {why}"));
    Ok(Measured {
        usage,
        notes: [note].into_iter().chain(silent).collect(),
    })
}

fn key(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

/// What came back, or why nothing did; a failure for what makes another try pointless.
type Answer<T> = Result<Result<T, String>, Error>;

async fn metrics(
    connection: &Connection<'_>,
    namespace: Option<&str>,
    selector: &str,
) -> Answer<Usage> {
    let resource = resource("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(connection.client().clone(), namespace, &resource),
        None => connection.api_everywhere(&resource),
    };
    let parameters = ListParams::default().labels(selector);
    let asked = connection.call("list the metrics of pods", || async {
        unless_put_off(api.list(&parameters).await)
    });
    Ok(settle(asked.await)?.map(|list| {
        let items: Vec<Value> = list
            .items
            .iter()
            .filter_map(|item| serde_json::to_value(item).ok())
            .collect();
        usage::of_metrics(&items)
    }))
}

async fn summary(connection: &Connection<'_>, node: &str) -> Answer<Value> {
    let path = format!("/api/v1/nodes/{node}/proxy/stats/summary?only_cpu_and_memory=true");
    let attempt = format!("ask the kubelet of node {node}");
    let asked = connection.call(&attempt, || async {
        let request = http::Request::get(&path)
            .body(Vec::new())
            .map_err(kube::Error::HttpError)?;
        unless_put_off(connection.client().request::<Value>(request).await)
    });
    settle(asked.await)
}

/// What stands behind the API server and is not there is not waited for: there is another way.
fn unless_put_off<T>(answer: Result<T, kube::Error>) -> Result<Result<T, String>, kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if matches!(status.code, 500..=599) => Ok(Err(format!(
            "{} (HTTP {})",
            status.message.trim(),
            status.code
        ))),
        other => other.map(Ok),
    }
}

fn settle<T>(answer: Result<Result<T, String>, Error>) -> Answer<T> {
    match answer {
        Ok(answer) => Ok(answer),
        Err(Error::NotInstalled { .. }) => Ok(Err("it is not there".to_owned())),
        Err(Error::Forbidden { answer, .. } | Error::NotFound { answer, .. }) => Ok(Err(answer)),
        Err(error @ Error::Server { .. }) => Ok(Err(error.to_string())),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_way_leads_around_ends_nothing() {
        let missing: Result<Result<(), String>, Error> = Err(Error::NotInstalled {
            attempt: "list".to_owned(),
            server: "https://x".to_owned(),
        });
        assert_eq!(settle(missing).unwrap().unwrap_err(), "it is not there");
        let gone: Result<Result<(), String>, Error> = Err(Error::Unreachable {
            server: "https://x".to_owned(),
            cause: "refused".to_owned(),
        });
        assert!(settle(gone).is_err());
    }
}
