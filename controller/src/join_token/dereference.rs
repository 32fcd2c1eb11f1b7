//! Everything known about one request, from the stores.

use std::sync::Arc;

use crds::names;
use crds::v1beta2::{CertificateType, Cluster, JoinTokenRequest};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::runtime::reflector::{ObjectRef, Store as Reader};
use kube::{Resource, ResourceExt};

use super::status;
use crate::cluster::dereference::certificate_secret;
use crate::cluster::status::{FUNCTIONAL, is_true};
use crate::kubernetes::store::{Kind, ObjectKey, Store};

/// What is there.
#[derive(Clone, Debug)]
pub struct Found {
    /// The name of the Cluster that was looked for.
    pub home: String,
    /// The Cluster that has the token, or that is to have it.
    pub cluster: Option<Arc<Cluster>>,
    /// There is one, also where it cannot be read.
    pub exists: bool,
    /// Its API has answered.
    pub serves: bool,
    /// The host that machines join at.
    pub host: Option<String>,
    /// How its API is reached.
    pub way: Result<Reach, NoWay>,
}

/// How the controller reaches a hosted API.
#[derive(Clone, Debug)]
pub struct Reach {
    /// The Cluster's uid.
    pub cluster_uid: String,
    /// Address inside the mothership.
    pub service_ip: String,
    /// The API's port.
    pub port: u16,
    /// The Secret with the CA.
    pub ca_secret: ObjectKey,
    /// The CA's certificate.
    pub certificate: String,
}

/// Why a hosted API cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWay {
    /// It exists, and is not one that this program knows how to read.
    #[error("the Cluster {0} is invalid: see the controller's log")]
    Unread(String),
    /// Nothing is exposed yet.
    #[error("{0} is missing or has no address")]
    Service(ObjectKey),
    /// The Cluster has no ports yet.
    #[error("the ports of the Cluster {0} are not known")]
    Ports(String),
    /// The Secret with the CA is missing or not whole.
    #[error(
        "{0} is missing or holds no CA certificate in tls.crt (see the Cluster's condition \
         CertificatesAvailable)"
    )]
    Ca(ObjectKey),
    /// The Secret with the CA holds another one than the pods run with.
    #[error(
        "{0} holds another CA than the one that the control plane was started with (see the \
         Cluster's condition CertificatesAvailable)"
    )]
    Replaced(ObjectKey),
    /// The Cluster was deleted and its pods were not.
    #[error("the Cluster {0} was deleted without its pods, and how to reach them is not known")]
    PodsKept(String),
    /// Whoever made the token made it for a Cluster of another namespace.
    #[error(
        "its Cluster is in the namespace {0}: other namespaces are not implemented by this version"
    )]
    Elsewhere(String),
}

impl NoWay {
    /// Whether nothing that may still happen opens a way.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::PodsKept(_) | Self::Elsewhere(_))
    }
}

/// The Clusters that may have the request's token, the likeliest first. With the id it is recorded which
/// one has it; until then spec and owners tell, and either may have been edited: an API that knows
/// nothing of the token says nothing about another's.
pub fn homes(request: &JoinTokenRequest, clusters: &Reader<Cluster>) -> Vec<String> {
    let asked = &request.spec.cluster_name;
    if status::token_id(request).is_none() {
        return vec![asked.clone()];
    }
    let recorded = status::cluster_uid(request);
    let is_recorded = |cluster: &Cluster| {
        cluster.namespace() == request.namespace() && cluster.uid().as_deref() == recorded
    };
    if recorded.is_some()
        && let Some(cluster) = clusters.find(is_recorded)
    {
        return vec![cluster.name_any()];
    }
    let mut owners: Vec<_> = owners(request).collect();
    // What is equal keeps its order.
    owners.sort_by_key(|owner| {
        (
            recorded != Some(owner.uid.as_str()),
            owner.controller != Some(true),
            owner.name != *asked,
        )
    });
    let mut names: Vec<String> = Vec::new();
    for name in owners.into_iter().map(|owner| &owner.name).chain([asked]) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// The Cluster that most likely has the request's token, or that is to have it. Whatever the spec says
/// afterwards, it stays that one.
pub fn home(request: &JoinTokenRequest, clusters: &Reader<Cluster>) -> String {
    let mut homes = homes(request, clusters).into_iter();
    homes
        .next()
        .unwrap_or_else(|| request.spec.cluster_name.clone())
}

/// The Clusters that own a request.
pub fn owners(request: &JoinTokenRequest) -> impl Iterator<Item = &OwnerReference> {
    let owners = request.owner_references().iter();
    owners.filter(|owner| is_cluster(owner))
}

/// Whether an owner is a Cluster of ours: other groups have Clusters too.
pub fn is_cluster(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split('/').next();
    owner.kind == Cluster::kind(&()) && group == Some(&*Cluster::group(&()))
}

/// Reads the stores, for the token of this Cluster.
pub fn dereference(
    request: &JoinTokenRequest,
    home: String,
    clusters: &Reader<Cluster>,
    store: &Store,
) -> Found {
    let namespace = request.namespace().unwrap_or_default();
    let name = home.as_str();
    let Some(cluster) = clusters.get(&ObjectRef::new(name).within(&namespace)) else {
        return Found {
            cluster: None,
            exists: false,
            serves: false,
            host: None,
            way: Err(NoWay::Unread(name.to_owned())),
            home,
        };
    };
    let service = ObjectKey::new(
        Kind::Service,
        &namespace,
        names::service(name, cluster.spec.service.type_),
    );
    let status = cluster.status.as_ref();
    Found {
        exists: true,
        serves: is_true(status, FUNCTIONAL),
        host: cluster
            .recorded_host()
            .map(str::to_owned)
            .or_else(|| Some(format!("{}.{namespace}.svc", service.name))),
        way: way(&cluster, service, store),
        cluster: Some(cluster),
        home,
    }
}

fn way(cluster: &Cluster, service: ObjectKey, store: &Store) -> Result<Reach, NoWay> {
    let uid = cluster.uid().unwrap_or_default();
    let live: Option<Service> = store.get_owned(&service, &uid).and_then(|live| live.read());
    let ca = certificate_secret(cluster, CertificateType::Ca, store);
    let key = ObjectKey::new(Kind::Secret, &service.namespace, ca.secret);
    if ca.replaced {
        return Err(NoWay::Replaced(key));
    }
    Ok(Reach {
        cluster_uid: uid,
        service_ip: live
            .and_then(|live| live.spec?.cluster_ip)
            .ok_or(NoWay::Service(service))?,
        port: cluster
            .recorded_ports()
            .api
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| NoWay::Ports(cluster.name_any()))?,
        certificate: ca.certificate.ok_or_else(|| NoWay::Ca(key.clone()))?,
        ca_secret: key,
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_STANDARD;
    use kube::runtime::reflector;
    use kube::runtime::watcher::Event;
    use serde_json::{Value, json};

    use super::*;

    /// The Service and the Secret with the CA of a Cluster with this uid, in a store of
    /// their own.
    fn ca() -> pki::PemPair {
        let now = jiff::Timestamp::now();
        pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap()
    }

    fn store(owner: &str) -> Store {
        let store = Store::default();
        let metadata = |name: &str| {
            json!({"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1",
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": "demo", "uid": owner, "controller": true}]})
        };
        let certificate = BASE64_STANDARD.encode(ca().certificate);
        let secret = json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": metadata("demo-ca"), "data": {"tls.crt": certificate}});
        let service = json!({"apiVersion": "v1", "kind": "Service",
            "metadata": metadata("kmc-demo"), "spec": {"clusterIP": "10.0.0.1"}});
        store.put(Kind::Secret, serde_json::from_value(secret).unwrap(), 0);
        store.put(Kind::Service, serde_json::from_value(service).unwrap(), 0);
        store
    }

    fn clusters(all: &[(&str, Value)]) -> Reader<Cluster> {
        let (clusters, mut writer) = reflector::store();
        for (uid, spec) in all {
            let cluster: Cluster = serde_json::from_value(json!({
                "metadata": {"name": "demo", "namespace": "ns", "uid": uid}, "spec": spec,
                "status": {"ports": {"api": 30443, "konnectivity": 30132}},
            }))
            .unwrap();
            writer.apply_watcher_event(&Event::Apply(cluster));
        }
        clusters
    }

    fn request(mut with: Value) -> JoinTokenRequest {
        with["metadata"]["name"] = json!("token");
        with["metadata"]["namespace"] = json!("ns");
        if with.get("spec").is_none() {
            with["spec"] = json!({"clusterName": "demo"});
        }
        serde_json::from_value(with).unwrap()
    }

    #[test]
    fn what_is_missing_on_the_way_to_the_api_is_named() {
        let way = |uid: &str, spec: Value, store: &Store| {
            let clusters = clusters(&[(uid, spec)]);
            let found = dereference(&request(json!({})), "demo".into(), &clusters, store);
            found
                .way
                .map(|reach| reach.port)
                .map_err(|no_way| no_way.to_string())
        };
        let internal = json!({"service": {"type": "ClusterIP"}});
        assert_eq!(way("new", internal.clone(), &store("new")), Ok(30443));
        // Those of a namesake are not taken for its own.
        let missing = way("new", internal.clone(), &store("old")).unwrap_err();
        assert!(missing.contains("Service ns/kmc-demo "), "{missing}");
        let named = json!({"service": {"type": "ClusterIP"},
            "certificateRefs": [{"type": "ca", "name": "my-ca"}]});
        let missing = way("new", named, &store("new")).unwrap_err();
        assert!(missing.contains("Secret ns/my-ca "), "{missing}");
        let none = dereference(
            &request(json!({})),
            "demo".into(),
            &clusters(&[]),
            &store("new"),
        );
        assert_eq!(none.way.err(), Some(NoWay::Unread("demo".into())));
    }

    /// While a change is under way, the Service and the pods are still what is recorded.
    #[test]
    fn a_token_leads_to_what_is_recorded() {
        let found = |status: Value| {
            let cluster = serde_json::from_value::<Cluster>(json!({
                "metadata": {"name": "demo", "namespace": "ns", "uid": "new"},
                "spec": {"service": {"type": "ClusterIP"}, "externalAddress": "a.example.org"},
                "status": status,
            }));
            let (clusters, mut writer) = reflector::store();
            writer.apply_watcher_event(&Event::Apply(cluster.unwrap()));
            let found = dereference(&request(json!({})), "demo".into(), &clusters, &store("new"));
            (found.host.unwrap(), found.way.map(|reach| reach.port))
        };
        let ports = json!({"api": 6443, "konnectivity": 1});
        let (host, port) = found(json!({"ports": ports, "externalAddress": "b.example.org"}));
        assert_eq!((host.as_str(), port), ("b.example.org", Ok(6443)));
        for unknown in [Value::Null, json!({"api": 0, "konnectivity": 30132})] {
            let (host, port) = found(json!({"ports": unknown, "externalAddress": ""}));
            assert_eq!(host, "kmc-demo.ns.svc");
            assert_eq!(port, Err(NoWay::Ports("demo".into())));
        }
    }

    #[test]
    fn a_token_stays_at_home_whatever_the_spec_says_later() {
        let owner = |api: &str| {
            json!([{"apiVersion": api, "kind": "Cluster", "name": "demo", "uid": "1",
                "controller": true}])
        };
        let moved = |owners: &Value, id: Value| {
            let moved = request(json!({"metadata": {"ownerReferences": owners},
                "spec": {"clusterName": "other"}, "status": {"tokenID": id}}));
            home(&moved, &clusters(&[]))
        };
        let ours = owner("k0smotron.io/v1beta1");
        assert_eq!(moved(&ours, json!("abc123")), "demo");
        assert_eq!(moved(&ours, Value::Null), "other");
        let begun = request(json!({"metadata": {"ownerReferences": ours, "uid": "1",
            "finalizers": [names::JOIN_TOKEN_REQUEST_FINALIZER]}, "spec": {"clusterName": "other"}}));
        assert_eq!(
            home(&begun, &clusters(&[])),
            "demo",
            "there may be a token already"
        );
        let beside = json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "name": "beside", "uid": "2"}, ours[0]]);
        assert_eq!(moved(&beside, json!("abc123")), "demo", "it is in control");
        assert_eq!(moved(&json!([beside[0]]), json!("abc123")), "beside");
        let theirs = owner("cluster.x-k8s.io/v1beta1");
        assert_eq!(moved(&theirs, json!("abc123")), "other");
    }

    /// An API that knows nothing of a token says nothing about another's.
    #[test]
    fn a_token_is_looked_for_wherever_it_may_be() {
        let owner = |name: &str, uid: &str, controller: bool| {
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": name,
                "uid": uid, "controller": controller})
        };
        let clusters = clusters(&[("1", json!({}))]);
        let homes = |owners: Value, spec: &str, uid: Value| {
            let request = request(json!({"metadata": {"ownerReferences": owners},
                "spec": {"clusterName": spec}, "status": {"tokenID": "abc123",
                "deprecated": {"v1beta1": {"clusterUID": uid}}}}));
            homes(&request, &clusters)
        };
        let both = || json!([owner("beside", "2", true), owner("demo", "1", false)]);
        // Whoever edits the Cluster that is asked for does not make its token there.
        assert_eq!(homes(both(), "demo", Value::Null), ["beside", "demo"]);
        let equal = json!([owner("beside", "2", false), owner("demo", "1", false)]);
        assert_eq!(homes(equal, "demo", Value::Null), ["demo", "beside"]);
        assert_eq!(
            homes(both(), "other", json!("")),
            ["beside", "demo", "other"]
        );
        // It is recorded, and all else may have been edited.
        assert_eq!(homes(both(), "other", json!("1")), ["demo"]);
        assert_eq!(homes(json!([both()[0]]), "other", json!("1")), ["demo"]);
        assert_eq!(homes(json!([]), "beside", json!("1")), ["demo"]);
        // The one that had it is gone; its namesake may run on its data.
        let gone = homes(
            json!([both()[0], owner("old", "3", false)]),
            "demo",
            json!("3"),
        );
        assert_eq!(gone, ["old", "beside", "demo"]);
    }
}
