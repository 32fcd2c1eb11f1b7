//! What an upgrade would be: from the Cluster and the version that is wanted. Pure.

use crds::upgrade;
use crds::v1beta2::Cluster;
use crds::validation::Findings;
use crds::version::K0sVersion;
use serde::Serialize;

/// A change of version, before anything is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    pub cluster: String,
    pub namespace: String,
    /// The version that runs, or that was asked for while none does.
    pub from: String,
    pub to: String,
    /// How many control-plane pods are replaced, one after another.
    pub pods: i32,
    /// Nodes that have joined, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<i32>,
    /// Version of the oldest kubelet, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_kubelet: Option<String>,
    pub forbidden: Vec<String>,
    pub warnings: Vec<String>,
}

/// The newest known version that can be reached in one step: of the next minor version, else of
/// the one that runs; `None` when it runs already.
pub fn newest_step(running: &K0sVersion) -> Option<&'static K0sVersion> {
    let minor = running.minor();
    let next = upgrade::newest(minor + 1).or_else(|| upgrade::newest(minor));
    next.filter(|version| running.is_older_than(version))
}

/// The version that a Cluster runs, or goes to while it runs none.
pub fn running(cluster: &Cluster) -> &str {
    cluster
        .status
        .as_ref()
        .and_then(|status| status.version.as_deref())
        .unwrap_or_else(|| upgrade::target(&cluster.spec, cluster.status.as_ref()))
}

impl Plan {
    /// The plan to bring a Cluster to a version.
    pub fn new(cluster: &Cluster, to: &str) -> Self {
        let mut wanted = cluster.clone();
        wanted.spec.version = Some(to.to_owned());
        let Findings { errors, warnings } = upgrade::upgrade(cluster, &wanted);
        let nodes = cluster
            .status
            .as_ref()
            .and_then(|status| status.nodes.as_ref());
        let sentence = |found: crds::validation::FieldError| match found.hint.as_str() {
            "" => found.message,
            hint => format!("{}; {hint}", found.message),
        };
        Self {
            cluster: cluster.metadata.name.clone().unwrap_or_default(),
            namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
            from: running(cluster).to_owned(),
            to: to.to_owned(),
            pods: cluster.spec.replicas,
            nodes: nodes.map(|nodes| nodes.joined),
            oldest_kubelet: nodes.and_then(|nodes| nodes.oldest_kubelet.clone()),
            forbidden: errors.into_iter().map(sentence).collect(),
            warnings: warnings.into_iter().map(sentence).collect(),
        }
    }

    /// The plan for a person.
    pub fn render(&self) -> String {
        let mut lines = vec![
            format!(
                "Upgrade of cluster {}/{}: {} -> {}",
                self.namespace, self.cluster, self.from, self.to
            ),
            match self.pods {
                1 => "  1 control-plane pod is replaced: the API does not answer meanwhile, nodes \
                      and their pods go on"
                    .to_owned(),
                pods => format!(
                    "  {pods} control-plane pods are replaced, one after another: the API goes on \
                     to answer"
                ),
            },
        ];
        lines.push(match (self.nodes, &self.oldest_kubelet) {
            (Some(0), _) => "  no node has joined".to_owned(),
            (Some(nodes), Some(oldest)) => format!(
                "  nodes keep their version ({nodes} joined, the oldest kubelet is {oldest}); \
                 upgrade them afterwards"
            ),
            (_, _) => "  nodes keep their version; upgrade them afterwards".to_owned(),
        });
        lines.extend(
            self.warnings
                .iter()
                .map(|text| format!("  warning: {text}")),
        );
        lines.extend(
            self.forbidden
                .iter()
                .map(|text| format!("  forbidden: {text}")),
        );
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::mothership::view::tests::cluster;

    fn running(version: &str, nodes: &Value) -> Cluster {
        let available = json!({"type": "Available", "status": "True", "reason": "Available",
            "message": "", "lastTransitionTime": "2026-11-22T10:00:00Z"});
        let mut object = cluster(
            json!({"version": version, "readyReplicas": 3, "nodes": nodes,
            "conditions": [available]}),
        );
        object.data["spec"]["version"] = json!(version);
        serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap()
    }

    #[test]
    fn a_plan_says_what_happens_to_pods_and_nodes() {
        let cluster = running(
            "v1.35.4+k0s.0",
            &json!({"joined": 2, "ready": 2, "oldestKubelet": "v1.34.2+k0s"}),
        );
        insta::assert_snapshot!(Plan::new(&cluster, "v1.36.3+k0s.2").render(), @"
        Upgrade of cluster team-a/demo: v1.35.4+k0s.0 -> v1.36.3+k0s.2
          3 control-plane pods are replaced, one after another: the API goes on to answer
          nodes keep their version (2 joined, the oldest kubelet is v1.34.2+k0s); upgrade them afterwards
        ");
    }

    #[test]
    fn what_forbids_it_is_the_webhooks_own_rule() {
        let old = json!({"joined": 1, "ready": 1, "oldestKubelet": "v1.31.2+k0s"});
        let cluster = running("v1.35.4+k0s.0", &old);
        let skipped = Plan::new(&cluster, "v1.37.0+k0s.0");
        assert!(skipped.forbidden[0].contains("skips a minor version"));
        let back = Plan::new(&cluster, "v1.34.1+k0s.0");
        assert!(back.forbidden[0].contains("is older than v1.35.4+k0s.0"));
        let skew = Plan::new(&cluster, "v1.36.3+k0s.2");
        assert!(skew.forbidden[0].contains("oldest kubelet"), "{skew:?}");
    }

    #[test]
    fn the_newest_step_goes_one_minor_version_at_most() {
        let step = |text: &str| newest_step(&text.parse().unwrap()).map(K0sVersion::minor);
        assert_eq!(step("v1.33.1+k0s.0"), Some(34));
        assert_eq!(step("v1.36.1+k0s.0"), Some(36));
        let newest = upgrade::newest(36).unwrap().to_string();
        assert_eq!(step(&newest), None);
    }
}
