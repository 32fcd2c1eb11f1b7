//! What pods use: from the answers of those who measure it to numbers. Pure.

use std::collections::BTreeMap;

use crds::quantity::amount;
use serde_json::Value;

/// What something uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// CPU, in billionths of a core.
    pub nanocores: u64,
    /// Memory that cannot be taken back, in bytes.
    pub bytes: u64,
}

impl Amount {
    /// CPU as `kubectl top` rounds it: what is used at all is never 0.
    pub fn millicores(self) -> u64 {
        self.nanocores.div_ceil(1_000_000)
    }

    /// Memory in whole mebibytes.
    pub fn mebibytes(self) -> u64 {
        self.bytes / (1024 * 1024)
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |one, other| Self {
            nanocores: one.nanocores.saturating_add(other.nanocores),
            bytes: one.bytes.saturating_add(other.bytes),
        })
    }
}

/// What the containers of a pod used at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    pub at: String,
    pub containers: BTreeMap<String, Amount>,
}

impl Sample {
    /// What the pod used.
    pub fn total(&self) -> Amount {
        self.containers.values().copied().sum()
    }
}

/// Samples by namespace and name of their pods.
pub type Usage = BTreeMap<(String, String), Sample>;

/// Reads `PodMetrics` of metrics.k8s.io.
pub fn of_metrics<'a>(items: impl IntoIterator<Item = &'a Value>) -> Usage {
    let sample = |item: &Value| {
        let containers = array(item, "/containers").filter_map(|container| {
            let quantity = |pointer: &str| amount(container.pointer(pointer)?.as_str()?);
            let amount = Amount {
                nanocores: whole(quantity("/usage/cpu")? * 1e9),
                bytes: whole(quantity("/usage/memory")?),
            };
            Some((text(container, "/name"), amount))
        });
        Sample {
            at: text(item, "/timestamp"),
            containers: containers.collect(),
        }
    };
    let key = |item: &Value| {
        (
            text(item, "/metadata/namespace"),
            text(item, "/metadata/name"),
        )
    };
    items
        .into_iter()
        .map(|item| (key(item), sample(item)))
        .filter(|(_, sample)| !sample.containers.is_empty())
        .collect()
}

/// Reads the summary of a kubelet.
pub fn of_summary(summary: &Value) -> Usage {
    let sample = |pod: &Value| {
        let containers = array(pod, "/containers").filter_map(|container| {
            let number = |pointer: &str| container.pointer(pointer)?.as_u64();
            let amount = Amount {
                nanocores: number("/cpu/usageNanoCores")?,
                bytes: number("/memory/workingSetBytes")?,
            };
            Some((text(container, "/name"), amount))
        });
        let latest = array(pod, "/containers").map(|container| text(container, "/cpu/time"));
        Sample {
            at: latest.max().unwrap_or_default(),
            containers: containers.collect(),
        }
    };
    array(summary, "/pods")
        .map(|pod| {
            let key = (text(pod, "/podRef/namespace"), text(pod, "/podRef/name"));
            (key, sample(pod))
        })
        .filter(|(_, sample)| !sample.containers.is_empty())
        .collect()
}

fn array<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float stops at the ends of the range"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(pod: &str) -> (String, String) {
        ("team-a".to_owned(), pod.to_owned())
    }

    #[test]
    fn metrics_are_read_in_whatever_unit_they_are_written() {
        let item = |pod: &str, cpu: &str, memory: &str| {
            json!({"metadata": {"namespace": "team-a", "name": pod},
                "timestamp": "2026-11-22T10:00:00Z",
                "containers": [{"name": "etcd", "usage": {"cpu": cpu, "memory": memory}}]})
        };
        let items = [
            item("a", "1234567n", "2048Ki"),
            item("b", "250m", "1Gi"),
            item("c", "2", "1000"),
            item("d", "much", "1"),
        ];
        let usage = of_metrics(&items);
        let read = |pod: &str| usage.get(&key(pod)).map(Sample::total);
        let amount = |nanocores, bytes| Some(Amount { nanocores, bytes });
        assert_eq!(read("a"), amount(1_234_567, 2 * 1024 * 1024));
        assert_eq!(read("b"), amount(250_000_000, 1024 * 1024 * 1024));
        assert_eq!(read("c"), amount(2_000_000_000, 1000));
        assert_eq!(read("d"), None);
    }

    #[test]
    fn of_a_kubelets_summary_the_containers_count_and_what_is_not_measured_yet_does_not() {
        let container = |name: &str, cores: Option<u64>| {
            json!({"name": name, "memory": {"workingSetBytes": 5},
                "cpu": {"time": "2026-11-22T10:00:00Z", "usageNanoCores": cores}})
        };
        let summary = json!({"node": {"nodeName": "n"}, "pods": [
            {"podRef": {"namespace": "team-a", "name": "a"},
                "containers": [container("x", Some(7)), container("y", Some(8))]},
            {"podRef": {"namespace": "team-a", "name": "b"}, "containers": [container("x", None)]},
            {"podRef": {"namespace": "team-a", "name": "c"}},
        ]});
        let usage = of_summary(&summary);
        assert_eq!(usage.len(), 1);
        let sample = &usage[&key("a")];
        assert_eq!(sample.at, "2026-11-22T10:00:00Z");
        let total = Amount {
            nanocores: 15,
            bytes: 10,
        };
        assert_eq!(sample.total(), total);
    }

    #[test]
    fn numbers_are_rounded_as_kubectl_rounds_them() {
        let amount = Amount {
            nanocores: 1_000_001,
            bytes: 2 * 1024 * 1024 - 1,
        };
        assert_eq!((amount.millicores(), amount.mebibytes()), (2, 1));
        assert_eq!(Amount::default().millicores(), 0);
    }
}
