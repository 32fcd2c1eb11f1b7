//! What is measured, as it is printed in JSON. Seconds, processor seconds, MiB.

use std::collections::BTreeMap;

use serde::Serialize;

use super::place::Who;
use super::process::Memory;

/// Of one number of Clusters, made at once.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub operator: Who,
    pub clusters: usize,
    /// Children of each kind that a Cluster has.
    pub children: BTreeMap<&'static str, usize>,
    /// Addresses of the mothership that a Cluster takes.
    pub cluster_ips: f64,
    /// From the first Cluster to the last child of half of them; nothing when it was given up.
    pub half_after: Option<f64>,
    /// From the first Cluster to the last child of all.
    pub all_after: Option<f64>,
    /// From the first Cluster to the last write.
    pub settled_after: f64,
    /// Of the operator, until all children were there.
    pub cpu: f64,
    /// Of the operator, until nothing was written any more.
    pub cpu_settled: f64,
    /// Of everybody else until then, by name.
    pub cpu_others: BTreeMap<String, f64>,
    /// Resident at most.
    pub peak_mib: f64,
    /// Resident when nothing had happened for a while.
    pub settled_mib: f64,
    /// The same with what is shared divided.
    pub settled_pss_mib: f64,
    /// Requests until nothing was written any more, a Cluster, by verb and resource.
    pub requests: BTreeMap<String, f64>,
    /// How many of them a Cluster, all told.
    pub requests_each: f64,
    /// Answers of 400 and more, by code.
    pub refused: BTreeMap<u16, usize>,
    /// Share of a processor while nothing happens.
    pub idle_cpu: f64,
    /// Requests a minute while nothing happens.
    pub idle_requests: f64,
    /// From the deletion of a child to its successor, by kind; nothing after too long.
    pub repaired_after: BTreeMap<&'static str, Option<f64>>,
    pub restart: Restart,
}

/// A start with all Clusters there.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Restart {
    /// Until it says that it is ready, where it is known how to ask.
    pub ready_after: Option<f64>,
    /// Until a child is back that was deleted meanwhile.
    pub repaired_after: Option<f64>,
    /// Until it has nothing more to do.
    pub synced_after: Option<f64>,
    /// What it took until then.
    pub cpu: f64,
    /// Writes beyond that one child.
    pub writes: usize,
}

impl Figures {
    pub fn settled(&mut self, memory: Memory) {
        self.peak_mib = memory.peak;
        self.settled_mib = memory.resident;
        self.settled_pss_mib = memory.proportional;
    }
}

/// Of a normal Cluster beside others that wait for an address.
#[derive(Clone, Debug, Serialize)]
pub struct Beside {
    pub operator: Who,
    pub pending: usize,
    /// Its children while it is alone; the middle of several.
    pub alone: f64,
    /// Made together with the others.
    pub together: Option<f64>,
    /// Made when they have waited for a while; the middle of several.
    pub later: Option<f64>,
    /// Share of a processor while they wait.
    pub idle_cpu: f64,
    /// Requests a minute while they wait.
    pub idle_requests: f64,
}
