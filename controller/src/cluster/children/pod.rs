//! What the pods of control plane and etcd have in common.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
    StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, EnvVar, EnvVarSource, KeyToPath, ObjectFieldSelector,
    PersistentVolumeClaim, PodAffinityTerm, PodAntiAffinity, ProjectedVolumeSource, SeccompProfile,
    SecretProjection, SecurityContext, TopologySpreadConstraint, Volume, VolumeProjection,
    WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::apply::diff::contains;
use crate::cluster::validate::ValidCluster;

/// A pod is replaced when the one before it is ready.
pub fn rolling_update() -> StatefulSetUpdateStrategy {
    StatefulSetUpdateStrategy {
        type_: Some("RollingUpdate".to_owned()),
        ..Default::default()
    }
}

/// Data outlives a smaller set always, and the set itself unless it may be deleted with it.
pub fn retention(auto_delete: bool) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = if auto_delete { "Delete" } else { "Retain" };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.to_owned()),
        when_scaled: Some("Retain".to_owned()),
    }
}

/// Prefers another zone, then another node; takes no other than that where pods would share what is
/// on a node.
pub fn apart(labels: &BTreeMap<String, String>, is_nodes_own: bool) -> Affinity {
    const NODE: &str = "kubernetes.io/hostname";
    let term = |topology: &str| PodAffinityTerm {
        topology_key: topology.to_owned(),
        label_selector: Some(LabelSelector {
            match_labels: Some(labels.clone()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let preferred = |weight: i32, topology: &str| WeightedPodAffinityTerm {
        weight,
        pod_affinity_term: term(topology),
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: is_nodes_own
                .then(|| vec![term(NODE)]),
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                preferred(100, "topology.kubernetes.io/zone"),
                preferred(50, NODE),
            ]),
        }),
        ..Default::default()
    }
}

/// Whether the pods of a set take no node that another has.
pub fn has_own_nodes(set: &StatefulSetSpec) -> bool {
    let affinity = set
        .template
        .spec
        .as_ref()
        .and_then(|pod| pod.affinity.as_ref()?.pod_anti_affinity.as_ref());
    affinity
        .and_then(|apart| {
            apart
                .required_during_scheduling_ignored_during_execution
                .as_ref()
        })
        .is_some_and(|required| !required.is_empty())
}

/// The user's constraints, for every pod alike.
pub fn spread(cluster: &ValidCluster) -> Option<Vec<TopologySpreadConstraint>> {
    let constraints = &cluster.spec.topology_spread_constraints;
    (!constraints.is_empty()).then(|| constraints.clone())
}

/// The runtime's own system call filter.
pub fn runtime_default() -> SeccompProfile {
    SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        ..Default::default()
    }
}

/// No way to more rights, no writable root file system, only the capabilities named.
pub fn confined(capabilities: &[&str]) -> SecurityContext {
    let added: Vec<_> = capabilities.iter().map(|name| (*name).to_owned()).collect();
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities {
            drop: Some(vec!["ALL".to_owned()]),
            add: (!added.is_empty()).then_some(added),
        }),
        seccomp_profile: Some(runtime_default()),
        ..Default::default()
    }
}

/// `POD_NAME`, for arguments that name the member.
pub fn name_variable() -> EnvVar {
    EnvVar {
        name: "POD_NAME".to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: "metadata.name".to_owned(),
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Keys of a Secret as files.
pub fn secret_files(secret: &str, files: &[(&str, &str)]) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            items: Some(
                files
                    .iter()
                    .map(|(key, path)| KeyToPath {
                        key: (*key).to_owned(),
                        path: (*path).to_owned(),
                        mode: None,
                    })
                    .collect(),
            ),
            optional: None,
        }),
        ..Default::default()
    }
}

/// A volume of several Secrets' files, for root and its group: k0s runs the API server as a user
/// of that group, and it reads the etcd client's key.
pub fn projected(name: &str, sources: impl Into<Vec<VolumeProjection>>) -> Volume {
    Volume {
        name: name.to_owned(),
        projected: Some(ProjectedVolumeSource {
            sources: Some(sources.into()),
            default_mode: Some(0o440),
        }),
        ..Default::default()
    }
}

/// Whether claim templates say more or less than those that are there, but for what the API server
/// adds. Both are refused.
fn is_changed(live: &[PersistentVolumeClaim], wanted: &[PersistentVolumeClaim]) -> bool {
    let plain = |claims: &[PersistentVolumeClaim]| {
        let mut claims = claims.to_vec();
        for claim in &mut claims {
            claim.status = None;
            claim.metadata.creation_timestamp = None;
            if let Some(spec) = &mut claim.spec
                && spec.volume_mode.as_deref() == Some("Filesystem")
            {
                spec.volume_mode = None;
            }
        }
        serde_json::to_value(claims).unwrap_or_default()
    };
    let (live, wanted) = (plain(live), plain(wanted));
    !contains(&live, &wanted) || !contains(&wanted, &live)
}

/// A StatefulSet that exists keeps what the API server does not let change, upstream's included:
/// its selector, claim templates, Service name and pod policy. Its template carries what its
/// selector wants.
pub fn keep_immutable(set: &mut StatefulSet, live: Option<&StatefulSet>) {
    let (Some(spec), Some(live)) = (set.spec.as_mut(), live.and_then(|live| live.spec.as_ref()))
    else {
        return;
    };
    if is_changed(
        live.volume_claim_templates.as_deref().unwrap_or_default(),
        spec.volume_claim_templates.as_deref().unwrap_or_default(),
    ) {
        spec.volume_claim_templates
            .clone_from(&live.volume_claim_templates);
    }
    if live.selector != spec.selector {
        spec.selector.clone_from(&live.selector);
        let labels = spec
            .template
            .metadata
            .get_or_insert_default()
            .labels
            .get_or_insert_default();
        for (key, value) in live.selector.match_labels.iter().flatten() {
            labels.insert(key.clone(), value.clone());
        }
    }
    // The API server writes an absent name as an empty one.
    if live.service_name.as_deref().unwrap_or_default()
        != spec.service_name.as_deref().unwrap_or_default()
    {
        spec.service_name.clone_from(&live.service_name);
    }
    if live.pod_management_policy != spec.pod_management_policy {
        spec.pod_management_policy
            .clone_from(&live.pod_management_policy);
    }
}

/// No account, where none is asked for: the API server fills in each of its two names from the other, of
/// which the second is nobody's, so only both of them said to be empty end one that was there. They are
/// always said: what is wanted must not follow from what is there, or whoever writes an account and this
/// would each time answer the other at once.
pub fn leave_account(set: &mut StatefulSet) {
    let spec = set.spec.as_mut();
    let pod = spec.and_then(|spec| spec.template.spec.as_mut());
    if let Some(pod) = pod
        && pod
            .service_account_name
            .as_deref()
            .is_none_or(str::is_empty)
    {
        pod.service_account_name = Some(String::new());
        pod.service_account = Some(String::new());
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn set(claim: &Value) -> StatefulSet {
        serde_json::from_value(json!({"spec": {"selector": {}, "template": {},
            "volumeClaimTemplates": [claim]}}))
        .unwrap()
    }

    fn claim(mut metadata: Value, limits: &Value) -> Value {
        metadata["name"] = json!("data");
        json!({"metadata": metadata, "spec": {"accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}, "limits": limits}}})
    }

    /// What is taken off is refused as what is added.
    #[rstest]
    #[case::nothing(claim(json!({"labels": {"a": "b"}}), &json!({"storage": "2Gi"})), false)]
    #[case::a_label(claim(json!({"labels": {"c": "d"}}), &json!({"storage": "2Gi"})), true)]
    #[case::a_label_off(claim(json!({}), &json!({"storage": "2Gi"})), true)]
    #[case::limits_off(claim(json!({"labels": {"a": "b"}}), &json!(null)), true)]
    fn claim_templates_stay_as_they_are(#[case] wanted: Value, #[case] changed: bool) {
        let mut live = claim(json!({"labels": {"a": "b"}}), &json!({"storage": "2Gi"}));
        live["apiVersion"] = json!("v1");
        live["spec"]["volumeMode"] = json!("Filesystem");
        live["status"] = json!({"phase": "Pending"});
        let live = set(&live);
        let asked = set(&wanted);
        let mut kept = asked.clone();
        keep_immutable(&mut kept, Some(&live));
        assert_eq!(kept == live, changed, "all of it is the live one's");
        assert_eq!(kept == asked, !changed);
    }
}
