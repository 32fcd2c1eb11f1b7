//! The Secrets that users name: which Clusters name each, and what is known of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::runtime::watcher;
use parking_lot::Mutex;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::kubernetes::store::{Kind, ObjectKey};

/// A first answer that takes longer is worth telling.
const SOON: Duration = Duration::from_secs(5);

/// A named Secret of which it is not known whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Its key.
    pub secret: ObjectKey,
    /// Why, once there is something to say; until then an answer is on its way.
    pub why: Option<String>,
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Named(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    secrets: HashMap<ObjectKey, NamedSecret>,
    /// The names of Secrets that each Cluster names, by its namespace and name. One that names none
    /// is not in it.
    of_clusters: BTreeMap<(String, String), BTreeSet<String>>,
}

struct NamedSecret {
    /// Names of the Clusters that name it; there is at least one.
    clusters: BTreeSet<String>,
    answer: Answer,
    /// Ends its watch.
    _end: DropGuard,
}

enum Answer {
    /// The API server has said whether it is there.
    Known,
    Awaited(Instant),
    Failed(String),
}

impl Named {
    /// A Cluster names these Secrets and no others. Those that nobody has named yet are to be
    /// watched until the end that comes with them.
    pub(super) fn name(
        &self,
        namespace: &str,
        cluster: &str,
        secrets: &BTreeSet<String>,
        stop: &CancellationToken,
    ) -> (Vec<(ObjectKey, CancellationToken)>, Option<Unread>) {
        let mut named = self.0.lock();
        named.names_only(namespace, cluster, secrets);
        let (mut begun, mut unread) = (Vec::new(), None);
        for name in secrets {
            let key = ObjectKey::new(Kind::Secret, namespace, name);
            let secret = named.secrets.entry(key.clone()).or_insert_with(|| {
                let end = stop.child_token();
                begun.push((key.clone(), end.clone()));
                NamedSecret {
                    clusters: BTreeSet::new(),
                    answer: Answer::Awaited(Instant::now()),
                    _end: end.drop_guard(),
                }
            });
            secret.clusters.insert(cluster.to_owned());
            let is_unread = !matches!(secret.answer, Answer::Known);
            // One that has failed says more than one that is awaited.
            if is_unread
                && unread
                    .as_ref()
                    .is_none_or(|other: &Unread| other.why.is_none())
            {
                unread = Some(Unread {
                    secret: key,
                    why: secret.answer.why(Instant::now()),
                });
            }
        }
        (begun, unread)
    }

    /// The Secret is there, or is not; for whom that is news.
    pub(super) fn answered(&self, key: &ObjectKey) -> BTreeSet<String> {
        let mut named = self.0.lock();
        let Some(secret) = named.secrets.get_mut(key) else {
            return BTreeSet::new();
        };
        secret.answer = Answer::Known;
        secret.clusters.clone()
    }

    /// It could not be asked for; for whom that is news. What was known before holds.
    pub(super) fn failed(&self, key: &ObjectKey, error: &watcher::Error) -> BTreeSet<String> {
        let said = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status)) => status.message.clone(),
            other => other.to_string(),
        };
        let mut named = self.0.lock();
        let Some(secret) = named.secrets.get_mut(key) else {
            return BTreeSet::new();
        };
        match &secret.answer {
            Answer::Known => return BTreeSet::new(),
            Answer::Failed(before) if *before == said => return BTreeSet::new(),
            Answer::Awaited(_) | Answer::Failed(_) => secret.answer = Answer::Failed(said),
        }
        secret.clusters.clone()
    }

    /// Clusters that are not there any more name nothing.
    pub(super) fn retain(&self, is_there: impl Fn(&str, &str) -> bool) {
        let mut named = self.0.lock();
        let clusters = named.of_clusters.keys();
        let gone = clusters.filter(|(namespace, cluster)| !is_there(namespace, cluster));
        for (namespace, cluster) in gone.cloned().collect::<Vec<_>>() {
            named.names_only(&namespace, &cluster, &BTreeSet::new());
        }
    }

    /// Does it while nobody names the Secret.
    pub(super) fn unless_named<T>(&self, key: &ObjectKey, act: impl FnOnce() -> T) {
        let named = self.0.lock();
        if !named.secrets.contains_key(key) {
            act();
        }
    }
}

impl Inner {
    /// Takes a Cluster off the Secrets that it names no more.
    fn names_only(&mut self, namespace: &str, cluster: &str, secrets: &BTreeSet<String>) {
        let of = (namespace.to_owned(), cluster.to_owned());
        let before = if secrets.is_empty() {
            self.of_clusters.remove(&of)
        } else {
            self.of_clusters.insert(of, secrets.clone())
        };
        for name in before.unwrap_or_default().difference(secrets) {
            let key = ObjectKey::new(Kind::Secret, namespace, name);
            if let Some(secret) = self.secrets.get_mut(&key) {
                secret.clusters.remove(cluster);
                if secret.clusters.is_empty() {
                    self.secrets.remove(&key);
                }
            }
        }
    }
}

impl Answer {
    /// Why it is not known, where that is to be said.
    fn why(&self, now: Instant) -> Option<String> {
        match self {
            Self::Failed(said) => Some(said.clone()),
            Self::Awaited(since) if now.duration_since(*since) >= SOON => {
                Some("the API server has not answered yet".to_owned())
            }
            Self::Known | Self::Awaited(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(Kind::Secret, "n", name)
    }

    fn names(
        named: &Named,
        cluster: &str,
        secrets: &[&str],
    ) -> (Vec<(ObjectKey, CancellationToken)>, Option<Unread>) {
        let secrets = secrets.iter().map(|name| (*name).to_owned()).collect();
        named.name("n", cluster, &secrets, &CancellationToken::new())
    }

    #[test]
    fn a_secret_is_watched_once_and_for_as_long_as_anybody_names_it() {
        let named = Named::default();
        let (begun, _) = names(&named, "one", &["a", "b"]);
        let ends: Vec<_> = begun.iter().map(|(_, end)| end).collect();
        assert_eq!(
            begun.iter().map(|(key, _)| key).collect::<Vec<_>>(),
            [&key("a"), &key("b")]
        );
        assert!(names(&named, "two", &["a"]).0.is_empty());
        assert_eq!(
            named.answered(&key("a")),
            ["one", "two"].map(str::to_owned).into()
        );
        names(&named, "one", &["b"]);
        assert!(!ends[0].is_cancelled());
        // In another namespace it is another Cluster.
        named.name("m", "two", &BTreeSet::new(), &CancellationToken::new());
        assert!(!ends[0].is_cancelled());
        names(&named, "two", &[]);
        assert!(ends[0].is_cancelled() && !ends[1].is_cancelled());
        named.retain(|_, cluster| cluster != "one");
        assert!(ends[1].is_cancelled());
        let inner = named.0.lock();
        assert!(inner.of_clusters.is_empty() && inner.secrets.is_empty());
        drop(inner);
        let mut released = Vec::new();
        named.unless_named(&key("a"), || released.push("a"));
        assert_eq!(names(&named, "one", &["a"]).0.len(), 1);
        named.unless_named(&key("a"), || released.push("again"));
        assert_eq!(released, ["a"]);
    }

    #[test]
    fn what_keeps_one_from_being_read_is_said_and_what_was_read_holds() {
        let named = Named::default();
        let unread = |named: &Named| names(named, "one", &["a"]).1;
        let waiting = unread(&named).unwrap();
        assert_eq!((waiting.secret, waiting.why), (key("a"), None));
        let late = Answer::Awaited(Instant::now()).why(Instant::now() + SOON);
        assert!(late.is_some_and(|said| said.contains("not answered")));
        let forbidden = Status::failure("secrets is forbidden", "Forbidden").with_code(403);
        let error = watcher::Error::InitialListFailed(kube::Error::Api(forbidden.boxed()));
        assert_eq!(named.failed(&key("a"), &error), ["one".to_owned()].into());
        // The same again is no news, nor is what does not matter to anybody.
        assert_eq!(named.failed(&key("a"), &error), BTreeSet::new());
        let why = unread(&named).and_then(|unread| unread.why);
        assert_eq!(why.as_deref(), Some("secrets is forbidden"));
        named.answered(&key("a"));
        assert_eq!(unread(&named), None);
        assert_eq!(named.failed(&key("a"), &error), BTreeSet::new());
        assert_eq!(unread(&named), None);
    }
}
