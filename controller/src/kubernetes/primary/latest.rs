//! What is newer than what the watch has brought.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use kube::Resource;
use parking_lot::Mutex;

use super::uid;
use crate::kubernetes::store::is_older;

/// What own writes returned, by uid, until the watch has caught up.
#[derive(Clone)]
pub(super) struct Latest<K>(Arc<Mutex<HashMap<String, Arc<K>>>>);

impl<K> Default for Latest<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Resource> Latest<K> {
    pub(super) fn of(&self, seen: Arc<K>) -> Arc<K> {
        let mut latest = self.0.lock();
        let uid = uid(&*seen);
        let Some(own) = latest.get(&uid).cloned() else {
            return seen;
        };
        let version = |object: &K| object.meta().resource_version.clone().unwrap_or_default();
        if is_older(&version(&seen), &version(&own)) {
            return own;
        }
        latest.remove(&uid);
        seen
    }

    pub(super) fn put(&self, object: Arc<K>) {
        self.0.lock().insert(uid(&*object), object);
    }

    pub(super) fn forget(&self, uid: &str) {
        self.0.lock().remove(uid);
    }

    pub(super) fn retain(&self, uids: &HashSet<String>) {
        self.0.lock().retain(|uid, _| uids.contains(uid));
    }
}
