//! Whether an object may be stored, changed or deleted.

use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;

use super::read::{Fault, read};
use super::{Decision, Kind, Operation, Request};
use crate::before;
use crate::lookup::Mothership;
use crate::names::{CONVERSION_ERROR_ANNOTATION, PROTECT_ANNOTATION};
use crate::v1beta2::{Cluster, JoinTokenRequest};
use crate::validation::{self, FieldError, texts};
use crate::{service_annotations, upgrade, version};

/// What is wrong with a request, all of it at once, and what its author should know.
///
/// What is being deleted is never in the way, and what is wrong with an object as it is stored
/// already is no reason to refuse another change of it.
pub fn validate(kind: Kind, request: &Request<'_>, known: &dyn Mothership) -> Decision {
    if request.is_ending() {
        return Decision::default();
    }
    let left_out = |object| annotation(object, CONVERSION_ERROR_ANNOTATION);
    let leaves_spec = leaves_spec(request);
    // What is stored so may be labelled, and no more is lost by that.
    if let Some(text) = left_out(request.object)
        && !(leaves_spec && left_out(request.old_object) == Some(text))
    {
        return unconverted(text);
    }
    if leaves_spec {
        return Decision::default();
    }
    match (kind, request.operation, request.sub_resource) {
        (Kind::Cluster, Operation::Update, Some("scale")) => scale(request, known),
        (Kind::Cluster, Operation::Delete, None) => delete(request, known),
        (_, Operation::Delete, _) | (_, _, Some(_)) => Decision::default(),
        (Kind::Cluster, _, None) => match read::<Cluster>(request) {
            Ok((old, new, stored)) => {
                cluster(old.as_ref(), &placed(new, request), known).after(&stored)
            }
            Err(decision) => decision,
        },
        (Kind::JoinTokenRequest, _, None) => match read::<JoinTokenRequest>(request) {
            Ok((old, new, stored)) => {
                join_token_request(old.as_ref(), &placed(new, request), known).after(&stored)
            }
            Err(decision) => decision,
        },
    }
}

/// What [`validate`] says about a new object, from the text that it was submitted as: to make a
/// tree of it first is most of the work. `None` for what takes the tree: what is not new, and what
/// cannot be read and deserves to be told where.
pub fn validate_new(
    kind: Kind,
    request: &Request<'_>,
    text: &str,
    known: &dyn Mothership,
) -> Option<Decision> {
    if request.operation != Operation::Create || request.sub_resource.is_some() {
        return None;
    }
    // Read as a tree, it is told why.
    if text.contains(CONVERSION_ERROR_ANNOTATION) {
        return None;
    }
    Some(match kind {
        Kind::Cluster => {
            let new = serde_json::from_str(text).ok()?;
            cluster(None, &placed(new, request), known)
        }
        Kind::JoinTokenRequest => {
            let new = serde_json::from_str(text).ok()?;
            join_token_request(None, &placed(new, request), known)
        }
    })
}

/// The object in the namespace that it is submitted to.
fn placed<T: ResourceExt>(mut object: T, request: &Request<'_>) -> T {
    let namespace = || request.namespace.to_owned();
    object.meta_mut().namespace.get_or_insert_with(namespace);
    object
}

/// Whether the spec is as it was, to the letter, and so is what v1beta1 has in the spec and v1beta2
/// in annotations: labels, finalizers and their like are not our business, and most writes are of
/// that kind.
fn leaves_spec(request: &Request<'_>) -> bool {
    let old = request.old_object.and_then(|old| old.get("spec"));
    let new = request.object.and_then(|object| object.get("spec"));
    request.operation == Operation::Update
        && request.sub_resource.is_none()
        && old.is_some()
        && old == new
        && service_annotations::ANNOTATIONS
            .iter()
            .all(|key| annotation(request.old_object, key) == annotation(request.object, key))
}

pub(super) fn annotation<'a>(object: Option<&'a Value>, key: &str) -> Option<&'a str> {
    let annotations = object?.get("metadata")?.get("annotations")?;
    annotations.get(key)?.as_str()
}

fn cluster(old: Option<&Cluster>, new: &Cluster, known: &dyn Mothership) -> Decision {
    let mut decision = Decision::default();
    decision.warn(&service_annotations::warnings(old, new));
    // The same in other words.
    if old.is_some_and(|old| old.spec == new.spec) {
        return decision;
    }
    decision.object(old, new, |cluster| {
        let mut errors = validation::validate_cluster(cluster);
        errors.extend(validation::cluster_start(cluster).errors);
        errors
    });
    let mut findings = validation::cluster_boundaries(old, new);
    findings.extend(upgrade::etcd(old, new));
    if let Some(old) = old {
        findings.extend(validation::cluster_update(old, new));
        findings.extend(upgrade::upgrade(old, new));
    } else {
        let version = version::requested(&new.spec);
        findings.warnings.extend(upgrade::version_warnings(version));
    }
    findings.extend(validation::conflicts(old, new, known));
    decision.errors.extend(findings.errors);
    decision.warn(&findings.warnings);
    decision.warn(&validation::cluster_start(new).warnings);
    decision.warn(&validation::cluster_warnings(new));
    let later = validation::not_implemented(&new.spec);
    decision.not_implemented("Cluster", &later);
    decision
}

fn join_token_request(
    old: Option<&JoinTokenRequest>,
    new: &JoinTokenRequest,
    known: &dyn Mothership,
) -> Decision {
    if old.is_some_and(|old| old.spec == new.spec) {
        return Decision::default();
    }
    let mut decision = Decision::default();
    decision.object(old, new, validation::validate_join_token_request);
    if let Some(old) = old {
        let findings = validation::join_token_request_update(old, new);
        decision.errors.extend(findings.errors);
        decision.warn(&findings.warnings);
    } else {
        let taken = validation::request_namesakes(new, known);
        decision.errors.extend(taken);
    }
    decision.warn(&validation::join_token_request_warnings(new));
    let later = validation::not_implemented_join_token_request(new);
    decision.not_implemented("JoinTokenRequest", &later);
    decision
}

/// The object is a `Scale` of `autoscaling/v1`, which leaves out a zero.
fn scale(request: &Request<'_>, known: &dyn Mothership) -> Decision {
    let asked = request
        .object
        .and_then(|scale| scale.pointer("/spec/replicas"));
    let replicas = match asked {
        None | Some(Value::Null) => Some(0),
        Some(number) => number
            .as_i64()
            .and_then(|number| i32::try_from(number).ok()),
    };
    let refused = |message: &str| Decision {
        errors: vec![FieldError::invalid(
            "spec.replicas",
            asked.map(Value::to_string).unwrap_or_default(),
            message,
        )],
        warnings: Vec::new(),
    };
    let Some(replicas) = replicas else {
        return refused("must be a 32-bit integer");
    };
    let Some(old) = known.cluster(request.namespace, request.name) else {
        return if replicas < 0 {
            refused(texts::NOT_NEGATIVE)
        } else {
            Decision::default()
        };
    };
    if old.metadata.deletion_timestamp.is_some() {
        return Decision::default();
    }
    let mut old = Cluster::clone(&old);
    // The request has how many there were; the watch may be late.
    let before = request
        .old_object
        .and_then(|scale| scale.pointer("/spec/replicas")?.as_i64())
        .and_then(|before| i32::try_from(before).ok());
    old.spec.replicas = before.unwrap_or(old.spec.replicas);
    let mut new = old.clone();
    new.spec.replicas = replicas;
    cluster(Some(&old), &new, known)
}

/// The object lacks what its v1beta1 form has.
fn unconverted(text: &str) -> Decision {
    let path = format!("metadata.annotations[{CONVERSION_ERROR_ANNOTATION}]");
    Decision {
        errors: vec![
            FieldError::forbidden(path, format!("a part of the object would be lost: {text}"))
                .hint("correct it, or remove this annotation from a v1beta2 object that says all"),
        ],
        warnings: Vec::new(),
    }
}

fn delete(request: &Request<'_>, known: &dyn Mothership) -> Decision {
    let protect = match request.old_object {
        Some(_) => annotation(request.old_object, PROTECT_ANNOTATION).map(ToOwned::to_owned),
        None => known
            .cluster(request.namespace, request.name)
            .filter(|cluster| cluster.metadata.deletion_timestamp.is_none())
            .and_then(|cluster| {
                let annotations = cluster.metadata.annotations.as_ref()?;
                annotations.get(PROTECT_ANNOTATION).cloned()
            }),
    };
    let errors = protect.filter(|value| value != "false").map(|_| {
        let path = format!("metadata.annotations[{PROTECT_ANNOTATION}]");
        FieldError::forbidden(path, "the Cluster is protected from deletion").hint(format!(
            "to delete it: kubectl annotate kmc {} -n {} {PROTECT_ANNOTATION}-",
            request.name, request.namespace
        ))
    });
    Decision {
        errors: errors.into_iter().collect(),
        warnings: Vec::new(),
    }
}

impl Decision {
    /// Applies the rules of an object by itself. What the stored object breaks in the same way is
    /// a warning: it works, or it does not, as it did before.
    fn object<T: Serialize>(
        &mut self,
        old: Option<&T>,
        new: &T,
        rules: impl Fn(&T) -> Vec<FieldError>,
    ) {
        let errors = rules(new);
        let before = old.filter(|_| !errors.is_empty());
        let Some(old) = before else {
            self.errors.extend(errors);
            return;
        };
        let (errors, before) = (Fault::all(errors, new), Fault::all(rules(old), old));
        let (added, stored) = before::part(errors, &before, |fault| fault.found.clone());
        self.errors
            .extend(added.into_iter().map(|fault| fault.error));
        for fault in stored {
            self.warn(&[fault.error]);
        }
    }

    /// The same, with what else was wrong with the object as it is stored.
    pub(super) fn after(mut self, stored: &[FieldError]) -> Self {
        let later = std::mem::take(&mut self.warnings);
        self.warn(stored);
        self.warnings.extend(later);
        self
    }

    fn warn(&mut self, warnings: &[FieldError]) {
        let let_pass = |error: &FieldError| error.clone().into_warning().to_string();
        let texts = warnings.iter().map(let_pass);
        self.warnings.extend(texts);
    }

    fn not_implemented(&mut self, kind: &str, paths: &[String]) {
        if !paths.is_empty() {
            self.warnings.push(format!(
                "{}: not implemented by this version: nothing is created, changed or deleted for the {kind} while it is set",
                paths.join(", ")
            ));
        }
    }
}
