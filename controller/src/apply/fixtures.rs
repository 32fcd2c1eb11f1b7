//! One Secret in each of the ways that a child can be wanted.

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};

use super::desired::{Content, Desired, Recipe};
use super::{Damping, NoOpApplies, Round, SigningKeys};
use crate::kubernetes::fixtures::client;
use crate::kubernetes::requeue::channel;
use crate::kubernetes::store::{Kind, Store};
use crate::kubernetes::writer::Writer;
use crate::metrics::Metrics;

/// What a round works with, before an API server that answers like this.
pub struct Rig {
    writer: Writer,
    store: Store,
    no_op_applies: NoOpApplies,
    damping: Damping,
    keys: SigningKeys,
}

impl Rig {
    pub fn new<F>(answer: impl Fn(Request<Body>) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let store = Store::default();
        Self {
            writer: Writer::new(
                client(answer),
                store.clone(),
                channel().0,
                Metrics::default(),
            ),
            store,
            no_op_applies: NoOpApplies::default(),
            damping: Damping::default(),
            keys: SigningKeys::default(),
        }
    }

    pub fn round(&self) -> Round<'_> {
        Round {
            writer: &self.writer,
            store: &self.store,
            no_op_applies: &self.no_op_applies,
            damping: &self.damping,
            keys: &self.keys,
            uid: UID,
            keys_made: false,
            now: jiff::Timestamp::now(),
            leaf_lifetime: jiff::SignedDuration::from_hours(1),
        }
    }
}

/// Of the Cluster whose children these are.
pub const UID: &str = "ours";

/// As its children name it.
pub fn owners() -> Value {
    json!([{"apiVersion": "k0smotron.io/v1beta2", "kind": "Cluster", "name": "demo", "uid": UID,
        "controller": true}])
}

fn desired(content: Content) -> Desired {
    let secret = json!({
        "metadata": {"name": "a", "namespace": "n", "labels": {"ours": "x"}},
        "type": "Opaque",
    });
    Desired::new(Kind::Secret, secret, content)
}

pub fn declared() -> Desired {
    desired(Content::Declared)
}

pub fn made() -> Desired {
    desired(Content::Made(Recipe::ServiceAccount))
}

pub fn kept() -> Desired {
    desired(Content::Kept(Recipe::ServiceAccount))
}
