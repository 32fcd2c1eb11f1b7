//! What one object or condition says about itself, as a line of the tree.

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

use super::{Health, Node, kind};
use crate::mothership::event::Event;
use crate::mothership::view::{self, Condition};

pub(super) fn of_condition(cluster: &DynamicObject, condition: Condition) -> Node {
    // Some conditions tell of something under way; False is as it should be.
    let tells_of_work = matches!(condition.kind.as_str(), "Deleting" | "ControlPlaneScaling");
    let ready = match Health::from_status(&condition.status) {
        Health::Bad if tells_of_work => Health::Idle,
        Health::Good if tells_of_work => Health::Busy,
        other if view::is_observed(cluster) => other,
        _ => Health::Unknown,
    };
    Node {
        name: condition.kind,
        ready,
        reason: condition.reason,
        message: condition.message,
        since: condition.since,
        children: Vec::new(),
    }
}

pub(super) fn of_request(request: &DynamicObject) -> Node {
    let made = view::condition(request, "JoinTokenSecretCreated");
    let token = view::text(request, "/status/tokenID");
    let role = view::text(request, "/spec/role").unwrap_or_else(|| "worker".to_owned());
    let until = match view::text(request, "/status/expiresAt") {
        Some(until) => format!("{role}, until {until}"),
        None => role,
    };
    let (ready, reason, message) = match made {
        Some(made) if made.is_true() => (Health::Good, token.unwrap_or_default(), until),
        Some(made) => (Health::from_status(&made.status), made.reason, made.message),
        None => (Health::Unknown, "<pending>".to_owned(), until),
    };
    Node {
        name: format!("JoinTokenRequest/{}", request.name_any()),
        ready,
        reason,
        message,
        since: view::created(request),
        children: Vec::new(),
    }
}

/// What the controller has counted; `None` until it has.
pub(super) fn of_nodes(cluster: &DynamicObject) -> Option<Node> {
    let joined = view::number(cluster, "/status/nodes/joined")?;
    let ready = view::number(cluster, "/status/nodes/ready").unwrap_or_default();
    let health = match joined {
        0 => Health::Present,
        joined if ready >= joined => Health::Good,
        _ => Health::Bad,
    };
    let oldest = view::text(cluster, "/status/nodes/oldestKubelet");
    Some(Node {
        name: "joined".to_owned(),
        ready: health,
        reason: format!("{ready}/{joined}"),
        message: oldest
            .map(|version| format!("the oldest kubelet is {version}"))
            .unwrap_or_default(),
        since: None,
        children: Vec::new(),
    })
}

pub(super) fn of_event(event: &DynamicObject) -> Node {
    let event = Event::from_object(event);
    Node {
        name: event.object,
        ready: if event.kind == "Warning" {
            Health::Bad
        } else {
            Health::Present
        },
        reason: event.reason,
        message: event.message,
        since: Some(event.last),
        children: Vec::new(),
    }
}

/// How long a certificate is still good for.
pub(super) fn of_end(end: Timestamp, now: Timestamp) -> (Health, String) {
    let left = end.duration_since(now);
    if left.is_negative() {
        return (Health::Bad, format!("expired {end}"));
    }
    let days = left.as_hours() / 24;
    let health = if days < 14 {
        Health::Unknown
    } else {
        Health::Good
    };
    (health, format!("{days} days left, until {end}"))
}

pub(super) fn of_object(object: &DynamicObject, children: Vec<Node>) -> Node {
    let (ready, reason, message) = match kind(object) {
        "StatefulSet" => stateful_set(object),
        "Pod" => pod(object),
        "PersistentVolumeClaim" => phase(object, "Bound"),
        "Service" => service(object),
        _ => (Health::Present, String::new(), String::new()),
    };
    let (ready, reason) = if object.metadata.deletion_timestamp.is_some() {
        (Health::Bad, "Deleting".to_owned())
    } else {
        (ready, reason)
    };
    Node {
        name: format!("{}/{}", kind(object), object.name_any()),
        ready,
        reason,
        message,
        since: view::created(object),
        children,
    }
}

fn stateful_set(set: &DynamicObject) -> (Health, String, String) {
    let wanted = view::number(set, "/spec/replicas").unwrap_or(1);
    let count = |field: &str| view::number(set, &format!("/status/{field}")).unwrap_or_default();
    let (ready, updated) = (count("readyReplicas"), count("updatedReplicas"));
    let rolling =
        view::text(set, "/status/updateRevision") != view::text(set, "/status/currentRevision");
    let health = if ready >= wanted {
        Health::Good
    } else {
        Health::Bad
    };
    let message = if rolling && updated < wanted {
        format!("{updated} of {wanted} pods follow the newest template")
    } else {
        String::new()
    };
    (health, format!("{ready}/{wanted}"), message)
}

/// The first container that is in trouble explains a pod better than its phase does.
fn pod(pod: &DynamicObject) -> (Health, String, String) {
    let conditions = view::conditions(pod);
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let health = find("Ready").map_or(Health::Unknown, |ready| Health::from_status(&ready.status));
    if health == Health::Good {
        return (health, "Running".to_owned(), String::new());
    }
    let mut containers = ["initContainerStatuses", "containerStatuses"]
        .into_iter()
        .flat_map(|list| {
            let list = pod
                .data
                .pointer(&format!("/status/{list}"))
                .and_then(Value::as_array);
            list.into_iter().flatten()
        });
    let field = |value: &Value, name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let trouble = containers.find_map(|container| container.pointer("/state/waiting"));
    if let Some(waiting) = trouble {
        return (health, field(waiting, "reason"), field(waiting, "message"));
    }
    let unscheduled = find("PodScheduled").filter(|scheduled| !scheduled.is_true());
    let health = if unscheduled.is_some() {
        Health::Bad
    } else {
        health
    };
    let blamed = unscheduled.or_else(|| find("Ready").filter(|ready| !ready.reason.is_empty()));
    match blamed {
        Some(condition) => (health, condition.reason.clone(), condition.message.clone()),
        None => (
            health,
            view::text(pod, "/status/phase").unwrap_or_default(),
            String::new(),
        ),
    }
}

fn phase(object: &DynamicObject, good: &str) -> (Health, String, String) {
    let phase = view::text(object, "/status/phase").unwrap_or_else(|| "<unknown>".to_owned());
    let health = if phase == good {
        Health::Good
    } else {
        Health::Bad
    };
    (health, phase, String::new())
}

fn service(service: &DynamicObject) -> (Health, String, String) {
    let type_ = view::text(service, "/spec/type").unwrap_or_default();
    let field = if type_ == "NodePort" {
        "nodePort"
    } else {
        "port"
    };
    let ports = service
        .data
        .pointer("/spec/ports")
        .and_then(Value::as_array);
    let ports: Vec<String> = ports
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let number = port.get(field)?.as_i64()?;
            let name = port.get("name").and_then(Value::as_str);
            Some(name.map_or_else(|| number.to_string(), |name| format!("{name} {number}")))
        })
        .collect();
    let ports = ports.join(", ");
    if type_ != "LoadBalancer" {
        return (Health::Present, type_, ports);
    }
    let address = ["ip", "hostname"]
        .into_iter()
        .find_map(|key| view::text(service, &format!("/status/loadBalancer/ingress/0/{key}")));
    match address {
        Some(address) => (Health::Good, type_, format!("{address}, {ports}")),
        None => (
            Health::Bad,
            type_,
            "no address yet: is there a load balancer?".to_owned(),
        ),
    }
}
