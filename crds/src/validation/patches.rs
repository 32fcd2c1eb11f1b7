//! Rules for `spec.patches`: what can be patched, and with what.

use serde_json::Value;

use super::Errors;
use crate::labels::Component;
use crate::v1beta2::{ClusterSpec, PatchType};

/// Kinds of objects that are made and that a patch is for.
const KINDS: [&str; 6] = [
    "ConfigMap",
    "CronJob",
    "Ingress",
    "PodDisruptionBudget",
    "Service",
    "StatefulSet",
];

const COMPONENTS: [Component; 7] = [
    Component::ControlPlane,
    Component::Etcd,
    Component::ClusterConfig,
    Component::Entrypoint,
    Component::Telemetry,
    Component::Monitoring,
    Component::Ingress,
];

/// What a patch may come to with its aliases, in bytes and in nodes.
const MOST_TEXT: usize = 8 * 1024 * 1024;
const MOST_REPEATED: usize = 10_000;

pub(super) fn validate(errors: &mut Errors, spec: &ClusterSpec) {
    for (index, patch) in spec.patches.iter().enumerate() {
        let content = &patch.patch.content;
        let wrong = match patch.patch.type_ {
            PatchType::Json => read::<json_patch::Patch>(content).err(),
            PatchType::Merge | PatchType::Strategic => match read::<Value>(content) {
                Ok(Value::Object(_)) => None,
                Ok(_) => Some("expected an object".to_owned()),
                Err(error) => Some(error),
            },
        };
        if let Some(wrong) = wrong {
            errors
                .invalid(
                    format!("spec.patches[{index}].patch.content"),
                    shortened(content),
                    format!("cannot be parsed: {wrong}"),
                )
                .hint(match patch.patch.type_ {
                    PatchType::Json => "a list of operations, such as [{op: remove, path: /spec}]",
                    PatchType::Merge | PatchType::Strategic => {
                        "the fields to change, in YAML or JSON"
                    }
                });
        }
    }
}

/// A patch that meets no object is not an error upstream, and hardly meant.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec) {
    for (index, patch) in spec.patches.iter().enumerate() {
        let path = format!("spec.patches[{index}].target");
        let (kind, component) = (&patch.target.kind, &patch.target.component);
        if !KINDS.contains(&kind.as_str()) {
            warnings
                .warning(
                    format!("{path}.kind"),
                    kind,
                    "matches no kind of object that the controller creates",
                )
                .hint(format!("one of {}", KINDS.join(", ")));
        }
        if !COMPONENTS.iter().any(|known| known.as_str() == component) {
            let all: Vec<_> = COMPONENTS.iter().map(|known| known.as_str()).collect();
            warnings
                .warning(
                    format!("{path}.component"),
                    component,
                    "matches no component that the controller creates objects for",
                )
                .hint(format!("one of {}", all.join(", ")));
        }
    }
}

fn read<T: serde::de::DeserializeOwned>(content: &str) -> Result<T, String> {
    // Aliases have a short text stand for a long one.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_total_scalar_bytes: MOST_TEXT },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MOST_REPEATED },
    };
    let value: Value = serde_saphyr::from_str_with_options(content, options)
        .map_err(|error| first_line(&error))?;
    serde_json::from_value(value).map_err(|error| first_line(&error))
}

fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

fn shortened(content: &str) -> String {
    const LONGEST: usize = 80;
    let mut short: String = content.chars().take(LONGEST).collect();
    if short.len() < content.len() {
        short.push('…');
    }
    short
}
