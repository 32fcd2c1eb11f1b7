//! From pods and what they use to what is shown. Pure.

use std::cmp::Reverse;

use crds::labels;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::SortBy;
use super::usage::{Amount, Sample, Usage};
use crate::duration;
use crate::output::Style;
use crate::output::table::{Cell, Table};

/// A pod and what it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub namespace: String,
    /// The Cluster that it belongs to.
    pub cluster: String,
    /// Which part of it: `control-plane` or `etcd`.
    pub component: String,
    pub pod: String,
    /// Where it runs; `None` while it runs nowhere.
    pub node: Option<String>,
    /// What it uses; `None` while nobody has measured it.
    pub sample: Option<Sample>,
}

/// The pods of one Cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Each pod, in the order in which they are shown.
    pub rows: Vec<Row>,
}

impl Group {
    /// What all of them use; `None` while nobody has measured any.
    pub fn total(&self) -> Option<Amount> {
        let known: Vec<Amount> = self.rows.iter().filter_map(total).collect();
        (!known.is_empty()).then(|| known.into_iter().sum())
    }
}

fn total(row: &Row) -> Option<Amount> {
    row.sample.as_ref().map(Sample::total)
}

/// The pods of each Cluster with what they use: by name, or those first that use the most, of
/// clusters as of their pods.
pub fn groups(pods: &[Pod], usage: &Usage, sort_by: Option<SortBy>) -> Vec<Group> {
    let mut rows: Vec<Row> = pods.iter().map(|pod| row(pod, usage)).collect();
    rows.sort_by(|one, other| {
        let name = |row: &Row| {
            let Row {
                namespace, cluster, ..
            } = row;
            let (component, pod) = (row.component.clone(), row.pod.clone());
            (namespace.clone(), cluster.clone(), component, pod)
        };
        name(one).cmp(&name(other))
    });
    let mut groups: Vec<Group> = rows
        .chunk_by(|one, other| (&one.namespace, &one.cluster) == (&other.namespace, &other.cluster))
        .map(|rows| Group {
            rows: rows.to_vec(),
        })
        .collect();
    if let Some(by) = sort_by {
        let size = |amount: Option<Amount>| {
            Reverse(amount.map(|amount| match by {
                SortBy::Cpu => amount.nanocores,
                SortBy::Memory => amount.bytes,
            }))
        };
        for group in &mut groups {
            group.rows.sort_by_key(|row| size(total(row)));
        }
        groups.sort_by_key(|group| size(group.total()));
    }
    groups
}

fn row(pod: &Pod, usage: &Usage) -> Row {
    let label = |key: &str| pod.labels().get(key).cloned();
    let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
    let sample = usage.get(&(namespace.clone(), name.clone())).cloned();
    Row {
        cluster: label(labels::CLUSTER).unwrap_or_default(),
        // Pods of earlier installations carry the coarser label only.
        component: label(labels::APP_COMPONENT)
            .or_else(|| label(labels::COMPONENT))
            .unwrap_or_default(),
        node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        namespace,
        pod: name,
        sample,
    }
}

/// Which columns a table has.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct Columns {
    pub namespaces: bool,
    /// A line a container in place of one a pod.
    pub containers: bool,
    /// The nodes, and when it was measured.
    pub wide: bool,
}

/// The pods as a table; of several clusters each has a line with its sum.
pub fn table(groups: &[Group], columns: Columns, now: Timestamp) -> Table {
    let titles = columns.namespaces.then_some("NAMESPACE").into_iter();
    let titles = titles
        .chain(["CLUSTER", "COMPONENT", "POD"])
        .chain(columns.containers.then_some("CONTAINER"))
        .chain(["CPU(cores)", "MEMORY(bytes)"])
        .chain(
            columns
                .wide
                .then_some(["NODE", "MEASURED"])
                .into_iter()
                .flatten(),
        );
    let mut table = Table::new(titles);
    for group in groups {
        for row in &group.rows {
            let containers = row.sample.iter().flat_map(|sample| &sample.containers);
            let mut lines: Vec<(&str, Option<Amount>)> = containers
                .map(|(name, amount)| (name.as_str(), Some(*amount)))
                .collect();
            if !columns.containers || lines.is_empty() {
                lines = vec![("", total(row))];
            }
            for (container, amount) in lines {
                let mut cells = begin(row, columns);
                cells.push(row.component.as_str().into());
                cells.push(row.pod.as_str().into());
                if columns.containers {
                    cells.push(container.into());
                }
                cells.extend(numbers(amount, Style::Plain));
                if columns.wide {
                    let at = row.sample.as_ref().map(|sample| sample.at.as_str());
                    cells.push(row.node.as_deref().unwrap_or("<none>").into());
                    cells.push(match at {
                        Some(at) => format!("{} ago", duration::age_since(Some(at), now)).into(),
                        None => "".into(),
                    });
                }
                table.push(cells);
            }
        }
        if let (Some(row), true) = (group.rows.first(), groups.len() > 1) {
            let mut cells = begin(row, columns);
            cells.push(Cell::styled("total", Style::Bold));
            cells.push("".into());
            if columns.containers {
                cells.push("".into());
            }
            cells.extend(numbers(group.total(), Style::Bold));
            table.push(cells);
        }
    }
    table
}

fn begin(row: &Row, columns: Columns) -> Vec<Cell> {
    let namespace = columns.namespaces.then(|| row.namespace.as_str().into());
    let cluster = Cell::from(row.cluster.as_str());
    namespace.into_iter().chain([cluster]).collect()
}

fn numbers(amount: Option<Amount>, style: Style) -> [Cell; 2] {
    match amount {
        Some(amount) => [
            Cell::styled(format!("{}m", amount.millicores()), style),
            Cell::styled(format!("{}Mi", amount.mebibytes()), style),
        ],
        None => ["<unknown>", "<unknown>"].map(|text| Cell::styled(text, Style::Waiting)),
    }
}

/// The pods as programs read them: what metrics.k8s.io says of a pod, and besides which cluster it
/// belongs to and what it uses in numbers.
pub fn items(groups: &[Group]) -> Vec<Value> {
    let rows = groups.iter().flat_map(|group| &group.rows);
    rows.map(|row| {
        let containers = row.sample.iter().flat_map(|sample| &sample.containers);
        let containers: Vec<Value> = containers
            .map(|(name, amount)| {
                json!({"name": name, "usage": {
                    "cpu": format!("{}n", amount.nanocores),
                    "memory": amount.bytes.to_string(),
                }})
            })
            .collect();
        let mut item = json!({
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
            "metadata": {"name": row.pod, "namespace": row.namespace},
            "cluster": row.cluster, "component": row.component, "node": row.node,
            "containers": containers,
        });
        if let (Some(sample), Some(fields)) = (&row.sample, item.as_object_mut()) {
            let total = sample.total();
            fields.insert("timestamp".to_owned(), json!(sample.at));
            fields.insert(
                "usage".to_owned(),
                json!({"cpuMillicores": total.millicores(), "memoryBytes": total.bytes}),
            );
        }
        item
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Paint;

    fn pod(cluster: &str, component: &str, name: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"namespace": "team-a", "name": name, "labels": {
                "cluster": cluster, "component": "cluster",
                "app.kubernetes.io/component": component}},
            "spec": {"nodeName": "node-1", "containers": []},
        }))
        .unwrap()
    }

    fn used(pod: &str, containers: &[(&str, u64, u64)]) -> ((String, String), Sample) {
        let containers = containers.iter().map(|(name, millicores, mebibytes)| {
            let amount = Amount {
                nanocores: millicores * 1_000_000,
                bytes: mebibytes * 1024 * 1024,
            };
            ((*name).to_owned(), amount)
        });
        let sample = Sample {
            at: "2026-11-22T10:00:00Z".to_owned(),
            containers: containers.collect(),
        };
        (("team-a".to_owned(), pod.to_owned()), sample)
    }

    fn pods() -> Vec<Pod> {
        vec![
            pod("web", "control-plane", "kmc-web-0"),
            pod("demo", "etcd", "kmc-demo-etcd-0"),
            pod("demo", "control-plane", "kmc-demo-1"),
            pod("demo", "control-plane", "kmc-demo-0"),
        ]
    }

    fn usage() -> Usage {
        Usage::from([
            used("kmc-web-0", &[("controller", 500, 600)]),
            used("kmc-demo-0", &[("controller", 100, 400), ("agent", 20, 30)]),
            used("kmc-demo-etcd-0", &[("etcd", 10, 50)]),
            used("somebody-elses", &[("x", 9999, 9999)]),
        ])
    }

    fn shown(pods: &[Pod], sort_by: Option<SortBy>, columns: Columns) -> String {
        let now = "2026-11-22T10:00:20Z".parse().unwrap();
        table(&groups(pods, &usage(), sort_by), columns, now).render(Paint::Never)
    }

    #[test]
    fn each_pod_has_a_line_and_of_several_clusters_each_a_sum() {
        insta::assert_snapshot!(shown(&pods(), None, Columns::default()), @"
        CLUSTER   COMPONENT       POD               CPU(cores)   MEMORY(bytes)
        demo      control-plane   kmc-demo-0        120m         430Mi
        demo      control-plane   kmc-demo-1        <unknown>    <unknown>
        demo      etcd            kmc-demo-etcd-0   10m          50Mi
        demo      total                             130m         480Mi
        web       control-plane   kmc-web-0         500m         600Mi
        web       total                             500m         600Mi
        ");
    }

    #[test]
    fn one_cluster_needs_no_sum() {
        assert!(!shown(&pods()[1..], None, Columns::default()).contains("total"));
    }

    #[test]
    fn what_uses_most_comes_first_and_what_is_unknown_last() {
        insta::assert_snapshot!(shown(&pods(), Some(SortBy::Memory), Columns::default()), @"
        CLUSTER   COMPONENT       POD               CPU(cores)   MEMORY(bytes)
        web       control-plane   kmc-web-0         500m         600Mi
        web       total                             500m         600Mi
        demo      control-plane   kmc-demo-0        120m         430Mi
        demo      etcd            kmc-demo-etcd-0   10m          50Mi
        demo      control-plane   kmc-demo-1        <unknown>    <unknown>
        demo      total                             130m         480Mi
        ");
        let by_cpu = groups(&pods(), &usage(), Some(SortBy::Cpu));
        assert_eq!(by_cpu[0].rows[0].pod, "kmc-web-0");
    }

    #[test]
    fn containers_namespaces_and_nodes_are_columns_of_their_own() {
        let columns = Columns {
            namespaces: true,
            containers: true,
            wide: true,
        };
        insta::assert_snapshot!(shown(&pods(), None, columns), @"
        NAMESPACE   CLUSTER   COMPONENT       POD               CONTAINER    CPU(cores)   MEMORY(bytes)   NODE     MEASURED
        team-a      demo      control-plane   kmc-demo-0        agent        20m          30Mi            node-1   20s ago
        team-a      demo      control-plane   kmc-demo-0        controller   100m         400Mi           node-1   20s ago
        team-a      demo      control-plane   kmc-demo-1                     <unknown>    <unknown>       node-1
        team-a      demo      etcd            kmc-demo-etcd-0   etcd         10m          50Mi            node-1   20s ago
        team-a      demo      total                                          130m         480Mi
        team-a      web       control-plane   kmc-web-0         controller   500m         600Mi           node-1   20s ago
        team-a      web       total                                          500m         600Mi
        ");
    }

    #[test]
    fn programs_get_numbers_and_what_metrics_k8s_io_says() {
        let items = items(&groups(&pods(), &usage(), None));
        assert_eq!(
            items[0],
            json!({
                "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
                "metadata": {"name": "kmc-demo-0", "namespace": "team-a"},
                "cluster": "demo", "component": "control-plane", "node": "node-1",
                "timestamp": "2026-11-22T10:00:00Z",
                "containers": [
                    {"name": "agent", "usage": {"cpu": "20000000n", "memory": "31457280"}},
                    {"name": "controller", "usage": {"cpu": "100000000n", "memory": "419430400"}},
                ],
                "usage": {"cpuMillicores": 120, "memoryBytes": 450_887_680},
            })
        );
        assert_eq!(items[1].get("usage"), None);
    }

    #[test]
    fn pods_without_the_finer_label_are_told_by_the_coarser_one() {
        let mut old = pod("demo", "etcd", "kmc-demo-etcd-0");
        old.labels_mut().remove(labels::APP_COMPONENT);
        assert_eq!(row(&old, &Usage::new()).component, "cluster");
    }
}
