//! A policy in sentences. Pure.

use std::fmt::Write as _;

use crds::v1beta2::{
    ClusterDefaults, ClusterPolicy, ClusterPolicySpec, ClusterPolicyStatus, NamespaceLimits,
    PolicyAction, PolicyKind, PolicyRule, QuantityBounds, RequiredKey, ResourceLimits,
};
use serde_json::Value;

use crate::commands::policy::phrases;

/// A title and what stands below it.
type Section = (&'static str, Vec<String>);

/// What a policy says, for whom, and what breaks it now; lines that are ended.
pub fn explain(policy: &ClusterPolicy) -> String {
    let spec = &policy.spec;
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    let place = match phrases::selector(spec.namespace_selector.as_ref()) {
        None => "every namespace".to_owned(),
        Some(labels) => format!("namespaces with {labels}"),
    };
    let mut text = format!("Policy {name} holds in {place}. {}\n", fate(spec.action));
    let status = policy.status.clone().unwrap_or_default();
    for warning in warnings(&status, policy.metadata.generation) {
        push(&mut text, &warning);
    }
    for unread in &spec.unread {
        let (field, reason) = (&unread.field, &unread.reason);
        push(
            &mut text,
            &format!("This program does not understand all of it: {field}: {reason}"),
        );
    }
    let sections = sections(spec);
    if sections.iter().all(|(_, lines)| lines.is_empty()) {
        push(
            &mut text,
            "It says nothing: it has neither rules nor defaults.",
        );
    }
    let violations = ("", violations(&status));
    for (title, lines) in sections.into_iter().chain([violations]) {
        let Some((first, rest)) = lines.split_first() else {
            continue;
        };
        if title.is_empty() {
            push(&mut text, first);
        } else {
            push(&mut text, title);
            item(&mut text, first);
        }
        for line in rest {
            item(&mut text, line);
        }
    }
    text
}

fn push(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// An entry below a title; its further lines are indented as far as its first.
fn item(text: &mut String, entry: &str) {
    for (index, line) in entry.lines().enumerate() {
        let start = if index == 0 { "  - " } else { "    " };
        let _ = writeln!(text, "{start}{line}");
    }
}

/// What becomes of an object that breaks a policy.
fn fate(action: PolicyAction) -> &'static str {
    match action {
        PolicyAction::Enforce => "What breaks it is refused.",
        PolicyAction::Warn => "What breaks it is accepted, and its author is warned.",
        PolicyAction::Audit => "What breaks it is accepted, and counted here.",
    }
}

fn warnings(status: &ClusterPolicyStatus, generation: Option<i64>) -> Vec<String> {
    let broken = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Ready" && condition.status == "False")
        .map(|condition| {
            format!(
                "It is invalid, so every new object counts as breaking it: {}",
                condition.message
            )
        });
    let stale = status
        .observed_generation
        .zip(generation)
        .filter(|(observed, generation)| observed < generation)
        .map(|_| "It was changed since existing objects were looked at.".to_owned());
    broken.into_iter().chain(stale).collect()
}

fn sections(spec: &ClusterPolicySpec) -> [Section; 5] {
    [
        ("It allows only:", allowed(spec)),
        ("It requires:", required(spec)),
        (
            "It forbids these fields, in Clusters and JoinTokenRequests:",
            spec.forbidden_fields.clone(),
        ),
        (
            "Where a new Cluster says nothing, it gets:",
            spec.defaults.as_ref().map(defaults).unwrap_or_default(),
        ),
        (
            "It asks besides (CEL; true is what is allowed):",
            spec.rules.iter().map(free).collect(),
        ),
    ]
}

fn allowed(spec: &ClusterPolicySpec) -> Vec<String> {
    let mut lines = Vec::new();
    let mut one_of = |items: &[String], before: &str, field: &str| {
        if !items.is_empty() {
            lines.push(format!("{before} {} ({field})", phrases::either(items)));
        }
    };
    let ranges: Vec<String> = spec
        .versions
        .iter()
        .map(|range| format!("{range:?}"))
        .collect();
    one_of(&ranges, "Kubernetes in the range", "spec.version");
    one_of(
        &spec.images,
        "images from",
        "spec.image, etcd's and the helpers'",
    );
    let services: Vec<String> = spec.service_types.iter().map(ToString::to_string).collect();
    one_of(&services, "Services of type", "spec.service.type");
    let storage: Vec<String> = spec.storage_types.iter().map(ToString::to_string).collect();
    one_of(&storage, "storage of type", "spec.storage.type");
    one_of(
        &spec.persistence_types,
        "persistence of type",
        "spec.persistence.type",
    );
    let replicas = spec.replicas;
    let replicas = replicas.and_then(|bounds| phrases::replicas(bounds.min, bounds.max));
    lines.extend(replicas.map(|bounds| format!("{bounds} (spec.replicas)")));
    if let Some(bounds) = &spec.resources {
        resources(
            bounds.control_plane.as_ref(),
            "control-plane pods",
            "spec.resources",
            &mut lines,
        );
        let field = "spec.storage.etcd.resources";
        resources(bounds.etcd.as_ref(), "etcd pods", field, &mut lines);
    }
    if let Some(limits) = &spec.namespace_limits {
        lines.extend(of_namespace(limits));
    }
    lines.extend(
        spec.max_token_lifetime.as_ref().map(|longest| {
            format!("join tokens that are valid for {longest} at most (spec.expiry)")
        }),
    );
    lines
}

/// What a namespace may have altogether.
pub fn of_namespace(limits: &NamespaceLimits) -> Vec<String> {
    let clusters = limits.clusters.map(|most| {
        let counted = phrases::counted(most.into(), "Cluster", "Clusters");
        format!("{counted} in a namespace at most")
    });
    let replicas = limits.replicas.map(|most| {
        let counted = phrases::counted(most.into(), "control-plane pod", "control-plane pods");
        format!("{counted} of all Clusters in a namespace at most")
    });
    clusters.into_iter().chain(replicas).collect()
}

fn resources(limits: Option<&ResourceLimits>, whose: &str, field: &str, lines: &mut Vec<String>) {
    let Some(limits) = limits else {
        return;
    };
    for (what, bounds) in [("request", &limits.requests), ("limit", &limits.limits)] {
        for (resource, QuantityBounds { min, max }) in bounds {
            let min = min.as_ref().map(|quantity| &quantity.0);
            let max = max.as_ref().map(|quantity| &quantity.0);
            if let Some(bounds) = phrases::bounds(min, max) {
                lines.push(format!(
                    "{whose} whose {resource} {what} is {bounds} ({field})"
                ));
            }
        }
    }
}

fn required(spec: &ClusterPolicySpec) -> Vec<String> {
    let labels = spec
        .required_labels
        .iter()
        .map(|key| key_with("label", key));
    let annotations = spec.required_annotations.iter();
    labels
        .chain(annotations.map(|key| key_with("annotation", key)))
        .collect()
}

fn key_with(kind: &str, required: &RequiredKey) -> String {
    let values = match required.values.as_slice() {
        [] => String::new(),
        values => format!(" with {}", phrases::either(values)),
    };
    let pattern = required.pattern.as_ref();
    let pattern = pattern.map(|pattern| format!(" that matches {pattern}"));
    let key = &required.key;
    format!("the {kind} {key}{values}{}", pattern.unwrap_or_default())
}

fn defaults(defaults: &ClusterDefaults) -> Vec<String> {
    let labels = defaults.labels.iter();
    let labels = labels.map(|(key, value)| format!("the label {key}={value}"));
    let annotations = defaults.annotations.iter();
    let annotations = annotations.map(|(key, value)| format!("the annotation {key}={value}"));
    let mut lines: Vec<String> = labels.chain(annotations).collect();
    for (key, value) in &defaults.spec {
        leaves(&format!("spec.{key}"), value, &mut lines);
    }
    lines
}

/// Fields inside objects are filled in one by one, anything else as a whole.
fn leaves(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                leaves(&format!("{path}.{key}"), value, lines);
            }
        }
        other => lines.push(format!("{path}: {other}")),
    }
}

fn free(rule: &PolicyRule) -> String {
    let others = rule.kinds != [PolicyKind::Cluster];
    let about = others.then(|| format!("of {}", phrases::kinds(&rule.kinds)));
    let fate = rule.action.map(|action| {
        let fate = match action {
            PolicyAction::Enforce => "refused",
            PolicyAction::Warn => "warned about",
            PolicyAction::Audit => "counted",
        };
        format!("what breaks it is {fate}")
    });
    let notes: Vec<String> = about.into_iter().chain(fate).collect();
    let name = &rule.name;
    let title = match notes.as_slice() {
        [] => format!("{name}:"),
        notes => format!("{name} ({}):", notes.join("; ")),
    };
    let field = rule.field_path.as_deref().unwrap_or("spec");
    let said = match (&rule.message_expression, &rule.message) {
        (Some(made), Some(message)) => Some(format!("what {} makes, or {message:?}", made.trim())),
        (Some(made), None) => Some(format!("what {} makes", made.trim())),
        (None, Some(message)) => Some(format!("{message:?}")),
        (None, None) => None,
    };
    let said = match said {
        Some(said) => Some(format!("says of {field}: {said}")),
        None => rule
            .field_path
            .is_some()
            .then(|| format!("is about {field}")),
    };
    let expression = rule.expression.trim_end().lines();
    let lines = std::iter::once(title).chain(expression.map(|line| format!("  {line}")));
    lines.chain(said).collect::<Vec<_>>().join("\n")
}

/// What exists and breaks it: a sentence, and then the objects.
fn violations(status: &ClusterPolicyStatus) -> Vec<String> {
    let looked = status.last_audit.as_ref().map_or_else(String::new, |time| {
        format!(" (looked at {})", time.0.strftime("%Y-%m-%dT%H:%M:%SZ"))
    });
    let Some(count) = status.violations else {
        return vec!["Nobody has looked yet at what exists and breaks it.".to_owned()];
    };
    if count == 0 {
        return vec![format!("Nothing that exists breaks it{looked}.")];
    }
    let counted = phrases::counted(count, "existing object breaks", "existing objects break");
    let mut lines = vec![format!("{counted} it{looked}:")];
    for object in &status.violating {
        lines.push(format!(
            "{} {}/{}: {}",
            object.kind, object.namespace, object.name, object.message
        ));
    }
    let named = i64::try_from(status.violating.len()).unwrap_or_default();
    if count > named {
        lines.push(format!("and {} more", count - named));
    }
    lines
}

#[cfg(test)]
mod tests;
