//! One Secret in each of the ways that a child can be wanted.

use serde_json::json;

use super::desired::{Content, Desired, Recipe};
use crate::kubernetes::store::Kind;

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
