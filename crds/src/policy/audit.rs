//! What violates policies now, for their status.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{Input, Policies, let_pass};
use crate::admission::{Operation, Request, User};
use crate::conditions::{self, Said};
use crate::lookup::Mothership;
use crate::v1beta2::{ClusterPolicyStatus, PolicyKind, ViolatingObject};
use crate::validation::FieldError;

/// How many violating objects a status names.
pub const MAX_VIOLATING: usize = 20;

/// The condition that says whether a policy can be read.
const READY: &str = "Ready";
/// The longest message of a condition that is written; the API allows more.
const MAX_MESSAGE: usize = 4096;

/// An object that is stored.
#[derive(Clone, Debug)]
pub struct Existing<'a> {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The whole of it, in the stored version.
    pub object: Cow<'a, Value>,
}

/// What violates one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// Name of the policy.
    pub policy: String,
    /// How many objects do.
    pub violations: usize,
    /// The first [`MAX_VIOLATING`] of them, by namespace, kind and name.
    pub violating: Vec<ViolatingObject>,
    /// What of the policy cannot be read.
    pub faults: Vec<FieldError>,
}

impl Policies {
    /// Holds every policy against what is stored, whatever its action is, and answers for each
    /// policy, by name. Objects are asked about as if they were submitted anew by nobody; those
    /// that are being deleted don't count.
    pub fn audit<'o>(
        &self,
        objects: impl IntoIterator<Item = Existing<'o>>,
        mothership: &dyn Mothership,
    ) -> Vec<Audit> {
        let mut audits: Vec<Audit> = self
            .list
            .iter()
            .map(|policy| Audit {
                policy: policy.name.clone(),
                faults: policy.faults.clone(),
                ..Audit::default()
            })
            .collect();
        let stays = |existing: &Existing<'_>| {
            let at = existing.object.pointer("/metadata/deletionTimestamp");
            at.is_none_or(Value::is_null)
        };
        for existing in objects.into_iter().filter(stays) {
            let request = Request {
                operation: Operation::Create,
                sub_resource: None,
                namespace: existing.namespace,
                name: existing.name,
                user: User::default(),
                object: Some(&existing.object),
                old_object: None,
                dry_run: true,
            };
            let input = Input {
                request: &request,
                kind: existing.kind,
                mothership,
            };
            // The findings of one policy come one after the other, and count as one object.
            let mut last = None;
            self.check(&input, &mut |finding| {
                let Some(error) = finding.errors.first() else {
                    return;
                };
                // A policy that cannot be read says nothing about what exists.
                if finding.rule == super::UNREADABLE || last == Some(finding.policy) {
                    return;
                }
                last = Some(finding.policy);
                let at = audits.binary_search_by(|audit| audit.policy.as_str().cmp(finding.policy));
                if let Some(audit) = at.ok().and_then(|at| audits.get_mut(at)) {
                    audit.add(&existing, error);
                }
            });
        }
        audits
    }
}

impl Audit {
    fn add(&mut self, existing: &Existing<'_>, error: &FieldError) {
        self.violations += 1;
        let violating = ViolatingObject {
            kind: existing.kind,
            namespace: existing.namespace.to_owned(),
            name: existing.name.to_owned(),
            message: let_pass(error),
        };
        let key = |object: &ViolatingObject| {
            (
                object.namespace.clone(),
                object.kind.as_str(),
                object.name.clone(),
            )
        };
        let at = self
            .violating
            .partition_point(|known| key(known) < key(&violating));
        if at < MAX_VIOLATING {
            self.violating.insert(at, violating);
            self.violating.truncate(MAX_VIOLATING);
        }
    }

    /// The status to write. The time of the condition's last change is kept from `before` unless
    /// it changes.
    pub fn status(
        self,
        generation: Option<i64>,
        before: Option<&ClusterPolicyStatus>,
        now: &Time,
    ) -> ClusterPolicyStatus {
        let faults: Vec<String> = self.faults.iter().map(ToString::to_string).collect();
        let (status, reason, message) = if faults.is_empty() {
            ("True", "Compiled", "every rule is valid".to_owned())
        } else {
            ("False", "Invalid", faults.join("; "))
        };
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        let old = before.map_or(&[][..], |before| &before.conditions);
        let said = Said {
            type_: READY,
            status,
            reason,
            message: &message,
            generation,
        };
        ClusterPolicyStatus {
            violations: Some(i64::try_from(self.violations).unwrap_or(i64::MAX)),
            violating: self.violating,
            last_audit: Some(now.clone()),
            conditions: vec![conditions::since(old, &said, now.0)],
            observed_generation: generation,
        }
    }
}
