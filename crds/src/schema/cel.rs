//! Rules in the schema, for what one object shows by itself: they hold without any webhook.
//!
//! A rule may only refuse what could never have worked: objects written for earlier releases have
//! to stay acceptable. A name cannot be changed, and whatever is stored has to be able to go: its
//! finalizers are taken off by an update, so names are looked at once. What depends on the mothership's settings is left to
//! [`crate::validation`], and what upstream let through by accident to conditions.

use kube::core::Rule;
use schemars::Schema;
use serde_json::{Value, json};

pub fn cluster_name_has_no_dot() -> Rule {
    of_new("!self.metadata.name.contains('.')")
        .message("metadata.name: must not contain a dot, because Services are named after it")
}

/// The pods carry the StatefulSet's name plus a revision of at least eight digits as a label value,
/// which ends at 63 characters: with a longer name there can be no pod at all.
pub fn cluster_name_fits() -> Rule {
    of_new("size(self.metadata.name) <= 50").message(
        "metadata.name: must be no longer than 50 characters, because pod labels are made from it",
    )
}

/// The Secret with the token carries the request's name as a label value.
pub fn join_token_request_name_fits() -> Rule {
    of_new("size(self.metadata.name) <= 63").message(
        "metadata.name: must be no longer than 63 characters, because a label is made from it",
    )
}

fn of_new(rule: &str) -> Rule {
    Rule::new(format!("oldSelf.hasValue() || {rule}")).optional_old_self(true)
}

// The defaults of the whole spec are checked as they are written, without the defaults below them:
// hence the `has`.
pub fn service(schema: &mut Schema) {
    add(
        schema,
        &[
            (
                "!has(self.apiPort) || self.apiPort != 0 || self.type == 'NodePort'",
                ".apiPort",
                "0 lets the API server choose a port, which works with type NodePort only",
            ),
            (
                "!has(self.konnectivityPort) || self.konnectivityPort != 0 || self.type == 'NodePort'",
                ".konnectivityPort",
                "0 lets the API server choose a port, which works with type NodePort only",
            ),
            (
                "!has(self.apiPort) || !has(self.konnectivityPort) || self.apiPort == 0 || self.apiPort != self.konnectivityPort",
                ".konnectivityPort",
                "must differ from apiPort",
            ),
        ],
    );
}

pub fn persistence(schema: &mut Schema) {
    add(
        schema,
        &[
            (
                "self.type != 'pvc' || has(self.persistentVolumeClaim)",
                ".persistentVolumeClaim",
                "required with type pvc",
            ),
            (
                "self.type != 'hostPath' || (has(self.hostPath) && self.hostPath != '')",
                ".hostPath",
                "required with type hostPath",
            ),
        ],
    );
}

pub fn k0s_config(schema: &mut Schema) {
    add(
        schema,
        &[(
            "!has(self.apiVersion) || self.apiVersion == 'k0s.k0sproject.io/v1beta1'",
            ".apiVersion",
            "must be k0s.k0sproject.io/v1beta1",
        )],
    );
}

pub fn expiry(schema: &mut Schema) {
    schema.insert("maxLength".to_owned(), json!(128));
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        json!([{
            "rule": r"self.matches('^[+]?(0|(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$')",
            "message": "must be a duration such as 24h or 1h30m; 0s means for ever",
        }]),
    );
}

pub fn policy(schema: &mut Schema) {
    let ordered = "!has(self.replicas) || !has(self.replicas.min) || !has(self.replicas.max) || self.replicas.min <= self.replicas.max";
    let not_for_ever = "!has(self.maxTokenLifetime) || self.maxTokenLifetime.matches('^(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$')";
    add(
        schema,
        &[
            (ordered, ".replicas", "min must not be more than max"),
            (
                not_for_ever,
                ".maxTokenLifetime",
                "must be a duration such as 24h or 1h30m",
            ),
        ],
    );
}

fn add(schema: &mut Schema, rules: &[(&str, &str, &str)]) {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(rule, path, message)| json!({"rule": rule, "fieldPath": path, "message": message}))
        .collect();
    schema.insert("x-kubernetes-validations".to_owned(), Value::Array(rules));
}
