//! Runs without faults, and what follows from them: which requests there are to disturb, and what
//! everything has to come to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Result};
use mothership::proxy::{Fault, Point, Record, Verb};

use super::oracles;
use super::stage::Stage;
use super::state::{self, Leaves};

/// One thing to do to one request of a workload.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Plan {
    /// The workload.
    pub workload: &'static str,
    /// What is done to which requests.
    pub faults: Vec<(Point, Fault)>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.workload)?;
        for (point, fault) in &self.faults {
            write!(f, " / {point}: {fault}")?;
        }
        Ok(())
    }
}

/// What a person types to have one plan again: a workload, and what is done to which requests.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Name of the workload.
    pub workload: String,
    /// What is done to which requests.
    pub faults: Vec<(Point, Fault)>,
}

impl FromStr for Typed {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.split(" / ");
        let workload = parts.next().unwrap_or_default().to_owned();
        let fault = |part: &str| {
            let (point, fault) = part
                .rsplit_once(": ")
                .with_context(|| format!("{part:?} must be a request and a fault: … #1: hang"))?;
            Ok((point.parse()?, fault.parse()?))
        };
        Ok(Self {
            workload,
            faults: parts.map(fault).collect::<Result<_>>()?,
        })
    }
}

/// What two runs without faults have in common.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// What everything had come to at each step.
    pub states: Vec<Leaves>,
    /// Places that differ from run to run.
    pub mask: BTreeSet<String>,
    /// How often each object was made.
    pub lives: BTreeMap<String, usize>,
    /// What can be disturbed.
    pub points: Vec<(Verb, Point)>,
}

/// What one run has shown.
#[derive(Clone, Debug)]
pub struct Recorded {
    states: Vec<Leaves>,
    lives: BTreeMap<String, usize>,
    points: BTreeSet<(Verb, Point)>,
}

impl Recorded {
    /// What a run has shown.
    pub fn of(stage: &Stage) -> Self {
        let states = stage
            .states
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Self {
            states: states.clone(),
            lives: oracles::lives(&stage.history.changes(&stage.scene.namespace)),
            points: points(&stage.proxy.records()),
        }
    }
}

fn points(records: &[Record]) -> BTreeSet<(Verb, Point)> {
    let asked = records.iter().filter(|record| {
        let resource = record.call.resource.as_str();
        // A diary that is not written harms nobody, and there is no object behind a path.
        !resource.starts_with('/') && resource != "events"
    });
    asked
        .map(|record| (record.call.verb, record.point.clone()))
        .collect()
}

impl Reference {
    /// What both have shown.
    pub fn of(one: &Recorded, other: &Recorded) -> Self {
        let mut mask = BTreeSet::new();
        for (one, other) in one.states.iter().zip(&other.states) {
            mask.extend(state::differing(one, other));
        }
        let lives = one.lives.iter().map(|(key, times)| {
            let other = other.lives.get(key).copied().unwrap_or(0);
            (key.clone(), other.max(*times))
        });
        Self {
            states: one.states.clone(),
            mask,
            lives: lives.collect(),
            points: one.points.intersection(&other.points).cloned().collect(),
        }
    }

    /// Every single fault at every request.
    pub fn singles(&self, workload: &'static str) -> Vec<Plan> {
        let mut all = Vec::new();
        for (verb, point) in &self.points {
            for fault in Fault::all_for(*verb) {
                all.push(Plan {
                    workload,
                    faults: vec![(point.clone(), fault)],
                });
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_can_be_typed_as_it_is_shown() {
        let point: Point = "list secrets app=a,b #1".parse().unwrap();
        let plan = Plan {
            workload: "create",
            faults: vec![(point.clone(), Fault::Hang), (point, Fault::Lasting(500))],
        };
        let typed: Typed = plan.to_string().parse().unwrap();
        assert_eq!(typed.workload, plan.workload);
        assert_eq!(typed.faults, plan.faults);
        assert!("create / patch services a: hang".parse::<Typed>().is_err());
    }
}
