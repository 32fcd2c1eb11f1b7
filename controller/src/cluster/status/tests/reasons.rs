//! Every condition by reason: the page of conditions is the list.

use std::collections::BTreeSet;

use crds::names;
use crds::v1beta2::CertificateType;

use super::*;
use crate::apply::key_recovery::Recovery;
use crate::cluster::dereference::Claim;
use crate::kubernetes::pods::{Pods, Trouble};
use crate::kubernetes::store::{Kind, ObjectKey};

/// A Cluster and what there is of it, before a case changes them. They serve.
struct Scene {
    cluster: Cluster,
    observed: Observed,
    problems: Vec<Problem>,
    is_asked: bool,
}

impl Scene {
    fn new() -> Self {
        let cluster = settled();
        Self {
            observed: written(&cluster, 1),
            cluster,
            problems: Vec::new(),
            is_asked: true,
        }
    }

    /// It has never served, and nothing was found of it but its keys.
    fn begin(&mut self) {
        self.cluster.status = None;
        self.observed = Observed {
            certificate_secrets: working(0).certificate_secrets,
            node_address_alive: true,
            ..Observed::default()
        };
    }

    fn spec(&mut self, spec: serde_json::Value) {
        self.cluster.spec = serde_json::from_value(spec).unwrap();
    }

    fn exposed_at(&mut self, type_: &str, host: &str) {
        self.spec(json!({"service": {"type": type_}}));
        self.cluster.status.as_mut().unwrap().external_address = Some(host.to_owned());
    }

    fn health(&mut self, reason: &'static str) {
        self.observed.health = Some(Health {
            ready: false,
            reason,
            message: "said so".to_owned(),
            at: at(0),
        });
    }

    fn status(&self) -> ClusterStatus {
        let hour = jiff::SignedDuration::from_hours(1);
        let valid = validate(&self.cluster, &self.observed, hour);
        status(&Facts {
            cluster: &self.cluster,
            observed: &self.observed,
            valid: valid.as_ref(),
            problems: &self.problems,
            left: &BTreeSet::new(),
            is_asked: self.is_asked,
            unasked_for: Duration::from_secs(60),
            hosted_config: None,
            nodes: Count::Unknown,
            now: at(60),
        })
    }

    fn problem(&mut self, passing: bool) {
        let key = ObjectKey::new(Kind::ConfigMap, "ns", "kmc-demo-config");
        self.problems.push(Problem {
            passing,
            ..Problem::new(&key, "said so")
        });
    }
}

/// This key is not to be relied on, and this becomes of it.
fn unfit(observed: &mut Observed, type_: CertificateType, recovery: Recovery) {
    let secret = observed.certificate_secrets.get_mut(&type_).unwrap();
    (secret.digest, secret.recovery) = (None, Some(recovery));
}

type Change = fn(&mut Scene);
type Case = (&'static str, &'static str, &'static str, Change);

const CASES: [Case; 45] = [
    (ACCEPTED, "True", "Accepted", |_| ()),
    (ACCEPTED, "False", "NotImplemented", |scene| {
        scene.spec(json!({"storage": {"type": "kine", "kine": {"dataSourceURL": "sqlite:///x"}}}));
    }),
    (ACCEPTED, "False", "Invalid", |scene| {
        scene.spec(json!({"replicas": -1}));
    }),
    (APPLIED, "True", "Applied", |_| ()),
    (APPLIED, "False", "ChildRefused", |scene| {
        scene.problem(true);
        scene.problem(false);
    }),
    (APPLIED, "False", "WriteFailed", |scene| scene.problem(true)),
    (APPLIED, "False", "LeftoverClaims", |scene| {
        scene.begin();
        let claim = Claim {
            name: names::etcd_claim("demo", 0),
            uid: "claim".to_owned(),
            of: Some("another".to_owned()),
            deleting: false,
            added: false,
        };
        scene.observed.claims.insert(0, claim);
        scene.problem(true);
    }),
    (EXPOSED, "True", "InsideOnly", |_| ()),
    (EXPOSED, "True", "ClusterWithExternalAddress", |scene| {
        scene.spec(json!({"externalAddress": "a.example.org"}));
    }),
    (EXPOSED, "True", "NodeGone", |scene| {
        scene.exposed_at("NodePort", "10.0.0.1");
        scene.observed.node_address_alive = false;
    }),
    (EXPOSED, "True", "BalancerGone", |scene| {
        scene.exposed_at("LoadBalancer", "192.0.2.1");
    }),
    (EXPOSED, "False", "NoNodeAddress", |scene| {
        scene.begin();
        scene.spec(json!({"service": {"type": "NodePort"}}));
    }),
    (EXPOSED, "False", "WaitingForLoadBalancer", |scene| {
        scene.begin();
        scene.spec(json!({"service": {"type": "LoadBalancer"}}));
    }),
    (EXPOSED, "False", "WaitingForPorts", |scene| {
        scene.begin();
        scene.spec(
            json!({"service": {"type": "NodePort", "apiPort": 0, "konnectivityPort": 0},
            "externalAddress": "a.example.org"}),
        );
    }),
    (CERTIFICATES, "True", "Created", |_| ()),
    (CERTIFICATES, "False", "SecretMissing", |scene| {
        scene.begin();
        for secret in scene.observed.certificate_secrets.values_mut() {
            secret.digest = None;
        }
    }),
    (CERTIFICATES, "False", "KeyLost", |scene| {
        for secret in scene.observed.certificate_secrets.values_mut() {
            secret.digest = None;
        }
    }),
    (CERTIFICATES, "False", "KeyDeleting", |scene| {
        unfit(
            &mut scene.observed,
            CertificateType::Ca,
            Recovery::ComesBack,
        );
    }),
    (CERTIFICATES, "False", "KeyNameTaken", |scene| {
        unfit(
            &mut scene.observed,
            CertificateType::Ca,
            Recovery::NameTaken,
        );
        unfit(
            &mut scene.observed,
            CertificateType::Sa,
            Recovery::ComesBack,
        );
    }),
    (CERTIFICATES, "False", "KeyReplaced", |scene| {
        let secrets = &mut scene.observed.certificate_secrets;
        let ca = secrets.get_mut(&CertificateType::Ca).unwrap();
        (ca.digest, ca.replaced) = (None, true);
    }),
    (KUBECONFIG, "True", "Created", |_| ()),
    (KUBECONFIG, "False", "Waiting", Scene::begin),
    (FUNCTIONAL, "True", "Ready", |_| ()),
    (FUNCTIONAL, "True", "Degraded", |scene| {
        scene.spec(json!({"replicas": 3}));
    }),
    (FUNCTIONAL, "Unknown", "NotAsked", Scene::begin),
    (FUNCTIONAL, "Unknown", "CannotAsk", |scene| {
        scene.observed.health = None;
        scene.is_asked = false;
    }),
    (FUNCTIONAL, "False", "PodsNotReady", |scene| {
        scene.health("Unreachable");
        let set = scene.observed.control_plane.as_mut().unwrap();
        set.status.as_mut().unwrap().ready_replicas = Some(0);
        let trouble = Trouble::new("pod kmc-demo-0: Unschedulable", "no node");
        scene.observed.pods = Pods::Known(Some(trouble));
    }),
    (FUNCTIONAL, "False", "Unreachable", |scene| {
        scene.health("Unreachable");
    }),
    (FUNCTIONAL, "False", "Timeout", |scene| {
        scene.health("Timeout");
    }),
    (FUNCTIONAL, "False", "NotReady", |scene| {
        scene.health("NotReady");
    }),
    (FUNCTIONAL, "False", "Unauthorized", |scene| {
        scene.health("Unauthorized");
    }),
    (FUNCTIONAL, "False", "Tls", |scene| scene.health("Tls")),
    (FUNCTIONAL, "False", "Invalid", |scene| {
        scene.health("Invalid");
    }),
    (FUNCTIONAL, "False", "EtcdNotReady", |scene| {
        scene.health("NotReady");
        scene.observed.etcd = None;
    }),
    (SCALING, "True", "ScalingUp", |scene| {
        scene.spec(json!({"replicas": 3}));
    }),
    (SCALING, "True", "ScalingDown", |scene| {
        let set = scene.observed.control_plane.as_mut().unwrap();
        set.status.as_mut().unwrap().replicas = 3;
    }),
    (SCALING, "False", "ControlPlaneWithDesiredReplicas", |_| ()),
    (UP_TO_DATE, "True", "AllReplicasUpToDate", |_| ()),
    (UP_TO_DATE, "False", "NotAllReplicasUpToDate", |scene| {
        scene.spec(json!({"replicas": 3}));
    }),
    (DELETING, "False", "NotDeleting", |_| ()),
    (AVAILABLE, "True", "Available", |_| ()),
    // Once it has served only its API says whether it does; until then the first that is missing.
    (AVAILABLE, "True", "Available", |scene| scene.problem(false)),
    (AVAILABLE, "False", "Timeout", |scene| {
        scene.health("Timeout");
    }),
    (AVAILABLE, "False", "NoNodeAddress", |scene| {
        scene.begin();
        scene.spec(json!({"service": {"type": "NodePort"}}));
    }),
    (AVAILABLE, "False", "ChildRefused", |scene| {
        scene.begin();
        scene.problem(false);
    }),
];

#[test]
fn each_reason_is_said_when_it_is_true() {
    for (type_, status, reason, change) in CASES {
        let mut scene = Scene::new();
        change(&mut scene);
        let new = scene.status();
        assert_eq!(says(&new, type_), pair(status, reason), "{type_}: {new:?}");
        let found = condition(Some(&new), type_).unwrap();
        let is_good = ["Applied", "Accepted", "Created", "Ready", "Available"].contains(&reason);
        let explains = is_good || !found.message.is_empty();
        let is_quiet = [
            "NotDeleting",
            "AllReplicasUpToDate",
            "ControlPlaneWithDesiredReplicas",
        ];
        assert!(
            explains || is_quiet.contains(&reason),
            "{type_} {reason} without a message"
        );
    }
}

/// The rows of the page's first table; a cell without a condition goes on with the one above.
fn page() -> BTreeSet<(String, String, String)> {
    let page = include_str!("../../../../../docs/conditions.md");
    let table = page
        .split("\n## ")
        .find(|part| part.starts_with("Cluster"))
        .unwrap();
    let mut rows = BTreeSet::new();
    let mut current = (String::new(), String::new());
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let words = |cell: &str| -> Vec<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(str::to_owned)
                .collect()
        };
        if let [type_] = words(cells[1]).as_slice() {
            let status = cells[1].rsplit(' ').next().unwrap();
            current = (type_.clone(), status.to_owned());
        }
        for reason in words(cells[2]) {
            rows.insert((current.0.clone(), current.1.clone(), reason));
        }
    }
    rows
}

#[test]
fn the_page_of_conditions_has_every_case_and_no_other() {
    let told: BTreeSet<_> = CASES
        .iter()
        // What is missing until it serves is another condition's reason.
        .filter(|(type_, status, ..)| *type_ != AVAILABLE || *status == "True")
        .map(|(type_, status, reason, _)| {
            (
                (*type_).to_owned(),
                (*status).to_owned(),
                (*reason).to_owned(),
            )
        })
        .collect();
    // A deletion is told by its own steps.
    let page: BTreeSet<_> = page()
        .into_iter()
        .filter(|(type_, status, _)| (type_.as_str(), status.as_str()) != (DELETING, "True"))
        .collect();
    assert_eq!(
        told.difference(&page).collect::<Vec<_>>(),
        Vec::<&_>::new(),
        "not on the page"
    );
    assert_eq!(
        page.difference(&told).collect::<Vec<_>>(),
        Vec::<&_>::new(),
        "in no case"
    );
}

/// Only keys are looked after then: what could not be done for them is said of them, and of nothing
/// that nobody will look at before the spec is right.
#[test]
fn while_a_spec_is_refused_a_key_that_is_not_mended_is_said_of_the_keys() {
    let mut cluster = settled();
    cluster.spec.version = Some("v1.35.1".to_owned());
    let key = ObjectKey::new(Kind::Secret, "ns", "demo-ca");
    let failed = Problem::new(&key, "denied");
    let new = later(&cluster, &working(1), std::slice::from_ref(&failed));
    assert_eq!(says(&new, APPLIED), pair("True", "Applied"));
    let found = condition(Some(&new), CERTIFICATES).unwrap();
    assert_eq!(found.message, "Secret ns/demo-ca: denied");
    cluster.status = Some(new);
    let new = later(&cluster, &working(1), &[]);
    assert_eq!(condition(Some(&new), CERTIFICATES).unwrap().message, "");

    let mut lost = working(1);
    let ca = CertificateType::Ca;
    lost.certificate_secrets.get_mut(&ca).unwrap().digest = None;
    cluster.status = Some(later(&cluster, &lost, &[failed]));
    let status = cluster.status.as_ref().unwrap();
    assert_eq!(says(status, CERTIFICATES), pair("False", KEY_LOST));
    let message = &condition(Some(status), CERTIFICATES).unwrap().message;
    assert!(
        message.ends_with("demo-ca; Secret ns/demo-ca: denied"),
        "{message}"
    );
    assert_eq!(refused_since(&cluster), Some(at(60)));
}

/// Its data is there, and so is ours of it: nobody has to look for a backup.
#[test]
fn a_key_that_is_only_being_deleted_is_not_called_lost() {
    let cluster = settled();
    let mut observed = working(1);
    unfit(&mut observed, CertificateType::Ca, Recovery::ComesBack);
    let new = later(&cluster, &observed, &[]);
    assert_eq!(says(&new, CERTIFICATES), pair("False", KEY_DELETING));
    let message = |status: &ClusterStatus| {
        condition(Some(status), CERTIFICATES)
            .unwrap()
            .message
            .clone()
    };
    let said = message(&new);
    assert!(
        said.starts_with("Secrets are being deleted: demo-ca. "),
        "{said}"
    );
    let unversioned = ClusterStatus {
        version: None,
        ..new
    };
    assert!(keys_were_made(Some(&unversioned)), "no other is made anew");

    let sa = observed
        .certificate_secrets
        .get_mut(&CertificateType::Sa)
        .unwrap();
    sa.digest = None;
    let new = later(&cluster, &observed, &[]);
    assert_eq!(says(&new, CERTIFICATES), pair("False", KEY_LOST));
    let said = message(&new);
    assert!(
        said.contains("no tls.crt: demo-sa; ") && said.contains("deleted: demo-ca. "),
        "{said}"
    );
}
