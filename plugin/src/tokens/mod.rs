//! Join tokens: what is known of one, the flags that ask for it, and how it is revoked.

mod request;
mod revocation;

use std::time::Duration;

use clap::{Args, ValueEnum};
use crds::version::K0sVersion;
use kube::api::DynamicObject;
use serde::Serialize;

pub use self::request::{answer, ask, is_perhaps_made, name_for, obtain, tell_asked, tell_perhaps};
pub use self::revocation::{Ending, INTERVAL, revoke, say_begun};
use crate::mothership::view;
use crate::session::Session;
use crate::{duration, flags};

/// What stands in a token's place where it is shown for review.
const MASK: &str = "<token>";

/// A token and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinToken {
    /// Name of the `JoinTokenRequest` and of its Secret.
    pub request: String,
    /// Namespace of both and of the Cluster.
    pub namespace: String,
    /// The cluster that a machine joins with it.
    pub cluster: String,
    pub role: Role,
    #[serde(rename = "tokenID")]
    pub token_id: Option<String>,
    /// When it ends, RFC 3339; `None` is never.
    pub expires_at: Option<String>,
    /// k0s version that the machine gets, as k0s writes it.
    pub version: Option<String>,
    pub token: String,
}

impl JoinToken {
    /// In place of a token that was not asked for.
    pub fn masked(namespace: &str, cluster: &str, role: Role, version: Option<String>) -> Self {
        Self {
            request: String::new(),
            namespace: namespace.to_owned(),
            cluster: cluster.to_owned(),
            role,
            token_id: None,
            expires_at: None,
            version,
            token: MASK.to_owned(),
        }
    }

    /// Until when it is good: completes "good ...".
    pub fn until(&self) -> String {
        match &self.expires_at {
            Some(until) => format!("until {until}"),
            None if self.token == MASK => "for a while".to_owned(),
            None => "for ever".to_owned(),
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct TokenArgs {
    /// Name of the cluster
    // An id of its own: the global --cluster is another thing.
    #[arg(id = "hosted", value_name = "NAME", value_parser = flags::object_name)]
    pub cluster: String,
    /// What the machine becomes
    #[arg(long, value_enum, value_name = "ROLE", default_value_t)]
    pub role: Role,
    /// How long the token is valid; 0 is for ever [default: 24h, or 1h with --ssh]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub ttl: Option<Duration>,
    /// Name of the JoinTokenRequest; made up from cluster and role unless given
    #[arg(long, value_name = "REQUEST", value_parser = flags::object_name)]
    pub name: Option<String>,
    /// How long to wait for the token, or with --ssh for each machine; 0 is for ever
    /// [default: 2m, or 10m with --ssh]
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
}

/// How long a token is good for unless the user says otherwise.
const TTL: Duration = Duration::from_secs(24 * 3600);
/// How long a token is waited for unless the user says otherwise.
const PATIENCE: Duration = Duration::from_secs(120);

impl TokenArgs {
    /// How long the token is valid.
    pub fn ttl(&self) -> Duration {
        self.ttl.unwrap_or(TTL)
    }

    /// How long to wait for it.
    pub fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(PATIENCE)
    }
}

/// What a machine becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A node that runs pods.
    #[default]
    Worker,
    /// One more controller.
    Controller,
}

impl Role {
    /// The name in the API and of k0s' command.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Controller => "controller",
        }
    }

    /// The user in a token, by which k0s knows what it is for.
    const fn user(self) -> &'static str {
        match self {
            Self::Worker => "kubelet-bootstrap",
            Self::Controller => "controller-bootstrap",
        }
    }
}

/// Whether a request is one of this cluster, if there is one to ask for.
pub fn is_of(request: &DynamicObject, cluster: Option<&str>) -> bool {
    cluster.is_none_or(|cluster| {
        view::text(request, "/spec/clusterName").is_some_and(|name| name == cluster)
    })
}

/// The command that takes a token back.
pub fn how_to_revoke(session: &Session, request: &str, namespace: &str) -> String {
    session.kubectl(&format!("k0smotron token revoke {request}"), namespace)
}

/// The version that runs, in k0s' own form; `None` for one that k0s' installer would not know.
pub fn version_of(cluster: &DynamicObject) -> Option<String> {
    let version =
        view::text(cluster, "/status/version").or_else(|| view::text(cluster, "/spec/version"))?;
    version
        .parse::<K0sVersion>()
        .ok()
        .map(|version| version.to_string())
}

/// Says until when a token is valid, and how it is revoked.
pub fn tell(session: &Session, token: &JoinToken) {
    let id = token.token_id.as_deref().unwrap_or("<unknown>");
    let whose = format!(
        "{} of {}/{}",
        token.role.name(),
        token.namespace,
        token.cluster
    );
    let out = &session.out;
    out.note(&match &token.expires_at {
        Some(until) => format!("Token {id} ({whose}) is valid until {until}."),
        None => format!("Token {id} ({whose}) is valid for ever; --ttl 24h limits the next one."),
    });
    out.note(&format!(
        "Revoke it: {}",
        how_to_revoke(session, &token.request, &token.namespace)
    ));
}

#[cfg(test)]
mod tests;
