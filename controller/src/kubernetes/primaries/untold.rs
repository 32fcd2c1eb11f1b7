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
    waiting: HashMap<String, Note>,
}

struct Note {
    /// The version of the object that it is of.
    version: Option<String>,
    about: ObjectReference,
    text: String,
}

impl Untold {
    /// What is to be told of an object in this version, if it is to be told now.
    pub(super) fn tell(
        &self,
        of: &ObjectMeta,
        about: ObjectReference,
        note: String,
    ) -> Option<(ObjectReference, String)> {
        let mut notes = self.0.lock();
        if notes.open {
            return Some((about, note));
        }
        let uid = of.uid.clone().unwrap_or_default();
        let version = of.resource_version.clone();
        let note = Note {
            version,
            about,
            text: note,
        };
        notes.waiting.insert(uid, note);
        None
    }

    /// An object is there in this version: what was noted of an earlier one is over.
    pub(super) fn is_now(&self, metadata: &ObjectMeta) {
        let mut notes = self.0.lock();
        if let Some(uid) = &metadata.uid
            && let Some(note) = notes.waiting.get(uid)
            && note.version != metadata.resource_version
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
        waiting.retain(|_, note| note.about.kind.as_deref() != Some(kind));
    }

    /// From now on everything is told at once; what is to be told of before.
    pub(super) fn open(&self) -> Vec<(ObjectReference, String)> {
        let mut notes = self.0.lock();
        notes.open = true;
        let waiting = std::mem::take(&mut notes.waiting).into_values();
        waiting.map(|it| (it.about, it.text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use crds::v1beta2::{Cluster, JoinTokenRequest};
    use kube::Resource;
    use runtime::{Read, Unreadable};
    use serde_json::json;

    use super::super::warning;
    use super::*;

    fn metadata(uid: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some(uid.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn unreadable(uid: &str, version: &str) -> Unreadable {
        let object = json!({"metadata": metadata(uid, version), "spec": 5});
        match serde_json::from_value::<Read<Cluster>>(object).unwrap() {
            Read::Not(unreadable) => *unreadable,
            Read::Whole(_) => panic!("it parses"),
        }
    }

    #[test]
    fn what_was_seen_before_is_told_once_if_it_is_still_so() {
        fn note<K>(untold: &Untold, uid: &str, version: &str) -> Option<String>
        where
            K: Resource<DynamicType = ()> + Default,
        {
            let unreadable = unreadable(uid, version);
            let (about, _) = warning::<K>(&unreadable, true);
            let note = format!("{uid} {version}");
            let told = untold.tell(&unreadable.metadata, about, note);
            told.map(|(_, note)| note)
        }
        let untold = Untold::default();
        for uid in ["read", "gone", "again"] {
            assert_eq!(note::<Cluster>(&untold, uid, "1"), None);
        }
        assert_eq!(note::<Cluster>(&untold, "again", "2"), None);
        note::<JoinTokenRequest>(&untold, "unlisted", "1");
        // What stands in for it is there in the same version.
        untold.is_now(&metadata("again", "2"));
        untold.is_now(&metadata("read", "2"));
        untold.forget(&metadata("gone", "2"));
        untold.forget_all("JoinTokenRequest");
        let told = untold.open().into_iter().map(|(_, note)| note);
        assert_eq!(told.collect::<Vec<_>>(), ["again 2"]);
        assert!(note::<Cluster>(&untold, "new", "1").is_some());
        assert!(untold.open().is_empty());
    }
}
