//! Bounds of requests and limits.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::policy::breach::Breach;
use crate::policy::text;
use crate::quantity::amount;
use crate::v1beta2::{QuantityBounds, StorageType};

/// Whose requests and limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    ControlPlane,
    Etcd,
}

/// Which of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Requests,
    Limits,
}

/// What one quantity has to be between.
#[derive(Debug)]
pub(super) struct Bound {
    container: Container,
    kind: Kind,
    /// Of the resource, such as `memory`.
    name: String,
    written: QuantityBounds,
    min: Option<f64>,
    max: Option<f64>,
}

impl Container {
    const fn path(self) -> &'static str {
        match self {
            Self::ControlPlane => "spec.resources",
            Self::Etcd => "spec.storage.etcd.resources",
        }
    }

    fn runs(self, object: &Value) -> bool {
        match self {
            Self::ControlPlane => true,
            Self::Etcd => text::storage_type(object) == StorageType::Etcd.as_str(),
        }
    }
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

impl Bound {
    pub(super) fn new(
        container: Container,
        kind: Kind,
        name: &str,
        bounds: &QuantityBounds,
    ) -> Self {
        Self {
            container,
            kind,
            name: name.to_owned(),
            written: bounds.clone(),
            min: bounds.min.as_ref().and_then(|min| amount(&min.0)),
            max: bounds.max.as_ref().and_then(|max| amount(&max.0)),
        }
    }

    pub(super) fn breach(&self, object: &Value) -> Option<Breach> {
        if !self.container.runs(object) {
            return None;
        }
        let path = self.container.path();
        let resources = text::field(object, path);
        let quantity = |kind: Kind| quantity(resources?.get(kind.as_str())?.get(&self.name)?);
        let found = match self.kind {
            // A request that is left out is the limit, as Kubernetes fills it in.
            Kind::Requests => quantity(Kind::Requests).or_else(|| quantity(Kind::Limits)),
            // The kubelet sets none for 0.
            Kind::Limits => quantity(Kind::Limits).filter(|text| amount(text) != Some(0.0)),
        };
        let path = || format!("{path}.{}.{}", self.kind.as_str(), self.name);
        match found {
            None => {
                let required = self.kind == Kind::Limits || self.written.min.is_some();
                required.then(|| Breach::missing(path(), self.allowed()))
            }
            Some(text) if self.covers(&text) => None,
            Some(text) => {
                let breach = Breach::not_allowed(path(), &text, self.allowed());
                // Clients write the same quantity in other units.
                Some(Breach {
                    found: json!([
                        breach.path,
                        amount(&text).map_or_else(|| json!(text), Value::from)
                    ]),
                    ..breach
                })
            }
        }
    }

    fn covers(&self, text: &str) -> bool {
        amount(text).is_some_and(|found| {
            self.min.is_none_or(|min| found >= min) && self.max.is_none_or(|max| found <= max)
        })
    }

    fn allowed(&self) -> String {
        match (&self.written.min, &self.written.max) {
            (Some(min), Some(max)) => format!("allowed: {} to {}", min.0, max.0),
            (Some(min), None) => format!("at least {}", min.0),
            (None, Some(max)) => format!("at most {}", max.0),
            (None, None) => String::new(),
        }
    }
}

fn quantity(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}
