use super::{Errors, FieldError, parse_go_duration};
use crate::v1beta2::{Cluster, JoinTokenRequest, ServiceType};

/// What is likely a mistake in a Cluster and yet can be right.
pub fn cluster_warnings(cluster: &Cluster) -> Vec<FieldError> {
    let mut warnings = Errors::default();
    let service = &cluster.spec.service;
    if service.type_ == ServiceType::NodePort {
        let ports = [
            ("spec.service.apiPort", service.api_port),
            ("spec.service.konnectivityPort", service.konnectivity_port),
        ];
        for (path, port) in ports {
            // The range is a setting of the API server, which nobody outside can read.
            if port != 0 && !(30000..=32767).contains(&port) {
                warnings.add(
                    path,
                    port,
                    "is outside the usual range of node ports",
                    "30000 to 32767, unless the API server runs with another --service-node-port-range",
                );
            }
        }
    }
    let replicas = cluster.spec.replicas;
    if replicas == 0 {
        warnings.add(
            "spec.replicas",
            replicas,
            "leaves the cluster without a control plane",
            "",
        );
    } else if replicas == 2 {
        warnings.add(
            "spec.replicas",
            replicas,
            "etcd is created with 3 members",
            "usually 1 or 3",
        );
    }
    warnings.0
}

/// What is likely a mistake in a JoinTokenRequest and yet can be right.
pub fn join_token_request_warnings(request: &JoinTokenRequest) -> Vec<FieldError> {
    let mut warnings = Errors::default();
    let expiry = request.spec.expiry.as_str();
    if parse_go_duration(expiry).is_ok_and(|expiry| expiry.is_zero()) {
        warnings.add(
            "spec.expiry",
            expiry,
            "the token never expires",
            "set a time, such as 24h; delete the request to revoke the token",
        );
    }
    warnings.0
}
