//! What v1beta1's `spec.service` has fields for and v1beta2's has not: conversion keeps it in
//! annotations of the Cluster, and whoever writes v1beta2 may set them as well.

use serde::de::DeserializeOwned;

use crate::labels::Labels;
use crate::names::{
    EXTERNAL_TRAFFIC_POLICY_ANNOTATION, LOAD_BALANCER_CLASS_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION, SERVICE_LABELS_ANNOTATION,
};
use crate::v1beta1::ExternalTrafficPolicy;
use crate::v1beta2::{Cluster, ServiceType};
use crate::validation::{Errors, FieldError, metadata, texts};

/// The annotations that are read here.
pub(crate) const ANNOTATIONS: [&str; 4] = [
    SERVICE_LABELS_ANNOTATION,
    SERVICE_ANNOTATIONS_ANNOTATION,
    EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
    LOAD_BALANCER_CLASS_ANNOTATION,
];

/// Annotation that kubectl writes with a copy of the whole object: the Cluster's, not the Service's.
const LAST_APPLIED: &str = crate::names::LAST_APPLIED_ANNOTATION;

/// What the Service in front of the control plane is besides its type and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceSettings {
    /// Labels of its metadata; none that Kubernetes would refuse.
    pub labels: Labels,
    /// Annotations of its metadata; none that Kubernetes would refuse.
    pub annotations: Labels,
    /// Where requests from outside go. Not with type `ClusterIP`, which has no outside.
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// Class of the load balancer. With type `LoadBalancer` only.
    pub load_balancer_class: Option<String>,
}

impl ServiceSettings {
    /// What the annotations of a Cluster say. What means nothing is left out: it must not keep a
    /// Cluster from being exposed.
    pub fn from_cluster(cluster: &Cluster) -> Self {
        let said = read(cluster, &mut Errors::default());
        let type_ = cluster.spec.service.type_;
        Self {
            external_traffic_policy: said.external_traffic_policy.filter(|_| has_outside(type_)),
            load_balancer_class: said.load_balancer_class.filter(|_| is_balanced(type_)),
            ..said
        }
    }
}

/// What the annotations say in vain. Nothing when they and the type are as they were.
pub(crate) fn warnings(old: Option<&Cluster>, new: &Cluster) -> Vec<FieldError> {
    let inputs = |cluster: &Cluster| {
        let texts = ANNOTATIONS.map(|key| annotation(cluster, key).map(ToOwned::to_owned));
        (texts, cluster.spec.service.type_)
    };
    if old.is_some_and(|old| inputs(old) == inputs(new)) {
        return Vec::new();
    }
    let mut warnings = Errors::default();
    let said = read(new, &mut warnings);
    let type_ = new.spec.service.type_;
    let mut in_vain = |key: &str, value: String| {
        let message = format!("has no effect while spec.service.type is {type_}");
        warnings.warning(path(key), value, message);
    };
    if let Some(policy) = said.external_traffic_policy.filter(|_| !has_outside(type_)) {
        in_vain(
            EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
            policy.as_str().to_owned(),
        );
    }
    if let Some(class) = said
        .load_balancer_class
        .as_ref()
        .filter(|_| !is_balanced(type_))
    {
        in_vain(LOAD_BALANCER_CLASS_ANNOTATION, class.clone());
    }
    let before = old.filter(|old| is_balanced(old.spec.service.type_) && is_balanced(type_));
    if before.is_some_and(|old| {
        ServiceSettings::from_cluster(old).load_balancer_class != said.load_balancer_class
    }) {
        warnings
            .warning(
                path(LOAD_BALANCER_CLASS_ANNOTATION),
                said.load_balancer_class.unwrap_or_default(),
                "has no effect on an existing Service: its class is immutable",
            )
            .hint("a deleted Service is recreated with it, and may get another address");
    }
    warnings.0
}

const fn has_outside(type_: ServiceType) -> bool {
    !matches!(type_, ServiceType::ClusterIP)
}

const fn is_balanced(type_: ServiceType) -> bool {
    matches!(type_, ServiceType::LoadBalancer)
}

/// What is said, whatever the type, without what Kubernetes would refuse.
fn read(cluster: &Cluster, faults: &mut Errors) -> ServiceSettings {
    const MAP: &str = "a JSON object of strings";
    let labels = json(cluster, SERVICE_LABELS_ANNOTATION, MAP, faults);
    let annotations = json(cluster, SERVICE_ANNOTATIONS_ANNOTATION, MAP, faults);
    let mut annotations: Labels = annotations.unwrap_or_default();
    annotations.remove(LAST_APPLIED);
    ServiceSettings {
        labels: usable(
            SERVICE_LABELS_ANNOTATION,
            labels.unwrap_or_default(),
            metadata::labels,
            faults,
        ),
        annotations: usable(
            SERVICE_ANNOTATIONS_ANNOTATION,
            annotations,
            metadata::annotations,
            faults,
        ),
        external_traffic_policy: json(
            cluster,
            EXTERNAL_TRAFFIC_POLICY_ANNOTATION,
            r#""Cluster" or "Local", quotes included"#,
            faults,
        ),
        load_balancer_class: load_balancer_class(cluster, faults),
    }
}

fn load_balancer_class(cluster: &Cluster, faults: &mut Errors) -> Option<String> {
    let class: String = json(
        cluster,
        LOAD_BALANCER_CLASS_ANNOTATION,
        "a JSON string",
        faults,
    )?;
    if class.is_empty() || metadata::is_label_key(&class) {
        return Some(class).filter(|class| !class.is_empty());
    }
    ignored(
        faults,
        path(LOAD_BALANCER_CLASS_ANNOTATION),
        texts::KEY,
        "such as example.com/internal",
    );
    None
}

/// The value of an annotation, which is JSON.
fn json<T: DeserializeOwned>(
    cluster: &Cluster,
    key: &str,
    expected: &str,
    faults: &mut Errors,
) -> Option<T> {
    let value = serde_json::from_str(annotation(cluster, key)?).ok();
    if value.is_none() {
        ignored(faults, path(key), &format!("must be {expected}"), "");
    }
    value
}

/// The entries that Kubernetes takes.
fn usable(
    key: &str,
    entries: Labels,
    rule: fn(&mut Errors, &str, &Labels),
    faults: &mut Errors,
) -> Labels {
    let mut taken = |(name, value): &(String, String)| {
        let mut found = Errors::default();
        let entry = Labels::from([(name.clone(), value.clone())]);
        rule(&mut found, &path(key), &entry);
        for fault in &found.0 {
            ignored(faults, fault.path.clone(), &fault.message, &fault.hint);
        }
        found.0.is_empty()
    };
    entries.into_iter().filter(|entry| taken(entry)).collect()
}

// Without the value, which may be the whole of an annotation.
fn ignored(faults: &mut Errors, path: String, message: &str, hint: &str) {
    faults
        .warning(path, "", format!("is ignored: {message}"))
        .hint(hint);
}

fn annotation<'a>(cluster: &'a Cluster, key: &str) -> Option<&'a str> {
    let annotations = cluster.metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

fn path(key: &str) -> String {
    format!("metadata.annotations[{key}]")
}
