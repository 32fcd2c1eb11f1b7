//! Whose a certificate is, and which address a node has.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use k8s_openapi::api::core::v1::Node;

use super::*;
use crate::apply::key_recovery::Recovery;

fn node(name: &str, addresses: &[(&str, &str)]) -> Node {
    let addresses: Vec<_> = addresses
        .iter()
        .map(|(type_, address)| serde_json::json!({"type": type_, "address": address}))
        .collect();
    serde_json::from_value(
        serde_json::json!({"metadata": {"name": name}, "status": {"addresses": addresses}}),
    )
    .unwrap()
}

#[test]
fn an_external_address_of_any_node_goes_before_internal_ones() {
    let nodes = [
        node("a", &[("InternalIP", "10.0.0.1")]),
        node(
            "b",
            &[("InternalIP", "10.0.0.2"), ("ExternalIP", "192.0.2.2")],
        ),
    ];
    assert_eq!(node_address(&nodes).as_deref(), Some("192.0.2.2"));
    assert_eq!(node_address(&nodes[..1]).as_deref(), Some("10.0.0.1"));
    assert_eq!(node_address(&[]), None);
}

#[test]
fn an_address_that_is_recorded_has_to_be_one_of_a_nodes() {
    let nodes = [node("a", &[("InternalIP", "10.0.0.1")])];
    let is_alive = |recorded: Option<&str>| {
        let cluster = serde_json::json!({"metadata": {}, "spec": {},
            "status": {"externalAddress": recorded}});
        is_alive(&serde_json::from_value(cluster).unwrap(), &nodes)
    };
    assert!(is_alive(Some("10.0.0.1")));
    assert!(!is_alive(Some("10.0.0.2")));
    assert!(is_alive(None) && is_alive(Some("")), "there is none");
}

const UID: &str = "ours";

fn cluster(refs: &serde_json::Value, made: bool) -> Cluster {
    let conditions = if made {
        serde_json::json!([{"type": "CertificatesAvailable", "status": "True", "reason": "Created",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}])
    } else {
        serde_json::json!([])
    };
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "demo", "namespace": "ns", "uid": UID},
        "spec": {"certificateRefs": refs}, "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn store(name: &str, owner: Option<&str>, deleting: bool) -> Store {
    let owners = owner.map(|uid| {
        serde_json::json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
            "name": "demo", "uid": uid, "controller": true})
    });
    let at = deleting.then_some("2026-01-01T00:00:00Z");
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": name, "namespace": "ns", "uid": "s", "deletionTimestamp": at,
            "ownerReferences": owners.as_slice()},
        "data": {"tls.crt": "eA=="},
    });
    let store = Store::default();
    store.put(Kind::Secret, serde_json::from_value(secret).unwrap(), 1);
    store
}

/// Whether it is the user's, and whether it is there for us.
#[test]
fn whose_a_certificate_is_follows_from_its_name_and_its_owner() {
    let none = serde_json::json!([]);
    let ours = serde_json::json!([{"type": "ca", "name": "demo-ca"}]);
    let theirs = serde_json::json!([{"type": "ca", "name": "my-ca"}]);
    let empty = serde_json::json!([{"type": "ca", "name": ""}]);
    for (refs, owner, deleting, made, users, is_there, what) in [
        (&none, Some(UID), false, true, false, true, "its own"),
        (
            &none,
            None,
            false,
            false,
            false,
            true,
            "made beforehand under its name",
        ),
        (
            &none,
            Some("other"),
            false,
            false,
            false,
            false,
            "of a namesake",
        ),
        (&none, Some(UID), true, true, false, false, "on its way out"),
        (
            &empty,
            Some(UID),
            false,
            true,
            false,
            true,
            "named by nothing",
        ),
        (
            &ours,
            Some(UID),
            false,
            true,
            false,
            true,
            "its own, and named as upstream does",
        ),
        (
            &ours,
            None,
            false,
            false,
            true,
            true,
            "a user's under our name",
        ),
        (
            &ours,
            None,
            true,
            false,
            true,
            false,
            "a user's that is being deleted",
        ),
        (
            &ours,
            Some("other"),
            false,
            false,
            true,
            true,
            "another's under our name",
        ),
    ] {
        let found = certificate_secret(
            &cluster(refs, made),
            CertificateType::Ca,
            &store("demo-ca", owner, deleting),
        );
        assert_eq!(
            (found.users, found.digest.is_some()),
            (users, is_there),
            "{what}"
        );
    }
    let found = certificate_secret(
        &cluster(&theirs, true),
        CertificateType::Ca,
        &store("my-ca", None, false),
    );
    assert_eq!((found.secret.as_str(), found.users), ("my-ca", true));
    assert!(found.digest.is_some());
}

/// Once all keys were there, one that is gone was its own.
#[test]
fn a_named_key_that_is_gone_is_its_own_if_all_were_there() {
    let refs = serde_json::json!([{"type": "ca", "name": "demo-ca"}]);
    for (made, users) in [(true, false), (false, true)] {
        let found = certificate_secret(
            &cluster(&refs, made),
            CertificateType::Ca,
            &Store::default(),
        );
        assert_eq!((found.users, found.digest), (users, None));
    }
}

#[test]
fn claims_are_read_by_number_with_what_they_say_of_themselves() {
    let store = Store::default();
    let claim = |name: &str, labels: serde_json::Value, notes: serde_json::Value, dying: bool| {
        let at = dying.then_some("2026-01-01T00:00:00Z");
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "ns", "uid": name, "labels": labels,
                "annotations": notes, "deletionTimestamp": at},
        });
        let object = serde_json::from_value(object).unwrap();
        store.put(Kind::PersistentVolumeClaim, object, 1);
    };
    let added = |value: &str| serde_json::json!({names::ETCD_MEMBER_ADDED_ANNOTATION: value});
    let of = |uid: &str| serde_json::json!({labels::CLUSTER_UID: uid});
    claim(&names::etcd_claim("demo", 0), of(UID), added("true"), false);
    claim(
        &names::etcd_claim("demo", 2),
        of("other"),
        added("false"),
        true,
    );
    claim(
        &names::etcd_claim("demo", 8),
        serde_json::json!({}),
        serde_json::json!({}),
        false,
    );
    claim(
        &names::etcd_claim("other", 1),
        of(UID),
        added("true"),
        false,
    );
    let nothing = || serde_json::json!({});
    claim("data-kmc-demo-1", nothing(), nothing(), false);
    let mut cluster = cluster(&serde_json::json!([]), false);
    let (found, of_data) = claims(&cluster, &store);
    assert!(of_data.is_empty(), "it asks for none");
    cluster.spec = serde_json::from_value(serde_json::json!({"persistence": {
        "type": "pvc", "persistentVolumeClaim": {"metadata": {"name": "data"}}}}))
    .unwrap();
    let (_, of_data) = claims(&cluster, &store);
    assert_eq!(of_data.len(), 1);
    let said: Vec<_> = found
        .iter()
        .map(|(index, claim)| (*index, claim.of.as_deref(), claim.deleting, claim.added))
        .collect();
    let expected = [
        (0, Some(UID), false, true),
        (2, Some("other"), true, false),
        (8, None, false, false),
    ];
    assert_eq!(said, expected);
}

/// The pods were made with the key of the first pair.
#[test]
fn a_key_that_is_not_the_pods_own_counts_as_none() {
    let now = jiff::Timestamp::now();
    let pair = || pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap();
    let (ours, theirs) = (pair(), pair());
    let put = |store: &Store, certificate: &str, version: &str| {
        let secret = serde_json::json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "my-ca", "namespace": "ns", "uid": "s", "resourceVersion": version},
            "data": {"tls.crt": BASE64_STANDARD.encode(certificate)},
        });
        store.put(Kind::Secret, serde_json::from_value(secret).unwrap(), 1);
    };
    let named = serde_json::json!([{"type": "ca", "name": "my-ca"}]);
    let cluster = cluster(&named, true);
    let found = |store: &Store| certificate_secret(&cluster, CertificateType::Ca, store);
    let store = Store::default();
    put(&store, &ours.certificate, "1");
    let first = found(&store);
    let keys = serde_json::json!({"ca": first.public_key}).to_string();
    for set in [names::etcd("demo"), names::control_plane("demo")] {
        let set = serde_json::json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": {"name": set, "namespace": "ns", "uid": set, "resourceVersion": "1",
                "annotations": {names::PUBLIC_KEYS_ANNOTATION: keys},
                "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                    "name": "demo", "uid": UID, "controller": true}]},
        });
        store.put(Kind::StatefulSet, serde_json::from_value(set).unwrap(), 1);
    }
    assert_eq!(found(&store), first);
    put(&store, &theirs.certificate, "2");
    let other = found(&store);
    assert!(other.replaced && other.digest.is_none() && other.certificate.is_none());
    assert_eq!(
        other.public_key, first.public_key,
        "what the pods run with stays noted"
    );
    put(&store, &ours.certificate, "3");
    assert_eq!(found(&store), first, "it is back");

    // Nobody has come to trust the first key of a control plane that was asked and never answered.
    put(&store, &theirs.certificate, "4");
    let asked = |status: serde_json::Value| {
        let mut cluster = cluster.clone();
        let mut said = serde_json::json!({"conditions": [{"type": "ControlPlaneFunctional",
            "status": "Unknown", "reason": "NotAsked", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        json_patch::merge(&mut said, &status);
        cluster.status = serde_json::from_value(said).unwrap();
        certificate_secret(&cluster, CertificateType::Ca, &store).replaced
    };
    assert!(!asked(serde_json::json!({})), "it has never served");
    assert!(asked(serde_json::json!({"version": "v1.36.3-k0s.2"})));
    assert!(asked(serde_json::json!({"readyReplicas": 1})));
}

/// Its StatefulSets were wanted otherwise for a moment, and written twice.
#[test]
fn a_missing_key_stays_noted_though_nobody_has_trusted_it_yet() {
    let mut cluster = cluster(&serde_json::json!([]), false);
    let said = serde_json::json!({"conditions": [{"type": "ControlPlaneFunctional",
        "status": "Unknown", "reason": "NotAsked", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    cluster.status = serde_json::from_value(said).unwrap();
    let keys = serde_json::json!({"ca": "of the pods"}).to_string();
    let set = serde_json::json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata":
        {"name": names::etcd("demo"), "namespace": "ns", "uid": "s", "resourceVersion": "1",
            "annotations": {names::PUBLIC_KEYS_ANNOTATION: keys},
            "ownerReferences": [{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
                "name": "demo", "uid": UID, "controller": true}]}});
    let store = Store::default();
    store.put(Kind::StatefulSet, serde_json::from_value(set).unwrap(), 1);
    let missing = certificate_secret(&cluster, CertificateType::Ca, &store);
    assert_eq!(missing.public_key.as_deref(), Some("of the pods"));
    assert!(!missing.replaced && missing.digest.is_none());
}

/// The key of the pods is in its copy alone, and somebody else has made a Secret with a whole other one.
#[test]
fn a_strangers_key_is_no_replaced_one_while_a_copy_has_the_pods_own() {
    let now = jiff::Timestamp::now();
    let pair = || pki::ca::new("kubernetes", now, pki::ca::LIFETIME).unwrap();
    let owner = serde_json::json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "name": "demo", "uid": UID, "controller": true}]);
    let store = Store::default();
    let put = |kind, name: &str, body: serde_json::Value| {
        let mut object = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata":
            {"name": name, "namespace": "ns", "uid": name, "resourceVersion": "1"}});
        json_patch::merge(&mut object, &body);
        store.put(kind, serde_json::from_value(object).unwrap(), 1);
    };
    let data = |pair: &pki::PemPair| {
        let encoded = |text: &str| BASE64_STANDARD.encode(text);
        serde_json::json!({"tls.crt": encoded(&pair.certificate), "tls.key": encoded(pair.key.expose())})
    };
    let cluster = cluster(&serde_json::json!([]), true);
    let found = || certificate_secret(&cluster, CertificateType::Ca, &store);
    let ours = serde_json::json!({"metadata": {"ownerReferences": owner}, "data": data(&pair())});
    put(Kind::Secret, "demo-ca", ours.clone());
    let keys = serde_json::json!({"ca": found().public_key}).to_string();
    let set = serde_json::json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata":
        {"annotations": {names::PUBLIC_KEYS_ANNOTATION: keys}, "ownerReferences": owner}});
    put(Kind::StatefulSet, &names::control_plane("demo"), set);
    put(
        Kind::Secret,
        "demo-ca",
        serde_json::json!({"data": data(&pair())}),
    );
    assert!(found().replaced);
    assert_eq!(found().recovery, None, "nobody has the old one");
    put(Kind::Secret, "demo-ca-restore", ours);
    let taken = found();
    assert_eq!(taken.recovery, Some(Recovery::NameTaken));
    assert!(taken.replaced, "nothing goes over to it");
}
