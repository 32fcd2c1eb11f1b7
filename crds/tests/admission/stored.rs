//! What is stored with a fault: it may stay and go, and no more of it may come.

use crds::admission::{Decision, Kind};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{cluster, create, paths, serving, update, with_status};

#[test]
fn what_was_stored_wrong_can_be_labelled_and_changed_elsewhere() {
    let mut spec = json!({"replicas": 3, "storage": {"type": "kine", "kine": {}}});
    let old = cluster(spec.clone());
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    assert_eq!(update(Kind::Cluster, &old, &labelled), Decision::default());
    spec["externalAddress"] = json!("192.0.2.1");
    let decision = update(Kind::Cluster, &old, &cluster(spec.clone()));
    assert_eq!(decision.errors, []);
    assert!(
        decision
            .warnings
            .iter()
            .any(|text| text.starts_with("spec.storage.kine"))
    );
    // More of it is refused.
    spec["replicas"] = json!(5);
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &cluster(spec))),
        ["spec.storage.kine"]
    );
}

#[test]
fn what_was_stored_and_cannot_be_read_can_still_be_let_go() {
    let old = cluster(json!({"replicas": "three"}));
    let mut new = old.clone();
    new["metadata"]["finalizers"] = json!([]);
    assert_eq!(update(Kind::Cluster, &old, &new), Decision::default());
    new["spec"]["image"] = json!("a/k0s");
    let decision = update(Kind::Cluster, &old, &new);
    assert_eq!(decision.errors, []);
    assert_eq!(decision.warnings.len(), 1);
    new["spec"]["service"] = json!(3);
    new["spec"]["replicas"] = json!(3);
    assert_eq!(paths(&update(Kind::Cluster, &old, &new)), ["spec.service"]);
}

#[test]
fn a_reference_into_another_namespace_that_is_stored_stays_or_goes() {
    let host = |name: &str| json!({"replicas": 1, "remoteHostCluster": {"kubeconfigRef": {"name": name, "namespace": "kube-system"}}});
    let path = ["spec.remoteHostCluster.kubeconfigRef.namespace"];
    let old = cluster(host("a"));
    let mut more = host("a");
    more["replicas"] = json!(3);
    let kept = update(Kind::Cluster, &old, &cluster(more));
    assert_eq!(kept.errors, []);
    assert!(kept.warnings.iter().any(|text| text.starts_with(path[0])));
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &cluster(host("b")))),
        path
    );
    let mut key = host("a");
    key["remoteHostCluster"]["kubeconfigRef"]["key"] = json!("other");
    assert_eq!(paths(&update(Kind::Cluster, &old, &cluster(key))), path);
    let gone = cluster(json!({"replicas": 1}));
    assert_eq!(update(Kind::Cluster, &old, &gone).errors, []);
    assert_eq!(paths(&update(Kind::Cluster, &gone, &old)), path);
}

/// Another program's members run with them.
#[test]
fn arguments_that_members_find_each_other_by_are_refused_and_stay_where_they_are_stored() {
    let with = |args: Value| cluster(json!({"replicas": 1, "storage": {"etcd": {"args": args}}}));
    let path = "spec.storage.etcd.args[0]";
    for arg in [
        "--client-cert-auth=false",
        "--wal-dir=/tmp",
        "--listen-metrics-urls=http://0.0.0.0:2381",
        "-name=x",
    ] {
        let new = with(json!([arg]));
        assert_eq!(paths(&create(Kind::Cluster, &new)), [path], "{arg}");
        let more = with(json!([arg, "--debug"]));
        let kept = update(Kind::Cluster, &new, &more);
        assert_eq!(kept.errors, [], "{arg}");
        assert!(kept.warnings.iter().any(|text| text.starts_with(path)));
        let none = with(json!([]));
        assert_eq!(paths(&update(Kind::Cluster, &none, &new)), [path], "{arg}");
    }
    let fine = with(json!(["--tls-min-version=TLS1.3"]));
    assert_eq!(create(Kind::Cluster, &fine).errors, []);
}

/// A fault that is stored, the same with more around it, and another fault with the same text.
#[rstest]
#[case::moved(
    json!({"mounts": [{"path": "/", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/", "emptyDir": {}}, {"path": "/", "emptyDir": {}}]}),
    "spec.mounts[1].path"
)]
#[case::taken(
    json!({"mounts": [{"path": "/a", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/b", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}, {"path": "/a", "emptyDir": {}}]}),
    json!({"mounts": [{"path": "/c", "emptyDir": {}}, {"path": "/c", "emptyDir": {}}]}),
    "spec.mounts[1].path"
)]
#[case::behind_what_is_shown(
    json!({"patches": [patch(&format!("[{}", "a".repeat(100)))]}),
    json!({"patches": [patch(&format!("[{}", "a".repeat(100)))], "replicas": 3}),
    json!({"patches": [patch(&format!("[{}b", "a".repeat(100)))]}),
    "spec.patches[0].patch.content"
)]
#[case::two_sources(
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "a"}}]}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "a"}}], "replicas": 3}),
    json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"secretName": "b"}}]}),
    "spec.mounts[0]"
)]
fn a_fault_is_known_by_what_was_found_and_not_by_what_is_shown(
    #[case] stored: Value,
    #[case] kept: Value,
    #[case] changed: Value,
    #[case] path: &str,
) {
    let old = cluster(stored);
    let kept = update(Kind::Cluster, &old, &cluster(kept));
    assert_eq!(kept.errors, [], "{kept:?}");
    assert!(!kept.warnings.is_empty());
    let changed = update(Kind::Cluster, &old, &cluster(changed));
    assert_eq!(paths(&changed), [path], "{changed:?}");
}

fn patch(content: &str) -> Value {
    json!({
        "target": {"kind": "Service", "component": "control-plane"},
        "patch": {"type": "json", "content": content},
    })
}

#[test]
fn rules_on_changes_hold_of_what_can_be_read_of_an_object() {
    let mut old = with_status(
        cluster(json!({"version": "v1.35.1-k0s.0"})),
        serving("v1.35.1-k0s.0"),
    );
    old["spec"]["certificateRefs"] = json!([{"type": 3}]);
    // Mended, and what was served is lost by the way.
    let mended = cluster(
        json!({"version": "v1.35.1-k0s.0", "storage": {"type": "kine", "kine": {"dataSourceURL": "x"}}}),
    );
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &mended)),
        ["spec.storage.type"]
    );
    // Not mended.
    let mut worse = mended;
    worse["spec"]["certificateRefs"] = json!([{"type": 3}]);
    let decision = update(Kind::Cluster, &old, &worse);
    assert_eq!(paths(&decision), ["spec.storage.type"]);
    assert!(
        decision.warnings[0].starts_with("spec.certificateRefs[0].type"),
        "{decision:?}"
    );
    worse["spec"]["certificateRefs"] = json!([{"type": 4}]);
    assert_eq!(
        paths(&update(Kind::Cluster, &old, &worse)),
        ["spec.certificateRefs[0].type"]
    );
}
