//! Rules for `spec.storage`: etcd, kine and NATS, each with its settings.

use crate::v1beta2::{Cluster, ClusterSpec, PersistenceType, StorageType};
use crate::validation::{Errors, Findings, quantity};

pub(super) fn validate(errors: &mut Errors, spec: &ClusterSpec) {
    match spec.storage.type_ {
        StorageType::Etcd => etcd(errors, spec),
        StorageType::Kine => kine(errors, spec),
        StorageType::Nats => {}
    }
}

/// What decides whether a member without data starts a store of its own. The controller knows
/// whether there is data already; an argument that says otherwise would be stronger than that.
const BEGINNING: [&str; 9] = [
    // With it etcd takes no notice of any argument.
    "config-file",
    "discovery",
    "discovery-endpoints",
    "discovery-srv",
    "discovery-srv-name",
    "discovery-token",
    "force-new-cluster",
    "initial-cluster",
    "initial-cluster-state",
];

/// What tells members apart, and how they and their clients find and trust each other.
const OURS: [&str; 16] = [
    "advertise-client-urls",
    "cert-file",
    "client-cert-auth",
    "initial-advertise-peer-urls",
    "key-file",
    "listen-client-http-urls",
    "listen-client-urls",
    "listen-metrics-urls",
    "listen-peer-urls",
    "name",
    "peer-cert-file",
    "peer-client-cert-auth",
    "peer-key-file",
    "peer-trusted-ca-file",
    "trusted-ca-file",
    "wal-dir",
];

/// The flag that an argument of etcd's sets.
pub fn etcd_flag(arg: &str) -> Option<&str> {
    let flag = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    flag.split('=').next()
}

/// Whether an argument of etcd's is left to the product.
pub fn is_etcds_own(flag: &str) -> bool {
    BEGINNING.contains(&flag) || OURS.contains(&flag)
}

/// Arguments that are for the product to set. Where they are stored they have no effect, or say where
/// data lies already.
pub(super) fn of_members(old: Option<&Cluster>, new: &Cluster) -> Findings {
    let (mut errors, mut warnings) = (Errors::default(), Errors::default());
    if new.spec.storage.type_ != StorageType::Etcd {
        return Findings::new(errors, warnings);
    }
    for (index, arg) in new.spec.storage.etcd.args.iter().enumerate() {
        if !etcd_flag(arg).is_some_and(|flag| OURS.contains(&flag)) {
            continue;
        }
        let stored = old.is_some_and(|old| old.spec.storage.etcd.args.contains(arg));
        let found = if stored { &mut warnings } else { &mut errors };
        found
            .forbidden(
                format!("spec.storage.etcd.args[{index}]"),
                format!("{arg:?} may not be set: members would not find or trust each other"),
            )
            .hint("leave it out: it is set for every member");
    }
    Findings::new(errors, warnings)
}

fn etcd(errors: &mut Errors, spec: &ClusterSpec) {
    let etcd = &spec.storage.etcd;
    for (index, arg) in etcd.args.iter().enumerate() {
        let Some(flag) = etcd_flag(arg) else {
            continue;
        };
        if BEGINNING.contains(&flag) {
            errors
                .forbidden(
                    format!("spec.storage.etcd.args[{index}]"),
                    format!("{arg:?} may not be set: a member that has lost its data could start with an empty store"),
                )
                .hint("docs/troubleshooting.md says how to recover etcd by hand");
        }
    }
    if etcd.image.is_empty() || etcd.image.contains(char::is_whitespace) {
        errors
            .invalid("spec.storage.etcd.image", &etcd.image, "must be an image")
            .hint("leave it out for the default");
    }
    quantity::volume_size(
        errors,
        "spec.storage.etcd.persistence.size",
        &etcd.persistence.size,
    );
    if let Some(resources) = &etcd.resources {
        quantity::resources(errors, "spec.storage.etcd.resources", resources);
    }
}

/// Whether kine is left to make a file of its own in the data directory.
fn is_local(spec: &ClusterSpec) -> bool {
    let named = |name: &Option<String>| name.as_ref().is_some_and(|name| !name.is_empty());
    let kine = spec.storage.kine.as_ref();
    spec.storage.type_ == StorageType::Kine
        && !kine.is_some_and(|kine| {
            named(&kine.data_source_url) || named(&kine.data_source_secret_name)
        })
}

fn kine(errors: &mut Errors, spec: &ClusterSpec) {
    if is_local(spec) && spec.replicas > 1 {
        errors
            .required(
                "spec.storage.kine",
                format!("a database must be specified with {} replicas: each would keep a state of its own", spec.replicas),
            )
            .hint("set dataSourceSecretName or dataSourceURL, or one replica");
    }
}

/// What works with kine and should not be.
pub(super) fn warn(warnings: &mut Errors, spec: &ClusterSpec) {
    if spec.storage.type_ != StorageType::Kine {
        return;
    }
    let lasts = spec.persistence.as_ref().is_some_and(|persistence| {
        matches!(
            persistence.type_,
            PersistenceType::Pvc | PersistenceType::HostPath
        )
    });
    if is_local(spec) && !lasts {
        warnings
            .warning(
                "spec.storage.kine",
                "",
                "no database is specified: the hosted cluster's state is a file that is lost with the pod",
            )
            .hint("set dataSourceSecretName, or spec.persistence of type pvc");
    }
    let kine = spec.storage.kine.as_ref();
    // What it is stays out of the message: it holds a password.
    if kine.is_some_and(|kine| {
        kine.data_source_url
            .as_ref()
            .is_some_and(|url| url.contains('@'))
    }) {
        warnings
            .warning(
                "spec.storage.kine.dataSourceURL",
                "",
                "can be read by everyone who may read the Cluster, including the password",
            )
            .hint("put it into a Secret and set dataSourceSecretName");
    }
}
