//! What is promised. A figure that misses it is marked; one that misses it ten times fails.

use super::figures::{Beside, Figures};
use super::place::Who;

/// A figure beside what it should be at most.
pub struct Goal {
    pub what: String,
    pub is: f64,
    pub most: f64,
}

impl Goal {
    fn new(what: impl Into<String>, is: f64, most: f64) -> Self {
        Self {
            what: what.into(),
            is,
            most,
        }
    }
}

/// Each goal that these figures say something of; another operator has none.
pub fn goals(all: &[Figures], beside: &[Beside]) -> Vec<Goal> {
    let ours = || all.iter().filter(|f| f.operator == Who::Ours);
    let mut goals = Vec::new();
    for figures in ours() {
        let size = figures.clusters;
        let of = |what: &str| format!("{what}, {size} Clusters");
        let never = f64::INFINITY;
        goals.push(Goal::new(
            of("addresses a Cluster"),
            figures.cluster_ips,
            1.0,
        ));
        if size == 1000 {
            let after = figures.all_after.unwrap_or(never);
            goals.push(Goal::new(of("seconds to all children"), after, 100.0));
            goals.push(Goal::new(
                of("processor seconds"),
                figures.cpu_settled,
                40.0,
            ));
            goals.push(Goal::new(of("MiB settled"), figures.settled_mib, 60.0));
            goals.push(Goal::new(
                of("share of a processor, idle"),
                figures.idle_cpu,
                0.001,
            ));
            let hundred = ours().find(|figures| figures.clusters == 100);
            if let Some(less) = hundred.and_then(|figures| figures.all_after) {
                goals.push(Goal::new(
                    "times the seconds for 1000 and not 100",
                    after / less,
                    15.0,
                ));
            }
            if let Some(less) = hundred.map(|figures| figures.cpu_settled) {
                let times = figures.cpu_settled / less;
                goals.push(Goal::new("times the processor seconds", times, 15.0));
            }
        }
        if size == 10_000 {
            goals.push(Goal::new(of("MiB settled"), figures.settled_mib, 128.0));
        }
        for (kind, after) in &figures.repaired_after {
            let what = of(&format!("seconds until {kind} are repaired"));
            goals.push(Goal::new(what, after.unwrap_or(never), 1.0));
        }
        goals.push(Goal::new(
            of("more writes after a start than the one that is needed"),
            f64::from(u32::try_from(figures.restart.writes).unwrap_or(u32::MAX)),
            0.0,
        ));
    }
    for figures in beside.iter().filter(|f| f.operator == Who::Ours) {
        let slower = figures.later.unwrap_or(f64::INFINITY) / figures.alone;
        let what = "times as long for a normal Cluster beside pending ones";
        goals.push(Goal::new(what, slower, 1.5));
    }
    goals
}

/// What is ten times over.
pub fn missed(all: &[Figures], beside: &[Beside]) -> Vec<String> {
    goals(all, beside)
        .into_iter()
        .filter(|goal| goal.is > goal.most * 10.0)
        .map(|goal| format!("{}: {:.3}, goal {}", goal.what, goal.is, goal.most))
        .collect()
}
