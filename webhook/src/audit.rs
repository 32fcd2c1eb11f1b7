//! What breaks policies now, for their status: what exists is looked at after changes and now and
//! then, by the replica that leads.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crds::policy::Existing;
use crds::v1beta2::{ClusterPolicy, ClusterPolicyStatus, PolicyKind};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::metrics::Metrics;

/// How often it is looked whether anything has changed. Looking costs nothing when nothing has.
const PACE: Duration = Duration::from_secs(5);
/// How old the time in a status may become while nothing else in it changes.
const FRESH: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
/// The longest that one write may take.
const WRITE: Duration = Duration::from_secs(5);
/// Who owns the status in `managedFields`.
const MANAGER: &str = "k0smotron-webhook";

/// Counts and writes while this replica leads, until the stop.
pub async fn run(
    client: Client,
    known: Cache,
    metrics: Metrics,
    mut leads: watch::Receiver<bool>,
    stop: CancellationToken,
) {
    let api: Api<ClusterPolicy> = Api::all(client);
    let mut ticks = interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        let turn = async {
            ticks.tick().await;
            leads.wait_for(|leads| *leads).await.is_ok()
        };
        tokio::select! {
            () = stop.cancelled() => return,
            leads = turn => if !leads { return },
        }
        let changes = known.changes();
        let now = Timestamp::now();
        let is_old = known.stored_policies().iter().any(|policy| {
            let audited = policy
                .status
                .as_ref()
                .and_then(|status| status.last_audit.as_ref());
            audited.is_none_or(|at| now.duration_since(at.0) > FRESH)
        });
        if seen == Some(changes) && !is_old {
            continue;
        }
        if pass(&api, &known, &metrics, now).await {
            seen = Some(changes);
        }
    }
}

/// One look at everything; whether every status could be written.
async fn pass(api: &Api<ClusterPolicy>, known: &Cache, metrics: &Metrics, now: Timestamp) -> bool {
    let stored = known.stored_policies();
    if stored.is_empty() {
        return true;
    }
    let (clusters, requests) = (known.clusters(), known.requests());
    let objects = clusters
        .iter()
        .filter_map(|cluster| {
            let metadata = (&cluster.metadata, PolicyKind::Cluster);
            Some((metadata, serde_json::to_value(&**cluster).ok()?))
        })
        .chain(requests.iter().filter_map(|request| {
            let metadata = (&request.metadata, PolicyKind::JoinTokenRequest);
            Some((metadata, serde_json::to_value(&**request).ok()?))
        }))
        .map(|((metadata, kind), object)| Existing {
            kind,
            namespace: metadata.namespace.as_deref().unwrap_or_default(),
            name: metadata.name.as_deref().unwrap_or_default(),
            object: Cow::Owned(object),
        });
    let audits = known.policies().audit(objects, known);
    let by_name: BTreeMap<_, _> = stored
        .iter()
        .filter_map(|policy| Some((policy.metadata.name.as_deref()?, policy)))
        .collect();
    let mut well = true;
    for audit in audits {
        let name = audit.policy.clone();
        let Some(policy) = by_name.get(name.as_str()) else {
            continue;
        };
        let before = policy.status.as_ref();
        let status = audit.status(policy.metadata.generation, before, &Time(now));
        if !is_news(before, &status, now) {
            continue;
        }
        // Not to one that was made anew under the name.
        let metadata = json!({"resourceVersion": policy.metadata.resource_version});
        let patch = json!({"metadata": metadata, "status": cleared(&status)});
        let patch = Patch::Merge(patch);
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        match timeout(WRITE, api.patch_status(&name, &params, &patch)).await {
            Ok(Ok(_)) => metrics.audited("written"),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            // It is looked at again once its change has been seen.
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => well = false,
            Ok(Err(error)) => {
                well = false;
                metrics.audited("failed");
                tracing::warn!(policy = name, %error, "its status could not be written");
            }
            Err(_) => {
                well = false;
                metrics.audited("failed");
                tracing::warn!(policy = name, "its status could not be written in time");
            }
        }
    }
    well
}

/// A merge patch leaves what is not in it: an empty list has to be said.
fn cleared(status: &ClusterPolicyStatus) -> Value {
    let mut value = serde_json::to_value(status).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.entry("violating").or_insert_with(|| json!([]));
    }
    value
}

/// Whether it differs in more than the time at which it was made.
fn is_news(
    before: Option<&ClusterPolicyStatus>,
    status: &ClusterPolicyStatus,
    now: Timestamp,
) -> bool {
    let Some(before) = before else { return true };
    let is_fresh = before
        .last_audit
        .as_ref()
        .is_some_and(|at| now.duration_since(at.0) <= FRESH);
    let same = ClusterPolicyStatus {
        last_audit: before.last_audit.clone(),
        ..status.clone()
    };
    same != *before || !is_fresh
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(violations: i64, at: &str) -> ClusterPolicyStatus {
        ClusterPolicyStatus {
            violations: Some(violations),
            last_audit: Some(Time(at.parse().unwrap())),
            ..ClusterPolicyStatus::default()
        }
    }

    #[test]
    fn a_status_is_written_for_news_and_once_an_hour() {
        let now = "2026-01-01T12:00:00Z".parse().unwrap();
        let new = status(1, "2026-01-01T12:00:00Z");
        assert!(is_news(None, &new, now));
        assert!(is_news(Some(&status(2, "2026-01-01T11:59:00Z")), &new, now));
        assert!(!is_news(
            Some(&status(1, "2026-01-01T11:59:00Z")),
            &new,
            now
        ));
        assert!(is_news(Some(&status(1, "2026-01-01T10:59:00Z")), &new, now));
    }

    #[test]
    fn what_is_mended_leaves_the_list() {
        let cleared = cleared(&status(0, "2026-01-01T12:00:00Z"));
        assert_eq!(cleared["violating"], json!([]));
    }
}
