//! Actions, selection, scale, limits of namespaces, broken policies, defaults.

use std::collections::BTreeMap;

use rstest::rstest;
use serde_json::{Value, json};

use super::super::{Input, Outcome, Policies, validate_policy};
use super::{Known, cluster, create, decide, policies, policy, request, texts, token};
use crate::admission::Operation;
use crate::lookup::{Unknown, Usage};
use crate::v1beta2::PolicyKind;

fn labelled(labels: &[(&str, &str)]) -> Known {
    let labels = labels
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Known {
        labels: labels.collect(),
        ..Known::default()
    }
}

#[test]
fn policies_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Policies>();
}

#[test]
fn an_action_says_what_becomes_of_a_violation() {
    let with = |action: &str| {
        let spec = json!({"action": action, "serviceTypes": ["LoadBalancer"]});
        create(&policies(&spec), &cluster(&json!({})))
    };
    let Outcome {
        errors,
        warnings,
        audits,
    } = with("Enforce");
    assert_eq!((errors.len(), warnings.len(), audits.len()), (1, 0, 0));
    // What is let pass does not read like a refusal.
    let text = errors[0].to_string().replace("Invalid value: ", "");
    assert_ne!(text, errors[0].to_string());
    assert_eq!(with("Warn").warnings, std::slice::from_ref(&text));
    assert_eq!(with("Warn").errors, []);
    assert_eq!(with("Audit").audits, [text]);
    assert_eq!(with("Audit").warnings, Vec::<String>::new());
}

#[test]
fn a_free_rule_can_have_an_action_of_its_own() {
    let outcome = create(
        &policies(&json!({"rules": [
            {"name": "a", "expression": "false", "action": "Warn"},
            {"name": "b", "expression": "false"},
        ]})),
        &cluster(&json!({})),
    );
    assert_eq!(outcome.errors.len(), 1);
    assert_eq!(outcome.warnings.len(), 1);
}

#[rstest]
#[case(json!({}), true)]
#[case(json!({"matchLabels": {"env": "prod"}}), true)]
#[case(json!({"matchLabels": {"env": "test"}}), false)]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "In", "values": ["prod", "stage"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "env", "operator": "DoesNotExist"}]}), false)]
#[case(json!({"matchLabels": {"kubernetes.io/metadata.name": "team-a"}}), true)]
#[case(json!({"matchLabels": {"kubernetes.io/metadata.name": "team-b"}}), false)]
fn a_policy_holds_in_the_namespaces_that_it_selects(
    #[case] selector: Value,
    #[case] selected: bool,
) {
    let policies = policies(&json!({"namespaceSelector": selector, "replicas": {"min": 3}}));
    let outcome = decide(
        &policies,
        &cluster(&json!({})),
        None,
        &labelled(&[("env", "prod")]),
    );
    assert_eq!(!outcome.errors.is_empty(), selected);
}

#[test]
fn a_namespace_that_is_not_known_has_its_name_only() {
    let asked = |selector: Value| {
        let policies = policies(&json!({"namespaceSelector": selector, "replicas": {"min": 3}}));
        let object = cluster(&json!({}));
        let outcome = policies.decide(&Input {
            request: &request(&object, None),
            kind: PolicyKind::Cluster,
            mothership: &Unknown,
        });
        !outcome.errors.is_empty()
    };
    assert!(!asked(json!({"matchLabels": {"env": "prod"}})));
    assert!(asked(
        json!({"matchLabels": {"kubernetes.io/metadata.name": "team-a"}})
    ));
}

#[test]
fn nothing_is_said_about_what_goes() {
    let policies = policies(&json!({"replicas": {"max": 0}}));
    let mut object = cluster(&json!({"replicas": 1}));
    let mut deleted = request(&object, Some(&object));
    deleted.operation = Operation::Delete;
    let mut status = request(&object, None);
    status.sub_resource = Some("status");
    for request in [&deleted, &status] {
        let outcome = policies.decide(&Input {
            request,
            kind: PolicyKind::Cluster,
            mothership: &Unknown,
        });
        assert_eq!(outcome, Outcome::default());
    }
    object["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
    let going = request(&object, Some(&object));
    let outcome = policies.decide(&Input {
        request: &going,
        kind: PolicyKind::Cluster,
        mothership: &Unknown,
    });
    assert_eq!(outcome, Outcome::default());
    // What is new only says so.
    assert_ne!(create(&policies, &object), Outcome::default());
}

fn scale(policies: &Policies, from: i64, to: i64, known: &Known) -> Outcome {
    let scale = |replicas: i64| json!({"kind": "Scale", "spec": {"replicas": replicas}});
    let (new, old) = (scale(to), scale(from));
    let mut request = request(&new, Some(&old));
    request.sub_resource = Some("scale");
    policies.decide(&Input {
        request: &request,
        kind: PolicyKind::Cluster,
        mothership: known,
    })
}

#[test]
fn scale_is_held_against_the_stored_cluster() {
    let policies = policies(&json!({
        "replicas": {"max": 3}, "serviceTypes": ["LoadBalancer"],
        "rules": [{"name": "odd", "expression": "object.spec.replicas % 2 == 1 && request.subResource == 'scale'"}],
    }));
    let stored = cluster(&json!({"replicas": 1, "service": {"type": "NodePort"}}));
    let known = Known {
        cluster: Some(serde_json::from_value(stored).unwrap()),
        ..Known::default()
    };
    let outcome = scale(&policies, 1, 3, &known);
    assert_eq!(texts(&outcome), Vec::<String>::new());
    assert_eq!(outcome.warnings.len(), 1, "the service was so before");
    let outcome = scale(&policies, 1, 4, &known);
    assert_eq!(outcome.errors.len(), 2, "{outcome:?}");
    let outcome = scale(&policies, 1, 5, &Known::default());
    assert_eq!(outcome.errors.len(), 1, "what is not known is not asked");
    let late = cluster(&json!({"replicas": 5, "service": {"type": "LoadBalancer"}}));
    let late = Known {
        cluster: Some(serde_json::from_value(late).unwrap()),
        ..Known::default()
    };
    let outcome = scale(&policies, 1, 5, &late);
    assert_eq!(outcome.errors.len(), 1, "the watch is late: {outcome:?}");
}

#[rstest]
#[case::room(2, 5, 1, true)]
#[case::one_too_many(3, 3, 1, false)]
#[case::pods(1, 8, 3, false)]
#[case::just_fits(1, 7, 3, true)]
fn a_new_cluster_has_to_fit_into_its_namespace(
    #[case] clusters: usize,
    #[case] replicas: i64,
    #[case] wanted: i64,
    #[case] fits: bool,
) {
    let policies = policies(&json!({"namespaceLimits": {"clusters": 3, "replicas": 10}}));
    let known = Known {
        usage: Usage { clusters, replicas },
        ..Known::default()
    };
    let object = cluster(&json!({"replicas": wanted}));
    let outcome = decide(&policies, &object, None, &known);
    assert_eq!(outcome.errors.is_empty(), fits, "{outcome:?}");
}

#[test]
fn only_growth_is_held_against_the_limits_of_a_namespace() {
    let policies = policies(&json!({"namespaceLimits": {"clusters": 1, "replicas": 4}}));
    let known = Known {
        usage: Usage {
            clusters: 7,
            replicas: 9,
        },
        ..Known::default()
    };
    assert_eq!(texts(&scale(&policies, 5, 3, &known)), Vec::<String>::new());
    assert_eq!(texts(&scale(&policies, 3, 3, &known)), Vec::<String>::new());
    assert_eq!(
        texts(&scale(&policies, 3, 5, &known)),
        [
            "spec.replicas: Invalid value: \"5\": not allowed by policy \"teams\", rule namespaceLimits (at most 4 control-plane pods in this namespace, whose other clusters have 9)"
        ]
    );
}

#[rstest]
#[case(json!({"versions": ["latest"]}), "spec.versions[0]")]
#[case(json!({"images": ["k0sproject"]}), "spec.images[0]")]
#[case(json!({"forbiddenFields": ["status.x"]}), "spec.forbiddenFields[0]")]
#[case(json!({"requiredLabels": [{"key": "a", "pattern": "["}]}), "spec.requiredLabels[0].pattern")]
#[case(json!({"resources": {"etcd": {"limits": {"cpu": {"max": "much"}}}}}), "spec.resources.etcd.limits.cpu.max")]
#[case(json!({"rules": [{"name": "a", "expression": "object.spec ="}]}), "spec.rules[0].expression")]
#[case(json!({"rules": [{"name": "a", "expression": "true", "messageExpression": "nobody"}]}), "spec.rules[0].messageExpression")]
#[case(json!({"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Near"}]}, "replicas": {"max": 1}}), "spec.namespaceSelector")]
fn a_policy_that_cannot_be_read_holds_back_what_is_new_only(
    #[case] spec: Value,
    #[case] path: &str,
) {
    let faults = validate_policy(&policy("teams", &spec));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, path);
    let policies = policies(&spec);
    assert_eq!(policies.faults("teams"), Some(faults.as_slice()));
    let object = cluster(&json!({"replicas": 1}));
    let outcome = create(&policies, &object);
    let text = outcome.errors[0].to_string();
    assert!(text.contains("policy \"teams\" is invalid"), "{text}");
    assert!(text.contains(path), "{text}");
    let outcome = decide(&policies, &object, Some(&object), &Known::default());
    assert_eq!(texts(&outcome), Vec::<String>::new());
    assert!(!outcome.warnings.is_empty());
}

#[rstest]
#[case(json!({"maxTokenLifetime": "0s"}), "spec.maxTokenLifetime")]
#[case(json!({"maxTokenLifetime": "a day"}), "spec.maxTokenLifetime")]
#[case(json!({"replicas": {"min": 3, "max": 1}}), "spec.replicas")]
#[case(json!({"requiredLabels": [{"key": "a b"}]}), "spec.requiredLabels[0].key")]
#[case(json!({"rules": [{"name": "a", "expression": "true"}, {"name": "a", "expression": "true"}]}), "spec.rules[1].name")]
#[case(json!({"rules": [{"name": "A b", "expression": "true"}]}), "spec.rules[0].name")]
#[case(json!({"defaults": {"labels": {"a b": "c"}}}), "spec.defaults.labels[a b]")]
#[case(json!({"defaults": {"labels": {"Example.com/a": "c"}}}), "spec.defaults.labels[Example.com/a]")]
#[case(json!({"defaults": {"labels": {"a": "b c"}, "annotations": {"Example.com/a": "b c"}}}), "spec.defaults.labels[a]")]
#[case(json!({"requiredLabels": [{"key": "Example.com/a"}], "requiredAnnotations": [{"key": "Example.com/a"}]}), "spec.requiredLabels[0].key")]
#[case(json!({"defaults": {"spec": {"replicas": 3}}}), "spec.defaults.spec.replicas")]
#[case(json!({"defaults": {"spec": {"service": {"type": "LoadBalancer"}}}}), "spec.defaults.spec.service.type")]
#[case(json!({"defaults": {"spec": {"replica": 3}}}), "spec.defaults.spec.replica")]
#[case(json!({"defaults": {"spec": {"controlPlaneFlags": "--debug"}}}), "spec.defaults.spec")]
#[case(json!({"resources": {"etcd": {"limits": {"cpu": {"min": 2, "max": 1}}}}}), "spec.resources.etcd.limits.cpu")]
fn what_makes_no_sense_is_refused_at_the_policys_own_admission(
    #[case] spec: Value,
    #[case] path: &str,
) {
    let faults = validate_policy(&policy("teams", &spec));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!(faults[0].path, path);
}

#[test]
fn a_fault_of_an_expression_has_line_and_column() {
    let spec =
        json!({"rules": [{"name": "a", "expression": "object.spec.replicas == 1 &&\n  self.x"}]});
    let faults = validate_policy(&policy("teams", &spec));
    assert!(
        faults[0]
            .message
            .starts_with("line 2, column 3: unknown variable \"self\""),
        "{faults:?}"
    );
}

#[test]
fn a_policy_about_clusters_has_nothing_to_say_about_tokens() {
    let policies = policies(&json!({"versions": ["latest"], "replicas": {"max": 0}}));
    assert_eq!(create(&policies, &token("0s")), Outcome::default());
}

fn fill(spec: &[Value], object: &mut Value, operation: Operation) -> bool {
    let list = spec.iter().enumerate();
    let policies = Policies::new(
        list.map(|(index, defaults)| policy(&format!("p{index}"), &json!({"defaults": defaults}))),
    );
    let submitted = object.clone();
    let mut request = request(&submitted, None);
    request.operation = operation;
    let input = Input {
        request: &request,
        kind: super::kind(&submitted),
        mothership: &Unknown,
    };
    policies.apply_defaults(&input, object)
}

#[test]
fn defaults_fill_in_what_is_left_out_and_nothing_else() {
    let defaults = [
        json!({"labels": {"team": "none", "tier": "b"}, "spec": {
            "version": "v1.35.1", "resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}}),
        json!({"labels": {"tier": "c", "x": "y"}, "spec": {"version": "v1.36.0"}}),
    ];
    let mut object = cluster(&json!({"resources": {"requests": {"cpu": "2"}}}));
    object["metadata"]["labels"] = json!({"team": "web"});
    assert!(fill(&defaults, &mut object, Operation::Create));
    assert_eq!(
        object["metadata"]["labels"],
        json!({"team": "web", "tier": "b", "x": "y"})
    );
    assert_eq!(
        object["spec"],
        json!({"version": "v1.35.1", "resources": {"requests": {"cpu": "2", "memory": "1Gi"}}})
    );
    let again = object.clone();
    assert!(!fill(&defaults, &mut object, Operation::Create));
    assert_eq!(object, again);
}

#[test]
fn defaults_are_for_new_clusters_only() {
    let defaults = [json!({"spec": {"version": "v1.35.1"}})];
    let mut object = cluster(&json!({}));
    assert!(!fill(&defaults, &mut object, Operation::Update));
    let mut request = token("1h");
    assert!(!fill(&defaults, &mut request, Operation::Create));
}

#[test]
fn what_is_met_is_reported_as_well() {
    let policies = policies(&json!({
        "replicas": {"max": 3}, "storageTypes": ["etcd"], "namespaceLimits": {"clusters": 1},
        "rules": [{"name": "one", "expression": "object.spec.replicas == 1"}],
    }));
    let object = cluster(&json!({"replicas": 2}));
    let mut found = BTreeMap::new();
    let request = request(&object, None);
    let input = Input {
        request: &request,
        kind: PolicyKind::Cluster,
        mothership: &Unknown,
    };
    policies.check(&input, &mut |finding| {
        found.insert(finding.rule, finding.errors.len());
    });
    let wanted = [
        ("namespaceLimits", 0),
        ("one", 1),
        ("replicas", 0),
        ("storageTypes", 0),
    ];
    assert_eq!(found, BTreeMap::from(wanted));
}
