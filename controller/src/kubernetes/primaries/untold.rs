//! What is to be told of objects, kept until this replica has a say.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;

/// Notes of objects that cannot be read, by uid. Clones share them.
#[derive(Clone, Default)]
pub struct Untold(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    open: bool,
    waiting: HashMap<String, (ObjectReference, String)>,
}

impl Untold {
    /// What is to be told of an object, if it is to be told now.
    pub(super) fn tell(
        &self,
        about: ObjectReference,
        note: String,
    ) -> Option<(ObjectReference, String)> {
        let mut notes = self.0.lock();
        if notes.open {
            return Some((about, note));
        }
        let uid = about.uid.clone().unwrap_or_default();
        notes.waiting.insert(uid, (about, note));
        None
    }

    /// An object is there in this version: what was noted of an earlier one is over.
    pub(super) fn is_now(&self, metadata: &ObjectMeta) {
        let mut notes = self.0.lock();
        if let Some(uid) = &metadata.uid
            && let Some((about, _)) = notes.waiting.get(uid)
            && about.resource_version != metadata.resource_version
        {
            notes.waiting.remove(uid);
        }
    }

    /// An object is gone.
    pub(super) fn forget(&self, metadata: &ObjectMeta) {
        if let Some(uid) = &metadata.uid {
            self.0.lock().waiting.remove(uid);
        }
    }

    /// A kind is listed anew.
    pub(super) fn forget_all(&self, kind: &str) {
        let waiting = &mut self.0.lock().waiting;
        waiting.retain(|_, (about, _)| about.kind.as_deref() != Some(kind));
    }

    /// From now on everything is told at once; what is to be told of before.
    pub(super) fn open(&self) -> Vec<(ObjectReference, String)> {
        let mut notes = self.0.lock();
        notes.open = true;
        std::mem::take(&mut notes.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(kind: &str, uid: &str, version: &str) -> ObjectReference {
        ObjectReference {
            kind: Some(kind.to_owned()),
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectReference::default()
        }
    }

    fn metadata(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn what_was_seen_before_is_told_once_if_it_is_still_so() {
        let untold = Untold::default();
        let note = |kind: &str, uid: &str, version: &str| {
            untold.tell(about(kind, uid, version), format!("{uid} {version}"))
        };
        for uid in ["read", "gone", "again"] {
            assert_eq!(note("Cluster", uid, "1"), None);
        }
        assert_eq!(note("Cluster", "again", "2"), None);
        note("JoinTokenRequest", "unlisted", "1");
        // What stands in for it is there in the same version.
        untold.is_now(&metadata("again", "2"));
        untold.is_now(&metadata("read", "2"));
        untold.forget(&metadata("gone", "2"));
        untold.forget_all("JoinTokenRequest");
        let told = untold.open().into_iter().map(|(_, note)| note);
        assert_eq!(told.collect::<Vec<_>>(), ["again 2"]);
        assert!(note("Cluster", "new", "1").is_some());
        assert!(untold.open().is_empty());
    }
}
