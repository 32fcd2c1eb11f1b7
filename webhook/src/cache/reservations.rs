//! Who holds a node port, a host or an address.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crds::lookup::Holder;

/// Who holds what. The same holder may hold a thing for several reasons: a Cluster's own port and
/// its Service's.
pub(super) struct Reservations<K>(HashMap<K, BTreeMap<Holder, usize>>);

impl<K> Default for Reservations<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq + Clone> Reservations<K> {
    pub(super) fn add(&mut self, thing: &K, holder: &Holder) {
        let holders = self.0.entry(thing.clone()).or_default();
        *holders.entry(holder.clone()).or_default() += 1;
    }

    pub(super) fn remove(&mut self, thing: &K, holder: &Holder) {
        let Some(holders) = self.0.get_mut(thing) else {
            return;
        };
        if let Some(count) = holders.get_mut(holder) {
            *count -= 1;
            if *count == 0 {
                holders.remove(holder);
            }
        }
        if holders.is_empty() {
            self.0.remove(thing);
        }
    }

    pub(super) fn holders(&self, thing: &K) -> Vec<Holder> {
        let holders = self.0.get(thing).into_iter().flat_map(BTreeMap::keys);
        holders.cloned().collect()
    }
}
