//! What ClusterPolicies say about an object. Everything is read once, in [`Policies::new`]; to
//! decide takes no request and no I/O.
//!
//! A policy that cannot be read, or a part of it, is refused when it is submitted
//! ([`validate_policy`]). One that is stored all the same, because the webhook was away or came
//! from another release, counts as broken by every new object that it selects, as its action says:
//! it was meant to hold something back, and nobody can tell what. What exists stays manageable.
//! [`read_policy`] finds what of a stored one this release does not understand.

mod audit;
mod breach;
mod builtin;
mod cel;
mod change;
mod compile;
mod defaults;
mod image;
mod path;
mod range;
mod read;
mod resources;
mod stored;
mod target;
mod text;
mod view;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::sync::Arc;

pub use audit::{Audit, Existing, MAX_VIOLATING};
pub use compile::validate_policy;
use serde_json::Value;
pub use stored::read_policy;

use self::cel::{Compiler, Engine, Facts, View};
use self::compile::{FreeRule, Policy};
use crate::admission::{Operation, Request};
use crate::before;
use crate::lookup::Mothership;
use crate::policy::breach::Breach;
use crate::policy::builtin::RULES;
use crate::policy::target::Subject;
use crate::policy::view::Seen;
use crate::v1beta2::{ClusterPolicy, PolicyAction, PolicyKind};
use crate::validation::FieldError;

/// The name under which a policy that cannot be read is reported.
const UNREADABLE: &str = "unreadable";

/// Policies, ready to be asked.
#[derive(Debug)]
pub struct Policies {
    /// By name, so that decisions and defaults don't depend on the order of a list.
    list: Vec<Arc<Policy>>,
    engine: Engine,
}

impl Default for Policies {
    fn default() -> Self {
        Self::new(std::iter::empty::<ClusterPolicy>())
    }
}

/// What policies are asked about.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The object as it was submitted.
    pub request: &'a Request<'a>,
    /// Its kind.
    pub kind: PolicyKind,
    /// What is known besides: the namespace, what else is in it, and for `scale` the Cluster.
    pub mothership: &'a dyn Mothership,
}

/// What one rule of one policy says about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFinding<'a> {
    /// Name of the policy.
    pub policy: &'a str,
    /// Name of the rule: a field of the policy's spec, or the name of a free rule.
    pub rule: &'a str,
    /// What becomes of an object that breaks it.
    pub action: PolicyAction,
    /// What is wrong; nothing when the rule is met.
    pub errors: Vec<FieldError>,
    /// What is wrong and was so before the update: that is never refused, or nothing else of an
    /// object from before the policy could be changed.
    pub unchanged: Vec<FieldError>,
}

/// What all policies together say about an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What forbids it.
    pub errors: Vec<FieldError>,
    /// What its author should know.
    pub warnings: Vec<String>,
    /// What is counted only.
    pub audits: Vec<String>,
}

impl Policies {
    /// Reads policies.
    pub fn new<P: Borrow<ClusterPolicy>>(policies: impl IntoIterator<Item = P>) -> Self {
        let mut compiler = Compiler::default();
        let mut list: Vec<_> = policies
            .into_iter()
            .map(|policy| Arc::new(Policy::read(policy.borrow(), &mut compiler)))
            .collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            list,
            engine: compiler.finish(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// What cannot be read of a policy; `None` when there is no policy of this name.
    pub fn faults(&self, policy: &str) -> Option<&[FieldError]> {
        let policy = self.list.iter().find(|known| known.name == policy)?;
        Some(&policy.faults)
    }

    /// Fills in what a new Cluster leaves out and a policy has a default for, and says whether
    /// that was anything. What is there is never changed. Of two policies the first by name wins.
    pub fn apply_defaults(&self, input: &Input<'_>, object: &mut Value) -> bool {
        let request = input.request;
        let new = request.operation == Operation::Create && request.sub_resource.is_none();
        if !new || input.kind != PolicyKind::Cluster {
            return false;
        }
        let namespace = target::Namespaced::new(input);
        let mut changed = false;
        for policy in &self.list {
            if let Some(defaults) = &policy.defaults
                && namespace.is_selected(policy)
            {
                changed |= defaults::merge(defaults, object);
            }
        }
        changed
    }

    /// What is wrong with an object, by what becomes of it.
    pub fn decide(&self, input: &Input<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        self.check(input, &mut |finding| outcome.add(finding));
        outcome
    }

    /// What each rule says that is about this object, those that are met as well.
    pub fn check<'a>(&'a self, input: &Input<'_>, report: &mut dyn FnMut(PolicyFinding<'a>)) {
        let namespace = target::Namespaced::new(input);
        let mut matching = self
            .list
            .iter()
            .filter(|policy| policy.is_about(input.kind) && namespace.is_selected(policy))
            .peekable();
        if matching.peek().is_none() {
            return;
        }
        let Some(subject) = Subject::new(input, &namespace) else {
            return;
        };
        let seen = Seen::new(&subject.object);
        let mut view = None;
        for policy in matching {
            if !policy.faults.is_empty() {
                report(policy.unreadable(&subject));
            }
            for rule in &RULES {
                if rule.kinds.contains(&subject.kind)
                    && (rule.scale || subject.whole)
                    && let Some(breaches) = (rule.check)(&policy.typed, &seen)
                {
                    report(policy.typed_finding(rule, breaches, &subject));
                }
            }
            if let Some(breaches) = policy.limits_of_namespace(&subject) {
                report(policy.finding("namespaceLimits", policy.action, breaches, Vec::new()));
            }
            if !subject.whole {
                continue;
            }
            for rule in &policy.rules {
                if rule.kinds.contains(&subject.kind) {
                    let view = view.get_or_insert_with(|| self.view(&subject));
                    report(rule.finding(policy, view));
                }
            }
        }
    }

    /// Names of the policies that say nothing because they don't select the namespace.
    pub fn not_selecting<'a>(&'a self, input: &'a Input<'_>) -> impl Iterator<Item = &'a str> {
        let namespace = target::Namespaced::new(input);
        let others = self
            .list
            .iter()
            .filter(move |policy| policy.is_about(input.kind) && !namespace.is_selected(policy));
        others.map(|policy| policy.name.as_str())
    }

    fn view<'a>(&'a self, subject: &'a Subject<'_>) -> View<'a> {
        self.engine.view(Facts {
            object: subject.read(),
            old_object: subject.old_read(),
            request: subject.request_value(),
            namespace: subject.namespace_value(),
        })
    }
}

impl FreeRule {
    fn finding<'a>(&'a self, policy: &'a Policy, view: &mut View<'_>) -> PolicyFinding<'a> {
        let text = match view.holds(&self.expression) {
            Ok(true) => None,
            Ok(false) => {
                let made = self.message_expression.as_ref().and_then(|expression| {
                    let text = view.text(expression).ok()?;
                    Some(text).filter(|text| !text.trim().is_empty())
                });
                Some(made.unwrap_or_else(|| self.message.clone()))
            }
            // As with the API server's own policies: what has no answer is not allowed.
            Err(error) => Some(format!("expression cannot be evaluated: {error}")),
        };
        let errors = text.map(|text| {
            let rule = format!("policy {:?}, rule {}", policy.name, self.name);
            // A text of several lines is one here, as it is in a condition.
            let text: Vec<&str> = text.split_whitespace().collect();
            FieldError::invalid(&self.field_path, "", text.join(" ")).hint(rule)
        });
        PolicyFinding {
            policy: &policy.name,
            rule: &self.name,
            action: self.action.unwrap_or(policy.action),
            errors: errors.into_iter().collect(),
            unchanged: Vec::new(),
        }
    }
}

/// What is let pass is no refusal, and does not read like one.
fn let_pass(error: &FieldError) -> String {
    error.clone().into_warning().to_string()
}

impl Outcome {
    fn add(&mut self, finding: PolicyFinding<'_>) {
        let before = finding
            .unchanged
            .iter()
            .map(|error| let_pass(error) + "; accepted because it was so before");
        let now = || finding.errors.iter().map(let_pass);
        match finding.action {
            PolicyAction::Enforce => {
                self.warnings.extend(before);
                self.errors.extend(finding.errors);
            }
            PolicyAction::Warn => self.warnings.extend(now().chain(before)),
            PolicyAction::Audit => self.audits.extend(now().chain(before)),
        }
    }
}

impl Policy {
    fn error(&self, rule: &str, breach: Breach) -> FieldError {
        let what = breach.what();
        FieldError {
            path: breach.path,
            sort: Some(breach.sort),
            value: breach.value,
            message: format!("{what} by policy {:?}, rule {rule}", self.name),
            hint: breach.allowed,
        }
    }

    fn finding<'a>(
        &'a self,
        rule: &'a str,
        action: PolicyAction,
        errors: Vec<Breach>,
        unchanged: Vec<Breach>,
    ) -> PolicyFinding<'a> {
        let named = |breaches: Vec<Breach>| {
            let errors = breaches.into_iter().map(|breach| self.error(rule, breach));
            errors.collect()
        };
        PolicyFinding {
            policy: &self.name,
            rule,
            action,
            errors: named(errors),
            unchanged: named(unchanged),
        }
    }

    fn typed_finding(
        &self,
        rule: &'static builtin::Rule,
        breaches: Vec<Breach>,
        subject: &Subject<'_>,
    ) -> PolicyFinding<'_> {
        let mut before = Vec::new();
        if !breaches.is_empty()
            && let Some(old) = &subject.old
        {
            before = (rule.check)(&self.typed, &Seen::new(old)).unwrap_or_default();
        }
        let (errors, unchanged) = before::part(breaches, &before, |breach| {
            (breach.what(), breach.found.clone())
        });
        self.finding(rule.name, self.action, errors, unchanged)
    }

    fn unreadable(&self, subject: &Subject<'_>) -> PolicyFinding<'_> {
        let errors = self.faults.iter().map(|fault| {
            let message = format!("policy {:?} is invalid: {fault}", self.name);
            FieldError::forbidden("spec", message).hint("correct the policy")
        });
        let errors: Vec<FieldError> = errors.collect();
        let (errors, unchanged) = match subject.old {
            None => (errors, Vec::new()),
            Some(_) => (Vec::new(), errors),
        };
        PolicyFinding {
            policy: &self.name,
            rule: UNREADABLE,
            action: self.action,
            errors,
            unchanged,
        }
    }

    /// Only what grows is held against the limits: a namespace that is over them stays manageable.
    fn limits_of_namespace(&self, subject: &Subject<'_>) -> Option<Vec<Breach>> {
        let limits = self.namespace_limits?;
        if subject.kind != PolicyKind::Cluster {
            return None;
        }
        let replicas = builtin::replicas_of(&subject.object);
        let before = subject.old.as_deref().map(builtin::replicas_of);
        let grows = before.is_none_or(|before| replicas > before);
        let mut breaches = Vec::new();
        if !grows {
            return Some(breaches);
        }
        let usage = subject.usage();
        if let Some(most) = limits.clusters
            && before.is_none()
            && usage.clusters >= usize::try_from(most).unwrap_or_default()
        {
            let there = usage.clusters;
            let allowed =
                format!("at most {most} clusters in this namespace, which has {there} others");
            let name = subject.name();
            breaches.push(Breach::not_allowed("metadata.name", name, allowed));
        }
        if let Some(most) = limits.replicas.map(i64::from)
            && usage.replicas.saturating_add(replicas) > most
        {
            let others = usage.replicas;
            let allowed = format!(
                "at most {most} control-plane pods in this namespace, whose other clusters have {others}"
            );
            let value = replicas.to_string();
            breaches.push(Breach::not_allowed("spec.replicas", &value, allowed));
        }
        Some(breaches)
    }
}
