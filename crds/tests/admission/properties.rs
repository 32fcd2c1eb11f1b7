//! What holds of any object.

use crds::admission::{Kind, Operation, default, validate, validate_new};
use crds::lookup::Unknown;
use crds::version::K0sVersion;
use proptest::prelude::*;
use serde_json::Value;

use crate::conflicts::full;
use crate::objects::{any_json, broken, faults, token, whole};
use crate::request;

const OPERATIONS: [Operation; 3] = [Operation::Create, Operation::Update, Operation::Delete];

/// Every decision there is about a change from one object to another.
fn decide(kind: Kind, old: &Value, new: &Value) {
    for operation in OPERATIONS {
        for sub_resource in [None, Some("scale"), Some("status")] {
            let mut request = request(operation, Some(old), Some(new));
            request.sub_resource = sub_resource;
            let _ = default(kind, &request);
            let _ = validate(kind, &request, &Unknown);
            let _ = validate(kind, &request, &full());
        }
    }
}

fn is_idempotent(kind: Kind, object: &Value) -> Result<(), TestCaseError> {
    for operation in OPERATIONS {
        if let Some(once) = default(kind, &request(operation, Some(object), Some(object))) {
            let again = default(kind, &request(operation, Some(object), Some(&once)));
            prop_assert_eq!(again, None);
        }
    }
    Ok(())
}

/// Whether everything that `before` says is in `after` as well; a null says nothing.
fn keeps(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Null, _) => true,
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(name, value)| {
            value.is_null()
                || value == ""
                || after.get(name).is_some_and(|after| keeps(value, after))
        }),
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .zip(after)
                    .all(|(before, after)| keeps(before, after))
        }
        (before, after) => before == after,
    }
}

fn version() -> impl Strategy<Value = String> {
    let pre = prop_oneof![Just(String::new()), "-(alpha|beta|rc)\\.[0-3]"];
    let end = prop_oneof![Just(String::new()), "[+-]k0s\\.[0-3]", "-k0s\\.[0-3]-[a-c]"];
    (0..3_u32, 0..3_u32, pre, end)
        .prop_map(|(minor, patch, pre, end)| format!("v1.{minor}.{patch}{pre}{end}"))
}

proptest! {
    #[test]
    fn a_broken_cluster_is_decided_about(old in faults(), new in faults()) {
        decide(Kind::Cluster, &broken(whole(), &old), &broken(whole(), &new));
    }

    #[test]
    fn a_broken_request_is_decided_about(old in faults(), new in faults()) {
        decide(Kind::JoinTokenRequest, &broken(token(), &old), &broken(token(), &new));
    }

    #[test]
    fn any_json_is_decided_about(old in any_json(), new in any_json()) {
        for kind in Kind::ALL {
            decide(kind, &old, &new);
        }
    }

    #[test]
    fn the_text_of_a_new_object_says_what_its_tree_says(faults in faults(), other in any_json()) {
        for (kind, object) in [
            (Kind::Cluster, whole()),
            (Kind::Cluster, broken(whole(), &faults)),
            (Kind::JoinTokenRequest, token()),
            (Kind::JoinTokenRequest, broken(token(), &faults)),
            (Kind::Cluster, other),
        ] {
            // Both from the text: a fraction that is written and read need not be the same one.
            let text = object.to_string();
            let object: Value = serde_json::from_str(&text).unwrap();
            let request = request(Operation::Create, None, Some(&object));
            let tree = validate(kind, &request, &full());
            match validate_new(kind, &request, &text, &full()) {
                Some(text) => prop_assert_eq!(text, tree),
                // What cannot be read is refused, with the place.
                None => prop_assert!(!tree.errors.is_empty(), "{}", object),
            }
        }
    }

    #[test]
    fn filling_in_twice_changes_nothing(faults in faults(), other in any_json()) {
        is_idempotent(Kind::Cluster, &broken(whole(), &faults))?;
        is_idempotent(Kind::JoinTokenRequest, &broken(token(), &faults))?;
        is_idempotent(Kind::Cluster, &other)?;
    }

    #[test]
    fn filling_in_overwrites_nothing(faults in faults()) {
        let object = broken(whole(), &faults);
        if let Some(after) = default(Kind::Cluster, &request(Operation::Create, None, Some(&object))) {
            prop_assert!(keeps(&object, &after), "{object} {after}");
        }
    }

    #[test]
    fn the_order_of_versions_is_total(one in version(), two in version(), three in version()) {
        let read = |text: &str| text.parse::<K0sVersion>().unwrap();
        let (one, two, three) = (read(&one), read(&two), read(&three));
        prop_assert_eq!(one.cmp(&two), two.cmp(&one).reverse());
        prop_assert_eq!(one == two, one.cmp(&two).is_eq());
        if one <= two && two <= three {
            prop_assert!(one <= three);
        }
        prop_assert!(!(one.is_older_than(&two) && two.is_older_than(&one)));
    }

    #[test]
    fn all_spellings_of_a_version_are_one(minor in 0..99_u32, patch in 0..99_u32) {
        let read = |end: &str| format!("v1.{minor}.{patch}{end}").parse::<K0sVersion>().unwrap();
        prop_assert_eq!(read("+k0s.0"), read("-k0s.0"));
        prop_assert_eq!(read("+k0s.0"), read(""));
        prop_assert!(read("-rc.1+k0s.0") < read(""));
    }
}
