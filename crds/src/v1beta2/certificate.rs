//! Certificates that the user brings along.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::absent;

/// A Secret of the user's own that holds one of the cluster's certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRef {
    /// Which of the cluster's certificates the Secret holds.
    #[serde(rename = "type")]
    pub type_: CertificateType,
    /// Name of the Secret, with the keys `tls.crt` and `tls.key`. Left out, the Secret is looked
    /// for under the name that a generated one would have.
    #[serde(
        default,
        deserialize_with = "absent::text",
        skip_serializing_if = "Option::is_none"
    )]
    pub name: Option<String>,
}

/// The certificates and keys that a control plane is made of.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum CertificateType {
    /// CA of the hosted cluster.
    #[default]
    Ca,
    /// Key pair that signs service-account tokens.
    Sa,
    /// CA of the front proxy (aggregated API servers).
    Proxy,
    /// CA of etcd.
    Etcd,
    /// The API server's client certificate for etcd.
    ApiserverEtcdClient,
    /// What etcd members show each other.
    EtcdPeer,
    /// What etcd shows its clients.
    EtcdServer,
}

impl CertificateType {
    /// Every type, in the order of the declaration.
    pub const ALL: [Self; 7] = [
        Self::Ca,
        Self::Sa,
        Self::Proxy,
        Self::Etcd,
        Self::ApiserverEtcdClient,
        Self::EtcdPeer,
        Self::EtcdServer,
    ];

    /// Those whose keys are made once and never again: everything else is signed by one of these.
    pub const ROOTS: [Self; 4] = [Self::Ca, Self::Sa, Self::Proxy, Self::Etcd];

    /// The name in the API, which is the suffix of the Secret's name as well.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ca => "ca",
            Self::Sa => "sa",
            Self::Proxy => "proxy",
            Self::Etcd => "etcd",
            Self::ApiserverEtcdClient => "apiserver-etcd-client",
            Self::EtcdPeer => "etcd-peer",
            Self::EtcdServer => "etcd-server",
        }
    }
}

impl fmt::Display for CertificateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
