//! Which versions a Cluster may go to.
//!
//! Kubernetes goes forward one minor version at a time and never back, and its kubelets may be
//! three minor versions older than the API server. kine is a part of k0s and goes with it.

mod etcd;
mod releases;

pub use etcd::{etcd, etcd_version};
pub use releases::{known, nearest, newest, newest_build};

use crate::names::FORCE_UPGRADE_ANNOTATION;
use crate::v1beta2::{Cluster, ClusterSpec, ClusterStatus, StatusNodes};
use crate::validation::{Errors, FieldError, Findings};
use crate::version::{DEFAULT_VERSION, K0sVersion};

const PATH: &str = "spec.version";

/// How many minor versions a kubelet may be older than the API server.
const SKEW: u64 = 3;

/// The version text that a Cluster is to run: what its spec says, else what it runs already, else
/// the default. A Cluster that names no version stays where it is when the default moves on.
pub fn target<'a>(spec: &'a ClusterSpec, status: Option<&'a ClusterStatus>) -> &'a str {
    let given = |version: &'a Option<String>| version.as_deref().filter(|text| !text.is_empty());
    given(&spec.version)
        .or_else(|| given(&status?.version))
        .unwrap_or(DEFAULT_VERSION)
}

/// Whether the annotation asks for an upgrade to this very version in spite of what speaks against
/// the moment. One that was left behind by an earlier upgrade names another version.
pub fn is_forced(cluster: &Cluster, wanted: &K0sVersion) -> bool {
    forced(cluster)
        .and_then(|text| text.parse::<K0sVersion>().ok())
        .is_some_and(|version| version == *wanted)
}

fn forced(cluster: &Cluster) -> Option<&str> {
    let annotations = cluster.metadata.annotations.as_ref()?;
    annotations
        .get(FORCE_UPGRADE_ANNOTATION)
        .map(String::as_str)
}

/// What forbids to go from the version that runs to another one at any time: it is older, or a
/// minor version lies between the two.
pub fn step(running: &K0sVersion, wanted: &K0sVersion) -> Option<FieldError> {
    let (from, to) = (running.kubernetes(), wanted.kubernetes());
    let error = |message, hint: String| FieldError::invalid(PATH, wanted, message).hint(hint);
    if wanted.is_older_than(running) {
        return Some(error(
            format!(
                "is older than {running}, which the cluster runs: an older Kubernetes does not understand what a newer one has stored"
            ),
            format!(
                "{running} or newer, up to v{}.{}.x",
                from.major,
                from.minor + 1
            ),
        ));
    }
    if to.major != from.major || to.minor > from.minor + 1 {
        let next = from.minor + 1;
        let example = newest(next).map_or_else(String::new, |known| format!(", such as {known}"));
        return Some(error(
            format!("skips a minor version: the cluster runs {running}"),
            format!("v{}.{next}.x first{example}", from.major),
        ));
    }
    None
}

/// The rule that holds whoever changed the spec, seen from what a Cluster runs: `None` while
/// nothing has run, and for the version that runs.
pub fn refusal(cluster: &Cluster) -> Option<FieldError> {
    let status = cluster.status.as_ref();
    let running: K0sVersion = status?.version.as_deref()?.parse().ok()?;
    let text = target(&cluster.spec, status);
    let mut error = step(&running, &text.parse().ok()?)?;
    text.clone_into(&mut error.value);
    Some(error)
}

/// What of a change of the version cannot be, and what its author should know.
pub fn upgrade(old: &Cluster, new: &Cluster) -> Findings {
    let status = old.status.as_ref();
    let (before, text) = (target(&old.spec, status), target(&new.spec, status));
    let before = before.parse::<K0sVersion>().ok();
    // A text that is no version is named by the rules of the object alone.
    let Ok(wanted) = text.parse::<K0sVersion>() else {
        return Findings::default();
    };
    if before.as_ref() == Some(&wanted) {
        return Findings::default();
    }
    let mut findings = Findings {
        errors: Vec::new(),
        warnings: version_warnings(text),
    };
    let recorded = status
        .and_then(|status| status.version.as_deref())
        .and_then(|version| version.parse::<K0sVersion>().ok());
    // Earlier installations recorded no version.
    let ready = status.is_some_and(|status| status.ready_replicas.is_some_and(|ready| ready > 0));
    let Some(running) = recorded.or_else(|| before.clone().filter(|_| ready)) else {
        return findings;
    };
    // Leaving an upgrade that has not ended is no downgrade.
    if wanted == running {
        return findings;
    }
    let mut errors = Errors::default();
    let forbidden = step(&running, &wanted);
    let force = forbidden.is_none();
    match forbidden {
        Some(error) => errors.0.push(error),
        None => skew(
            &running,
            &wanted,
            status.and_then(|status| status.nodes.as_ref()),
            &mut errors,
            &mut findings.warnings,
        ),
    }
    let gates = gates(before.as_ref(), &running, status);
    if is_forced(new, &wanted) {
        findings.warnings.extend(gates.into_iter().map(|gate| {
            gate.into_warning().hint(format!(
                "forced by the annotation {FORCE_UPGRADE_ANNOTATION}"
            ))
        }));
    } else {
        let stale = forced(new).map_or_else(String::new, |version| {
            format!("; now it names {version:?}, which has no effect")
        });
        errors.0.extend(gates.into_iter().map(|mut gate| {
            if force {
                gate.hint = format!(
                    "{}, or force it with the annotation {FORCE_UPGRADE_ANNOTATION}: {text}{stale}",
                    gate.hint
                );
            }
            gate
        }));
    }
    findings.errors = errors.0;
    // As it was written.
    for finding in findings.errors.iter_mut().chain(&mut findings.warnings) {
        text.clone_into(&mut finding.value);
    }
    findings
}

/// What speaks against the moment.
fn gates(
    before: Option<&K0sVersion>,
    running: &K0sVersion,
    status: Option<&ClusterStatus>,
) -> Vec<FieldError> {
    let mut gates = Errors::default();
    // The controller does not begin a change that is forbidden.
    let begun = |before: &&K0sVersion| *before != running && step(running, before).is_none();
    if let Some(before) = before.filter(begun) {
        gates
            .forbidden(
                PATH,
                format!("the upgrade from {running} to {before} has not finished"),
            )
            .hint(format!("wait for it, or revert to {running}"));
    }
    let available = status.and_then(|status| status.condition(ClusterStatus::AVAILABLE));
    if available.is_none_or(|condition| condition.status != "True") {
        let why = available.map_or_else(
            || "it is not Available yet".to_owned(),
            |condition| format!("{}: {}", condition.reason, condition.message),
        );
        gates
            .forbidden(
                PATH,
                format!(
                    "the cluster is not healthy ({})",
                    why.trim_end_matches(": ")
                ),
            )
            .hint("wait until it is Available");
    }
    gates.0
}

fn skew(
    running: &K0sVersion,
    wanted: &K0sVersion,
    nodes: Option<&StatusNodes>,
    errors: &mut Errors,
    warnings: &mut Vec<FieldError>,
) {
    if wanted.minor() == running.minor() || nodes.is_some_and(|nodes| nodes.joined == 0) {
        return;
    }
    let oldest = nodes.and_then(|nodes| nodes.oldest_kubelet.as_deref());
    let version =
        oldest.and_then(|text| semver::Version::parse(text.strip_prefix('v').unwrap_or(text)).ok());
    let least = wanted.minor().saturating_sub(SKEW);
    match (oldest, version) {
        (Some(oldest), Some(version)) if version.minor < least => errors.invalid(PATH, wanted, format!("is more than {SKEW} minor versions ahead of the oldest kubelet among the cluster's nodes, {oldest}")).hint(format!("upgrade every node to v1.{least}.x or newer first, or delete the nodes that are gone")),
        (_, Some(_)) => {}
        (_, None) => {
            let mut unknown = Errors::default();
            unknown
                .warning(
                    PATH,
                    wanted,
                    "the kubelets of the cluster's nodes are not known",
                )
                .hint(format!("make sure that none is older than v1.{least}"));
            warnings.extend(unknown.0);
        }
    }
}

/// What is odd about a version by itself.
pub fn version_warnings(text: &str) -> Vec<FieldError> {
    let mut warnings = Errors::default();
    let Ok(version) = text.parse::<K0sVersion>() else {
        return warnings.0;
    };
    if !text.contains("-k0s.") && !text.contains("+k0s.") {
        warnings.warning(
            PATH,
            text,
            format!(
                "does not name a k0s build, so {} is used",
                version.image_tag()
            ),
        );
    }
    if version.is_pre_release() {
        warnings
            .warning(PATH, text, "is a pre-release, for trying out only")
            .hint("use a release in production");
    } else if !known()
        .iter()
        .any(|known| !known.is_older_than(&version) && !version.is_older_than(known))
    {
        let oldest = known().first();
        let far = if oldest.is_some_and(|oldest| version.is_older_than(oldest)) {
            "is older than every version known to this release"
        } else {
            "is not known to this release: pods are pending if there is no such image"
        };
        let near =
            nearest(&version).map_or_else(String::new, |near| format!("the nearest is {near}"));
        warnings.warning(PATH, text, far).hint(near);
    }
    warnings.0
}
