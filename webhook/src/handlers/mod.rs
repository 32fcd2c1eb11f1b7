//! The kinds that are decided about: a request in, a decision out, and nothing else.

mod cluster;
mod cluster_policy;
mod join_token_request;

pub use cluster::Cluster;
pub use cluster_policy::ClusterPolicy;
use crds::admission::{Decision, Operation, Request};
use crds::lookup::Mothership;
use crds::policy::{Input, Policies};
use crds::v1beta2::PolicyKind;
pub use join_token_request::JoinTokenRequest;
use serde_json::Value;

/// Group of the product's kinds.
const GROUP: &str = "k0smotron.io";

/// What decisions depend on besides the request.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// The mothership.
    pub mothership: &'a dyn Mothership,
    /// Its policies.
    pub policies: &'a Policies,
}

impl World<'_> {
    /// What decides about the request and has not been seen yet. It is there: the API server has
    /// looked. What is made at the same time, or a moment before, comes here before its watch does.
    pub fn unseen(&self, request: &Request<'_>) -> Option<String> {
        let (namespace, name) = (request.namespace, request.name);
        if request.operation == Operation::Delete || request.is_ending() || namespace.is_empty() {
            return None;
        }
        if !self.policies.is_empty() && self.mothership.namespace(namespace).is_none() {
            return Some(format!("Namespace {namespace}"));
        }
        let is_scale = request.sub_resource == Some("scale");
        (is_scale && self.mothership.cluster(namespace, name).is_none())
            .then(|| format!("Cluster {namespace}/{name}"))
    }

    fn input<'a>(&'a self, kind: PolicyKind, request: &'a Request<'a>) -> Input<'a> {
        Input {
            request,
            kind,
            mothership: self.mothership,
        }
    }

    /// The object with what policies have a default for, and then with the product's own: a policy
    /// may choose a version where the product would.
    fn defaulted(
        &self,
        kind: PolicyKind,
        request: &Request<'_>,
        own: impl Fn(&Request<'_>) -> Option<Value>,
    ) -> Option<Value> {
        // What is to be refused stays as it came: on its way back to the version in which it was
        // written, it would lose what says why.
        if request.lacks_a_part() {
            return None;
        }
        if self.policies.is_empty() {
            return own(request);
        }
        let mut object = request.object?.clone();
        let input = self.input(kind, request);
        if !self.policies.apply_defaults(&input, &mut object) {
            return own(request);
        }
        let request = Request {
            object: Some(&object),
            ..request.clone()
        };
        own(&request).or(Some(object))
    }

    /// The decision with what policies say. Those have no say in what goes.
    fn judged(&self, kind: PolicyKind, request: &Request<'_>, mut decision: Decision) -> Decision {
        if request.operation == Operation::Delete || request.is_ending() {
            return decision;
        }
        let outcome = self.policies.decide(&self.input(kind, request));
        for audit in &outcome.audits {
            tracing::info!(
                kind = kind.as_str(),
                namespace = request.namespace,
                name = request.name,
                violation = audit,
                "accepted, as the policy only audits"
            );
        }
        decision.errors.extend(outcome.errors);
        decision.warnings.extend(outcome.warnings);
        decision
    }
}

/// The rules of one kind.
pub trait Kind: Send + Sync + 'static {
    /// Its name, such as `Cluster`.
    fn name(&self) -> &'static str;

    /// Its name in paths, such as `clusters`.
    fn resource(&self) -> &'static str;

    /// The version that decisions are about: the stored one.
    fn version(&self) -> &'static str {
        "v1beta2"
    }

    /// The object with what is missing filled in; `None` when nothing is.
    fn default(&self, _request: &Request<'_>, _world: World<'_>) -> Option<Value> {
        None
    }

    /// Whether it may be.
    fn decide(&self, request: &Request<'_>, world: World<'_>) -> Decision;

    /// The same about a new object from its text, of which the request then has no tree; `None`
    /// when that takes one.
    fn decide_new(
        &self,
        _request: &Request<'_>,
        _text: &str,
        _world: World<'_>,
    ) -> Option<Decision> {
        None
    }
}

/// Every kind that is decided about.
pub struct Handlers(Vec<Box<dyn Kind>>);

impl Default for Handlers {
    fn default() -> Self {
        Self(vec![
            Box::new(Cluster),
            Box::new(JoinTokenRequest),
            Box::new(ClusterPolicy),
        ])
    }
}

impl Handlers {
    /// These and no others.
    pub fn new(kinds: Vec<Box<dyn Kind>>) -> Self {
        Self(kinds)
    }

    /// The kind of this resource.
    pub fn of(&self, group: &str, resource: &str) -> Option<&dyn Kind> {
        let kind = self.0.iter().find(|kind| kind.resource() == resource)?;
        (group == GROUP).then_some(&**kind)
    }
}
