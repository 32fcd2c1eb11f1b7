//! A request and what was found, or why there is no token yet.

use crds::v1beta2::{JoinTokenRequest, JoinTokenRole};
use crds::validation::{self, FieldError};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use pki::token::{Role, join_url};

use super::dereference::{Found, NoWay, Reach};
use super::status;
use crate::kubernetes::store::ObjectKey;

/// A request that can be served.
#[derive(Clone, Debug)]
pub struct ValidRequest {
    /// What a machine joins as.
    pub role: Role,
    /// How long the token is good for; `None` for ever.
    pub lifetime: Option<SignedDuration>,
    /// The URL to join at.
    pub server: String,
    /// The way to the hosted API.
    pub reach: Reach,
    /// The Cluster, as the request's owner.
    pub owner: OwnerReference,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Something that this version does not honour, by its paths.
    NotImplemented(Vec<String>),
    /// A field cannot work.
    Invalid(String),
    /// No Cluster of that name.
    NoCluster(String),
    /// The Cluster is being deleted.
    ClusterGoing(String),
    /// The Cluster does not serve yet.
    ClusterNotReady(String),
    /// What leads to its API is not all there.
    NoWay(NoWay),
    /// The Secret's name is taken.
    NameTaken(ObjectKey),
    /// The token has expired.
    Expired(Timestamp),
}

impl Refusal {
    /// The condition's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NotImplemented(_) => "NotImplemented",
            Self::Invalid(_) => "Invalid",
            Self::NoCluster(_) => "ClusterNotFound",
            Self::ClusterGoing(_) => "ClusterDeleting",
            Self::ClusterNotReady(_) | Self::NoWay(_) => "ClusterNotReady",
            Self::NameTaken(_) => "NameTaken",
            Self::Expired(_) => "Expired",
        }
    }

    /// Whether the request or its Cluster has to change first, which wakes the request.
    pub const fn waits(&self) -> bool {
        !matches!(self, Self::NameTaken(_) | Self::NoWay(_))
    }

    /// Whether it is the Cluster that cannot be asked for now, which is no news of a token that is
    /// there.
    pub const fn is_outage(&self) -> bool {
        matches!(self, Self::ClusterNotReady(_) | Self::NoWay(_))
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::NotImplemented(paths) => format!(
                "not implemented by this version: {}; nothing is created or changed until it is removed",
                paths.join(", ")
            ),
            Self::Invalid(error) => error.clone(),
            Self::NoCluster(name) => format!(
                "there is no Cluster {name} in this namespace: create it, or correct \
                 spec.clusterName"
            ),
            Self::ClusterGoing(name) => format!("the Cluster {name} is being deleted"),
            Self::ClusterNotReady(name) => format!(
                "the Cluster {name} is not available yet: the token is created as soon as it is"
            ),
            Self::NoWay(no_way) => {
                format!("{no_way}; the token is created as soon as its Cluster can be reached")
            }
            Self::NameTaken(key) => format!(
                "{key} already exists and does not belong to this request: rename or delete it, or \
                 create the request under another name"
            ),
            Self::Expired(at) => {
                format!("the token expired at {at}: delete this request and create a new one")
            }
        }
    }
}

/// Checks a request with the rules of the `crds` crate and joins it with what was found.
pub fn validate(
    request: &JoinTokenRequest,
    found: &Found,
    now: Timestamp,
) -> Result<ValidRequest, Refusal> {
    let later = validation::not_implemented_join_token_request(request);
    if !later.is_empty() {
        return Err(Refusal::NotImplemented(later));
    }
    invalid(&validation::validate_join_token_request(request))?;
    unchanged(request, &found.home, request.spec.role)?;
    if let Some(at) = status::expires_at(request)
        && at <= now
    {
        return Err(Refusal::Expired(at));
    }
    let name = &request.spec.cluster_name;
    let Some(cluster) = &found.cluster else {
        return Err(match &found.way {
            Err(unread) if found.exists => Refusal::NoWay(unread.clone()),
            _ => Refusal::NoCluster(name.clone()),
        });
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::ClusterGoing(name.clone()));
    }
    let not_ready = || Refusal::ClusterNotReady(name.clone());
    // A token that exists is looked after while its cluster is down for a moment.
    if !found.serves && status::recorded_id(request).is_none() {
        return Err(not_ready());
    }
    let reach = found.way.clone().map_err(Refusal::NoWay)?;
    let host = found.host.as_ref().ok_or_else(not_ready)?;
    let role = match request.spec.role {
        JoinTokenRole::Worker => Role::Worker,
        JoinTokenRole::Controller => Role::Controller,
    };
    let server =
        join_url(host, role, reach.port).map_err(|error| Refusal::Invalid(error.to_string()))?;
    let lifetime = validation::parse_go_duration(&request.spec.expiry)
        .ok()
        .filter(|lifetime| !lifetime.is_zero())
        .and_then(|lifetime| SignedDuration::try_from(lifetime).ok());
    let owner = cluster.controller_owner_ref(&()).ok_or_else(not_ready)?;
    Ok(ValidRequest {
        role,
        lifetime,
        server,
        reach,
        owner,
    })
}

/// Where there is a token, the spec still says what it was made with: the webhook's rule, for what
/// got past it.
pub fn unchanged(
    request: &JoinTokenRequest,
    cluster: &str,
    role: JoinTokenRole,
) -> Result<(), Refusal> {
    let mut made = request.clone();
    // There may be a token before it is recorded.
    let id = status::token_id(request).map(|id| id.as_str().to_owned());
    made.status.get_or_insert_default().token_id = id;
    cluster.clone_into(&mut made.spec.cluster_name);
    made.spec.role = role;
    invalid(&validation::join_token_request_update(&made, request).errors)
}

fn invalid(errors: &[FieldError]) -> Result<(), Refusal> {
    if errors.is_empty() {
        return Ok(());
    }
    let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
    Err(Refusal::Invalid(all.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refusal(request: Value) -> Refusal {
        let request: JoinTokenRequest = serde_json::from_value(request).unwrap();
        let found = Found {
            home: "demo".into(),
            cluster: None,
            exists: false,
            serves: false,
            host: None,
            way: Err(NoWay::Unread("demo".into())),
        };
        validate(&request, &found, Timestamp::UNIX_EPOCH).unwrap_err()
    }

    #[test]
    fn a_request_for_another_namespace_is_refused_before_anything_else() {
        let elsewhere = refusal(json!({
            "metadata": {"name": "token", "namespace": "ns",
                "annotations": {"k0smotron.io/cluster-ref-namespace": "other"}},
            "spec": {"clusterName": "demo", "expiry": "nonsense"},
        }));
        assert_eq!(elsewhere.reason(), "NotImplemented");
        let path = "metadata.annotations[k0smotron.io/cluster-ref-namespace]";
        assert!(
            elsewhere.message().contains(path),
            "{}",
            elsewhere.message()
        );
    }

    #[test]
    fn a_token_is_not_made_once_more_for_another_cluster() {
        let finalizers = [crds::names::JOIN_TOKEN_REQUEST_FINALIZER];
        for (finalizers, id) in [(&[][..], json!("abc123")), (&finalizers, Value::Null)] {
            let moved = refusal(json!({
                "metadata": {"name": "token", "namespace": "ns", "uid": "2",
                    "finalizers": finalizers, "ownerReferences": [{
                        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "demo",
                        "uid": "1", "controller": true,
                    }]},
                "spec": {"clusterName": "other"}, "status": {"tokenID": id},
            }));
            assert_eq!(moved.reason(), "Invalid");
            assert!(moved.message().contains("spec.clusterName"), "{moved:?}");
        }
    }

    #[test]
    fn a_token_is_not_made_once_more_for_another_role() {
        let request: JoinTokenRequest = serde_json::from_value(json!({
            "metadata": {"name": "token", "namespace": "ns", "uid": "2"},
            "spec": {"clusterName": "demo", "role": "controller"}, "status": {"tokenID": "abc123"},
        }))
        .unwrap();
        let changed = unchanged(&request, "demo", JoinTokenRole::Worker).unwrap_err();
        assert_eq!(changed.reason(), "Invalid");
        assert!(changed.message().contains("spec.role"), "{changed:?}");
        assert_eq!(
            unchanged(&request, "demo", JoinTokenRole::Controller),
            Ok(())
        );
    }
}
