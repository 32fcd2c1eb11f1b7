//! What has to be done follows from what is seen.

use rstest::rstest;

use super::*;
use crate::apply::fixtures::{declared, kept, made};

/// A Secret of this content as somebody sees it, with these changes.
fn seen(desired: &Desired, change: impl FnOnce(&mut Value)) -> Live {
    let data = BTreeMap::from([
        (names::TLS_CERT_KEY.to_owned(), "certificate".to_owned()),
        (names::TLS_KEY_KEY.to_owned(), "key".to_owned()),
    ]);
    let mut object = match desired.content {
        Content::Declared => desired.body.clone(),
        Content::Made(_) | Content::Kept(_) => desired.with_data(&data, None),
    };
    object["metadata"]["uid"] = json!("u");
    change(&mut object);
    Live::new(Kind::Secret, serde_json::from_value(object).unwrap())
}

type Change = fn(&mut Value);

const NOTHING: Change = |_| ();
const DYING: Change = |o| o["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
const LABEL_GONE: Change = |o| {
    drop(
        o["metadata"]["labels"]
            .as_object_mut()
            .unwrap()
            .remove("ours"),
    );
};
const LABEL_MORE: Change = |o| o["metadata"]["labels"]["theirs"] = json!("y");
const SEAL_GONE: Change = |o| o["metadata"]["annotations"] = json!({});
const FINALIZER_MORE: Change = |o| o["metadata"]["finalizers"] = json!(["theirs"]);
const DATA_EDITED: Change = |o| o["data"]["tls.key"] = json!("eA==");
const DATA_MORE: Change = |o| o["data"]["note"] = json!("eA==");
const DATA_GONE: Change = |o| o["data"] = json!({});
const INPUTS_OTHER: Change = |o| o["metadata"]["annotations"][INPUTS_DIGEST] = json!("x");

#[rstest]
#[case::all_is_well(declared(), NOTHING, Step::Nothing)]
#[case::all_is_well_made(made(), NOTHING, Step::Nothing)]
#[case::all_is_well_kept(kept(), NOTHING, Step::Nothing)]
#[case::it_is_being_deleted(declared(), DYING, Step::Nothing)]
#[case::made_data_is_being_deleted(made(), DYING, Step::Nothing)]
#[case::a_key_is_being_deleted(kept(), DYING, Step::Restore)]
#[case::a_label_of_ours_is_gone(declared(), LABEL_GONE, Step::Apply)]
#[case::a_label_of_a_key_is_gone(kept(), LABEL_GONE, Step::Apply)]
#[case::somebody_else_has_a_label(declared(), LABEL_MORE, Step::Nothing)]
#[case::somebody_else_has_a_finalizer(made(), FINALIZER_MORE, Step::Nothing)]
#[case::nobody_knows_what_was_applied(declared(), SEAL_GONE, Step::Apply)]
#[case::nobody_knows_what_it_was_made_from(made(), SEAL_GONE, Step::Make)]
#[case::nobody_knows_of_which_key(kept(), SEAL_GONE, Step::Apply)]
#[case::made_data_was_edited(made(), DATA_EDITED, Step::Make)]
#[case::made_data_is_gone(made(), DATA_GONE, Step::Make)]
#[case::a_key_was_edited(kept(), DATA_EDITED, Step::Nothing)]
#[case::somebody_else_keeps_data_there(made(), DATA_MORE, Step::Nothing)]
#[case::it_was_made_from_something_else(made(), INPUTS_OTHER, Step::Make)]
fn a_step_follows_from_what_is_seen(
    #[case] desired: Desired,
    #[case] change: Change,
    #[case] step: Step,
) {
    assert_eq!(desired.step(Some(&seen(&desired, change))), step);
}

#[test]
fn what_is_not_there_is_created() {
    for desired in [declared(), made(), kept()] {
        assert_eq!(desired.step(None), Step::Create);
    }
}

#[test]
fn a_difference_is_named_by_its_path() {
    let desired = declared();
    let of = |change: Change| desired.difference(&seen(&desired, change).value());
    assert_eq!(of(NOTHING), None);
    assert_eq!(of(LABEL_GONE).as_deref(), Some(".metadata.labels.ours"));
    let seal = format!(".metadata.annotations.{APPLIED_HASH}");
    assert_eq!(of(SEAL_GONE), Some(seal));
}

#[test]
fn other_inputs_have_another_digest() {
    let leaf = |lifetime: i64, digest: &str| Recipe::Leaf {
        authority: "ca".to_owned(),
        authority_digest: digest.to_owned(),
        request: LeafRequest {
            common_name: "a".to_owned(),
            organization: None,
            sans: vec!["b".to_owned()],
            server: true,
            client: false,
            lifetime: jiff::SignedDuration::from_hours(lifetime),
        },
    };
    let all = [
        leaf(1, "x"),
        leaf(2, "x"),
        leaf(1, "y"),
        Recipe::ServiceAccount,
    ];
    let digests: std::collections::BTreeSet<_> = all.iter().map(Inputs::digest).collect();
    assert_eq!(digests.len(), all.len());
    assert_eq!(leaf(1, "x").digest(), leaf(1, "x").digest());
}

#[test]
fn the_digest_is_of_our_keys_only() {
    let data = BTreeMap::from([("value".to_owned(), "a".to_owned())]);
    let ours = data_digest_of(&data);
    let live = |digests: Value| json!({"digests": digests});
    let said = digest(b"a");
    let plain = live(json!({"value": said}));
    let more = live(json!({"note": "x", "value": said, "zzz": "y"}));
    assert_eq!(data_digest(&plain, &["value"]), ours);
    assert_eq!(data_digest(&more, &["value"]), ours);
    for edited in [json!({"value": "x"}), json!({"note": "x"}), Value::Null] {
        assert_ne!(data_digest(&live(edited), &["value"]), ours);
    }
}

/// Each field of a policy that is more lets in others, or nobody.
#[test]
fn nobody_adds_to_a_network_policy() {
    let desired = Desired::declared(
        Kind::NetworkPolicy,
        json!({
            "metadata": {"name": "a", "namespace": "n"},
            "spec": {
                "podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"port": 1, "protocol": "TCP"}]}],
            },
        }),
    );
    let of = |path: &str, value: Value| {
        let mut live = desired.body.clone();
        let (above, key) = path.rsplit_once('/').unwrap();
        live.pointer_mut(above).unwrap()[key] = value;
        let foreign: Vec<_> = desired.foreign(&live).collect();
        let foreign = foreign.iter().map(|(field, key)| format!("{field}.{key}"));
        (desired.difference(&live), foreign.collect::<String>())
    };
    let said = |path: &str| Some(path.to_owned());
    let nothing = String::new;
    assert_eq!(of("/metadata/uid", json!("1")), (None, nothing()));
    assert_eq!(
        of("/spec/podSelector/matchLabels/c", json!("d")),
        (said(".spec.podSelector.matchLabels.c"), nothing())
    );
    assert_eq!(
        of("/spec/ingress/0/from", json!([{"podSelector": {}}])).0,
        said(".spec.ingress[0].from")
    );
    assert_eq!(
        of("/spec/ingress/0/ports/0/endPort", json!(9)).0,
        said(".spec.ingress[0].ports[0].endPort")
    );
    assert_eq!(
        of("/spec/egress", json!([{}])),
        (said(".spec.egress"), "spec.egress".to_owned())
    );
}
