//! The Secrets of a Cluster's certificates: whose they are, and what becomes of keys that are missing.

use std::collections::{BTreeMap, BTreeSet};

use crds::names;
use crds::v1beta2::{CertificateRef, CertificateType, Cluster, ClusterStatus};
use kube::ResourceExt;

use crate::apply::key_recovery::{self, Recovery};
use crate::cluster::status::keys_were_made;
use crate::kubernetes::store::{Kind, Live, ObjectKey, Store};
use crate::kubernetes::watches::{Unread, Watches};

/// The Secret with one CA, or with the key pair of service accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSecret {
    /// The Secret's name.
    pub secret: String,
    /// The user named it in `certificateRefs`: it is only read.
    pub users: bool,
    /// Digest of its certificate or public key; `None` while there is no such Secret, or not the one
    /// that the pods run with.
    pub digest: Option<String>,
    /// The public key that the pods were made with, else the one that they will be.
    pub public_key: Option<String>,
    /// The pods were made with another key: what this one signs nobody trusts.
    pub replaced: bool,
    /// What becomes of a key of our own that is not to be relied on; `None` if nobody has it.
    pub recovery: Option<Recovery>,
    /// The certificate of a CA, in PEM; the key pair of service accounts has none.
    pub certificate: Option<String>,
}

/// The Secrets of a Cluster's certificates, and which of those that its user names has not been read.
/// From now on those are watched.
pub(super) fn certificate_secrets(
    cluster: &Cluster,
    store: &Store,
    watches: &Watches,
) -> (BTreeMap<CertificateType, CertificateSecret>, Option<Unread>) {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let uid = cluster.uid().unwrap_or_default();
    let references = cluster.spec.certificate_refs.iter();
    let named = references.filter(|reference| user_named(reference));
    let types: BTreeSet<_> = CertificateType::ROOTS
        .into_iter()
        .chain(named.map(|reference| reference.type_))
        .collect();
    let mut by_name = BTreeSet::new();
    let noted = public_keys_noted(cluster, store);
    let secrets = types.into_iter().map(|type_| {
        let found = certificate(cluster, type_, noted.get(&type_), store);
        let key = ObjectKey::new(Kind::Secret, &namespace, &found.secret);
        let is_watched = match store.get(&key) {
            // The watches by label show what is the Cluster's own.
            Some(live) => live.is_owned_by(&uid),
            None => !is_named(cluster, type_),
        };
        if found.users || !is_watched {
            by_name.insert(found.secret.clone());
        }
        (type_, found)
    });
    let secrets = secrets.collect();
    (secrets, watches.name(&namespace, &name, &by_name))
}

/// Whether the user names the Secret of a certificate.
pub fn is_named(cluster: &Cluster, type_: CertificateType) -> bool {
    let mut references = cluster.spec.certificate_refs.iter();
    references.any(|reference| reference.type_ == type_ && user_named(reference))
}

fn user_named(reference: &CertificateRef) -> bool {
    reference.name.as_ref().is_some_and(|name| !name.is_empty())
}

/// The public keys that the pods were made with, as their StatefulSets say.
fn public_keys_noted(cluster: &Cluster, store: &Store) -> BTreeMap<CertificateType, String> {
    let name = cluster.name_any();
    let noted = |set: String| -> Option<BTreeMap<CertificateType, String>> {
        let namespace = cluster.namespace().unwrap_or_default();
        let key = ObjectKey::new(Kind::StatefulSet, namespace, set);
        let live = store.get_owned(&key, &cluster.uid().unwrap_or_default())?;
        serde_json::from_str(&live.annotation(names::PUBLIC_KEYS_ANNOTATION)?).ok()
    };
    let mut all = noted(names::etcd(&name)).unwrap_or_default();
    all.extend(noted(names::control_plane(&name)).unwrap_or_default());
    all
}

/// The Secret of one certificate of a Cluster as it is.
pub fn certificate_secret(
    cluster: &Cluster,
    type_: CertificateType,
    store: &Store,
) -> CertificateSecret {
    let noted = public_keys_noted(cluster, store);
    certificate(cluster, type_, noted.get(&type_), store)
}

fn certificate(
    cluster: &Cluster,
    type_: CertificateType,
    noted: Option<&String>,
    store: &Store,
) -> CertificateSecret {
    let references = &cluster.spec.certificate_refs;
    let named = references
        .iter()
        .find(|reference| reference.type_ == type_ && user_named(reference))
        .and_then(|reference| reference.name.clone());
    let generated = names::certificate(&cluster.name_any(), type_);
    let uid = cluster.uid().unwrap_or_default();
    let secret = named.clone().unwrap_or_else(|| generated.clone());
    let key = ObjectKey::new(
        Kind::Secret,
        cluster.namespace().unwrap_or_default(),
        &secret,
    );
    let live = store.get(&key);
    // Upstream writes the names of what it has made itself back into the spec.
    let users = named.is_some() && !(secret == generated && is_own(cluster, live.as_deref(), &uid));
    // What a user names may be anybody's.
    let live = if users {
        live.filter(|live| !live.deleting)
    } else {
        store.get_fitting(&key, &uid)
    };
    let found = live.as_ref().and_then(|live| live.public_key());
    // Nobody can have come to trust keys that never worked: those have to be put right.
    let status = cluster.status.as_ref();
    let in_use = noted.filter(|_| !status.is_some_and(ClusterStatus::has_never_served));
    let replaced = found.is_some() && in_use.is_some_and(|in_use| Some(in_use) != found.as_ref());
    let is_anothers = live.as_ref().is_some_and(|live| !live.is_owned_by(&uid));
    let live = live.filter(|_| !replaced);
    let known = in_use.cloned().or(found);
    let digest = live
        .as_ref()
        .and_then(|live| live.digest(names::TLS_CERT_KEY));
    let is_missing = digest.is_none() && !users && (!replaced || is_anothers);
    let recovery = is_missing
        .then(|| key_recovery::recovery(&key, known.as_ref(), &uid, store))
        .flatten();
    // While the Secret is missing its pods are wanted as they were.
    let public_key = known.or_else(|| noted.cloned());
    CertificateSecret {
        secret,
        users,
        public_key,
        replaced,
        digest,
        recovery,
        certificate: live.as_ref().and_then(|live| live.ca_certificate()),
    }
}

/// Whether a Secret of a generated name is the Cluster's own; one that is gone was, when all were
/// there.
fn is_own(cluster: &Cluster, live: Option<&Live>, uid: &str) -> bool {
    match live {
        Some(live) => live.is_owned_by(uid),
        None => keys_were_made(cluster.status.as_ref()),
    }
}
