//! What a Cluster can be waited for to become: from the object to
//! whether it is there, and the wait for that.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use kube::api::DynamicObject;

use crate::error::Error;
use crate::mothership::client::Connection;
use crate::mothership::view;
use crate::session::Session;
use crate::wait::{Look, Wait};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitTarget {
    /// Its API answers and everything it needs is there.
    Available,
    /// It runs the version that its spec asks for, and is available.
    Upgraded,
    /// As many control-plane pods as its spec asks for are ready, and it is available.
    Scaled,
    Deleted,
    Nodes(u32),
}

impl FromStr for WaitTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let nodes = text.strip_prefix("nodes=").map(str::parse);
        match (text, nodes) {
            ("available", _) => Ok(Self::Available),
            ("upgraded", _) => Ok(Self::Upgraded),
            ("scaled", _) => Ok(Self::Scaled),
            ("deleted", _) => Ok(Self::Deleted),
            (_, Some(Ok(count))) => Ok(Self::Nodes(count)),
            _ => Err("known are available, upgraded, scaled, deleted and nodes=N".to_owned()),
        }
    }
}

impl fmt::Display for WaitTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Available => f.write_str("be available"),
            Self::Upgraded => f.write_str("run the version that its spec asks for"),
            Self::Scaled => f.write_str("have as many pods as its spec asks for"),
            Self::Deleted => f.write_str("be gone"),
            Self::Nodes(1) => f.write_str("have 1 node that is ready"),
            Self::Nodes(count) => write!(f, "have {count} nodes that are ready"),
        }
    }
}

/// How a Cluster stands to a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    Reached,
    Pending(String),
    /// As it is, it will never be there.
    Never(String),
}

impl WaitTarget {
    /// How this Cluster stands to it.
    pub fn standing(self, cluster: &DynamicObject) -> Standing {
        if self != Self::Deleted {
            if cluster.metadata.deletion_timestamp.is_some() {
                return Standing::Never("it is being deleted".to_owned());
            }
            if let Some(refusal) = view::refusal(cluster) {
                return Standing::Never(refusal);
            }
        }
        let pending = match self {
            // What it counts is of the spec before.
            Self::Upgraded | Self::Scaled if !view::is_observed(cluster) => view::obstacle(cluster),
            Self::Available => view::obstacle(cluster),
            Self::Upgraded => upgrading(cluster).or_else(|| view::obstacle(cluster)),
            Self::Scaled => scaling(cluster).or_else(|| view::obstacle(cluster)),
            Self::Deleted => Some(view::holds(cluster)),
            Self::Nodes(wanted) => missing(cluster, wanted),
        };
        pending.map_or(Standing::Reached, Standing::Pending)
    }

    /// Waits until the Cluster is there, and shows what is in the way meanwhile; `None` when it is
    /// gone.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Refused`] for what can never be, or whatever the API server
    /// answers.
    pub async fn wait(
        self,
        session: &Session,
        connection: &Connection<'_>,
        name: &str,
        timeout: Option<Duration>,
    ) -> Result<Option<DynamicObject>, Error> {
        let what = format!("cluster {}/{name} to {self}", connection.namespace);
        let wait = Wait {
            what: &what,
            timeout,
            interval: Duration::from_millis(500),
        };
        let mut seen: Option<String> = None;
        wait.until(session, async || {
            let cluster = match connection.cluster(name).await {
                Err(Error::UnknownCluster { .. }) if self == Self::Deleted => {
                    return Ok(Look::Done(None));
                }
                other => other?,
            };
            // Another one has taken the name meanwhile.
            let uid = cluster.metadata.uid.clone();
            if self == Self::Deleted && seen.is_some() && seen != uid {
                return Ok(Look::Done(None));
            }
            seen = uid;
            match self.standing(&cluster) {
                Standing::Reached => Ok(Look::Done(Some(cluster))),
                Standing::Pending(why) => Ok(Look::Pending(why)),
                Standing::Never(why) => Err(Error::Refused {
                    attempt: format!("wait for {what}"),
                    causes: vec![why],
                    hint: format!(
                        "see its status: {}",
                        session.kubectl(&format!("k0smotron status {name}"), &connection.namespace)
                    ),
                }),
            }
        })
        .await
    }
}

fn upgrading(cluster: &DynamicObject) -> Option<String> {
    let wanted = view::text(cluster, "/spec/version")?;
    let Some(running) = view::text(cluster, "/status/version") else {
        return Some(format!("{wanted} is starting"));
    };
    if view::same_version(&wanted, &running) {
        return None;
    }
    let updated = view::number(cluster, "/status/updatedReplicas").unwrap_or_default();
    let replicas = view::number(cluster, "/spec/replicas").unwrap_or(1);
    Some(format!(
        "from {running} to {wanted}: {updated} of {replicas} pods follow the new specification"
    ))
}

fn scaling(cluster: &DynamicObject) -> Option<String> {
    let wanted = view::number(cluster, "/spec/replicas").unwrap_or(1);
    let count = |pointer| view::number(cluster, pointer).unwrap_or_default();
    let (there, ready) = (count("/status/replicas"), count("/status/readyReplicas"));
    (there != wanted || ready != wanted)
        .then(|| format!("{ready} of {wanted} pods are ready, and {there} are there"))
}

fn missing(cluster: &DynamicObject, wanted: u32) -> Option<String> {
    let Some(ready) = view::number(cluster, "/status/nodes/ready") else {
        return Some("the controller has not counted the nodes yet".to_owned());
    };
    let joined = view::number(cluster, "/status/nodes/joined").unwrap_or(ready);
    (ready < i64::from(wanted)).then(|| format!("{joined} have joined, {ready} are ready"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::view::tests::cluster;

    fn standing(target: &str, status: Value) -> Standing {
        target
            .parse::<WaitTarget>()
            .unwrap()
            .standing(&cluster(status))
    }

    fn available() -> Value {
        json!({"type": "Available", "status": "True", "reason": "Available"})
    }

    #[test]
    fn an_upgrade_has_ended_when_the_version_runs_and_the_api_answers() {
        let during = json!({"version": "v1.36.2+k0s.0", "updatedReplicas": 1,
            "conditions": [available()]});
        assert_eq!(
            standing("upgraded", during),
            Standing::Pending(
                "from v1.36.2+k0s.0 to v1.36.3-k0s.2: 1 of 3 pods follow the new specification"
                    .into()
            )
        );
        let unseen = json!({"version": "v1.36.2+k0s.0", "observedGeneration": 1,
            "conditions": [available()]});
        let Standing::Pending(why) = standing("upgraded", unseen) else {
            panic!("nobody has begun")
        };
        assert!(why.contains("newest spec"), "{why}");
        let after = json!({"version": "v1.36.3+k0s.2", "conditions": [available()]});
        assert_eq!(standing("upgraded", after), Standing::Reached);
    }

    #[test]
    fn nodes_are_those_that_are_ready() {
        let one = json!({"nodes": {"joined": 2, "ready": 1}});
        assert_eq!(standing("nodes=1", one.clone()), Standing::Reached);
        assert_eq!(
            standing("nodes=2", one),
            Standing::Pending("2 have joined, 1 are ready".into())
        );
    }

    #[test]
    fn what_was_refused_is_not_waited_for() {
        let refused = json!({"conditions": [{"type": "Accepted", "status": "False",
            "reason": "NotImplemented", "message": "spec.ingress"}]});
        for target in ["available", "upgraded", "scaled", "nodes=1"] {
            let standing = standing(target, refused.clone());
            assert!(
                matches!(standing, Standing::Never(_)),
                "{target}: {standing:?}"
            );
        }
        assert!(matches!(standing("deleted", refused), Standing::Pending(_)));
    }

    #[test]
    fn pods_that_go_are_waited_for_as_well() {
        let status = |there: i64, ready: i64| json!({"replicas": there, "readyReplicas": ready, "conditions": [available()]});
        assert!(matches!(
            standing("scaled", status(4, 3)),
            Standing::Pending(_)
        ));
        assert_eq!(standing("scaled", status(3, 3)), Standing::Reached);
    }

    #[test]
    fn an_unknown_target_is_refused_with_the_known_ones() {
        for text in ["ready", "nodes=x", "nodes"] {
            assert!(text.parse::<WaitTarget>().unwrap_err().contains("nodes=N"));
        }
    }
}
