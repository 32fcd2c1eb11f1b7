//! Join tokens: what a machine needs to know to join a hosted cluster.
//!
//! ```text
//! JoinToken = base64(gzip(kubeconfig)):  where the API is, whom to trust, and  id.secret
//!                                                                                  |
//! Secret kube-system/bootstrap-token-<id> in the hosted cluster:   the same id and secret,
//!                                                                  what they allow, until when
//! ```
//!
//! The id is no secret and may stand in a status; whoever has the secret can join.

mod bootstrap;
mod codec;
mod error;
mod parts;

pub use bootstrap::{BootstrapToken, NAMESPACE, bootstrap_secret, bootstrap_secret_name};
pub use error::TokenError;
pub use parts::{TokenId, TokenSecret};

use super::PkiError;
use super::address::https_url;

/// The port on which a hosted control plane lets further controllers join.
pub const CONTROLLER_JOIN_PORT: u16 = 9443;

/// What a machine joins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A machine that runs pods.
    Worker,
    /// A further control-plane node.
    Controller,
}

impl Role {
    /// The name of the user in the token's kubeconfig, by which k0s tells the roles apart.
    pub fn user(self) -> &'static str {
        match self {
            Self::Worker => "kubelet-bootstrap",
            Self::Controller => "controller-bootstrap",
        }
    }
}

/// A join token taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinToken {
    /// What the machine joins as.
    pub role: Role,
    /// The URL it joins at, see [`join_url`].
    pub server: String,
    /// The cluster's authority in PEM.
    pub ca_certificate: String,
    /// The public half.
    pub id: TokenId,
    /// The secret half.
    pub secret: TokenSecret,
}

/// The URL to join at: the API's own port for workers, k0s's join API for controllers.
pub fn join_url(host: &str, role: Role, api_port: u16) -> Result<String, PkiError> {
    let port = match role {
        Role::Worker => api_port,
        Role::Controller => CONTROLLER_JOIN_PORT,
    };
    https_url(host, port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_differ_by_the_port_only() {
        let url = |host, role| join_url(host, role, 30443).unwrap();
        assert_eq!(url("10.0.0.1", Role::Worker), "https://10.0.0.1:30443");
        assert_eq!(url("10.0.0.1", Role::Controller), "https://10.0.0.1:9443");
        assert_eq!(url("fd00::1", Role::Worker), "https://[fd00::1]:30443");
        assert_eq!(
            url("api.example.org", Role::Controller),
            "https://api.example.org:9443"
        );
    }
}
