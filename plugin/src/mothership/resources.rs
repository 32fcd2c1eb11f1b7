//! The kinds that the plugin reads and writes.

use kube::api::ApiResource;

/// The group of the product's own kinds.
pub const GROUP: &str = "k0smotron.io";
/// The version of them that the plugin speaks.
pub const VERSION: &str = "v1beta2";

/// Any kind, by its names.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Cluster.
pub fn clusters() -> ApiResource {
    resource(GROUP, VERSION, "Cluster", "clusters")
}

/// `JoinTokenRequest`.
pub fn join_token_requests() -> ApiResource {
    resource(GROUP, VERSION, "JoinTokenRequest", "jointokenrequests")
}

/// `ClusterPolicy`.
pub fn cluster_policies() -> ApiResource {
    resource(GROUP, VERSION, "ClusterPolicy", "clusterpolicies")
}

/// Namespace.
pub fn namespaces() -> ApiResource {
    resource("", "v1", "Namespace", "namespaces")
}

/// Event, of the core group.
pub fn events() -> ApiResource {
    resource("", "v1", "Event", "events")
}

/// Node.
pub fn nodes() -> ApiResource {
    resource("", "v1", "Node", "nodes")
}

/// Secret.
pub fn secrets() -> ApiResource {
    resource("", "v1", "Secret", "secrets")
}

/// The kinds that a Cluster's children have, Secrets and join token requests apart.
pub fn children() -> Vec<ApiResource> {
    vec![
        resource("apps", "v1", "StatefulSet", "statefulsets"),
        resource("", "v1", "Pod", "pods"),
        resource("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
        resource("", "v1", "Service", "services"),
        resource("", "v1", "ConfigMap", "configmaps"),
        resource(
            "policy",
            "v1",
            "PodDisruptionBudget",
            "poddisruptionbudgets",
        ),
    ]
}
