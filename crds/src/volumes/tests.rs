//! Which names and places volumes get.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Volumes, own_places, place};
use crate::names;
use crate::v1beta2::Cluster;
use crate::validation::validate_cluster;

fn cluster(name: &str, spec: &Value) -> Cluster {
    serde_json::from_value(json!({
        "apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster",
        "metadata": {"name": name, "namespace": "n"}, "spec": spec,
    }))
    .unwrap()
}

/// Another name would restart the pods of every cluster that there is.
#[test]
fn what_meets_nobody_keeps_its_name() {
    let cluster = cluster(
        "c",
        &json!({
            "externalAddress": "192.0.2.1",
            "manifests": [{"name": "m", "emptyDir": {}}, {"name": "kmc-c-endpoint", "emptyDir": {}}],
            "mounts": [
                {"path": "/opt/x", "emptyDir": {}}, {"path": "/tmp/", "emptyDir": {}},
                {"path": "/etc/My.conf", "readOnly": true, "emptyDir": {}},
            ],
        }),
    );
    let volumes = Volumes::new("c", &cluster.spec);
    assert_eq!(volumes.data, "kmc-c");
    assert_eq!(volumes.config, "kmc-c-config");
    assert_eq!(volumes.certificates, "certs");
    assert_eq!(volumes.endpoint.as_deref(), Some("kmc-c-endpoint"));
    assert_eq!(volumes.telemetry, "kmc-c-telemetry-config");
    assert_eq!(volumes.scratch, [("run".to_owned(), "/run")]);
    let users: Vec<_> = volumes
        .users
        .iter()
        .map(|user| user.name.as_str())
        .collect();
    let odd = names::mount_volume("/etc/My.conf");
    assert_eq!(users, ["m", "opt-x", "tmp", &odd]);
}

#[test]
fn a_claim_keeps_its_name_and_ours_gives_way() {
    let claim = json!({
        "persistence": {"type": "pvc", "persistentVolumeClaim": {"metadata": {"name": "certs"}}},
        "mounts": [{"path": "/certs", "emptyDir": {}}],
    });
    let cluster = cluster("c", &claim);
    let volumes = Volumes::new("c", &cluster.spec);
    assert_eq!(volumes.data, "certs");
    assert_ne!(volumes.certificates, "certs");
    assert_ne!(volumes.users[0].name, volumes.certificates);
}

#[test]
fn a_place_is_one_however_it_is_written() {
    for path in ["/a/b", "a/b", "//a/./b/", "/x/../a/b"] {
        assert_eq!(place(path), "/a/b", "{path}");
    }
    assert_eq!(place("/.."), "/");
}

/// Names and places that meet, and ways to write them.
fn word() -> impl Strategy<Value = String> {
    let ours = [
        "certs",
        "run",
        "tmp",
        "kmc-c",
        "kmc-c-config",
        "kmc-c-endpoint",
        "kmc-c-telemetry-config",
        "k0s-telemetry",
        "a-b",
        "a",
        "data",
    ];
    prop::sample::select(ours.to_vec()).prop_map(ToOwned::to_owned)
}

fn path() -> impl Strategy<Value = String> {
    let folder = prop::sample::select(vec![
        "/",
        "",
        "//",
        "/a/",
        "/A/",
        "/x/../",
        "/etc/",
        "/var/lib/k0s/",
        "/var/lib/k0s/manifests/",
    ]);
    let place = prop_oneof![
        4 => word(),
        1 => Just("k0smotron".to_owned()),
        1 => Just("b".to_owned()),
        1 => Just(String::new()),
    ];
    let end = prop::sample::select(vec!["", "/", "/."]);
    (folder, place, end).prop_map(|(folder, place, end)| format!("{folder}{place}{end}"))
}

fn spec() -> impl Strategy<Value = Value> {
    (
        prop::collection::vec(word(), 0..5),
        prop::collection::vec(path(), 0..6),
        prop::option::of(word()),
        any::<bool>(),
    )
        .prop_map(|(manifests, mounts, claim, exposed)| {
            let manifests: Vec<_> = manifests
                .iter()
                .map(|name| json!({"name": name, "emptyDir": {}}))
                .collect();
            let mounts: Vec<_> = mounts
                .iter()
                .map(|path| json!({"path": path, "emptyDir": {}}))
                .collect();
            let mut spec = json!({"manifests": manifests, "mounts": mounts});
            if let Some(name) = claim {
                spec["persistence"] = json!({"type": "pvc", "persistentVolumeClaim": {
                    "metadata": {"name": name},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }});
            }
            if exposed {
                spec["externalAddress"] = json!("192.0.2.1");
            }
            spec
        })
}

proptest! {
    /// What is accepted can be made of it: Kubernetes takes no name and no place twice.
    #[test]
    fn of_what_is_accepted_no_name_and_no_place_meets_another(
        spec in spec(), name in prop_oneof![4 => Just("c".to_owned()), 1 => Just("c".repeat(43))],
    ) {
        let cluster = cluster(&name, &spec);
        prop_assume!(validate_cluster(&cluster).is_empty());
        let volumes = Volumes::new(&name, &cluster.spec);
        let mut inner = vec![&volumes.data, &volumes.config, &volumes.certificates, &volumes.telemetry];
        inner.extend(&volumes.endpoint);
        inner.extend(volumes.scratch.iter().map(|(name, _)| name));
        inner.extend(volumes.users.iter().map(|user| &user.name));
        for name in &inner {
            prop_assert!(names::is_label(name), "{name}");
        }
        let different: BTreeSet<_> = inner.iter().collect();
        prop_assert_eq!(different.len(), inner.len(), "{:?}", inner);

        let own = own_places(&name, &cluster.spec);
        let mut places: Vec<String> = own.into_iter().map(|(place, _)| place).collect();
        places.extend(volumes.scratch.iter().map(|(_, place)| (*place).to_owned()));
        places.extend(volumes.users.iter().map(|user| place(&user.path)));
        let different: BTreeSet<_> = places.iter().collect();
        prop_assert_eq!(different.len(), places.len(), "{:?}", places);
    }
}
