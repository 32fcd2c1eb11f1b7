//! Objects that two owners would make under one name: names of children begin with a Cluster's, and
//! another's may begin like them. Who comes second would never get what it needs.

use std::collections::BTreeSet;

use super::{FieldError, is_served};
use crate::lookup::Mothership;
use crate::names;
use crate::v1beta2::{CertificateType, Cluster, JoinTokenRequest, StorageType};

/// By what the names of two Clusters differ of which both make a child of one name.
const ENDINGS: [&str; 5] = ["-etcd", "-etcd-client", "-lb", "-nodeport", "-telemetry"];

type Child = (&'static str, String);

/// What is made for a Cluster, by kind.
fn children(cluster: &Cluster) -> BTreeSet<Child> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let spec = &cluster.spec;
    let mut children = vec![
        ("StatefulSet", names::control_plane(name)),
        ("Service", names::service(name, spec.service.type_)),
        ("ConfigMap", names::config(name)),
        ("ConfigMap", names::endpoint_config(name)),
        ("ConfigMap", names::telemetry_config(name)),
    ];
    if spec.storage.type_ == StorageType::Etcd {
        children.extend([
            ("StatefulSet", names::etcd(name)),
            ("Service", names::etcd(name)),
            ("Service", names::etcd_client_service(name)),
            ("ConfigMap", names::etcd_config(name)),
        ]);
    }
    // What the user names is made by the user.
    let is_made = |type_: &CertificateType| {
        let mut named = spec.certificate_refs.iter();
        !named.any(|named| {
            named.type_ == *type_ && named.name.as_deref().is_some_and(|n| !n.is_empty())
        })
    };
    let certificates = CertificateType::ALL.into_iter().filter(is_made);
    let secrets = certificates.map(|type_| names::certificate(name, type_));
    children.extend(secrets.map(|secret| ("Secret", secret)));
    children.push(("Secret", names::kubeconfig(name)));
    children.into_iter().collect()
}

/// What of a Cluster another Cluster or a JoinTokenRequest of its namespace has already.
pub(super) fn of_cluster(
    old: Option<&Cluster>,
    new: &Cluster,
    known: &dyn Mothership,
) -> Vec<FieldError> {
    // What it has already is nobody's news.
    let has = old
        .filter(|old| is_served(old) || !is_served(new))
        .map(children)
        .unwrap_or_default();
    let wanted: BTreeSet<Child> = children(new).difference(&has).cloned().collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let namespace = new.metadata.namespace.as_deref().unwrap_or_default();
    let longer = ENDINGS.iter().map(|ending| format!("{name}{ending}"));
    let shorter = ENDINGS
        .iter()
        .filter_map(|ending| name.strip_suffix(ending));
    let mut errors = Vec::new();
    for other in longer.chain(shorter.map(str::to_owned)) {
        let Some(found) = known.cluster(namespace, &other) else {
            continue;
        };
        let theirs = children(&found);
        if let Some((kind, child)) = theirs.intersection(&wanted).next()
            && is_served(&found)
        {
            let message = format!("its {kind} {child} belongs to the Cluster {other}");
            errors.push(taken(name, message));
        }
    }
    let mut secrets = wanted.iter().filter(|(kind, _)| *kind == "Secret");
    if let Some((_, secret)) = secrets.find(|(_, secret)| known.has_request(namespace, secret)) {
        let message = format!("its Secret {secret} belongs to the JoinTokenRequest of that name");
        errors.push(taken(name, message));
    }
    errors
}

/// Whether the Secret of a new JoinTokenRequest is one of a Cluster's.
pub fn of_request(new: &JoinTokenRequest, known: &dyn Mothership) -> Option<FieldError> {
    let name = new.metadata.name.as_deref().unwrap_or_default();
    let namespace = new.metadata.namespace.as_deref().unwrap_or_default();
    let endings = CertificateType::ALL.map(CertificateType::as_str);
    let cluster = endings
        .into_iter()
        .chain(["kubeconfig"])
        .find_map(|ending| {
            let cluster = name.strip_suffix(ending)?.strip_suffix('-')?;
            let found = known.cluster(namespace, cluster)?;
            let is_made = children(&found).contains(&("Secret", name.to_owned()));
            (is_made && is_served(&found)).then_some(cluster)
        })?;
    let message = format!("its Secret {name} belongs to the Cluster {cluster}");
    Some(taken(name, message))
}

fn taken(name: &str, message: String) -> FieldError {
    FieldError::duplicate("metadata.name", name, message).hint("another name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1beta2::ServiceType;

    fn named(name: &str, type_: ServiceType) -> Cluster {
        let mut cluster = Cluster::new(name, crate::v1beta2::ClusterSpec::default());
        cluster.spec.service.type_ = type_;
        cluster
    }

    /// Every name that is made of a Cluster's and of parts of what is made from such names.
    #[test]
    fn no_other_ending_meets_a_child() {
        let types = [
            ServiceType::ClusterIP,
            ServiceType::NodePort,
            ServiceType::LoadBalancer,
        ];
        let parts = [
            "etcd",
            "client",
            "lb",
            "nodeport",
            "config",
            "endpoint",
            "telemetry",
            "ca",
            "sa",
            "proxy",
            "apiserver",
            "peer",
            "server",
            "kubeconfig",
            "kmc",
            "a",
        ];
        let mut met = BTreeSet::new();
        let mut endings: Vec<String> = vec![String::new()];
        for _ in 0..3 {
            let longer = endings
                .iter()
                .flat_map(|ending| parts.iter().map(move |part| format!("{ending}-{part}")));
            endings = longer.collect();
            for ending in &endings {
                for (own, other) in types
                    .iter()
                    .flat_map(|own| types.map(|other| (*own, other)))
                {
                    let one = children(&named("a", own));
                    if !one.is_disjoint(&children(&named(&format!("a{ending}"), other))) {
                        met.insert(ending.clone());
                    }
                }
            }
        }
        assert_eq!(met, ENDINGS.map(str::to_owned).into());
    }
}
