//! The rules that have fields of their own, over an object as it was submitted.
//!
//! They look at the JSON rather than at the types: a policy has an answer to any object, and an
//! object that makes no sense is refused by the rules of its kind.

use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};

use crate::policy::breach::Breach;
use crate::policy::image::Source;
use crate::policy::path::{self, Path, Set};
use crate::policy::range::Range;
use crate::policy::resources::Bound;
use crate::policy::text;
use crate::policy::view::Seen;
use crate::v1beta2::{PolicyKind, ReplicaBounds, ServiceType};
use crate::validation::{ErrorType, parse_go_duration};

/// The rules of one policy, read.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub versions: Vec<Range>,
    /// As they were written, for messages.
    pub version_texts: Vec<String>,
    pub images: Vec<Source>,
    pub service_types: Vec<String>,
    pub storage_types: Vec<String>,
    pub persistence_types: Vec<String>,
    pub replicas: Option<ReplicaBounds>,
    pub resources: Vec<Bound>,
    pub required_labels: Vec<Required>,
    pub required_annotations: Vec<Required>,
    pub max_token_lifetime: Option<(Duration, String)>,
    pub forbidden_fields: Vec<Path>,
}

/// A label or annotation that has to be there.
#[derive(Debug)]
pub(super) struct Required {
    pub key: String,
    pub values: Vec<String>,
    /// As it was written, and as it is matched.
    pub pattern: Option<(String, Regex)>,
}

/// What a rule says about an object; `None` when the policy has no such rule.
pub(super) type Answer = Option<Vec<Breach>>;

/// A rule: its name in the spec, the kinds it is about, and what it says.
pub(super) struct Rule {
    pub name: &'static str,
    pub kinds: &'static [PolicyKind],
    /// Whether a `scale` can break it.
    pub scale: bool,
    pub check: fn(&Typed, &Seen<'_>) -> Answer,
}

const CLUSTERS: &[PolicyKind] = &[PolicyKind::Cluster];

const fn of_clusters(name: &'static str, check: fn(&Typed, &Seen<'_>) -> Answer) -> Rule {
    Rule {
        name,
        kinds: CLUSTERS,
        scale: false,
        check,
    }
}

pub(super) const RULES: [Rule; 11] = [
    of_clusters("versions", versions),
    of_clusters("images", images),
    of_clusters("serviceTypes", service_types),
    of_clusters("storageTypes", storage_types),
    of_clusters("persistenceTypes", persistence_types),
    Rule {
        name: "replicas",
        kinds: CLUSTERS,
        scale: true,
        check: replicas,
    },
    of_clusters("resources", resources),
    of_clusters("requiredLabels", |typed, seen| {
        required("labels", &typed.required_labels, seen)
    }),
    of_clusters("requiredAnnotations", |typed, seen| {
        required("annotations", &typed.required_annotations, seen)
    }),
    Rule {
        name: "maxTokenLifetime",
        kinds: &[PolicyKind::JoinTokenRequest],
        scale: false,
        check: token_lifetime,
    },
    Rule {
        name: "forbiddenFields",
        kinds: &[PolicyKind::Cluster, PolicyKind::JoinTokenRequest],
        scale: false,
        check: forbidden_fields,
    },
];

fn versions(typed: &Typed, seen: &Seen<'_>) -> Answer {
    if typed.versions.is_empty() {
        return None;
    }
    let (text, version) = seen.version();
    let inside = version.as_ref().is_some_and(|version| {
        let mut ranges = typed.versions.iter();
        ranges.any(|range| range.contains(version.kubernetes()))
    });
    Some(breach(inside, || {
        let ranges = typed.version_texts.join(" or ");
        let breach = Breach::not_allowed("spec.version", text, format!("allowed: {ranges}"));
        // One version can be written in several ways, and its status has one of its own.
        match version {
            Some(version) => Breach {
                found: json!([breach.path, version.image_tag()]),
                ..breach
            },
            None => breach,
        }
    }))
}

fn breach(allowed: bool, breach: impl FnOnce() -> Breach) -> Vec<Breach> {
    if allowed { Vec::new() } else { vec![breach()] }
}

fn images(typed: &Typed, seen: &Seen<'_>) -> Answer {
    if typed.images.is_empty() {
        return None;
    }
    let covered = |parts: &[String]| typed.images.iter().any(|source| source.covers(parts));
    let others = seen
        .images()
        .iter()
        .filter(|image| !image.parts.as_deref().is_some_and(covered));
    let breaches = others.map(|image| {
        let sources: Vec<String> = typed.images.iter().map(ToString::to_string).collect();
        let allowed = format!("allowed from: {}", sources.join(", "));
        Breach {
            found: json!([
                image.place,
                image.text,
                image.around.map(path::without_unset)
            ]),
            ..Breach::not_allowed(image.path.as_str(), &image.text, allowed)
        }
    });
    Some(breaches.collect())
}

fn service_types(typed: &Typed, seen: &Seen<'_>) -> Answer {
    let default = ServiceType::default().as_str();
    let found = text::filled(seen.object, "spec.service.type", default);
    one_of("spec.service.type", &found, &typed.service_types)
}

fn storage_types(typed: &Typed, seen: &Seen<'_>) -> Answer {
    let found = text::storage_type(seen.object);
    one_of("spec.storage.type", &found, &typed.storage_types)
}

fn persistence_types(typed: &Typed, seen: &Seen<'_>) -> Answer {
    let found = text::filled(seen.object, "spec.persistence.type", "emptyDir");
    let mut answer = one_of("spec.persistence.type", &found, &typed.persistence_types);
    // What a folder of a node is depends on which it is.
    let folder = text::at(seen.object, "spec.persistence.hostPath");
    for breach in answer.iter_mut().flatten() {
        breach.found = json!([breach.path, found, folder]);
    }
    answer
}

fn one_of(path: &str, found: &str, allowed: &[String]) -> Answer {
    if allowed.is_empty() {
        return None;
    }
    let inside = allowed.iter().any(|allowed| allowed == found);
    Some(breach(inside, || {
        Breach::not_allowed(path, found, format!("allowed: {}", allowed.join(", ")))
    }))
}

fn resources(typed: &Typed, seen: &Seen<'_>) -> Answer {
    if typed.resources.is_empty() {
        return None;
    }
    let bounds = typed.resources.iter();
    Some(
        bounds
            .filter_map(|bound| bound.breach(seen.object))
            .collect(),
    )
}

/// Control-plane pods that a Cluster asks for.
pub(super) fn replicas_of(object: &Value) -> i64 {
    let replicas = object.get("spec").and_then(|spec| spec.get("replicas"));
    replicas.and_then(Value::as_i64).unwrap_or(1)
}

fn replicas(typed: &Typed, seen: &Seen<'_>) -> Answer {
    let bounds = typed.replicas?;
    let (min, max) = (bounds.min.map(i64::from), bounds.max.map(i64::from));
    let found = replicas_of(seen.object);
    let inside = min.is_none_or(|min| found >= min) && max.is_none_or(|max| found <= max);
    Some(breach(inside, || {
        let allowed = match (min, max) {
            (Some(min), Some(max)) => format!("allowed: {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (_, max) => format!("at most {}", max.unwrap_or_default()),
        };
        Breach::not_allowed("spec.replicas", &found.to_string(), allowed)
    }))
}

fn required(field: &str, keys: &[Required], seen: &Seen<'_>) -> Answer {
    if keys.is_empty() {
        return None;
    }
    let there = seen
        .object
        .get("metadata")
        .and_then(|metadata| metadata.get(field));
    let mut breaches = Vec::new();
    for Required {
        key,
        values,
        pattern,
    } in keys
    {
        let path = || format!("metadata.{field}[{key}]");
        let allowed = || match (values.as_slice(), pattern) {
            ([], None) => String::new(),
            ([], Some((pattern, _))) => format!("a value that matches {pattern}"),
            (values, None) => format!("one of {}", values.join(", ")),
            (values, Some((pattern, _))) => {
                format!(
                    "one of {}, and one that matches {pattern}",
                    values.join(", ")
                )
            }
        };
        match there.and_then(|there| there.get(key)?.as_str()) {
            None => breaches.push(Breach::missing(path(), allowed())),
            Some(value) => {
                let listed = values.is_empty() || values.iter().any(|allowed| allowed == value);
                let matches = pattern
                    .as_ref()
                    .is_none_or(|(_, pattern)| pattern.is_match(value));
                if !(listed && matches) {
                    breaches.push(Breach::not_allowed(path(), value, allowed()));
                }
            }
        }
    }
    Some(breaches)
}

fn token_lifetime(typed: &Typed, seen: &Seen<'_>) -> Answer {
    let (longest, text) = typed.max_token_lifetime.as_ref()?;
    let expiry = text::filled(seen.object, "spec.expiry", "0s");
    let inside =
        parse_go_duration(&expiry).is_ok_and(|expiry| !expiry.is_zero() && expiry <= *longest);
    Some(breach(inside, || {
        let allowed = format!("at most {text}; 0s is a token that never expires");
        Breach::not_allowed("spec.expiry", &expiry, allowed)
    }))
}

fn forbidden_fields(typed: &Typed, seen: &Seen<'_>) -> Answer {
    if typed.forbidden_fields.is_empty() {
        return None;
    }
    let mut breaches = Vec::new();
    for (index, forbidden) in typed.forbidden_fields.iter().enumerate() {
        for Set { path, value, item } in forbidden.set(seen.object) {
            let shown = match value {
                Value::Array(_) | Value::Object(_) => String::new(),
                value => text::shown(value),
            };
            breaches.push(Breach {
                // What a field of an item does depends on the rest of it: a mount's source on where
                // it is mounted, and whether read-only; and what lies in an object, on what the object
                // says it is.
                sort: ErrorType::Forbidden,
                found: json!([
                    index,
                    value,
                    item.map(path::without_unset),
                    forbidden.around(seen.object)
                ]),
                ..Breach::not_allowed(path, &shown, "leave it out".to_owned())
            });
        }
    }
    Some(breaches)
}
