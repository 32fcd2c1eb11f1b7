//! The part of the k0s configuration that a running control plane takes from the `ClusterConfig`
//! object in its own cluster. k0s makes that object at its first start and is its author no more:
//! what changes in `spec.k0sConfig` later has to be brought there.

use crds::names;
use crds::v1beta2::{Cluster, ClusterStatus};
use kube::api::{ApiResource, GroupVersionKind, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Map, Value, json};

use crate::apply::{Problem, SigningKeys};
use crate::cluster::Context;
use crate::cluster::children::control_plane::k0s_config::live_part;
use crate::cluster::dereference::Observed;
use crate::cluster::hosted::access;
use crate::cluster::validate::ValidCluster;
use crate::hosted::turns::Call;
use crate::hosted::{Endpoint, HostedError, connect, deadline};
use crate::kubernetes::store::{Kind, ObjectKey};

/// How long the controller's certificate for this one request lasts.
const LIFETIME: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// Brings the hosted cluster what has changed, and returns what it has. What it was last given is
/// in the status, so that a restart asks nothing and a field that goes is taken away there too.
pub async fn sync(
    cluster: &Cluster,
    observed: &Observed,
    valid: &ValidCluster,
    keys: &SigningKeys,
    context: &Context,
) -> Result<Option<Value>, Problem> {
    let status = cluster.status.as_ref();
    let recorded = status.and_then(|status| status.k0s_config.clone());
    let Some(wanted) = live_part(valid) else {
        return Ok(recorded);
    };
    let has_served = status.is_some_and(ClusterStatus::was_available);
    let old = match &recorded {
        Some(recorded) => recorded.clone(),
        None if has_served => json!({}),
        // The control plane starts with this configuration.
        None => return Ok(Some(wanted)),
    };
    let Some(patch) = difference(&old, &wanted) else {
        return Ok(Some(wanted));
    };
    let serves = observed.health.as_ref().is_some_and(|health| health.ready);
    let found = access::endpoint(cluster, observed, Some(valid));
    let (true, Some((endpoint, ca_secret))) = (serves, found) else {
        return Ok(recorded);
    };
    let key = |kind, name: &str| ObjectKey::new(kind, &valid.namespace, name);
    let ca_secret = key(Kind::Secret, &ca_secret);
    let sent = match context.turns.take(&valid.uid, Call::Configure).await {
        Ok(Some(turn)) => {
            let pair = access::certificate(&ca_secret, LIFETIME, keys, context).await?;
            let sent = send(&endpoint, &pair, &patch).await;
            turn.end(matches!(sent, Err(HostedError::Timeout)));
            sent
        }
        Ok(None) => Err(HostedError::Timeout),
        Err(not_now) => Err(not_now),
    };
    match sent {
        Ok(()) => Ok(Some(wanted)),
        Err(error) => {
            let message = format!(
                "spec.k0sConfig could not be written into the hosted cluster's ClusterConfig \
                 kube-system/k0s: {error}"
            );
            let config = key(Kind::ConfigMap, &names::config(&valid.name));
            Err(Problem {
                passing: !is_refused(&error),
                ..Problem::new(&config, message)
            })
        }
    }
}

/// Somebody has to mend it; all else mends itself, and nothing tells of that.
fn is_refused(error: &HostedError) -> bool {
    match error {
        HostedError::Unauthorized { .. } => true,
        HostedError::Api { code, .. } => matches!(code, 400 | 404 | 422),
        _ => false,
    }
}

async fn send(endpoint: &Endpoint, pair: &pki::PemPair, patch: &Value) -> Result<(), HostedError> {
    let client = connect(endpoint, Some(pair))?;
    let params = PatchParams {
        field_manager: Some(names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    deadline(config_api(client).patch("k0s", &params, &Patch::Merge(patch)))
        .await
        .map(drop)
}

fn config_api(client: Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("k0s.k0sproject.io", "v1beta1", "ClusterConfig");
    let resource = ApiResource::from_gvk(&kind);
    Api::namespaced_with(client, "kube-system", &resource)
}

/// The JSON merge patch (RFC 7386) from one tree to another, if they differ. Only what changed is
/// in it, so that what somebody changed in the hosted cluster itself stays.
fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let gone = old.keys().filter(|key| !new.contains_key(*key));
    let gone = gone.map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, new)| {
        let changed = match old.get(key) {
            Some(old) => difference(old, new)?,
            None => without_nulls(new),
        };
        Some((key.clone(), changed))
    });
    let patch: Map<_, _> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// In a merge patch null means removal, also inside a tree that is new.
fn without_nulls(tree: &Value) -> Value {
    match tree {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key.clone(), without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same(json!({"a": {"b": 1}}), json!({"a": {"b": 1}}), None)]
    #[case::only_what_changed(
        json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3, "c": 2}}),
        Some(json!({"a": {"b": 3}})))]
    #[case::what_goes_is_null(
        json!({"a": {"b": 1, "c": 2}}), json!({"a": {"c": 2}}),
        Some(json!({"a": {"b": null}})))]
    #[case::lists_whole(json!({"a": [1, 2]}), json!({"a": [1]}), Some(json!({"a": [1]})))]
    #[case::from_nothing(json!({}), json!({"a": {"b": null, "c": 1}}), Some(json!({"a": {"c": 1}})))]
    fn a_patch_holds_what_changed(
        #[case] old: Value,
        #[case] new: Value,
        #[case] patch: Option<Value>,
    ) {
        assert_eq!(difference(&old, &new), patch);
    }

    fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from)
        ];
        let inner = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn the_patch_leads_from_one_to_the_other(old in tree(), new in tree()) {
            let mut patched = old.clone();
            if let Some(patch) = difference(&old, &new) {
                json_patch::merge(&mut patched, &patch);
            }
            prop_assert_eq!(patched, new);
        }
    }
}
