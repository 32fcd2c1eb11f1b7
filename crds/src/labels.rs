//! Labels and selectors of everything that is made for a Cluster.
//!
//! Selectors never change, so they hold nothing of the user's; pod templates neither, so labelling
//! a Cluster restarts nothing. A Cluster's own labels go to its children's metadata only.

use std::collections::BTreeMap;
use std::fmt;

/// A set of labels.
pub type Labels = BTreeMap<String, String>;

/// Key `app`.
pub const APP: &str = "app";
/// Value of `app`.
pub const APP_VALUE: &str = "k0smotron";
/// Key `cluster`: name of the Cluster.
pub const CLUSTER: &str = "cluster";
/// Key `component`: `cluster` or `etcd`.
pub const COMPONENT: &str = "component";
/// Key of the finer component, one of [`Component`].
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";
/// Key that marks the control plane's StatefulSet and pods, with the value `true`.
pub const CONTROL_PLANE: &str = "cluster.x-k8s.io/control-plane";
/// Key that certificates' Secrets carry: name of the Cluster.
pub const CLUSTER_NAME: &str = "cluster.x-k8s.io/cluster-name";
/// Key that a join token's Secret carries: name of the Cluster.
pub const TOKEN_CLUSTER: &str = "k0smotron.io/cluster";
/// Key that a join token's Secret carries: its role.
pub const TOKEN_ROLE: &str = "k0smotron.io/role";
/// Key that a join token's Secret carries: name of the JoinTokenRequest.
pub const TOKEN_REQUEST: &str = "k0smotron.io/token-request";

/// Key that the claims of etcd's members carry: uid of the Cluster whose data they hold. A claim
/// outlives its Cluster, and the next one of that name must not serve what is in it by accident.
pub const CLUSTER_UID: &str = "k0smotron.io/cluster-uid";

/// What a child is a part of: the value of `app.kubernetes.io/component`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// The control plane, its Service and its endpoint.
    ControlPlane,
    /// etcd.
    Etcd,
    /// The k0s configuration.
    ClusterConfig,
    /// The entrypoint of earlier installations.
    Entrypoint,
    /// What tells the hosted cluster what hosts it.
    Telemetry,
    /// Metrics.
    Monitoring,
    /// Ingress.
    Ingress,
    /// The kubeconfig.
    Kubeconfig,
    /// A join token.
    JoinToken,
}

impl Component {
    /// The label's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::Etcd => "etcd",
            Self::ClusterConfig => "cluster-config",
            Self::Entrypoint => "entrypoint",
            Self::Telemetry => "telemetry",
            Self::Monitoring => "monitoring",
            Self::Ingress => "ingress",
            Self::Kubeconfig => "kubeconfig",
            Self::JoinToken => "jointoken",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            _ => "cluster",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn base(cluster: &str, component: Component) -> Labels {
    labels([
        (APP, APP_VALUE),
        (CLUSTER, cluster),
        (COMPONENT, component.group()),
    ])
}

/// Selector of the Service in front of the control plane.
pub fn service_selector(cluster: &str) -> Labels {
    base(cluster, Component::ControlPlane)
}

/// Selector of the control plane's StatefulSet.
pub fn control_plane_selector(cluster: &str) -> Labels {
    let mut selector = base(cluster, Component::ControlPlane);
    selector.extend(labels([(CONTROL_PLANE, "true")]));
    selector
}

/// Selector of etcd's StatefulSet and Services.
pub fn etcd_selector(cluster: &str) -> Labels {
    base(cluster, Component::Etcd)
}

/// Labels of the control plane's pods.
pub fn control_plane_pod(cluster: &str) -> Labels {
    let mut pod = control_plane_selector(cluster);
    pod.extend(labels([(APP_COMPONENT, Component::ControlPlane.as_str())]));
    pod
}

/// Labels of etcd's pods.
pub fn etcd_pod(cluster: &str) -> Labels {
    let mut pod = etcd_selector(cluster);
    pod.extend(labels([(APP_COMPONENT, Component::Etcd.as_str())]));
    pod
}

/// Labels of a child's own metadata: the Cluster's labels, and over them ours. The control plane's
/// StatefulSet has [`CONTROL_PLANE`] besides.
pub fn metadata(cluster: &str, component: Component, of_cluster: Option<&Labels>) -> Labels {
    let mut all = inherited(of_cluster);
    all.extend(base(cluster, component));
    all.extend(labels([(APP_COMPONENT, component.as_str())]));
    all
}

/// Labels of a certificate's Secret.
pub fn certificate(cluster: &str) -> Labels {
    labels([(CLUSTER_NAME, cluster)])
}

/// Labels of a join token's Secret: the request's labels, and over them ours.
pub fn join_token(cluster: &str, role: &str, request: &str, of_request: Option<&Labels>) -> Labels {
    let mut all = of_request.cloned().unwrap_or_default();
    all.extend(labels([
        (TOKEN_CLUSTER, cluster),
        (TOKEN_ROLE, role),
        (TOKEN_REQUEST, request),
        (APP_COMPONENT, Component::JoinToken.as_str()),
    ]));
    all
}

/// The part of a Cluster's labels that its children take over: all but those by which children
/// are found.
pub fn inherited(of_cluster: Option<&Labels>) -> Labels {
    of_cluster
        .into_iter()
        .flatten()
        .filter(|(key, _)| {
            ![APP, CLUSTER, COMPONENT, APP_COMPONENT, CONTROL_PLANE].contains(&key.as_str())
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// A label selector in the form of `kubectl -l` and of `status.selector`.
pub fn to_selector(labels: &Labels) -> String {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}
