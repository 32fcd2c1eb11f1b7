//! Remembers the applies that change nothing, so that they are not repeated.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::desired::Desired;
use crate::kubernetes::store::{Live, ObjectKey};

/// Applies that left the resourceVersion alone (the API server writes a field otherwise than we
/// do): not repeated until the object or what is wanted changes.
#[derive(Clone, Default)]
pub struct NoOpApplies(Arc<Mutex<HashMap<ObjectKey, (String, String)>>>);

impl NoOpApplies {
    pub(super) fn knows(&self, wanted: &Desired, live: &Live) -> bool {
        self.0
            .lock()
            .get(&wanted.key)
            .is_some_and(|(hash, version)| {
                hash == wanted.hash() && *version == live.resource_version
            })
    }

    pub(super) fn learn(&self, wanted: &Desired, version: String) {
        self.0
            .lock()
            .insert(wanted.key.clone(), (wanted.hash().to_owned(), version));
    }

    /// Forgets the objects of a Cluster that is gone.
    pub fn forget(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        let mut known = self.0.lock();
        for key in keys {
            known.remove(&key);
        }
    }
}
