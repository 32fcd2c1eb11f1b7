//! What several policies allow together. Pure.

use crds::v1beta2::{
    ClusterPolicy, ClusterPolicySpec, NamespaceLimits, PolicyAction, ReplicaBounds,
};
use crds::validation::parse_go_duration;
use kube::ResourceExt as _;

use crate::commands::policy::{phrases, prose};

/// Which policies hold in a namespace, and what those that refuse allow together; lines that are
/// ended.
pub fn summary(namespace: &str, policies: &[&ClusterPolicy]) -> String {
    if policies.is_empty() {
        return format!("No policy holds in namespace {namespace}.\n");
    }
    let mut lines = vec![format!("In namespace {namespace} hold:")];
    for policy in policies {
        lines.push(format!(
            "  - {} ({})",
            policy.name_any(),
            policy.spec.action
        ));
    }
    let refusing: Vec<&ClusterPolicySpec> = policies
        .iter()
        .map(|policy| &policy.spec)
        .filter(|spec| spec.action == PolicyAction::Enforce)
        .collect();
    let bounds = bounds(&refusing);
    if !bounds.is_empty() {
        lines.push("Those that refuse allow only what meets all of this:".to_owned());
        lines.extend(bounds.into_iter().map(|bound| format!("  - {bound}")));
    }
    lines.push(
        "What each requires, forbids, fills in and asks besides: kubectl k0smotron policy explain \
         NAME"
            .to_owned(),
    );
    lines.join("\n") + "\n"
}

fn bounds(specs: &[&ClusterPolicySpec]) -> Vec<String> {
    let ranges = |spec: &ClusterPolicySpec| {
        let quoted = spec.versions.iter().map(|range| format!("{range:?}"));
        quoted.collect::<Vec<_>>()
    };
    let services = |spec: &ClusterPolicySpec| texts(&spec.service_types);
    let storage = |spec: &ClusterPolicySpec| texts(&spec.storage_types);
    let persistence = |spec: &ClusterPolicySpec| spec.persistence_types.clone();
    let limits = NamespaceLimits {
        clusters: least(specs, |spec| spec.namespace_limits?.clusters),
        replicas: least(specs, |spec| spec.namespace_limits?.replicas),
    };
    let longest = specs
        .iter()
        .filter_map(|spec| spec.max_token_lifetime.as_deref())
        .filter_map(|text| Some((parse_go_duration(text).ok()?, text)))
        .min();
    each(specs, "Kubernetes in the range", ranges)
        .into_iter()
        .chain(each(specs, "images from", |spec| spec.images.clone()))
        .chain(shared(specs, "Services of type", services))
        .chain(shared(specs, "storage of type", storage))
        .chain(shared(specs, "persistence of type", persistence))
        .chain(replicas(specs))
        .chain(prose::of_namespace(&limits))
        .chain(longest.map(|(_, text)| format!("join tokens that are valid for {text} at most")))
        .collect()
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn least(
    specs: &[&ClusterPolicySpec],
    bound: impl Fn(&ClusterPolicySpec) -> Option<i32>,
) -> Option<i32> {
    specs.iter().filter_map(|spec| bound(spec)).min()
}

fn replicas(specs: &[&ClusterPolicySpec]) -> Option<String> {
    let bounds = |bound: fn(&ReplicaBounds) -> Option<i32>| {
        let found = specs.iter().filter_map(|spec| spec.replicas.as_ref());
        found.filter_map(bound).collect::<Vec<i32>>()
    };
    let min = bounds(|bounds| bounds.min).into_iter().max();
    let max = bounds(|bounds| bounds.max).into_iter().min();
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        return Some(format!(
            "no Cluster at all: one wants at least {min} control-plane pods, another at most {max}"
        ));
    }
    phrases::replicas(min, max)
}

/// What all of those allow that have such a rule.
fn shared(
    specs: &[&ClusterPolicySpec],
    what: &str,
    allowed: impl Fn(&ClusterPolicySpec) -> Vec<String>,
) -> Option<String> {
    let mut lists = specs.iter().map(|spec| allowed(spec));
    let mut lists = lists.by_ref().filter(|list| !list.is_empty());
    let mut common = lists.next()?;
    for list in lists {
        common.retain(|item| list.contains(item));
    }
    Some(if common.is_empty() {
        format!("{what} nothing: what one allows another does not")
    } else {
        format!("{what} {}", phrases::either(&common))
    })
}

/// What has to be met one by one, since nobody can tell what is in both.
fn each(
    specs: &[&ClusterPolicySpec],
    what: &str,
    allowed: impl Fn(&ClusterPolicySpec) -> Vec<String>,
) -> Vec<String> {
    let mut lists: Vec<String> = specs
        .iter()
        .map(|spec| allowed(spec))
        .filter(|list| !list.is_empty())
        .map(|list| format!("{what} {}", phrases::either(&list)))
        .collect();
    lists.sort();
    lists.dedup();
    lists
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn summed(policies: &[(&str, Value)]) -> String {
        let read: Vec<ClusterPolicy> = policies
            .iter()
            .map(|(name, spec)| {
                serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
            })
            .collect();
        summary("team-a", &read.iter().collect::<Vec<_>>())
    }

    #[test]
    fn bounds_of_those_that_refuse_are_one_bound() {
        let text = summed(&[
            (
                "all",
                json!({"replicas": {"max": 5}, "versions": ["1.36", "1.35"],
                    "serviceTypes": ["ClusterIP", "NodePort"], "maxTokenLifetime": "24h",
                    "namespaceLimits": {"clusters": 9}, "images": ["quay.io"]}),
            ),
            (
                "tenants",
                json!({"replicas": {"min": 1, "max": 3}, "versions": [">=1.35.2"],
                    "serviceTypes": ["NodePort", "LoadBalancer"], "maxTokenLifetime": "90m",
                    "namespaceLimits": {"clusters": 5, "replicas": 9}, "images": ["quay.io"]}),
            ),
            ("told", json!({"action": "Warn", "replicas": {"max": 1}})),
        ]);
        insta::assert_snapshot!(text, @r#"
        In namespace team-a hold:
          - all (Enforce)
          - tenants (Enforce)
          - told (Warn)
        Those that refuse allow only what meets all of this:
          - Kubernetes in the range "1.36" or "1.35"
          - Kubernetes in the range ">=1.35.2"
          - images from quay.io
          - Services of type NodePort
          - from 1 to 3 control-plane pods
          - 5 Clusters in a namespace at most
          - 9 control-plane pods of all Clusters in a namespace at most
          - join tokens that are valid for 90m at most
        What each requires, forbids, fills in and asks besides: kubectl k0smotron policy explain NAME
        "#);
    }

    #[test]
    fn bounds_that_exclude_each_other_are_said() {
        let text = summed(&[
            (
                "a",
                json!({"replicas": {"min": 3}, "storageTypes": ["etcd"]}),
            ),
            (
                "b",
                json!({"replicas": {"max": 1}, "storageTypes": ["kine"]}),
            ),
        ]);
        assert!(
            text.contains("no Cluster at all: one wants at least 3"),
            "{text}"
        );
        assert!(text.contains("storage of type nothing"), "{text}");
    }

    #[test]
    fn a_namespace_without_policies_is_free() {
        assert_eq!(summed(&[]), "No policy holds in namespace team-a.\n");
    }
}
