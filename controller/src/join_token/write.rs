//! What the controller writes of a request itself: status, finalizer and owner.

use std::sync::Arc;
use std::time::Duration;

use crds::names::JOIN_TOKEN_REQUEST_FINALIZER;
use crds::v1beta2::{JoinTokenRequest, JoinTokenRequestStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::json;

use super::Context;
use super::dereference::is_cluster;
use super::status::{cluster_uid, is_ours, recorded, token_id};
use super::validate::ValidRequest;
use crate::kubernetes::primary::PrimaryError;

/// Carries the finalizer and the Cluster as owner, so that it ends with the Cluster.
pub async fn owned(
    request: &Arc<JoinTokenRequest>,
    valid: &ValidRequest,
    context: &Context,
) -> Result<Arc<JoinTokenRequest>, PrimaryError> {
    let has_finalizer = request
        .finalizers()
        .iter()
        .any(|name| name == JOIN_TOKEN_REQUEST_FINALIZER);
    let has_owner = request
        .owner_references()
        .iter()
        .any(|owner| owner.uid == valid.owner.uid);
    if has_finalizer && has_owner {
        return Ok(request.clone());
    }
    let mut finalizers = request.finalizers().to_vec();
    if !has_finalizer {
        finalizers.push(JOIN_TOKEN_REQUEST_FINALIZER.to_owned());
    }
    let may_be_elsewhere = token_id(request).is_some() && cluster_uid(request).is_none();
    let owners = with_owner(request.owner_references(), &valid.owner, may_be_elsewhere);
    let metadata = json!({"finalizers": finalizers, "ownerReferences": owners});
    context.primary.metadata(request, metadata).await
}

/// A request whose Cluster was made anew belongs to the new one, and one that is about to have a token to
/// the Cluster that makes it: who its owners are tells where the token is. So others stay while one may be
/// there.
fn with_owner(
    owners: &[OwnerReference],
    cluster: &OwnerReference,
    may_be_elsewhere: bool,
) -> Vec<OwnerReference> {
    let mut owners = owners.to_vec();
    owners.retain(|owner| {
        let may_have_it = may_be_elsewhere && owner.name != cluster.name;
        !is_cluster(owner) || owner.uid == cluster.uid || may_have_it
    });
    if owners.iter().all(|owner| owner.uid != cluster.uid) {
        // Another controller's request stays its own, and ends with its Cluster all the same.
        let is_taken = owners.iter().any(|owner| owner.controller == Some(true));
        let mut owner = cluster.clone();
        owner.controller = owner.controller.filter(|_| !is_taken);
        owners.push(owner);
    }
    owners
}

/// Writes the status if it changed, and in more than its words unless those are due: otherwise they are
/// after the time that comes back.
pub async fn status(
    request: &Arc<JoinTokenRequest>,
    status: JoinTokenRequestStatus,
    context: &Context,
) -> Result<Option<Duration>, PrimaryError> {
    let mut old = request.status.clone();
    if let Some(old) = &mut old {
        old.conditions.retain(is_ours);
    }
    if old.as_ref() == Some(&status) {
        return Ok(None);
    }
    let primary = &context.primary;
    let write = async {
        if request.metadata.deletion_timestamp.is_some() {
            // It gets no other id, and how long its end takes counts from when that was said.
            primary.status(request, &status).await
        } else {
            // A stale reconcile does not take back what was recorded since.
            let holds = |there: &JoinTokenRequest| recorded(there) == recorded(request);
            primary.status_while(request, &status, holds).await
        }
    };
    primary
        .in_time(request, (old.as_ref(), &status), write)
        .await
}

/// Whatever else is done goes on without the status.
pub fn could_not(request: &JoinTokenRequest, error: &PrimaryError) {
    let (name, namespace) = (request.name_any(), request.namespace().unwrap_or_default());
    tracing::warn!(name, namespace, %error, "the status could not be written");
}

#[cfg(test)]
mod tests {
    use crds::v1beta2::Cluster;
    use kube::runtime::reflector;
    use runtime::backoff::Failures;
    use serde_json::Value;

    use super::*;
    use crate::cluster::fixtures;
    use crate::join_token::{Error, status as told};
    use crate::kubernetes::fixtures::{answer, client, refusal};
    use crate::kubernetes::primary::PrimaryWriter;

    /// Its watch is frozen, or somebody else writes it all the time.
    #[tokio::test]
    async fn a_request_that_was_changed_unseen_says_what_is_wrong_unless_it_has_another_token() {
        let request = |version: &str, status: Value| {
            json!({"apiVersion": "k0smotron.io/v1beta2", "kind": "JoinTokenRequest",
                "metadata": {"name": "a", "namespace": "ns", "uid": "r", "resourceVersion": version},
                "spec": {"clusterName": "demo"}, "status": status})
        };
        let is_written = async |there: Value| {
            let there = request("11", there);
            let server = client(move |request| {
                let there = there.clone();
                async move {
                    if request.method() == "GET" {
                        return answer(&json!({"metadata": {}, "items": [there]}));
                    }
                    let body = request.into_body().collect_bytes().await.unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    match body["metadata"]["resourceVersion"].as_str() {
                        Some("11") => answer(&there),
                        _ => refusal(409),
                    }
                }
            });
            let none = |_| async { answer(&json!({"metadata": {}, "items": []})) };
            let context = Context {
                shared: Arc::new(fixtures::context(none)),
                clusters: reflector::store::<Cluster>().0,
                primary: PrimaryWriter::new(server),
                failures: Failures::default(),
            };
            let seen = request("10", json!({"tokenID": "abc123", "expiresAt": null}));
            let seen: Arc<JoinTokenRequest> = Arc::new(serde_json::from_value(seen).unwrap());
            let new = told::refused(&seen, &Error::Down("no route to host".to_owned()));
            status(&seen, new, &context).await.is_ok()
        };
        let others = json!([{"type": "Audited", "status": "True", "reason": "Seen", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
        assert!(is_written(json!({"tokenID": "abc123", "conditions": others})).await);
        let uid = json!({"v1beta1": {"clusterUID": "1"}});
        for changed in [
            json!({"tokenID": "def456"}),
            json!({"tokenID": "abc123", "expiresAt": "2027-01-01T00:00:00Z"}),
            json!({"tokenID": "abc123", "deprecated": uid}),
        ] {
            assert!(!is_written(changed.clone()).await, "{changed}");
        }
    }

    #[test]
    fn of_clusters_only_the_one_that_makes_the_token_owns_its_request() {
        let owner = |api: &str, name: &str, controller: bool| -> OwnerReference {
            serde_json::from_value(json!({"apiVersion": api, "kind": "Cluster", "name": name,
                "uid": name, "controller": controller.then_some(true)}))
            .unwrap()
        };
        let cluster = |name, controller| owner("k0smotron.io/v1beta2", name, controller);
        let demo = cluster("demo", true);
        let beside = || cluster("beside", true);
        let theirs = || owner("cluster.x-k8s.io/v1beta1", "theirs", true);
        let owned = |owners: &[OwnerReference]| with_owner(owners, &demo, false);
        assert_eq!(owned(&[]), std::slice::from_ref(&demo));
        assert_eq!(owned(&[beside()]), std::slice::from_ref(&demo));
        let as_it_is = || cluster("demo", false);
        assert_eq!(owned(&[beside(), as_it_is()]), [as_it_is()]);
        assert_eq!(owned(&[theirs(), beside()]), [theirs(), as_it_is()]);
        // Unless the token may be there.
        let owned = |owners: &[OwnerReference]| with_owner(owners, &demo, true);
        let other = || cluster("other", false);
        assert_eq!(owned(&[other(), as_it_is()]), [other(), as_it_is()]);
        let earlier = OwnerReference {
            uid: "earlier".to_owned(),
            ..demo.clone()
        };
        assert_eq!(owned(&[earlier, other()]), [other(), demo.clone()]);
    }
}
