//! Bounds of requests and limits.

use std::collections::BTreeMap;

use serde_json::Value;

use super::texts;
use super::typed::Breach;
use crate::v1beta2::{QuantityBounds, ResourceLimits, ResourcePolicy, StorageType};
use crate::validation::quantity::amount;

pub(super) fn check(policy: &ResourcePolicy, object: &Value) -> Vec<Breach> {
    let mut breaches = Vec::new();
    if let Some(limits) = &policy.control_plane {
        container(&mut breaches, limits, object, "spec.resources");
    }
    let etcd = StorageType::Etcd.as_str();
    if let Some(limits) = &policy.etcd
        && texts::filled(object, "/spec/storage/type", etcd) == etcd
    {
        container(&mut breaches, limits, object, "spec.storage.etcd.resources");
    }
    breaches
}

fn container(breaches: &mut Vec<Breach>, policy: &ResourceLimits, object: &Value, path: &str) {
    let found = path
        .split('.')
        .try_fold(object, |at, step| at.get(step))
        .unwrap_or(&Value::Null);
    // A request that is left out is the limit, as Kubernetes fills it in.
    bounds(
        breaches,
        &policy.requests,
        &format!("{path}.requests"),
        |name| quantity(found, "requests", name).or_else(|| quantity(found, "limits", name)),
        |bounds| bounds.min.is_some(),
    );
    bounds(
        breaches,
        &policy.limits,
        &format!("{path}.limits"),
        |name| quantity(found, "limits", name),
        |_| true,
    );
}

fn quantity(resources: &Value, kind: &str, name: &str) -> Option<String> {
    match resources.get(kind)?.get(name)? {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(texts::shown(other)),
    }
}

fn bounds(
    breaches: &mut Vec<Breach>,
    policy: &BTreeMap<String, QuantityBounds>,
    path: &str,
    found: impl Fn(&str) -> Option<String>,
    required: impl Fn(&QuantityBounds) -> bool,
) {
    for (name, bounds) in policy {
        let path = format!("{path}.{name}");
        match found(name) {
            None if required(bounds) => breaches.push(Breach::missing(path, allowed(bounds))),
            None => {}
            Some(text) if within(&text, bounds) => {}
            Some(text) => {
                breaches.push(Breach::not_allowed(path, &text, allowed(bounds)));
            }
        }
    }
}

fn within(text: &str, bounds: &QuantityBounds) -> bool {
    let Some(found) = amount(text) else {
        return false;
    };
    let min = bounds.min.as_ref().and_then(|min| amount(&min.0));
    let max = bounds.max.as_ref().and_then(|max| amount(&max.0));
    min.is_none_or(|min| found >= min) && max.is_none_or(|max| found <= max)
}

fn allowed(bounds: &QuantityBounds) -> String {
    match (&bounds.min, &bounds.max) {
        (Some(min), Some(max)) => format!("allowed: {} to {}", min.0, max.0),
        (Some(min), None) => format!("at least {}", min.0),
        (None, Some(max)) => format!("at most {}", max.0),
        (None, None) => String::new(),
    }
}
