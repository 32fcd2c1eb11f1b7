//! What a merge brought is taken out again.

use crate::kubeconfig::merge::tests::*;

#[test]
fn what_a_merge_brought_is_taken_out_and_nothing_else() {
    for text in [COMMENTED, "kind: Config\nclusters: []\nusers: [] # none\n"] {
        let merged = merge(text, &entry(), &owner(), "demo", Current::Switch).unwrap();
        let removed = remove(&merged.text, &owner(), None).unwrap().unwrap();
        assert_eq!(removed.contexts, ["demo"]);
        assert!(removed.was_current && !removed.lost_comments);
        let mut wanted = value(text);
        wanted["current-context"] = json!("");
        let mut found = value(&removed.text);
        for key in ["apiVersion", "kind", "contexts"] {
            wanted[key] = found[key].take();
            found[key] = wanted[key].clone();
        }
        assert_eq!(found, wanted, "{}", removed.text);
        assert_eq!(remove(&removed.text, &owner(), None), Ok(None));
    }
    let merged = into(COMMENTED);
    let removed = remove(&merged.text, &owner(), None).unwrap().unwrap();
    assert_eq!(removed.text, COMMENTED);
}

#[test]
fn entries_of_others_and_what_they_need_stay() {
    let merged = into(COMMENTED).text;
    let elsewhere = Owner {
        namespace: "team-b".into(),
        ..owner()
    };
    assert_eq!(remove(&merged, &elsewhere, None), Ok(None));
    assert_eq!(remove(&merged, &owner(), Some("other")), Ok(None));
    let mine = merged.replace(
        "context: {cluster: work, user: me",
        "context: {cluster: demo, user: me",
    );
    assert_ne!(mine, merged);
    let removed = remove(&mine, &owner(), None).unwrap().unwrap();
    let tree = value(&removed.text);
    assert_eq!(tree["clusters"].as_array().unwrap().len(), 2);
    assert_eq!(tree["users"].as_array().unwrap().len(), 1);
    assert_eq!(tree["contexts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_user_has_entries_beside_the_administrators_and_goes_alone() {
    let alice = Owner {
        user: Some("alice".into()),
        ..owner()
    };
    let lesser = entry().of("CERTIFICATE", "KEY");
    let both = into(COMMENTED).text;
    let taken = merge(&both, &lesser, &alice, "demo", Current::IfNone).unwrap_err();
    assert!(matches!(taken, Problem::Taken { .. }), "{taken:?}");
    let both = merge(&both, &lesser, &alice, "demo-alice", Current::IfNone).unwrap();
    let taken = merge(
        &both.text,
        &entry(),
        &owner(),
        "demo-alice",
        Current::IfNone,
    )
    .unwrap_err();
    assert!(matches!(taken, Problem::Taken { .. }), "{taken:?}");
    let users = value(&both.text)["users"].clone();
    let user = users.as_array().unwrap().last().unwrap();
    assert_eq!(user["user"]["client-key-data"], "S0VZ");
    assert_eq!(user["user"].as_object().unwrap().len(), 3, "{user}");

    let bob = Owner {
        user: Some("bob".into()),
        ..owner()
    };
    assert_eq!(remove(&both.text, &bob, None), Ok(None));
    let removed = remove(&both.text, &alice, None).unwrap().unwrap();
    assert_eq!(removed.contexts, ["demo-alice"]);
    assert_eq!(removed.text, into(COMMENTED).text);
    let removed = remove(&both.text, &owner(), None).unwrap().unwrap();
    assert_eq!(removed.contexts, ["demo", "demo-alice"]);
}
