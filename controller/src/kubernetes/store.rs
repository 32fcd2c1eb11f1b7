//! The objects that the controller has seen, pruned to what a reconcile compares.
//!
//! Objects are kept as packed JSON text: a parsed tree of the same object takes tens of times as
//! much memory, and a reconcile reads fewer than twenty of them. Of Secrets only a digest per key
//! is kept, and the certificate of a CA, which is public.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::core::DynamicObject;
use parking_lot::RwLock;

mod kind;
mod live;
mod prune;
#[cfg(test)]
mod tests;
mod text;

pub use self::kind::{Kind, ObjectKey, Owner};
pub use self::live::Live;
pub use self::prune::digest;
use self::text::Samples;

/// How long an answer to a write of ours may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Inner {
    /// By kind first, so that those of one stand together.
    objects: BTreeMap<Arc<ObjectKey>, Arc<Live>>,
    /// Uids of what the watches have let go of lately: the answer to a write may come after that.
    gone: VecDeque<(Instant, String)>,
    /// By uid.
    by_owner: HashMap<String, Owned>,
    samples: HashMap<Kind, Samples>,
}

/// What has one owner, which all of it shares.
struct Owned {
    owner: Arc<Owner>,
    keys: BTreeSet<Arc<ObjectKey>>,
}

/// The shared store; cheap to clone.
#[derive(Clone, Default)]
pub struct Store(Arc<RwLock<Inner>>);

/// Owners of an object before and after a change, and Clusters that look at it: who has to be told.
pub type Touched = Vec<(String, Arc<Owner>)>;

impl Store {
    /// The object with this key.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<Live>> {
        self.0.read().objects.get(key).cloned()
    }

    /// The object with this key if its controller owner has this uid.
    pub fn get_owned(&self, key: &ObjectKey, owner_uid: &str) -> Option<Arc<Live>> {
        self.get(key).filter(|live| live.is_owned_by(owner_uid))
    }

    /// The object with this key if the owner with this uid may rely on it. One made anew finds
    /// the objects of its namesake for a moment, and what is signed by those keys would never
    /// fit its own.
    pub fn get_fitting(&self, key: &ObjectKey, owner_uid: &str) -> Option<Arc<Live>> {
        self.get(key).filter(|live| live.fits(owner_uid))
    }

    /// Everything whose controller owner has this uid.
    pub fn owned_by(&self, owner_uid: &str) -> BTreeMap<ObjectKey, Arc<Live>> {
        let inner = self.0.read();
        inner
            .by_owner
            .get(owner_uid)
            .into_iter()
            .flat_map(|owned| &owned.keys)
            .filter_map(|key| Some((ObjectKey::clone(key), inner.objects.get(key)?.clone())))
            .collect()
    }

    /// Every object of a kind.
    pub fn of_kind(&self, kind: Kind) -> Vec<(ObjectKey, Arc<Live>)> {
        self.those(kind, |_| true)
    }

    /// Every object of a kind that is being deleted.
    pub fn deleting(&self, kind: Kind) -> Vec<(ObjectKey, Arc<Live>)> {
        self.those(kind, |live| live.deleting)
    }

    /// What this watch of a kind has delivered.
    pub fn held_by(&self, kind: Kind, holder: u32) -> Vec<ObjectKey> {
        self.those(kind, |live| live.holders & holder != 0)
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    }

    /// What own requests have brought of a kind and no watch has.
    pub fn undelivered(&self, kind: Kind) -> Vec<(ObjectKey, Arc<Live>)> {
        self.those(kind, |live| live.holders == 0)
    }

    fn those(&self, kind: Kind, are_meant: impl Fn(&Live) -> bool) -> Vec<(ObjectKey, Arc<Live>)> {
        self.0
            .read()
            .objects
            .range::<ObjectKey, _>(&ObjectKey::new(kind, "", "")..)
            .take_while(|(key, _)| key.kind == kind)
            .filter(|(_, live)| are_meant(live))
            .map(|(key, live)| (ObjectKey::clone(key), live.clone()))
            .collect()
    }

    /// Whether there is such an object.
    pub fn has(&self, key: &ObjectKey) -> bool {
        self.0.read().objects.contains_key(key)
    }

    /// How many objects of each kind are kept; of one without any as well, or whoever shows the numbers
    /// would go on with the last one.
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::from(Kind::ALL.map(|kind| (kind, 0)));
        for key in self.0.read().objects.keys() {
            *counts.entry(key.kind).or_default() += 1;
        }
        counts
    }

    /// Takes in an object that a watch (its bit in `holder`) or an own write (`holder` 0) brought.
    /// An object older than the one that is kept changes nothing.
    pub fn put(&self, kind: Kind, object: DynamicObject, holder: u32) -> Touched {
        let name = object.metadata.name.clone();
        let Some(name) = name.filter(|name| kind.concerns(name)) else {
            return Vec::new();
        };
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let key = Arc::new(ObjectKey {
            kind,
            namespace,
            name,
        });
        let mut live = Live::new(kind, object);
        let mut inner = self.0.write();
        inner.forget_gone(Instant::now());
        if holder != 0 {
            inner.gone.retain(|(_, gone)| *gone != live.uid);
        } else if inner.is_gone(&live.uid) {
            return Vec::new();
        }
        let kept = inner.objects.get_key_value(&key);
        let kept = kept.map(|(key, live)| (Arc::clone(key), Arc::clone(live)));
        let (key, before) = kept.map_or((key, None), |(key, live)| (key, Some(live)));
        live.holders = holder;
        if let Some(before) = &before {
            // Who has seen another one of its name has not seen this one.
            let is_same = before.uid == live.uid;
            if is_same {
                live.holders |= before.holders;
            }
            if is_older(&live.resource_version, &before.resource_version) {
                if is_same {
                    inner.hold(&key, before, live.holders);
                }
                return Vec::new();
            }
        }
        // A kubelet writes its node again and again.
        if kind == Kind::Node && before.as_ref().is_some_and(|it| it.says_the_same(&live)) {
            inner.keep(key, live);
            return Vec::new();
        }
        let mut touched = Vec::new();
        if let Some(before) = before.as_ref().and_then(|b| b.owner.clone()) {
            inner.disown(&before.uid, &key);
            touched.push((key.namespace.clone(), before));
        }
        touched.extend(live.onlooker(&key));
        if let Some(owner) = &mut live.owner {
            let owned = inner.own(owner, &key);
            if owned == *owner {
                *owner = owned;
            }
            let owner = Arc::clone(owner);
            if !touched.iter().any(|(_, o)| *o == owner) {
                touched.push((key.namespace.clone(), owner));
            }
        }
        inner.keep(key, live);
        touched
    }

    /// Takes in an object as it is there now: it has not gone, if only a watch has let go of it.
    pub fn put_read(&self, kind: Kind, object: DynamicObject) -> Touched {
        if let Some(uid) = &object.metadata.uid {
            self.0.write().gone.retain(|(_, gone)| gone != uid);
        }
        self.put(kind, object, 0)
    }

    /// A watch no longer delivers the object with this uid: it is gone, unless another watch still
    /// has it. An object made anew under the same name stays.
    pub fn release(&self, key: &ObjectKey, uid: Option<&str>, holder: u32) -> Touched {
        let mut inner = self.0.write();
        let Some(live) = inner.objects.get(key).cloned() else {
            return Vec::new();
        };
        let is_it = match uid {
            Some(uid) => uid == live.uid,
            // What was written a moment ago is not the watch's that has ended: it has not seen it.
            None => live.holders & holder != 0,
        };
        if !is_it {
            return Vec::new();
        }
        let holders = live.holders & !holder;
        if holders != 0 {
            inner.hold(key, &live, holders);
            return Vec::new();
        }
        inner.remember_gone(live.uid.clone());
        inner.remove(key)
    }

    /// Nothing is kept of an object that was only read or written, if no watch delivers it: none
    /// would tell of its end.
    pub fn let_go(&self, key: &ObjectKey) {
        let mut inner = self.0.write();
        if inner.objects.get(key).is_some_and(|live| live.holders == 0) {
            inner.remove(key);
        }
    }

    /// What was known of the object is gone, whoever delivered it; what was learnt of it meanwhile
    /// stays.
    pub fn remove(&self, key: &ObjectKey, known: &Live) -> Touched {
        let mut inner = self.0.write();
        let is_it = inner.objects.get(key).is_some_and(|live| {
            live.uid == known.uid && live.resource_version == known.resource_version
        });
        if is_it { inner.remove(key) } else { Vec::new() }
    }

    /// What an own request has brought is gone, if it is still all that is known of the object.
    pub fn remove_undelivered(&self, key: &ObjectKey, known: &Live) -> Touched {
        let mut inner = self.0.write();
        let is_it = inner.objects.get(key).is_some_and(|live| {
            live.holders == 0
                && live.uid == known.uid
                && live.resource_version == known.resource_version
        });
        if !is_it {
            return Vec::new();
        }
        inner.remember_gone(known.uid.clone());
        inner.remove(key)
    }
}

impl Inner {
    fn keep(&mut self, key: Arc<ObjectKey>, mut live: Live) {
        live.pack(self.samples.entry(key.kind).or_default());
        self.objects.insert(key, Arc::new(live));
    }

    fn remember_gone(&mut self, uid: String) {
        let now = Instant::now();
        self.forget_gone(now);
        self.gone.push_back((now, uid));
    }

    /// Each object that comes is looked for in what is left.
    fn forget_gone(&mut self, now: Instant) {
        while let Some((at, _)) = self.gone.front()
            && now.duration_since(*at) > ON_ITS_WAY
        {
            self.gone.pop_front();
        }
    }

    fn is_gone(&self, uid: &str) -> bool {
        self.gone.iter().any(|(_, gone)| gone == uid)
    }

    fn hold(&mut self, key: &ObjectKey, live: &Live, holders: u32) {
        if live.holders != holders
            && let Some(kept) = self.objects.get_mut(key)
        {
            let mut held = live.clone();
            held.holders = holders;
            *kept = Arc::new(held);
        }
    }

    /// The owner of this uid as the first object of it has named it.
    fn own(&mut self, owner: &Arc<Owner>, key: &Arc<ObjectKey>) -> Arc<Owner> {
        let owned = self.by_owner.entry(owner.uid.clone());
        let owned = owned.or_insert_with(|| Owned {
            owner: Arc::clone(owner),
            keys: BTreeSet::new(),
        });
        owned.keys.insert(Arc::clone(key));
        Arc::clone(&owned.owner)
    }

    fn disown(&mut self, uid: &str, key: &ObjectKey) {
        if let Some(owned) = self.by_owner.get_mut(uid) {
            owned.keys.remove(key);
            if owned.keys.is_empty() {
                self.by_owner.remove(uid);
            }
        }
    }

    fn remove(&mut self, key: &ObjectKey) -> Touched {
        let Some(live) = self.objects.remove(key) else {
            return Vec::new();
        };
        let mut touched: Touched = live.onlooker(key).into_iter().collect();
        if let Some(owner) = live.owner.clone() {
            self.disown(&owner.uid, key);
            touched.push((key.namespace.clone(), owner));
        }
        touched
    }
}

/// Whether `a` is an older version than `b` of one object. Kubernetes compares resourceVersions
/// as numbers since 1.35; every server backed by etcd has always numbered them.
pub fn is_older(a: &str, b: &str) -> bool {
    matches!((a.parse::<u64>(), b.parse::<u64>()), (Ok(a), Ok(b)) if a < b)
}
