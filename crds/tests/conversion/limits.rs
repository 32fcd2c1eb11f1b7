//! Objects that say more than annotations can hold.

use crds::conversion::{ConversionError, MAX_ANNOTATIONS};
use serde_json::{Value, json};

use crate::{V1BETA1, V1BETA2, annotations, cluster, newer, older, try_newer};

fn with_patch(size: usize) -> Value {
    cluster(
        V1BETA2,
        json!({
            "spec": {
                "storage": {"type": "etcd"},
                "patches": [{"target": {"kind": "Service", "component": "c"}, "patch": {"type": "json", "content": "x".repeat(size)}}],
            },
            "annotations": {"mine": "x"},
        }),
    )
}

fn stored(mut object: Value) -> Value {
    object["metadata"]["uid"] = json!("0a1b");
    object
}

#[test]
fn a_large_patch_goes_along() {
    let given = with_patch(MAX_ANNOTATIONS - 1024);
    assert_eq!(newer(&older(&given)), given);
}

#[test]
fn what_is_too_large_for_v1beta1_can_be_read_and_not_written() {
    let old = older(&stored(with_patch(MAX_ANNOTATIONS)));
    assert_eq!(annotations(&old), &json!({"mine": "x"}));
    assert_eq!(
        old["metadata"]["labels"],
        json!({"k0smotron.io/read-only-in-v1beta1": "0a1b"})
    );
    let error = try_newer(&old).unwrap_err();
    assert_eq!(error, ConversionError::ReadOnly);
    assert!(error.to_string().contains("write k0smotron.io/v1beta2"));
}

/// One object that cannot be read would take the list of all with it.
#[test]
fn a_label_that_somebody_else_has_written_keeps_nothing_from_being_read() {
    for value in ["true", "", "another"] {
        let mut old = stored(cluster(V1BETA1, json!({"spec": {}})));
        old["metadata"]["labels"] = json!({"k0smotron.io/read-only-in-v1beta1": value});
        assert_eq!(older(&newer(&old)), old);
        old["metadata"].as_object_mut().unwrap().remove("uid");
        assert_eq!(older(&newer(&old)), old);
    }
}

#[test]
fn what_is_too_large_for_v1beta2_is_left_out_and_said() {
    let labels = json!({"a": "x".repeat(MAX_ANNOTATIONS)});
    let old = cluster(V1BETA1, json!({"spec": {"service": {"labels": labels}}}));
    let new = newer(&old);
    let said = annotations(&new).as_object().unwrap();
    assert_eq!(said.len(), 1);
    let error = said["k0smotron.io/conversion-error"].as_str().unwrap();
    assert!(
        error.contains("must be no more than 262144 bytes"),
        "{error}"
    );
}
