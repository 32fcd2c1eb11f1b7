//! What tests take for seen.

use crds::names;
use crds::v1beta2::CertificateType;
use http::{Request, Response};
use jiff::SignedDuration;
use kube::client::Body;
use runtime::backoff::Failures;
use runtime::events::Events;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::children::control_plane::revision;
use super::children::storage;
use super::dereference::{CertificateSecret, Observed};
use super::validate::{ValidCluster, validate};
use super::{Context, LEAF_LIFETIME};
use crate::apply::{Damping, NoOpApplies};
use crate::hosted::health::ReadinessPoller;
use crate::hosted::nodes::NodePoller;
use crate::hosted::turns::Turns;
use crate::kubernetes::fixtures::client;
use crate::kubernetes::pods::PodPoller;
use crate::kubernetes::primary::PrimaryWriter;
use crate::kubernetes::pulse::Pulse;
use crate::kubernetes::store::Store;
use crate::kubernetes::watches::Watches;
use crate::kubernetes::writer::Writer;
use crate::kubernetes::{Mothership, requeue};
use crate::metrics::Metrics;

/// What a reconcile works with, before an API server that answers like this.
pub fn context<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Context
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let client = client(answer);
    let (store, metrics) = (Store::default(), Metrics::default());
    let (triggers, _) = requeue::channel();
    let watches = Watches::start(
        client.clone(),
        None,
        store.clone(),
        triggers.clone(),
        metrics.clone(),
        Pulse::default(),
        CancellationToken::new(),
    );
    Context {
        mothership: Mothership {
            store: store.clone(),
            watches,
            writer: Writer::new(client.clone(), store, triggers, metrics.clone()),
            pods: PodPoller::new(client.clone(), |_, _| ()),
        },
        prober: ReadinessPoller::new(|_, _| ()),
        census: NodePoller::new(|_, _| ()),
        turns: Turns::default(),
        events: Events::new(client.clone(), "test", "test"),
        metrics,
        leaf_lifetime: LEAF_LIFETIME,
        rounds: Semaphore::new(1),
        no_op_applies: NoOpApplies::default(),
        damping: Damping::default(),
        primary: PrimaryWriter::new(client),
        failures: Failures::default(),
        unasked: Failures::default(),
    }
}

/// All that is made before a pod can start.
pub fn made() -> Observed {
    let certificate_secrets = CertificateType::ROOTS.map(|type_| {
        let secret = CertificateSecret {
            secret: names::certificate("demo", type_),
            users: false,
            digest: Some("seen".to_owned()),
            public_key: Some("seen".to_owned()),
            replaced: false,
            recovery: None,
            certificate: None,
        };
        (type_, secret)
    });
    let certificates = CertificateType::ALL.map(|type_| names::certificate("demo", type_));
    let configs = [
        names::config("demo"),
        names::telemetry_config("demo"),
        names::endpoint_config("demo"),
        names::etcd_config("demo"),
    ];
    Observed {
        certificate_secrets: certificate_secrets.into(),
        existing: certificates
            .into_iter()
            .chain(configs)
            .map(|name| (name, None))
            .collect(),
        node_address_alive: true,
        ..Observed::default()
    }
}

/// A Cluster with so many replicas that ran this version, if any.
pub fn valid(replicas: i32, ran: Option<&str>, observed: &Observed) -> ValidCluster {
    let cluster = serde_json::from_value(json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": "1"},
        "spec": {"replicas": replicas}, "status": {"version": ran},
    }));
    validate(&cluster.unwrap(), observed, SignedDuration::from_hours(1)).unwrap()
}

/// The same once what pods read at their start is as it is wanted.
pub fn written(mut cluster: ValidCluster) -> ValidCluster {
    cluster.has_ports = true;
    cluster.served_ports = cluster.ports;
    let mut configs = revision::config_maps(&cluster);
    configs.extend(storage::config(&cluster));
    for config in configs {
        let is_there = cluster.existing.contains_key(&config.key.name);
        if is_there || names::is_config_revision(&cluster.name, &config.key.name) {
            let hash = Some(config.hash().to_owned());
            cluster.existing.insert(config.key.name, hash);
        }
    }
    cluster
}
