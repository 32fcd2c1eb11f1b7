//! `k0smotron.io/v1beta2`, the stored version.

mod absent;
mod certificate;
mod cluster;
mod cluster_policy;
mod host;
mod ingress;
mod join_token_request;
mod monitoring;
mod network_policy;
mod patch;
mod persistence;
mod ports;
mod remote_host;
mod service;
mod status;
mod storage;
mod volume;

pub use certificate::{CertificateRef, CertificateType};
pub use cluster::{Cluster, ClusterSpec, DEFAULT_IMAGE, KubeconfigSecretMetadata};
pub use cluster_policy::{
    ClusterDefaults, ClusterPolicy, ClusterPolicySpec, ClusterPolicyStatus, NamespaceLimits,
    PolicyAction, PolicyKind, PolicyRule, QuantityBounds, ReplicaBounds, RequiredKey,
    ResourceLimits, ResourcePolicy, Unread, ViolatingObject,
};
pub use host::canonical_host;
pub use ingress::IngressSpec;
pub use join_token_request::{
    JoinTokenDeprecatedStatus, JoinTokenRequest, JoinTokenRequestSpec, JoinTokenRequestStatus,
    JoinTokenRole, JoinTokenV1Beta1Status,
};
pub use monitoring::MonitoringSpec;
pub use network_policy::NetworkPolicySpec;
pub use patch::{Patch, PatchSpec, PatchTarget, PatchType};
pub use persistence::{
    ClaimMetadata, PersistenceSpec, PersistenceType, PersistentVolumeClaimTemplate,
};
pub use ports::Ports;
pub use remote_host::{KubeconfigRef, RemoteHostCluster};
pub use service::{DEFAULT_API_PORT, DEFAULT_KONNECTIVITY_PORT, ServiceSpec, ServiceType};
pub use status::{ClusterStatus, DeprecatedStatus, StatusNodes, StatusPorts, V1Beta1Status};
pub use storage::{
    DEFAULT_DEFRAG_IMAGE, DEFAULT_ETCD_IMAGE, DefragJob, EtcdPersistence, EtcdSpec, KineSpec,
    NatsPersistence, NatsSpec, StorageSpec, StorageType, odd_etcd_members,
};
pub use volume::{Manifest, Mount};
