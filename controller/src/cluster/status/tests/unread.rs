//! While a Secret that the user names cannot be read.

use super::*;
use crate::cluster::validate::Refusal;
use crate::kubernetes::store::{Kind, ObjectKey};

fn unread(cluster: &Cluster) -> ClusterStatus {
    let problem = Problem {
        passing: true,
        ..Problem::new(
            &ObjectKey::new(Kind::Secret, "ns", "mine"),
            "secrets is forbidden",
        )
    };
    let mut observed = working(1);
    let secrets = observed.certificate_secrets.values_mut();
    secrets.for_each(|secret| secret.digest = None);
    status(&Facts {
        cluster,
        observed: &observed,
        valid: Err(&Refusal::Unread),
        problems: &[problem],
        is_asked: true,
        hosted_config: None,
        nodes: None,
        now: at(60),
    })
}

#[test]
fn it_is_said_and_nothing_is_taken_from_a_cluster_that_serves() {
    let settled = settled();
    let new = unread(&settled);
    assert_eq!(says(&new, APPLIED), pair("False", "WriteFailed"));
    for part in ["Secret ns/mine", "forbidden"] {
        let message = &condition(Some(&new), APPLIED).unwrap().message;
        assert!(message.contains(part), "{message}");
    }
    for type_ in [ACCEPTED, CERTIFICATES, UP_TO_DATE, AVAILABLE] {
        let old = says(settled.status.as_ref().unwrap(), type_);
        assert_eq!(says(&new, type_), old, "{type_}");
    }
}

#[test]
fn a_cluster_that_never_served_is_not_available_for_that_reason() {
    let mut cluster = cluster();
    cluster.status = None;
    let new = unread(&cluster);
    assert_eq!(says(&new, ACCEPTED), pair("True", "Accepted"));
    assert_eq!(says(&new, AVAILABLE), pair("False", "WriteFailed"));
    let message = &condition(Some(&new), AVAILABLE).unwrap().message;
    assert!(message.contains("Secret ns/mine"), "{message}");
    assert!(!keys_were_made(Some(&new)));
}
