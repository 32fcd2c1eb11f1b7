//! Whatever is submitted and whatever policies say: an answer, and never a panic.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{Input, Policies, validate_policy};
use super::{Known, request};
use crate::admission::Operation;
use crate::lookup::Unknown;
use crate::v1beta2::{ClusterPolicy, PolicyKind};

/// Words that lead somewhere, so that chance meets rules.
const WORDS: [&str; 24] = [
    "spec",
    "metadata",
    "labels",
    "annotations",
    "replicas",
    "version",
    "image",
    "service",
    "type",
    "storage",
    "etcd",
    "resources",
    "requests",
    "limits",
    "cpu",
    "memory",
    "expiry",
    "mounts",
    "hostPath",
    "persistence",
    "reference",
    "team",
    "deletionTimestamp",
    "name",
];

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(ToOwned::to_owned),
        "\\PC{0,12}",
        prop::sample::select(vec![
            "1Gi",
            "v1.36.3",
            "24h",
            "0s",
            "NodePort",
            "quay.io/a",
            "[",
            ">=1.35 <1.37",
            "spec.a[*].b",
            "object.spec.replicas > 1",
            "object.spec.mounts.all(m, has(m.path))",
            "1 +",
            "-1",
            "1e999",
        ])
        .prop_map(ToOwned::to_owned),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Something shaped as a Cluster, with anything in its places.
fn any_object() -> impl Strategy<Value = Value> {
    let field = (prop::sample::select(WORDS.to_vec()), any_json());
    (prop::collection::vec(field, 0..8), any_json(), any_json()).prop_map(
        |(fields, metadata, other)| {
            let spec: Map<String, Value> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect();
            json!({"metadata": metadata, "spec": spec, "other": other})
        },
    )
}

fn any_policy() -> impl Strategy<Value = ClusterPolicy> {
    let texts = || prop::collection::vec(text(), 0..3);
    let required = || {
        let one = (text(), texts(), prop::option::of(text())).prop_map(
            |(key, values, pattern)| json!({"key": key, "values": values, "pattern": pattern}),
        );
        prop::collection::vec(one, 0..2)
    };
    let bounds = || (prop::option::of(text()), prop::option::of(text()));
    let rule =
        (text(), text(), prop::option::of(text())).prop_map(|(name, expression, message)| {
            json!({"name": name, "expression": expression, "messageExpression": message,
            "kinds": ["Cluster", "JoinTokenRequest"]})
        });
    (
        (texts(), texts(), texts(), texts(), prop::option::of(text())),
        (required(), required(), bounds(), bounds(), text()),
        (any::<Option<i32>>(), any::<Option<i32>>(), prop::collection::vec(rule, 0..3)),
        (prop::collection::btree_map(text(), text(), 0..3), any_json(), text(), text()),
    )
        .prop_map(
            |(
                (versions, images, fields, persistence, life),
                (labels, annotations, requests, limits, resource),
                (min, max, rules),
                (defaults, spec, key, operator),
            )| {
                let spec = if spec.is_object() { spec } else { json!({}) };
                let resources = json!({
                    "requests": {resource.clone(): {"min": requests.0, "max": requests.1}},
                    "limits": {resource: {"min": limits.0, "max": limits.1}},
                });
                serde_json::from_value(json!({
                    "apiVersion": "k0smotron.io/v1beta2", "kind": "ClusterPolicy",
                    "metadata": {"name": "any"},
                    "spec": {
                        "namespaceSelector": {"matchExpressions": if key.len() > 3 { json!([{"key": key, "operator": operator}]) } else { json!([]) }},
                        "versions": versions, "images": images, "forbiddenFields": fields,
                        "persistenceTypes": persistence, "maxTokenLifetime": life,
                        "requiredLabels": labels, "requiredAnnotations": annotations,
                        "resources": {"controlPlane": resources, "etcd": resources},
                        "replicas": {"min": min, "max": max},
                        "namespaceLimits": {"clusters": max, "replicas": min},
                        "defaults": {"labels": defaults, "spec": spec}, "rules": rules,
                    },
                }))
                .unwrap()
            },
        )
}

/// Everything that is in `before` is in `after`, as it was.
fn kept(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => before.iter().all(|(key, before)| {
            before.is_null() || after.get(key).is_some_and(|after| kept(before, after))
        }),
        (before, after) => before == after,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_policy_has_an_answer_to_any_object(
        policy in any_policy(), object in any_object(), old in prop::option::of(any_object()), scale in any::<bool>(),
    ) {
        let _ = validate_policy(&policy);
        let policies = Policies::new([&policy]);
        for kind in [PolicyKind::Cluster, PolicyKind::JoinTokenRequest] {
            let mut request = request(&object, old.as_ref());
            request.sub_resource = scale.then_some("scale");
            let outcome = policies.decide(&Input { request: &request, kind, mothership: &Known::default() });
            let texts = outcome.errors.iter().map(ToString::to_string);
            for text in texts.chain(outcome.warnings) {
                prop_assert!(text.contains("policy \"any\""), "{text}");
            }
        }
    }

    #[test]
    fn defaults_never_overwrite_and_are_done_in_one_go(policy in any_policy(), object in any_object()) {
        let policies = Policies::new([&policy]);
        let mut request = request(&object, None);
        request.operation = Operation::Create;
        let input = Input { request: &request, kind: PolicyKind::Cluster, mothership: &Unknown };
        let mut filled = object.clone();
        let changed = policies.apply_defaults(&input, &mut filled);
        prop_assert_eq!(changed, filled != object);
        prop_assert!(kept(&object, &filled), "{} became {}", object, filled);
        let mut again = filled.clone();
        prop_assert!(!policies.apply_defaults(&input, &mut again));
        prop_assert_eq!(again, filled);
    }

    #[test]
    fn reading_any_policy_says_the_same_twice(policy in any_policy()) {
        let policies = Policies::new([&policy]);
        let faults = policies.faults("any").unwrap().to_vec();
        let all = validate_policy(&policy);
        prop_assert!(faults.iter().all(|fault| all.contains(fault)));
    }
}
