//! What is said of pods, and that it stays the same.

use k8s_openapi::api::apps::v1::StatefulSet;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T12:00:00Z";

fn set(name: &str, created: i32) -> Lacking {
    let set: StatefulSet = serde_json::from_value(json!({
        "metadata": {"name": name, "uid": format!("{name}-uid")},
        "spec": {"replicas": 2, "selector": {}, "serviceName": name, "template": {}},
        "status": {"replicas": created, "readyReplicas": 0},
    }))
    .unwrap();
    Lacking::of(&set).unwrap()
}

fn pod_of(set: &str, number: usize, status: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {
            "name": format!("{set}-{number}"), "creationTimestamp": "2026-01-01T11:00:00Z",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": set,
                "uid": format!("{set}-uid"), "controller": true}],
        },
        "status": status,
    }))
    .unwrap()
}

fn pod(status: &Value) -> Pod {
    pod_of("kmc-a", 0, status)
}

fn said(pods: &[Pod]) -> Option<String> {
    let sets = [set("kmc-a-etcd", 2), set("kmc-a", 2)];
    let found = trouble(&sets, pods, &[], NOW.parse().unwrap());
    found.map(|trouble| trouble.to_string())
}

fn container(state: &Value, last: &Value, restarts: i32) -> Value {
    json!({"containerStatuses": [{
        "name": "k0s", "image": "quay.io/k0s:1", "imageID": "", "ready": false,
        "restartCount": restarts, "state": state, "lastState": last,
    }]})
}

fn waiting(reason: &str, message: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    container(&state, &json!({}), 0)
}

fn ended(code: i32, reason: &str) -> Value {
    json!({"terminated": {"exitCode": code, "reason": reason}})
}

fn running(since: &str, last: &Value, restarts: i32) -> Value {
    container(&json!({"running": {"startedAt": since}}), last, restarts)
}

fn unscheduled(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]})
}

#[rstest]
#[case::new(json!({}))]
#[case::pending(json!({"phase": "Pending"}))]
#[case::no_reason_yet(waiting("", ""))]
#[case::creating(waiting("ContainerCreating", ""))]
#[case::initializing(waiting("PodInitializing", ""))]
#[case::running(running("2026-01-01T11:59:00Z", &json!({}), 0))]
#[case::ended_once(container(&ended(1, "Error"), &json!({}), 0))]
#[case::began_again(running("2026-01-01T11:59:00Z", &ended(1, "Error"), 1))]
#[case::has_recovered(running("2026-01-01T11:49:00Z", &ended(1, "Error"), 9))]
#[case::ended_well(running("2026-01-01T11:59:00Z", &ended(0, "Completed"), 9))]
fn what_starts_is_not_called_wrong(#[case] status: Value) {
    assert_eq!(said(&[pod(&status)]), None);
}

/// As the kubelet says it of a pod whose volumes cannot be mounted.
#[rstest]
#[case::for_a_moment("2026-01-01T11:59:00Z", "2026-01-01T11:59:00Z", "False", false)]
#[case::for_minutes("2026-01-01T11:57:00Z", "2026-01-01T11:57:00Z", "False", true)]
#[case::images_are_pulled("2026-01-01T11:57:00Z", "2026-01-01T11:57:00Z", "True", false)]
#[case::its_node_has_just_started("2026-01-01T02:57:00Z", "2026-01-01T11:59:55Z", "False", false)]
fn a_pod_that_is_not_prepared_for_minutes_is_said(
    #[case] placed: &str,
    #[case] since: &str,
    #[case] prepared: &str,
    #[case] said_of: bool,
) {
    let mut status = waiting("ContainerCreating", "");
    status["conditions"] = json!([
        {"type": "PodReadyToStartContainers", "status": prepared, "lastTransitionTime": since},
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": placed},
    ]);
    let said = said(&[pod(&status)]).unwrap_or_default();
    let wanted = "pod kmc-a-0: ContainerCreating: its volumes or its network";
    assert_eq!(said.starts_with(wanted), said_of, "{said}");
}

#[rstest]
#[case::image(
    waiting("ErrImagePull", "rpc error: code = NotFound desc = 1234"),
    "pod kmc-a-0, container k0s: ImagePullBackOff (image quay.io/k0s:1)"
)]
#[case::image_later(
    waiting("ImagePullBackOff", "Back-off pulling image"),
    "pod kmc-a-0, container k0s: ImagePullBackOff (image quay.io/k0s:1)"
)]
#[case::image_of_no_name(
    waiting("InvalidImageName", "couldn't parse"),
    "pod kmc-a-0, container k0s: InvalidImageName (image quay.io/k0s:1)"
)]
#[case::config(
    waiting("CreateContainerConfigError", "secret \"x\" not found"),
    "pod kmc-a-0, container k0s: CreateContainerConfigError: secret \"x\" not found"
)]
#[case::crash(
    container(&json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}),
        &ended(137, "OOMKilled"), 3),
    "pod kmc-a-0, container k0s: CrashLoopBackOff (exit code 137, OOMKilled)"
)]
#[case::crash_between(
    running("2026-01-01T11:59:00Z", &ended(1, "Error"), 2),
    "pod kmc-a-0, container k0s: CrashLoopBackOff (exit code 1)"
)]
#[case::crash_just_now(
    container(&ended(1, "Error"), &ended(1, "Error"), 2),
    "pod kmc-a-0, container k0s: CrashLoopBackOff (exit code 1)"
)]
#[case::unschedulable(
    unscheduled("Unschedulable", "0/1 nodes are available: 1 Insufficient cpu."),
    "pod kmc-a-0: Unschedulable: 0/1 nodes are available: 1 Insufficient cpu."
)]
#[case::evicted(
    json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on\nmemory."}),
    "pod kmc-a-0: Evicted: The node was low on memory."
)]
fn what_is_wrong_is_said(#[case] status: Value, #[case] wanted: &str) {
    assert_eq!(said(&[pod(&status)]).as_deref(), Some(wanted));
}

#[test]
fn init_containers_count_as_well() {
    let mut status = waiting("PodInitializing", "");
    status["initContainerStatuses"] = json!([
        {"name": "done", "image": "a", "imageID": "", "ready": true, "restartCount": 9,
            "state": {"terminated": {"exitCode": 0}}, "lastState": {"terminated": {"exitCode": 1}}},
        {"name": "setup", "image": "b", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull"}}, "lastState": {}},
    ]);
    let wanted = "pod kmc-a-0, container setup: ImagePullBackOff (image b)";
    assert_eq!(said(&[pod(&status)]).as_deref(), Some(wanted));
}

#[test]
fn of_several_the_one_that_explains_the_others_is_said() {
    let crash = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    let crash = container(&crash, &ended(1, "Error"), 3);
    let of_etcd = pod_of("kmc-a-etcd", 1, &crash);
    let found = said(&[pod(&crash), of_etcd.clone()]).unwrap();
    assert!(found.starts_with("pod kmc-a-etcd-1,"), "{found}");
    let found = said(&[pod(&waiting("ErrImagePull", "")), of_etcd]).unwrap();
    assert!(found.starts_with("pod kmc-a-0,"), "{found}");
}

#[test]
fn what_is_ready_ends_or_belongs_to_others_says_nothing() {
    let wrong = waiting("ErrImagePull", "");
    let mut ready = wrong.clone();
    ready["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    let mut ends = pod(&wrong);
    ends.metadata.deletion_timestamp = ends.metadata.creation_timestamp.clone();
    let mut nobodys = pod(&wrong);
    nobodys.metadata.owner_references = None;
    let mut no_controllers = pod(&wrong);
    let owners = no_controllers.metadata.owner_references.as_mut().unwrap();
    owners[0].controller = None;
    let of_another = pod_of("kmc-b", 0, &wrong);
    assert_eq!(
        said(&[pod(&ready), ends, nobodys, no_controllers, of_another]),
        None
    );
}

fn refusal(of: &str, at: &str, note: &str) -> Event {
    serde_json::from_value(json!({
        "metadata": {}, "eventTime": null, "reason": "FailedCreate", "note": note,
        "regarding": {"uid": format!("{of}-uid")}, "deprecatedLastTimestamp": at,
    }))
    .unwrap()
}

fn refused_with(created: i32, pods: &[Pod], refusals: &[Event]) -> Option<String> {
    let found = trouble(
        &[set("kmc-a", created)],
        pods,
        refusals,
        NOW.parse().unwrap(),
    );
    found.map(|trouble| trouble.to_string())
}

const QUOTA: &str =
    "StatefulSet kmc-a: FailedCreate: pods \"kmc-a-*\" is forbidden: exceeded quota";

#[test]
fn a_pod_that_is_refused_is_said_by_its_set_until_one_is_created() {
    let note = |pod: &str| {
        format!(
            "create Pod {pod} in StatefulSet kmc-a failed error: pods \"{pod}\" is forbidden: \
             exceeded quota"
        )
    };
    let at = "2026-01-01T11:00:00Z";
    for pod in ["kmc-a-0", "kmc-a-1"] {
        let combined = format!("(combined from similar events): {}", note(pod));
        for note in [note(pod), combined] {
            let found = refused_with(0, &[], &[refusal("kmc-a", at, &note)]);
            assert_eq!(found.as_deref(), Some(QUOTA));
        }
    }
    let all = [
        refusal("kmc-a", "2026-01-01T10:00:00Z", "denied before"),
        refusal("kmc-a", at, &note("kmc-a-1")),
        refusal("kmc-b", NOW, "not its own"),
    ];
    let starts = || pod(&json!({}));
    assert_eq!(refused_with(1, &[starts()], &all).as_deref(), Some(QUOTA));
    // All are there; or one was created after that.
    assert_eq!(refused_with(2, &[starts()], &all), None);
    let mut newer = starts();
    newer.metadata.creation_timestamp = serde_json::from_value(json!(NOW)).unwrap();
    assert_eq!(refused_with(1, &[newer], &all), None);
}

#[test]
fn the_same_in_other_numbers_is_no_news() {
    let what = "pod a: Unschedulable";
    let old = Trouble::new(what, "0/5 nodes are available: 3 Insufficient cpu.");
    for (what, said, is_the_same) in [
        (what, "0/6 nodes are available: 4 Insufficient cpu.", true),
        (
            what,
            "0/5 nodes are available: 3 Insufficient memory.",
            false,
        ),
        (
            "pod b: Unschedulable",
            "0/5 nodes are available: 3 Insufficient cpu.",
            false,
        ),
    ] {
        assert_eq!(
            old.is_the_same(&Trouble::new(what, said)),
            is_the_same,
            "{said}"
        );
    }
}

#[test]
fn it_fits_into_a_line() {
    let hostile = "\u{1b}[2J\u{202e}é\n\t".repeat(100_000);
    let mut status = waiting(&hostile, &hostile);
    status["containerStatuses"][0]["image"] = json!(hostile);
    for status in [
        status,
        waiting("ErrImagePull", ""),
        unscheduled("Unschedulable", &hostile),
    ] {
        let found = said(&[pod(&status)]).unwrap();
        assert!(found.chars().count() <= 2 * LONGEST + 4, "{found}");
        assert!(!found.contains(is_obeyed), "{found:?}");
    }
}
