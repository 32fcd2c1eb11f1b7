//! What a request is about, as policies see it.

use std::borrow::Cow;
use std::cell::OnceCell;

use kube::core::SelectorExt;
use serde_json::{Value, json};

use crate::admission::{Operation, touched};
use crate::k0s_config;
use crate::lookup::{Namespace, Usage};
use crate::policy::compile::Policy;
use crate::policy::{Input, read, text};
use crate::v1beta2::PolicyKind;

const K0S_CONFIG: &str = "/spec/k0sConfig";

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The namespace of a request, asked for once and only when a policy selects by labels.
pub(super) struct Namespaced<'a> {
    input: &'a Input<'a>,
    found: OnceCell<Namespace>,
}

impl<'a> Namespaced<'a> {
    pub(super) const fn new(input: &'a Input<'a>) -> Self {
        Self {
            input,
            found: OnceCell::new(),
        }
    }

    /// One that is not known has the label of its name and no other.
    pub(super) fn get(&self) -> &Namespace {
        self.found.get_or_init(|| {
            let name = self.input.request.namespace;
            let found = self.input.mothership.namespace(name);
            let mut namespace = found.unwrap_or_default();
            name.clone_into(&mut namespace.name);
            namespace
                .labels
                .entry(NAME_LABEL.to_owned())
                .or_insert_with(|| name.to_owned());
            namespace
        })
    }

    pub(super) fn is_selected(&self, policy: &Policy) -> bool {
        policy
            .selector
            .as_ref()
            .is_none_or(|selector| selector.matches(&self.get().labels))
    }
}

/// The object of a request.
pub(super) struct Subject<'a> {
    input: &'a Input<'a>,
    namespace: &'a Namespaced<'a>,
    pub kind: PolicyKind,
    /// As it shall be.
    pub object: Cow<'a, Value>,
    /// As it is; not when it is new.
    pub old: Option<Cow<'a, Value>>,
    /// False for a `scale` of a Cluster that is not known: only its replicas are.
    pub whole: bool,
    usage: OnceCell<Usage>,
    read: OnceCell<Option<Value>>,
    old_read: OnceCell<Option<Value>>,
    request_value: OnceCell<Value>,
    namespace_value: OnceCell<Value>,
}

impl<'a> Subject<'a> {
    /// `None` when policies have nothing to say: for what is deleted, and for the status.
    pub(super) fn new(input: &'a Input<'a>, namespace: &'a Namespaced<'a>) -> Option<Self> {
        let request = input.request;
        if request.operation == Operation::Delete {
            return None;
        }
        let object = request.object?;
        let (object, old, whole) = match request.sub_resource {
            None => {
                let old = match request.operation {
                    Operation::Update => request.old_object,
                    Operation::Create | Operation::Delete => None,
                };
                let is_update = input.kind == PolicyKind::Cluster && old.is_some();
                // What the webhook fills in is nobody's change.
                let read = |value: &'a Value| match is_update.then(|| touched(value)).flatten() {
                    Some(filled) => Cow::Owned(filled),
                    None => Cow::Borrowed(value),
                };
                (read(object), old.map(read), true)
            }
            Some("scale") if input.kind == PolicyKind::Cluster => scaled(input, object),
            Some(_) => return None,
        };
        let (object, old) = (spelled(object), old.map(spelled));
        // A new object may say that it is being deleted, and is not.
        let leaving = |object: &Value| {
            let at = text::field(object, "metadata.deletionTimestamp");
            at.is_some_and(|at| !at.is_null())
        };
        if request.operation != Operation::Create && leaving(&object) {
            return None;
        }
        Some(Self {
            input,
            namespace,
            kind: input.kind,
            object,
            old,
            whole,
            usage: OnceCell::new(),
            read: OnceCell::new(),
            old_read: OnceCell::new(),
            request_value: OnceCell::new(),
            namespace_value: OnceCell::new(),
        })
    }

    pub(super) fn name(&self) -> &str {
        self.input.request.name
    }

    pub(super) fn usage(&self) -> Usage {
        *self.usage.get_or_init(|| {
            let request = self.input.request;
            self.input.mothership.usage(request.namespace, request.name)
        })
    }

    /// `object` as free rules see it.
    pub(super) fn read(&self) -> &Value {
        let read = self
            .read
            .get_or_init(|| read::as_read(self.kind, &self.object));
        read.as_ref().unwrap_or(&self.object)
    }

    /// `oldObject` as free rules see it: null when the object is new.
    pub(super) fn old_read(&self) -> &Value {
        let old = self.old.as_deref().unwrap_or(&Value::Null);
        let read = self.old_read.get_or_init(|| read::as_read(self.kind, old));
        read.as_ref().unwrap_or(old)
    }

    /// `request` as free rules see it.
    pub(super) fn request_value(&self) -> &Value {
        self.request_value.get_or_init(|| {
            let request = self.input.request;
            json!({
                "operation": request.operation.as_str(),
                "subResource": request.sub_resource.unwrap_or_default(),
                "kind": {"group": "k0smotron.io", "version": "v1beta2", "kind": self.kind.as_str()},
                "name": request.name,
                "namespace": request.namespace,
                "userInfo": {"username": request.user.name, "groups": request.user.groups},
                "dryRun": request.dry_run,
            })
        })
    }

    /// `namespace` as free rules see it: a Namespace, as far as it is known.
    pub(super) fn namespace_value(&self) -> &Value {
        self.namespace_value.get_or_init(|| {
            let namespace = self.namespace.get();
            json!({"metadata": {
                "name": namespace.name,
                "labels": namespace.labels,
                "annotations": namespace.annotations,
            }})
        })
    }
}

/// With the fields of a k0s configuration as k0s reads them, which takes no notice of capitals: `API`
/// is no way around a rule about `api`.
fn spelled(object: Cow<'_, Value>) -> Cow<'_, Value> {
    let Some(config) = object.pointer(K0S_CONFIG) else {
        return object;
    };
    let read = k0s_config::canonical(config.clone());
    if read == *config {
        return object;
    }
    let mut object = object.into_owned();
    if let Some(config) = object.pointer_mut(K0S_CONFIG) {
        *config = read;
    }
    Cow::Owned(object)
}

type Scaled<'a> = (Cow<'a, Value>, Option<Cow<'a, Value>>, bool);

/// A Scale says how many; the rest of the Cluster stays as it is stored.
fn scaled<'a>(input: &Input<'a>, scale: &Value) -> Scaled<'a> {
    let request = input.request;
    let wanted = scale.pointer("/spec/replicas").cloned();
    let replicas = wanted.unwrap_or_else(|| json!(0));
    let stored = input
        .mothership
        .cluster(request.namespace, request.name)
        .and_then(|cluster| serde_json::to_value(&*cluster).ok());
    let alone = |replicas: &Value| {
        json!({
            "metadata": {"name": request.name, "namespace": request.namespace},
            "spec": {"replicas": replicas},
        })
    };
    let Some(mut old) = stored else {
        let before = request
            .old_object
            .and_then(|old| old.pointer("/spec/replicas"))
            .map(|before| Cow::Owned(alone(before)));
        return (Cow::Owned(alone(&replicas)), before, false);
    };
    // The request has how many there were; the watch may be late.
    let before = request
        .old_object
        .and_then(|old| old.pointer("/spec/replicas"));
    if let (Some(before), Some(spec)) = (before, old.pointer_mut("/spec/replicas")) {
        *spec = before.clone();
    }
    let mut object = old.clone();
    if let Some(found) = object.pointer_mut("/spec/replicas") {
        *found = replicas;
    }
    (Cow::Owned(object), Some(Cow::Owned(old)), true)
}
