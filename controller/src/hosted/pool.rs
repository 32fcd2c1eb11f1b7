use std::collections::HashMap;

use kube::Client;
use parking_lot::Mutex;

use super::{Endpoint, HostedError, connect};
use crate::pki::PemPair;

/// Clients of hosted APIs, kept for as long as nothing changes that they are made of.
///
/// One a Cluster, told apart by its uid, so that a Cluster made anew under the same name gets
/// nothing of the old one's. A renewed certificate, another address or another authority makes a
/// new client in the old one's place.
pub struct Pool {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_uid: HashMap<String, Entry>,
    /// Counts the uses: what was used longest ago makes room.
    uses: u64,
}

struct Entry {
    fingerprint: [u8; 32],
    client: Client,
    used: u64,
}

impl Pool {
    /// A pool of at most `capacity` clients, at least one.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: Mutex::default(),
        }
    }

    /// The client for a Cluster. Nothing is sent. Needs a running tokio runtime.
    pub fn client(
        &self,
        uid: &str,
        endpoint: &Endpoint,
        client_cert: Option<&PemPair>,
    ) -> Result<Client, HostedError> {
        let fingerprint = endpoint.fingerprint(client_cert);
        let mut entries = self.entries.lock();
        entries.uses += 1;
        let used = entries.uses;
        if let Some(entry) = entries.by_uid.get_mut(uid)
            && entry.fingerprint == fingerprint
        {
            entry.used = used;
            return Ok(entry.client.clone());
        }
        let client = connect(endpoint, client_cert)?;
        if entries.by_uid.len() >= self.capacity && !entries.by_uid.contains_key(uid) {
            entries.remove_oldest();
        }
        entries.by_uid.insert(
            uid.to_owned(),
            Entry {
                fingerprint,
                client: client.clone(),
                used,
            },
        );
        Ok(client)
    }

    /// Drops the client of a Cluster that is gone.
    pub fn forget(&self, uid: &str) {
        self.entries.lock().by_uid.remove(uid);
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.entries.lock().by_uid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Entries {
    fn remove_oldest(&mut self) {
        let oldest = self.by_uid.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(uid) = oldest.map(|(uid, _)| uid.clone()) {
            self.by_uid.remove(&uid);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::fixtures;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new("127.0.0.1", port, fixtures::pair("ec-sec1").certificate)
    }

    fn fingerprint(pool: &Pool, uid: &str) -> Option<[u8; 32]> {
        pool.entries
            .lock()
            .by_uid
            .get(uid)
            .map(|entry| entry.fingerprint)
    }

    #[tokio::test]
    async fn a_client_is_kept_until_what_it_is_made_of_changes() {
        let pool = Pool::new(8);
        let certificate = fixtures::pair("ec-p384");
        pool.client("a", &endpoint(1), None).unwrap();
        let first = fingerprint(&pool, "a").unwrap();
        pool.client("a", &endpoint(1), None).unwrap();
        assert_eq!(fingerprint(&pool, "a").unwrap(), first);
        pool.client("a", &endpoint(1), Some(&certificate)).unwrap();
        let second = fingerprint(&pool, "a").unwrap();
        assert_ne!(second, first);
        pool.client("a", &endpoint(2), Some(&certificate)).unwrap();
        assert_ne!(fingerprint(&pool, "a").unwrap(), second);
        assert_eq!(pool.len(), 1);
    }

    #[tokio::test]
    async fn what_was_used_longest_ago_makes_room() {
        let pool = Pool::new(2);
        pool.client("a", &endpoint(1), None).unwrap();
        pool.client("b", &endpoint(1), None).unwrap();
        pool.client("a", &endpoint(1), None).unwrap();
        pool.client("c", &endpoint(1), None).unwrap();
        assert!(fingerprint(&pool, "a").is_some());
        assert!(fingerprint(&pool, "b").is_none());
        assert_eq!(pool.len(), 2);
        pool.forget("a");
        assert_eq!(pool.len(), 1);
    }

    #[tokio::test]
    async fn what_cannot_be_used_is_an_error_and_not_kept() {
        let pool = Pool::new(2);
        let mut bad = endpoint(1);
        bad.host = "a/b".into();
        assert!(matches!(
            pool.client("a", &bad, None),
            Err(HostedError::Endpoint(_))
        ));
        bad = endpoint(1);
        bad.ca_certificate.clear();
        assert!(matches!(
            pool.client("a", &bad, None),
            Err(HostedError::Endpoint(_))
        ));
        let mixed = PemPair {
            certificate: fixtures::pair("ec-p384").certificate,
            key: fixtures::pair("ec-sec1").key,
        };
        assert!(matches!(
            pool.client("a", &endpoint(1), Some(&mixed)),
            Err(HostedError::Client(_))
        ));
        assert!(pool.is_empty());
    }
}
