//! What a mothership should be like: from what was seen to findings, each with a remedy. Pure.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;

use crate::mothership::{release, view};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Ok,
    /// It works, and something is missing or odd.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckFinding {
    pub check: &'static str,
    pub level: Level,
    pub found: String,
    /// What to do; empty when all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl CheckFinding {
    /// As it should be.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            found: found.into(),
            remedy: String::new(),
        }
    }

    /// Odd.
    pub fn warn(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            remedy: remedy.into(),
            ..Self::ok(check, found)
        }
    }

    /// Broken.
    pub fn fail(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            remedy: remedy.into(),
            ..Self::ok(check, found)
        }
    }
}

/// The oldest Kubernetes that the product promises to run on.
const OLDEST: u64 = 33;

/// The mothership's own version, `1.36` in two numbers as its API server tells them.
pub fn kubernetes(major: &str, minor: &str) -> CheckFinding {
    let found = format!("v{major}.{minor}");
    let number: Option<u64> = minor.trim_end_matches('+').parse().ok();
    match number {
        Some(number) if number >= OLDEST => CheckFinding::ok("Kubernetes", found),
        Some(_) => CheckFinding::fail(
            "Kubernetes",
            format!("{found} is older than v1.{OLDEST}"),
            "upgrade the mothership",
        ),
        None => CheckFinding::warn(
            "Kubernetes",
            format!("{found} cannot be read"),
            "see kubectl version",
        ),
    }
}

/// A Deployment of the product: how many of its pods are available, and which release they are.
pub fn deployment(
    check: &'static str,
    name: &str,
    found: Option<&DynamicObject>,
    own: &str,
) -> CheckFinding {
    let Some(found) = found else {
        return CheckFinding::fail(
            check,
            format!(
                "there is no Deployment {name} in namespace {}",
                crds::names::SYSTEM_NAMESPACE
            ),
            "install the product: kubectl k0smotron install --registry REGISTRY",
        );
    };
    let wanted = view::number(found, "/spec/replicas").unwrap_or(1);
    let available = view::number(found, "/status/availableReplicas").unwrap_or_default();
    let image = release::image(found);
    let counted = format!("{available} of {wanted} pods are available, {image}");
    let logs = format!(
        "kubectl -n {} describe deployment {name}, and its pods' logs",
        crds::names::SYSTEM_NAMESPACE
    );
    if available == 0 {
        return CheckFinding::fail(check, counted, format!("see why: {logs}"));
    }
    if available < wanted {
        return CheckFinding::warn(check, counted, format!("see why: {logs}"));
    }
    match release::version(found) {
        Some(version) if version != own => CheckFinding::warn(
            check,
            format!("{counted}; this plugin is {own}"),
            if release::is_newer(&version, own) {
                "update the plugin"
            } else {
                "update the mothership's installation"
            },
        ),
        _ => CheckFinding::ok(check, counted),
    }
}

/// The definition of a kind: whether it is there, and serves and stores what this program speaks.
pub fn definition(name: &str, found: Option<&DynamicObject>) -> CheckFinding {
    let check = "CRDs";
    let install = "install the product: kubectl k0smotron install --registry REGISTRY";
    let Some(found) = found else {
        return CheckFinding::fail(check, format!("{name} is missing"), install);
    };
    let established = view::condition(found, "Established");
    if !established.is_some_and(|condition| condition.is_true()) {
        return CheckFinding::fail(
            check,
            format!("{name} is not established"),
            format!("see why: kubectl describe crd {name}"),
        );
    }
    let versions = found.data.pointer("/spec/versions");
    let versions = versions.and_then(serde_json::Value::as_array);
    let served = versions.into_iter().flatten().any(|version| {
        let is = |key: &str| version.get(key).and_then(serde_json::Value::as_bool) == Some(true);
        version.get("name").and_then(serde_json::Value::as_str)
            == Some(crate::mothership::resources::VERSION)
            && is("served")
            && is("storage")
    });
    if served {
        CheckFinding::ok(check, format!("{name} is there"))
    } else {
        CheckFinding::fail(
            check,
            format!(
                "{name} does not serve and store {}",
                crate::mothership::resources::VERSION
            ),
            install,
        )
    }
}

/// The webhook configurations: without an authority the API server cannot call them.
pub fn configuration(kind: &str, name: &str, found: Option<&DynamicObject>) -> CheckFinding {
    let check = "Admission";
    let Some(found) = found else {
        return CheckFinding::fail(
            check,
            format!("there is no {kind} {name}"),
            "install the product: kubectl k0smotron install --registry REGISTRY",
        );
    };
    let webhooks = found
        .data
        .get("webhooks")
        .and_then(serde_json::Value::as_array);
    let lacking = webhooks.into_iter().flatten().any(|webhook| {
        let bundle = webhook.pointer("/clientConfig/caBundle");
        bundle
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .is_empty()
    });
    if lacking {
        return CheckFinding::fail(
            check,
            format!("{kind} {name} has no caBundle"),
            "the webhook's pods write it: are they running?",
        );
    }
    CheckFinding::ok(check, format!("{kind} {name} has its caBundle"))
}

/// Classes of storage: etcd's volumes take the default one unless a Cluster names another.
pub fn storage(classes: &[DynamicObject]) -> CheckFinding {
    let is_default = |class: &&DynamicObject| {
        class
            .annotations()
            .get("storageclass.kubernetes.io/is-default-class")
            .is_some_and(|value| value == "true")
    };
    let defaults: Vec<String> = classes
        .iter()
        .filter(is_default)
        .map(kube::ResourceExt::name_any)
        .collect();
    match defaults.as_slice() {
        [] => CheckFinding::warn(
            "Storage",
            "no StorageClass is the default",
            "name one with --storage-class, or mark one as default",
        ),
        [one] => CheckFinding::ok("Storage", format!("{one} is the default StorageClass")),
        several => CheckFinding::warn(
            "Storage",
            format!("{} are all the default StorageClass", several.join(", ")),
            "leave one of them the default",
        ),
    }
}

/// Whether Services of type `LoadBalancer` get addresses, as far as there are any.
pub fn load_balancer(services: &[DynamicObject]) -> CheckFinding {
    let balanced: Vec<&DynamicObject> = services
        .iter()
        .filter(|service| view::text(service, "/spec/type").as_deref() == Some("LoadBalancer"))
        .collect();
    let has_address = |service: &&&DynamicObject| {
        service
            .data
            .pointer("/status/loadBalancer/ingress/0")
            .is_some()
    };
    match (balanced.len(), balanced.iter().filter(has_address).count()) {
        (0, _) => CheckFinding::ok(
            "Load balancer",
            "no Service asks for one, so nothing is known of it",
        ),
        (all, with) if all == with => CheckFinding::ok(
            "Load balancer",
            format!("{all} Services have their address"),
        ),
        (all, with) => CheckFinding::warn(
            "Load balancer",
            format!("{with} of {all} Services have their address"),
            "is there a load balancer? Without one use --service NodePort",
        ),
    }
}

/// What the person may do.
pub fn right(what: &str, allowed: bool) -> CheckFinding {
    if allowed {
        CheckFinding::ok("Rights", format!("you may {what}"))
    } else {
        CheckFinding::warn(
            "Rights",
            format!("you may not {what}"),
            "ask for one of the roles k0smotron-edit and k0smotron-view",
        )
    }
}

/// Clusters that are not what they should be.
pub fn clusters(clusters: &[DynamicObject]) -> Vec<CheckFinding> {
    let mut findings: Vec<CheckFinding> = clusters
        .iter()
        .filter_map(|cluster| {
            let obstacle = view::refusal(cluster).or_else(|| view::obstacle(cluster))?;
            let (name, place) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
            Some(CheckFinding::warn(
                "Clusters",
                format!("{place}/{name}: {obstacle}"),
                format!("kubectl k0smotron status {name} -n {place}"),
            ))
        })
        .collect();
    if findings.is_empty() {
        findings.push(CheckFinding::ok(
            "Clusters",
            format!("all {} are available", clusters.len()),
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::view::tests::object;

    #[test]
    fn an_old_mothership_is_no_mothership() {
        assert_eq!(kubernetes("1", "36").level, Level::Ok);
        assert_eq!(kubernetes("1", "33+").level, Level::Ok);
        assert_eq!(kubernetes("1", "30").level, Level::Fail);
    }

    #[test]
    fn a_deployment_is_judged_by_its_pods_and_its_release() {
        let found = |available: i64, tag: &str| {
            let object = object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c"},
                "spec": {"replicas": 2, "template": {"spec": {"containers": [
                    {"image": format!("localhost:5000/k0smotron/controller{tag}")}]}}},
                "status": {"availableReplicas": available},
            }));
            deployment("Controller", "c", Some(&object), "0.2.0")
        };
        assert_eq!(found(2, ":0.2.0").level, Level::Ok);
        assert_eq!(found(2, "").level, Level::Ok);
        assert_eq!(found(1, ":0.2.0").level, Level::Warn);
        assert_eq!(found(0, ":0.2.0").level, Level::Fail);
        assert_eq!(found(2, ":v0.10.0").remedy, "update the plugin");
        assert_eq!(
            found(2, ":0.1.0").remedy,
            "update the mothership's installation"
        );
        assert_eq!(
            deployment("Controller", "c", None, "0.2.0").level,
            Level::Fail
        );
    }

    #[test]
    fn a_definition_has_to_serve_what_is_spoken() {
        let found = |version: &str, established: &str| {
            let object = object(json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "clusters.k0smotron.io"},
                "spec": {"versions": [{"name": version, "served": true, "storage": true}]},
                "status": {"conditions": [{"type": "Established", "status": established}]},
            }));
            definition("clusters.k0smotron.io", Some(&object)).level
        };
        assert_eq!(found("v1beta2", "True"), Level::Ok);
        assert_eq!(found("v1beta1", "True"), Level::Fail);
        assert_eq!(found("v1beta2", "False"), Level::Fail);
    }

    #[test]
    fn storage_and_load_balancers_are_told_with_a_remedy() {
        let class = |name: &str, default: &str| {
            object(json!({"metadata": {"name": name, "annotations":
                {"storageclass.kubernetes.io/is-default-class": default}}}))
        };
        assert_eq!(
            storage(&[class("a", "true"), class("b", "false")]).level,
            Level::Ok
        );
        assert_eq!(
            storage(&[class("a", "true"), class("b", "true")]).level,
            Level::Warn
        );
        assert_eq!(storage(&[]).level, Level::Warn);
        let service = |ingress: Value| {
            object(
                json!({"metadata": {"name": "s"}, "spec": {"type": "LoadBalancer"},
                "status": {"loadBalancer": {"ingress": ingress}}}),
            )
        };
        assert_eq!(
            load_balancer(&[service(json!([{"ip": "1"}]))]).level,
            Level::Ok
        );
        assert_eq!(load_balancer(&[service(json!([]))]).level, Level::Warn);
    }
}
