//! Every builder against a real API server: what it wants reads back without a difference.
//!
//! A builder that writes `1000m` where the API server keeps `1` would write again in every
//! reconcile; only a real API server can tell.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what failed by failing"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use controller::apply::desired::{Content, Recipe};
use controller::apply::{Damping, NoOpApplies, Round, SigningKeys};
use controller::cluster::LEAF_LIFETIME;
use controller::cluster::children::{self, Built};
use controller::cluster::dereference::{CertificateSecret, Observed};
use controller::cluster::validate::validate;
use controller::kubernetes::requeue;
use controller::kubernetes::store::{Kind, ObjectKey, Store};
use controller::kubernetes::writer::Writer;
use controller::metrics::Metrics;
use crds::names;
use crds::v1beta2::{CertificateType, Cluster};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::conditions;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt};
use mothership::{Light, LightOptions};
use serde_json::{Value, json};

const NAMESPACE: &str = "builders";

/// Specs that together reach every field that a builder reads, by name. The unit tests of the
/// builders show what becomes of each.
fn specs() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clusters");
    let mut specs: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(path).unwrap();
            (name, serde_saphyr::from_str(&text).unwrap())
        })
        .collect();
    specs.sort_by(|(one, _), (other, _)| one.cmp(other));
    specs
}

async fn create_kinds(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in crds::definitions::all() {
        let name = definition.name_any();
        let params = PatchParams::apply("test");
        api.patch(&name, &params, &Patch::Apply(&definition))
            .await
            .unwrap();
        await_condition(api.clone(), &name, conditions::is_crd_established())
            .await
            .unwrap();
    }
}

async fn create_cluster(client: &Client, name: &str, spec: Value) -> Cluster {
    let api: Api<Cluster> = Api::namespaced(client.clone(), NAMESPACE);
    let cluster = serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": name, "labels": {"team": "a", "app": "mine"},
            "annotations": {
                "note": "b",
                names::SERVICE_LABELS_ANNOTATION: r#"{"tier": "edge"}"#,
                names::SERVICE_ANNOTATIONS_ANNOTATION: r#"{"example.com/pool": "public"}"#,
                names::EXTERNAL_TRAFFIC_POLICY_ANNOTATION: r#""Local""#,
                names::LOAD_BALANCER_CLASS_ANNOTATION: r#""example.com/internal""#,
            }},
        "spec": spec,
    }));
    // Discovery of a new kind takes the API server a moment.
    for _ in 0..50 {
        match api
            .create(&PostParams::default(), cluster.as_ref().unwrap())
            .await
        {
            Ok(cluster) => return cluster,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    panic!("{name}: the kind is not served");
}

/// As if a controller had seen everything that exists.
fn observed(name: &str) -> Observed {
    let service: Service =
        serde_json::from_value(json!({"spec": {"clusterIPs": ["10.0.0.77"]}})).unwrap();
    let certificate_secrets: BTreeMap<_, _> = CertificateType::ROOTS
        .into_iter()
        .map(|type_| {
            let secret = CertificateSecret {
                secret: names::certificate(name, type_),
                users: false,
                digest: Some("seen".to_owned()),
                public_key: Some("seen".to_owned()),
                replaced: false,
                recovery: None,
                certificate: None,
            };
            (type_, secret)
        })
        .collect();
    let existing: BTreeMap<_, _> = CertificateType::ALL
        .iter()
        .map(|type_| names::certificate(name, *type_))
        .chain([
            names::config(name),
            names::telemetry_config(name),
            names::endpoint_config(name),
            names::etcd_config(name),
        ])
        .map(|name| (name, None))
        .collect();
    Observed {
        service: Some(service),
        certificate_secrets,
        existing,
        node_address_alive: true,
        ..Observed::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_every_builder_wants_reads_back_without_a_difference() {
    let light = Light::start(LightOptions::default()).await.unwrap();
    let client = light.admin().await.unwrap();
    create_kinds(&client).await;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();

    let specs = specs();
    assert!(specs.len() >= 10, "{specs:?}");
    for (name, spec) in specs {
        let name = name.as_str();
        let cluster = create_cluster(&client, name, spec).await;
        let mut valid = validate(&cluster, &observed(name), LEAF_LIFETIME)
            .unwrap_or_else(|refusal| panic!("{name}: {refusal:?}"));
        // Sets follow what their pods read once it is written.
        valid.has_ports = true;
        for config in children::build(&valid).wanted {
            if let Some(hash) = valid.existing.get_mut(&config.key.name) {
                *hash = Some(config.hash().to_owned());
            }
        }
        let Built { wanted, .. } = children::build(&valid);
        assert!(wanted.len() >= 15, "{name}: not all is built: {wanted:?}");
        for kind in [
            Kind::Service,
            Kind::ConfigMap,
            Kind::Secret,
            Kind::StatefulSet,
        ] {
            assert!(
                wanted.iter().any(|wanted| wanted.key.kind == kind),
                "{name}: no {kind}"
            );
        }

        let store = Store::default();
        let writer = Writer::new(
            client.clone(),
            store.clone(),
            requeue::channel().0,
            Metrics::default(),
        );
        let (no_op_applies, damping) = (NoOpApplies::default(), Damping::default());
        let keys = SigningKeys::default();
        let round = Round {
            writer: &writer,
            store: &store,
            no_op_applies: &no_op_applies,
            damping: &damping,
            keys: &keys,
            uid: &valid.uid,
            keys_made: false,
            now: Timestamp::now(),
            leaf_lifetime: LEAF_LIFETIME,
        };
        // Roots first: the others are signed by them.
        let (kept, rest): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|wanted| {
            CertificateType::ROOTS
                .iter()
                .any(|type_| wanted.key.name == names::certificate(name, *type_))
        });
        for mut part in [kept, rest] {
            for wanted in &mut part {
                if let Content::Made(
                    Recipe::Leaf {
                        authority,
                        authority_digest,
                        ..
                    }
                    | Recipe::Kubeconfig {
                        authority,
                        authority_digest,
                        ..
                    },
                ) = &mut wanted.content
                {
                    let key = ObjectKey::new(Kind::Secret, &valid.namespace, authority.as_str());
                    let signs = store
                        .get(&key)
                        .and_then(|ca| ca.digest(names::TLS_CERT_KEY));
                    *authority_digest = signs.unwrap_or_default();
                }
            }
            let applied = round.run(&part, &BTreeSet::new()).await;
            assert_eq!(applied.problems, [], "{name}");
            for wanted in &part {
                // Read back, not what the write returned.
                writer.get(&wanted.key).await.unwrap();
                let live = store.get(&wanted.key).unwrap();
                assert_eq!(
                    wanted.difference(&live.value()),
                    None,
                    "{name}: {}",
                    wanted.key
                );
            }
            let again = round.run(&part, &BTreeSet::new()).await;
            assert!(!again.changed, "{name}: the second round wrote");
        }
    }
    light.down().await.unwrap();
}
