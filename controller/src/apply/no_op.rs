//! Remembers the applies that change nothing, so that they are not repeated.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::desired::Desired;
use crate::kubernetes::store::{Live, ObjectKey};

/// Applies that left the resourceVersion alone (the API server writes a field otherwise than we
/// do): not repeated until what is wanted changes, or what is there in more than its status.
#[derive(Clone, Default)]
pub struct NoOpApplies(Arc<Mutex<HashMap<ObjectKey, (String, String)>>>);

impl NoOpApplies {
    pub(super) fn knows(&self, wanted: &Desired, live: &Live) -> bool {
        self.0
            .lock()
            .get(&wanted.key)
            .is_some_and(|(hash, said)| hash == wanted.hash() && *said == live.said())
    }

    pub(super) fn learn(&self, wanted: &Desired, live: &Live) {
        self.0
            .lock()
            .insert(wanted.key.clone(), (wanted.hash().to_owned(), live.said()));
    }

    /// Forgets what is gone.
    pub fn retain(&self, is_there: impl Fn(&ObjectKey) -> bool) {
        self.0.lock().retain(|key, _| is_there(key));
    }
}
