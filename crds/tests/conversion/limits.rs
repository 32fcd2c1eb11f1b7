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

#[test]
fn a_large_patch_goes_along() {
    let given = with_patch(MAX_ANNOTATIONS - 1024);
    assert_eq!(newer(&older(&given)), given);
}

#[test]
fn what_is_too_large_for_v1beta1_can_be_read_and_not_written() {
    let old = older(&with_patch(MAX_ANNOTATIONS));
    assert_eq!(annotations(&old), &json!({"mine": "x"}));
    assert_eq!(
        old["metadata"]["labels"],
        json!({"k0smotron.io/read-only-in-v1beta1": "true"})
    );
    let error = try_newer(&old).unwrap_err();
    assert_eq!(error, ConversionError::ReadOnly);
    assert!(error.to_string().contains("write k0smotron.io/v1beta2"));
}

#[test]
fn what_is_too_large_for_v1beta2_is_refused() {
    let labels = json!({"a": "x".repeat(MAX_ANNOTATIONS)});
    let error = try_newer(&cluster(
        V1BETA1,
        json!({"spec": {"service": {"labels": labels}}}),
    ))
    .unwrap_err();
    assert!(matches!(error, ConversionError::TooLarge(size) if size > MAX_ANNOTATIONS));
}
