//! `k0smotron.io/v1beta1`, served for those who still write it and deprecated: objects are stored as
//! [`crate::v1beta2`], and [`crate::conversion`] turns one into the other.

mod cluster;
mod join_token_request;
mod service;
mod status;

pub use cluster::{Cluster, ClusterSpec};
pub use join_token_request::{
    ClusterRef, JoinTokenRequest, JoinTokenRequestSpec, JoinTokenRequestStatus,
};
pub use service::{ExternalTrafficPolicy, ServiceSpec};
pub use status::ClusterStatus;
