//! A request and what was found, or why there is no token yet.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use crds::{
    v1beta2::{JoinTokenRequest, JoinTokenRole},
    validation,
};

use crate::pki::token::{Role, join_url};

use super::{
    dereference::{Found, Reach},
    status,
};

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
    /// A field cannot work.
    Invalid(String),
    /// No Cluster of that name.
    NoCluster(String),
    /// The Cluster is being deleted.
    ClusterGoing(String),
    /// The Cluster does not serve yet.
    ClusterNotReady(String),
    /// The hosted API did not answer.
    HostedUnreachable(String),
    /// The Secret's name is taken.
    NameTaken(String),
    /// The token has ended.
    Expired(Timestamp),
}

impl Refusal {
    /// The condition's reason.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "Invalid",
            Self::NoCluster(_) => "ClusterNotFound",
            Self::ClusterGoing(_) => "ClusterDeleting",
            Self::ClusterNotReady(_) => "ClusterNotReady",
            Self::HostedUnreachable(_) => "HostedUnreachable",
            Self::NameTaken(_) => "NameTaken",
            Self::Expired(_) => "Expired",
        }
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::Invalid(error) => error.clone(),
            Self::NoCluster(name) => format!(
                "there is no Cluster {name} in this namespace: create it, or correct \
                 spec.clusterName"
            ),
            Self::ClusterGoing(name) => format!("the Cluster {name} is being deleted"),
            Self::ClusterNotReady(name) => format!(
                "the Cluster {name} does not serve yet: the token is made as soon as it does"
            ),
            Self::HostedUnreachable(error) => format!("{error}; it is tried again"),
            Self::NameTaken(key) => format!(
                "{key} exists and does not belong to this request: rename or delete it, or give \
                 the request another name"
            ),
            Self::Expired(at) => {
                format!("the token ended at {at}: delete this request and make a new one")
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
    let errors = validation::validate_join_token_request(request);
    if !errors.is_empty() {
        let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
        return Err(Refusal::Invalid(all.join("; ")));
    }
    if let Some(at) = status::expires_at(request)
        && at <= now
    {
        return Err(Refusal::Expired(at));
    }
    let name = &request.spec.cluster_name;
    let Some(cluster) = &found.cluster else {
        return Err(Refusal::NoCluster(name.clone()));
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Err(Refusal::ClusterGoing(name.clone()));
    }
    let not_ready = || Refusal::ClusterNotReady(name.clone());
    // A token that exists is looked after while its cluster is down for a moment.
    if !found.serves && status::token_id(request).is_none() {
        return Err(not_ready());
    }
    let (Some(host), Some(reach)) = (&found.host, found.reach()) else {
        return Err(not_ready());
    };
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
