//! From a ClusterPolicy as it is written to one that can be asked.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::Selector;
use regex::RegexBuilder;

use super::cel::{Compiler, Expression};
use super::defaults;
use super::image::Source;
use super::path::Path;
use super::range::Range;
use super::resources::{self, Bound, Container};
use crate::names;
use crate::policy::builtin::{Required, Typed};
use crate::policy::text;
use crate::quantity::amount;
use crate::v1beta2::{
    ClusterDefaults, ClusterPolicy, ClusterPolicySpec, NamespaceLimits, PolicyAction, PolicyKind,
    PolicyRule, QuantityBounds, RequiredKey,
};
use crate::validation::{Errors, FieldError, metadata, parse_go_duration, texts};

/// The largest program that the pattern of a label may become, in bytes.
const MAX_PATTERN: usize = 64 * 1024;

/// A policy that can be asked.
#[derive(Debug)]
pub(super) struct Policy {
    pub name: String,
    pub action: PolicyAction,
    /// None selects every namespace.
    pub selector: Option<Selector>,
    pub typed: Typed,
    pub namespace_limits: Option<NamespaceLimits>,
    pub rules: Vec<FreeRule>,
    pub defaults: Option<ClusterDefaults>,
    /// What could not be read.
    pub faults: Vec<FieldError>,
    kinds: Vec<PolicyKind>,
}

/// A free rule, read.
#[derive(Debug)]
pub(super) struct FreeRule {
    pub name: String,
    pub kinds: Vec<PolicyKind>,
    pub expression: Expression,
    pub message: String,
    pub message_expression: Option<Expression>,
    pub field_path: String,
    pub action: Option<PolicyAction>,
}

/// Everything that is wrong with a policy, for its own admission. Faults of expressions come with
/// line and column.
pub fn validate_policy(policy: &ClusterPolicy) -> Vec<FieldError> {
    let spec = &policy.spec;
    let mut errors = Faults(Policy::read(policy, &mut Compiler::default()).faults);
    if let Some(bounds) = &spec.replicas
        && let (Some(min), Some(max)) = (bounds.min, bounds.max)
        && min > max
    {
        let message = format!("min {min} must be less than or equal to max {max}");
        errors.invalid("spec.replicas", "", message);
    }
    let mut names = BTreeSet::new();
    for (index, rule) in spec.rules.iter().enumerate() {
        let path = format!("spec.rules[{index}].name");
        if !names::is_label(&rule.name) {
            errors.invalid(&path, &rule.name, texts::LABEL);
        } else if !names.insert(&rule.name) {
            errors.0.push(FieldError::duplicate(&path, &rule.name, ""));
        }
    }
    let labels: (_, _, fn(&str) -> bool) = (
        "requiredLabels",
        &spec.required_labels,
        metadata::is_label_key,
    );
    let annotations: (_, _, fn(&str) -> bool) = (
        "requiredAnnotations",
        &spec.required_annotations,
        metadata::is_annotation_key,
    );
    for (field, required, is_key) in [labels, annotations] {
        for (index, required) in required.iter().enumerate() {
            if !is_key(&required.key) {
                let path = format!("spec.{field}[{index}].key");
                errors.invalid(&path, &required.key, texts::KEY);
            }
        }
    }
    if let Some(defaults) = &spec.defaults {
        let mut carried = Errors::default();
        metadata::labels(&mut carried, "spec.defaults.labels", &defaults.labels);
        metadata::annotations(
            &mut carried,
            "spec.defaults.annotations",
            &defaults.annotations,
        );
        errors.0.extend(carried.0);
        errors.0.extend(defaults::validate(defaults));
    }
    errors.0
}

#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn invalid(&mut self, path: &str, value: &str, message: impl Into<String>) {
        self.0
            .push(FieldError::invalid(path, text::short(value), message));
    }
}

impl Policy {
    /// Reads a policy; what cannot be read is left out and listed.
    pub(super) fn read(policy: &ClusterPolicy, compiler: &mut Compiler) -> Self {
        let spec = &policy.spec;
        let mut faults = Faults::default();
        for unread in &spec.unread {
            faults.invalid(&unread.field, "", &unread.reason);
        }
        let selector = selector(spec, &mut faults);
        let typed = typed(spec, &mut faults);
        let mut rules = Vec::new();
        for (index, rule) in spec.rules.iter().enumerate() {
            rules.extend(free(index, rule, compiler, &mut faults));
        }
        Self {
            name: policy.metadata.name.clone().unwrap_or_default(),
            action: spec.action,
            selector,
            typed,
            namespace_limits: spec.namespace_limits,
            rules,
            defaults: spec.defaults.clone(),
            faults: faults.0,
            kinds: kinds(spec),
        }
    }

    /// Whether it has anything to say about a kind.
    pub(super) fn is_about(&self, kind: PolicyKind) -> bool {
        self.kinds.contains(&kind)
    }
}

/// The kinds that the spec speaks of, as far as it can be told before it is read.
fn kinds(spec: &ClusterPolicySpec) -> Vec<PolicyKind> {
    let free = |kind| spec.rules.iter().any(|rule| rule.kinds.contains(&kind));
    let of_clusters = ClusterPolicySpec {
        namespace_selector: None,
        action: PolicyAction::default(),
        max_token_lifetime: None,
        defaults: None,
        rules: Vec::new(),
        ..spec.clone()
    };
    let mut kinds = Vec::new();
    if of_clusters != ClusterPolicySpec::default() || free(PolicyKind::Cluster) {
        kinds.push(PolicyKind::Cluster);
    }
    // What is not understood may be about either.
    let tokens = spec.max_token_lifetime.is_some()
        || !spec.forbidden_fields.is_empty()
        || !spec.unread.is_empty();
    if tokens || free(PolicyKind::JoinTokenRequest) {
        kinds.push(PolicyKind::JoinTokenRequest);
    }
    kinds
}

/// A selector that cannot be read selects everything: the policy is then broken, and so is held
/// against whatever it may have meant.
fn selector(spec: &ClusterPolicySpec, faults: &mut Faults) -> Option<Selector> {
    let selector = spec.namespace_selector.clone()?;
    match Selector::try_from(selector) {
        Ok(selector) if selector.selects_all() => None,
        Ok(selector) => Some(selector),
        Err(error) => {
            let message = format!("must be a label selector: {error}");
            faults.invalid("spec.namespaceSelector", "", message);
            None
        }
    }
}

fn typed(spec: &ClusterPolicySpec, faults: &mut Faults) -> Typed {
    let mut typed = Typed {
        service_types: spec.service_types.iter().map(ToString::to_string).collect(),
        storage_types: spec.storage_types.iter().map(ToString::to_string).collect(),
        persistence_types: spec.persistence_types.clone(),
        replicas: spec.replicas,
        ..Typed::default()
    };
    for (index, text) in spec.versions.iter().enumerate() {
        match Range::parse(text) {
            Ok(range) => {
                typed.versions.push(range);
                typed.version_texts.push(text.clone());
            }
            Err(error) => {
                faults.invalid(&format!("spec.versions[{index}]"), text, error.to_string());
            }
        }
    }
    for (index, text) in spec.images.iter().enumerate() {
        match Source::parse(text) {
            Ok(source) => typed.images.push(source),
            Err(message) => faults.invalid(&format!("spec.images[{index}]"), text, message),
        }
    }
    for (index, text) in spec.forbidden_fields.iter().enumerate() {
        match Path::parse(text) {
            Ok(path) => typed.forbidden_fields.push(path),
            Err(message) => {
                faults.invalid(&format!("spec.forbiddenFields[{index}]"), text, message);
            }
        }
    }
    if let Some(resources) = &spec.resources {
        for (container, field, limits) in [
            (
                Container::ControlPlane,
                "controlPlane",
                &resources.control_plane,
            ),
            (Container::Etcd, "etcd", &resources.etcd),
        ] {
            let kinds = limits.iter().flat_map(|limits| {
                [
                    (resources::Kind::Requests, &limits.requests),
                    (resources::Kind::Limits, &limits.limits),
                ]
            });
            for (kind, bounds) in kinds {
                let path = format!("spec.resources.{field}.{}", kind.as_str());
                quantities(&path, bounds, faults);
                let bounds = bounds.iter();
                typed
                    .resources
                    .extend(bounds.map(|(name, bounds)| Bound::new(container, kind, name, bounds)));
            }
        }
    }
    typed.required_labels = required("requiredLabels", &spec.required_labels, faults);
    typed.required_annotations =
        required("requiredAnnotations", &spec.required_annotations, faults);
    if let Some(text) = &spec.max_token_lifetime {
        match parse_go_duration(text) {
            Ok(longest) if !longest.is_zero() => {
                typed.max_token_lifetime = Some((longest, text.clone()));
            }
            Ok(_) => faults.invalid(
                "spec.maxTokenLifetime",
                text,
                "must be greater than 0; leave it out for no limit",
            ),
            Err(_) => faults.invalid("spec.maxTokenLifetime", text, texts::DURATION),
        }
    }
    typed
}

fn quantities(path: &str, bounds: &BTreeMap<String, QuantityBounds>, faults: &mut Faults) {
    for (name, bounds) in bounds {
        let mut read = |side: &str, quantity: &Option<_>| {
            let quantity: &k8s_openapi::apimachinery::pkg::api::resource::Quantity =
                quantity.as_ref()?;
            let read = amount(&quantity.0);
            if read.is_none() {
                let path = format!("{path}.{name}.{side}");
                faults.invalid(&path, &quantity.0, texts::QUANTITY);
            }
            read
        };
        let (min, max) = (read("min", &bounds.min), read("max", &bounds.max));
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            faults.invalid(
                &format!("{path}.{name}"),
                "",
                "min must be less than or equal to max",
            );
        }
    }
}

fn required(field: &str, keys: &[RequiredKey], faults: &mut Faults) -> Vec<Required> {
    let mut read = Vec::new();
    for (index, required) in keys.iter().enumerate() {
        let pattern = required.pattern.as_ref().and_then(|text| {
            let whole = RegexBuilder::new(&format!(r"\A(?:{text})\z"))
                .size_limit(MAX_PATTERN)
                .build();
            match whole {
                Ok(whole) => Some((text.clone(), whole)),
                Err(error) => {
                    let error = error.to_string();
                    let reason = error.lines().last().unwrap_or_default().trim().to_owned();
                    let path = format!("spec.{field}[{index}].pattern");
                    let message = format!("must be a regular expression: {reason}");
                    faults.invalid(&path, text, message);
                    None
                }
            }
        });
        read.push(Required {
            key: required.key.clone(),
            values: required.values.clone(),
            pattern,
        });
    }
    read
}

fn free(
    index: usize,
    rule: &PolicyRule,
    compiler: &mut Compiler,
    faults: &mut Faults,
) -> Option<FreeRule> {
    let mut compile = |field: &str, source: &str| match compiler.compile(source) {
        Ok(expression) => Some(expression),
        Err(found) => {
            for fault in found {
                let path = format!("spec.rules[{index}].{field}");
                faults.invalid(&path, source, fault.to_string());
            }
            None
        }
    };
    let expression = compile("expression", &rule.expression);
    let message_expression = rule
        .message_expression
        .as_ref()
        .and_then(|source| compile("messageExpression", source));
    let message = rule.message.clone().unwrap_or_else(|| {
        let expression: Vec<&str> = rule.expression.split_whitespace().collect();
        format!("failed expression: {}", text::short(&expression.join(" ")))
    });
    Some(FreeRule {
        name: rule.name.clone(),
        kinds: rule.kinds.clone(),
        expression: expression?,
        message,
        message_expression,
        field_path: rule.field_path.clone().unwrap_or_else(|| "spec".to_owned()),
        action: rule.action,
    })
}
