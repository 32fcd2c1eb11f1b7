//! Which pods of a node can be moved, and what is in the way. Pure.

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use crate::escape;

/// What the person has allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Pods that nobody makes anew.
    pub unmanaged: bool,
    /// Pods whose emptyDir volumes are lost.
    pub empty_dirs: bool,
}

/// What becomes of the pods of a node.
#[derive(Debug, Default)]
pub struct Sorted {
    /// They go.
    pub evicted: Vec<Pod>,
    /// They stay, and why: they belong to the node.
    pub kept: Vec<(String, &'static str)>,
    /// They forbid it: `namespace/name`, and what to allow.
    pub obstacles: Vec<(String, &'static str)>,
}

/// `namespace/name`, as a message may have it: the hosted API says what it likes.
pub fn name(pod: &Pod) -> String {
    let name = format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any());
    escape::line(&name).into_owned()
}

/// Sorts the pods of a node.
pub fn sort(pods: Vec<Pod>, allowed: Allowed) -> Sorted {
    let mut sorted = Sorted::default();
    for pod in pods {
        let name = name(&pod);
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let over = matches!(phase, Some("Succeeded" | "Failed"));
        let owners = pod.owner_references();
        let by = |kind: &str| owners.iter().any(|owner| owner.kind == kind);
        let managed = owners.iter().any(|owner| owner.controller == Some(true));
        let volumes = pod
            .spec
            .iter()
            .flat_map(|spec| spec.volumes.iter().flatten());
        let loses = !over && volumes.into_iter().any(|volume| volume.empty_dir.is_some());
        if pod
            .annotations()
            .contains_key("kubernetes.io/config.mirror")
        {
            sorted.kept.push((name, "of a file on the machine"));
        } else if by("DaemonSet") && !over {
            sorted.kept.push((name, "of a DaemonSet"));
        } else if !managed && !over && !allowed.unmanaged {
            sorted
                .obstacles
                .push((name, "nobody makes it anew: --force deletes it"));
        } else if loses && !allowed.empty_dirs {
            sorted.obstacles.push((
                name,
                "its emptyDir volumes are lost: --delete-emptydir-data",
            ));
        } else {
            sorted.evicted.push(pod);
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, owner: &str, more: &Value) -> Pod {
        let mut value = json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": []}, "status": {"phase": "Running"},
        });
        if !owner.is_empty() {
            value["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": owner,
                "name": "x", "uid": "1", "controller": true}]);
        }
        json_patch_merge(&mut value, more);
        serde_json::from_value(value).unwrap()
    }

    fn json_patch_merge(value: &mut Value, more: &Value) {
        for (key, part) in more.as_object().unwrap() {
            match value.get_mut(key) {
                Some(found) if found.is_object() && part.is_object() => {
                    json_patch_merge(found, part);
                }
                _ => value[key] = part.clone(),
            }
        }
    }

    #[test]
    fn what_would_be_lost_needs_a_flag() {
        let volume = json!({"spec": {"volumes": [{"name": "a", "emptyDir": {}}]}});
        let pods = || {
            vec![
                pod("web", "ReplicaSet", &json!({})),
                pod("cache", "ReplicaSet", &volume),
                pod("bare", "", &json!({})),
                pod("done", "", &json!({"status": {"phase": "Succeeded"}})),
                pod("proxy", "DaemonSet", &volume),
                pod(
                    "static",
                    "",
                    &json!({"metadata": {"annotations":
                    {"kubernetes.io/config.mirror": "x"}}}),
                ),
            ]
        };
        let names = |pods: &[Pod]| {
            pods.iter()
                .map(kube::ResourceExt::name_any)
                .collect::<Vec<_>>()
        };
        let sorted = sort(pods(), Allowed::default());
        assert_eq!(names(&sorted.evicted), ["web", "done"]);
        let obstacles: Vec<&str> = sorted
            .obstacles
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(obstacles, ["default/cache", "default/bare"]);
        assert_eq!(sorted.kept.len(), 2);
        let all = Allowed {
            unmanaged: true,
            empty_dirs: true,
        };
        assert_eq!(
            names(&sort(pods(), all).evicted),
            ["web", "cache", "bare", "done"]
        );
    }
}
