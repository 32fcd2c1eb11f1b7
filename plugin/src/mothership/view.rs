//! What the commands read out of objects: tolerant of fields that are missing or new.

use crds::names;
use crds::version::K0sVersion;
use kube::ResourceExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::TypeMeta;
use serde_json::Value;

use crate::escape;

/// One condition of an object.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: Option<String>,
}

impl Condition {
    /// Whether it is True.
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// `Reason: message`, or whichever there is, on one line.
    pub fn summary(&self) -> String {
        let summary = match (self.reason.as_str(), self.message.as_str()) {
            ("", "") => format!("{} is {}", self.kind, self.status),
            (reason, "") => reason.to_owned(),
            ("", message) => message.to_owned(),
            (reason, message) => format!("{reason}: {message}"),
        };
        escape::line(&summary).into_owned()
    }
}

/// The text at a JSON pointer; numbers and truth values as they are written.
pub fn text(object: &DynamicObject, pointer: &str) -> Option<String> {
    match object.data.pointer(pointer)? {
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The number at a JSON pointer.
pub fn number(object: &DynamicObject, pointer: &str) -> Option<i64> {
    object.data.pointer(pointer)?.as_i64()
}

/// The port of a Cluster's API, in its Service and its pods; `None` until it is chosen.
pub fn api_port(cluster: &DynamicObject) -> Option<u16> {
    let port = |pointer| number(cluster, pointer).filter(|port| *port != 0);
    port("/status/ports/api")
        .or_else(|| port("/spec/service/apiPort"))
        .and_then(|port| u16::try_from(port).ok())
}

/// `status.conditions`, in their order.
pub fn conditions(object: &DynamicObject) -> Vec<Condition> {
    let list = object
        .data
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let field = |condition: &Value, name: &str| {
        condition
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    list.into_iter()
        .flatten()
        .map(|condition| Condition {
            kind: field(condition, "type"),
            status: field(condition, "status"),
            reason: field(condition, "reason"),
            message: field(condition, "message"),
            since: condition
                .get("lastTransitionTime")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
        .collect()
}

/// The condition of this type.
pub fn condition(object: &DynamicObject, kind: &str) -> Option<Condition> {
    conditions(object)
        .into_iter()
        .find(|condition| condition.kind == kind)
}

/// Whether the status speaks of the newest spec; true where nothing says otherwise.
pub fn is_observed(object: &DynamicObject) -> bool {
    let observed = number(object, "/status/observedGeneration");
    match (observed, object.metadata.generation) {
        (Some(observed), Some(generation)) => observed >= generation,
        _ => true,
    }
}

/// One line of `list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    pub namespace: String,
    pub name: String,
    /// The version that runs, else the one that was asked for.
    pub version: String,
    /// Ready and wanted control-plane pods, `1/3`.
    pub ready: String,
    /// How many pods were asked for.
    pub replicas: String,
    pub endpoint: String,
    pub storage: String,
    pub service: String,
    pub created: Option<String>,
    /// Whether it is available: the status of that condition.
    pub available: String,
    pub reason: String,
}

impl ClusterRow {
    /// Reads a Cluster.
    pub fn from_cluster(cluster: &DynamicObject) -> Self {
        let or =
            |pointer: &str, empty: &str| text(cluster, pointer).unwrap_or_else(|| empty.to_owned());
        let available = condition(cluster, "Available");
        let deleting = cluster.metadata.deletion_timestamp.is_some();
        let version = text(cluster, "/status/version").or_else(|| text(cluster, "/spec/version"));
        let reason = match &available {
            _ if deleting => "Deleting".to_owned(),
            Some(condition) if !condition.reason.is_empty() => condition.reason.clone(),
            Some(condition) if condition.is_true() => "Available".to_owned(),
            Some(_) => "<none>".to_owned(),
            None => "<pending>".to_owned(),
        };
        Self {
            namespace: cluster.namespace().unwrap_or_default(),
            name: cluster.name_any(),
            version: version.unwrap_or_else(|| "<unset>".to_owned()),
            ready: or("/status/readyReplicas", "0"),
            replicas: or("/spec/replicas", "1"),
            endpoint: or("/status/endpoint", "<pending>"),
            storage: or("/spec/storage/type", "etcd"),
            service: or("/spec/service/type", "ClusterIP"),
            created: created(cluster),
            available: available.map_or_else(|| "Unknown".to_owned(), |found| found.status),
            reason,
        }
    }
}

/// `metadata.creationTimestamp`, RFC 3339.
pub fn created(object: &DynamicObject) -> Option<String> {
    object
        .metadata
        .creation_timestamp
        .as_ref()
        .map(|time| time.0.to_string())
}

/// An item of a list, which may come without its kind: programs that read one need it.
pub fn identified(mut item: DynamicObject, resource: &ApiResource) -> DynamicObject {
    item.types.get_or_insert_with(|| TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    without_managed_fields(item)
}

/// The object as a user wants to see it: without the record of who wrote which field.
pub fn without_managed_fields(mut object: DynamicObject) -> DynamicObject {
    object.metadata.managed_fields = None;
    object
}

/// `cluster.k0smotron.io/demo`, as kubectl names things.
pub fn qualified(name: &str) -> String {
    format!("cluster.k0smotron.io/{name}")
}

/// What stands in the way of a Cluster becoming Available; `None` when nothing does.
pub fn obstacle(cluster: &DynamicObject) -> Option<String> {
    if !is_observed(cluster) {
        return Some("the controller has not seen the newest spec yet".to_owned());
    }
    let all = conditions(cluster);
    let Some(available) = all.iter().find(|condition| condition.kind == "Available") else {
        return Some("the controller has not answered yet; is it running?".to_owned());
    };
    (!available.is_true()).then(|| available.summary())
}

/// Why the Cluster can never become Available as it is; `None` while it may.
pub fn refusal(cluster: &DynamicObject) -> Option<String> {
    let accepted = condition(cluster, "Accepted")?;
    (accepted.status == "False" && is_observed(cluster)).then(|| accepted.summary())
}

/// Whether two texts name the same k0s version: `v1.36.3-k0s.2` is the image's tag of
/// `v1.36.3+k0s.2`.
pub fn same_version(one: &str, other: &str) -> bool {
    let read = |text: &str| text.parse::<K0sVersion>().ok();
    one == other || read(one).is_some_and(|version| Some(version) == read(other))
}

/// What a deletion waits for: the controller's own words, else the finalizers.
pub fn holds(cluster: &DynamicObject) -> String {
    if let Some(deleting) = condition(cluster, "Deleting").filter(Condition::is_true) {
        return deleting.summary();
    }
    match cluster.metadata.finalizers.as_deref() {
        None | Some([]) => "the API server removes it".to_owned(),
        Some([own]) if own == names::CLUSTER_FINALIZER => {
            "the controller removes what belongs to it".to_owned()
        }
        Some(finalizers) => format!(
            "held by {}; is the controller that owns it running?",
            finalizers.join(", ")
        ),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::json;

    use super::*;

    pub(crate) fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[allow(clippy::needless_pass_by_value, reason = "json! makes a value")]
    pub(crate) fn cluster(status: Value) -> DynamicObject {
        object(json!({
            "apiVersion": "k0smotron.io/v1beta2",
            "kind": "Cluster",
            "metadata": {
                "name": "demo", "namespace": "team-a", "generation": 2, "uid": "u-1",
                "creationTimestamp": "2026-11-22T10:00:00Z",
            },
            "spec": {
                "replicas": 3,
                "version": "v1.36.3-k0s.2",
                "service": {"type": "NodePort"},
                "storage": {"type": "etcd"},
            },
            "status": status,
        }))
    }

    fn available(status: &str, reason: &str, message: &str) -> Value {
        json!({"type": "Available", "status": status, "reason": reason, "message": message})
    }

    #[test]
    fn a_cluster_without_status_says_what_is_not_known_yet() {
        let row = ClusterRow::from_cluster(&cluster(json!({})));
        assert_eq!(
            (
                row.version.as_str(),
                row.ready.as_str(),
                row.endpoint.as_str(),
                row.reason.as_str()
            ),
            ("v1.36.3-k0s.2", "0", "<pending>", "<pending>")
        );
    }

    #[test]
    fn the_version_that_runs_comes_before_the_one_asked_for() {
        let row = ClusterRow::from_cluster(&cluster(json!({"version": "v1.36.2+k0s.0"})));
        assert_eq!(row.version, "v1.36.2+k0s.0");
    }

    #[test]
    fn a_status_of_an_older_spec_makes_nobody_available() {
        let conditions = json!([available("True", "Available", "")]);
        let old = cluster(json!({"observedGeneration": 1, "conditions": conditions}));
        assert!(obstacle(&old).unwrap().contains("newest spec"));
        let new = cluster(json!({"observedGeneration": 2, "conditions": conditions}));
        assert_eq!(obstacle(&new), None);
    }

    #[test]
    fn the_obstacle_is_the_condition_in_one_line() {
        let waiting = available("False", "EtcdNotReady", "0 of 1 members are ready");
        let waiting = cluster(json!({"conditions": [waiting]}));
        assert_eq!(
            obstacle(&waiting).unwrap(),
            "EtcdNotReady: 0 of 1 members are ready"
        );
    }

    #[test]
    fn what_was_not_accepted_is_not_waited_for() {
        let accepted = json!({"type": "Accepted", "status": "False", "reason": "NotImplemented",
            "message": "spec.ingress is not supported yet"});
        let refused = cluster(json!({"observedGeneration": 2, "conditions": [accepted]}));
        assert_eq!(
            refusal(&refused).unwrap(),
            "NotImplemented: spec.ingress is not supported yet"
        );
        assert_eq!(refusal(&cluster(json!({}))), None);
    }

    #[test]
    fn a_deletion_that_hangs_names_what_holds_it() {
        let mut held = cluster(json!({}));
        held.metadata.finalizers = Some(vec!["example.org/held".into()]);
        assert!(holds(&held).starts_with("held by example.org/held"));
        let deleting = json!({"type": "Deleting", "status": "True", "reason": "RemovingEtcd",
            "message": "kmc-demo-etcd still has pods"});
        let told = cluster(json!({"conditions": [deleting]}));
        assert_eq!(holds(&told), "RemovingEtcd: kmc-demo-etcd still has pods");
    }
}
