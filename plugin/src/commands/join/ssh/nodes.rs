//! The Nodes of the hosted cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeCondition};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt as _};

use super::failure::Failure;
use crate::error::Error;
use crate::escape;
use crate::hosted::{Hosted, ViaArgs};
use crate::mothership::client::Connection;
use crate::session::Session;

/// How often a Node is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long an answer of the hosted API may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The Nodes, and what they said of themselves before anything was done.
#[derive(Debug)]
pub struct Nodes {
    api: Api<Node>,
    before: BTreeMap<String, Option<String>>,
    // A tunnel closes with it.
    _way: Hosted,
}

impl Nodes {
    /// Sees that the hosted API answers, at its address or through the mothership.
    pub async fn open(
        session: &Session,
        connection: &Connection<'_>,
        cluster: &DynamicObject,
    ) -> Result<Self, Error> {
        let hosted = Hosted::open(session, connection, cluster, &ViaArgs::default()).await?;
        let server = hosted.server.clone();
        let api: Api<Node> = Api::all(hosted.client(session).await?);
        let attempt = format!(
            "list the nodes of {}/{}",
            connection.namespace,
            cluster.name_any()
        );
        let parameters = ListParams::default();
        let list = tokio::time::timeout(DEADLINE, api.list(&parameters))
            .await
            .map_err(|_| Error::Unreachable {
                server: server.clone(),
                cause: format!("no answer within {DEADLINE:?}"),
            })?
            .map_err(|error| Error::from_kube(&attempt, server.trim_end_matches('/'), error))?;
        let before = list
            .iter()
            .map(|node| (node.name_any(), heartbeat(node)))
            .collect();
        Ok(Self {
            api,
            before,
            _way: hosted,
        })
    }

    /// Waits until the Node of this name is Ready, and has said so since [`Nodes::open`]; `boot` is
    /// what its machine says of itself, if it does.
    ///
    /// # Errors
    /// [`Failure::NoNode`] for an answer that waiting cannot change.
    pub async fn ready(
        &self,
        name: &str,
        boot: Option<&str>,
        step: impl Fn(&str),
    ) -> Result<(), Failure> {
        loop {
            match tokio::time::timeout(DEADLINE, self.api.get_opt(name)).await {
                Ok(Ok(node)) => match obstacle(self.before.get(name), boot, node.as_ref()) {
                    None => return Ok(()),
                    Some(obstacle) => step(&format!("waiting for node {name}: {obstacle}")),
                },
                Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
                    return Err(Failure::NoNode(escape::line(&status.message).into_owned()));
                }
                Ok(Err(_)) | Err(_) => {
                    step(&format!(
                        "waiting for node {name}: the hosted API does not answer"
                    ));
                }
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// What is in the way of being Ready; `before` is what the Node of this name had to say at the
/// beginning, if there was one, and `boot` what the machine that joins says of itself.
fn obstacle(
    before: Option<&Option<String>>,
    boot: Option<&str>,
    node: Option<&Node>,
) -> Option<String> {
    let Some(node) = node else {
        return Some("it has not registered".to_owned());
    };
    if before.is_some_and(|before| *before == heartbeat(node)) {
        return Some("it is there from before and has not come back".to_owned());
    }
    if let (Some(boot), Some(other)) = (boot, boot_id(node))
        && boot != other
    {
        return Some("it is another machine's, which has the same name".to_owned());
    }
    match readiness(node) {
        Some(ready) if ready.status == "True" => None,
        Some(ready) => {
            let message = ready.message.as_deref().unwrap_or_default();
            Some(message.lines().next().unwrap_or("not Ready").to_owned())
        }
        None => Some("it has not told its state".to_owned()),
    }
}

fn readiness(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")
}

/// What the kubelet has told of the kernel below it.
fn boot_id(node: &Node) -> Option<&str> {
    let info = node.status.as_ref()?.node_info.as_ref()?;
    Some(info.boot_id.as_str()).filter(|id| !id.is_empty())
}

/// When the node last said whether it is Ready.
fn heartbeat(node: &Node) -> Option<String> {
    let at = readiness(node)?.last_heartbeat_time.as_ref()?;
    Some(at.0.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(status: &Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "node-1"}, "status": status})).unwrap()
    }

    fn told(status: &str) -> Node {
        let condition = json!({"type": "Ready", "status": status, "message": "no network\nyet",
            "lastHeartbeatTime": "2026-11-22T10:00:00Z"});
        node(&json!({"conditions": [condition]}))
    }

    #[test]
    fn only_a_node_that_says_so_is_ready() {
        assert_eq!(obstacle(None, None, Some(&told("True"))), None);
        let waits = [
            (None, "it has not registered"),
            (Some(node(&json!({}))), "it has not told its state"),
            (
                Some(node(&json!({"conditions": []}))),
                "it has not told its state",
            ),
            (Some(told("False")), "no network"),
            (Some(told("Unknown")), "no network"),
        ];
        for (node, why) in waits {
            assert_eq!(obstacle(None, None, node.as_ref()).as_deref(), Some(why));
        }
    }

    #[test]
    fn the_node_of_another_machine_is_not_believed() {
        let info = |boot: &str| {
            let mut node = serde_json::to_value(told("True")).unwrap();
            node["status"]["nodeInfo"] = json!({"architecture": "", "bootID": boot,
                "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
                "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
                "systemUUID": ""});
            serde_json::from_value::<Node>(node).unwrap()
        };
        // Its own kubelet goes on, so that it has said something since.
        let earlier = Some("2026-11-22T09:00:00Z".to_owned());
        let found = obstacle(Some(&earlier), Some("mine"), Some(&info("other")));
        assert_eq!(
            found.unwrap(),
            "it is another machine's, which has the same name"
        );
        for (boot, said) in [(Some("mine"), "mine"), (Some("mine"), ""), (None, "other")] {
            assert_eq!(obstacle(Some(&earlier), boot, Some(&info(said))), None);
            assert_eq!(obstacle(None, boot, Some(&info(said))), None);
        }
        assert!(obstacle(None, Some("mine"), Some(&info("other"))).is_some());
    }

    #[test]
    fn what_a_node_said_before_is_not_believed() {
        let before = heartbeat(&told("True"));
        let found = obstacle(Some(&before), None, Some(&told("True")));
        assert!(found.unwrap().contains("from before"));
        let earlier = Some("2026-11-22T09:00:00Z".to_owned());
        assert_eq!(obstacle(Some(&earlier), None, Some(&told("True"))), None);
        assert_eq!(obstacle(Some(&None), None, Some(&told("True"))), None);
    }
}
