//! Runs without faults, and what follows from them: which requests there are to disturb, and what
//! everything has to come to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mothership::proxy::{Fault, Point, Record, Verb};

use super::door;
use super::history::{self, Change};
use super::hosted;
use super::plan::Plan;
use super::state::{self, Leaves};
use super::workloads::named;

/// The workloads with which the start of the program is disturbed: of one that finds nothing, of
/// one that finds what another has left, of one that competes, and of a webhook.
pub const FIRST: [&str; 4] = ["create", "takeover", "leader", "door"];

/// What is asked in the background, or until there is an answer, is disturbed so often: when it begins, and once more.
const OFTEN: usize = 2;

/// What runs without faults have in common.
#[derive(Clone, Debug, Default)]
pub struct Reference {
    /// What everything had come to at each step.
    pub states: Vec<Leaves>,
    /// Places that differ from run to run, at each step.
    pub masks: Vec<BTreeSet<String>>,
    /// How often each object was made.
    pub lives: BTreeMap<String, usize>,
    /// What can be disturbed.
    pub points: Vec<(Verb, Point)>,
    /// Those of them that came before the first step was done.
    pub first: BTreeSet<Point>,
    /// Watches among those that have shown something after it.
    pub shown: BTreeSet<Point>,
    /// What only one of both rehearsals has asked, and so is not disturbed.
    pub only_once: BTreeSet<Point>,
}

/// What a run that waits until all is silent has come to.
#[derive(Clone, Debug)]
pub struct Recorded {
    states: Vec<Leaves>,
    lives: BTreeMap<String, usize>,
}

impl Recorded {
    /// What a run has come to.
    pub fn new(states: Vec<Leaves>, changes: &[Change]) -> Self {
        Self {
            states,
            lives: history::lives(changes),
        }
    }
}

/// What a run has asked that goes on as soon as all is as it should be, as those with faults do.
#[derive(Clone, Debug, Default)]
pub struct Rehearsed {
    points: BTreeSet<(Verb, Point)>,
    first: BTreeSet<Point>,
    shown: BTreeSet<Point>,
}

impl Rehearsed {
    /// What a run has asked; its first step was done at `begun`.
    pub fn new(begun: Option<Instant>, records: &[Record]) -> Self {
        let first = records
            .iter()
            .filter(|record| begun.is_some_and(|begun| record.at < begun))
            .map(|record| record.point.clone());
        let shown = records
            .iter()
            .filter(|record| record.showed)
            .map(|record| record.point.clone());
        Self {
            first: first.collect(),
            shown: shown.collect(),
            points: points(records),
        }
    }
}

fn points(records: &[Record]) -> BTreeSet<(Verb, Point)> {
    let asked = records.iter().filter(|record| {
        let resource = record.call.resource.as_str();
        // A diary that is not written harms nobody, and there is no object behind a path; but how a
        // hosted API is, is asked again and again, and a webhook about the same until it is decided.
        let is_at = |place| record.point.call.starts_with(place);
        let asks = (is_at(hosted::PLACE) || is_at(door::PLACE)) && record.point.occurrence <= OFTEN;
        resource != "events" && (asks || !resource.starts_with('/'))
    });
    asked
        .map(|record| (record.call.verb, record.point.clone()))
        .collect()
}

impl Reference {
    /// Places that differ and should not: only addresses and ports that are given out, and what is
    /// made of keys, are of one run only.
    pub fn unstable(&self) -> Vec<&str> {
        const KNOWN: [&str; 6] = [
            "odePort",
            "/ports/",
            "digest",
            "hash",
            "public-keys",
            "/tokenID",
        ];
        let is_known = |place: &str| KNOWN.iter().any(|known| place.contains(known));
        let all = self.masks.iter().flatten().map(String::as_str);
        all.filter(|place| !is_known(place)).collect()
    }

    /// What both have come to.
    pub fn from_runs(one: &Recorded, other: &Recorded) -> Self {
        let steps = one.states.iter().zip(&other.states);
        let mut lives = one.lives.clone();
        for (key, times) in &other.lives {
            let most = lives.entry(key.clone()).or_default();
            *most = (*most).max(*times);
        }
        Self {
            states: one.states.clone(),
            masks: steps
                .map(|(one, other)| state::differing(one, other))
                .collect(),
            lives,
            ..Self::default()
        }
    }

    /// With what both have asked on the way there.
    pub fn rehearsed(self, one: &Rehearsed, other: &Rehearsed) -> Self {
        Self {
            points: one.points.intersection(&other.points).cloned().collect(),
            first: one.first.intersection(&other.first).cloned().collect(),
            shown: one.shown.intersection(&other.shown).cloned().collect(),
            only_once: one
                .points
                .symmetric_difference(&other.points)
                .map(|(_, point)| point.clone())
                .collect(),
            ..self
        }
    }

    /// Whether this is done to what a watch shows after the first step: how it begins is disturbed in
    /// the workload that begins in the same way.
    pub fn is_later(&self, begins_as: bool, point: &Point, fault: Fault) -> bool {
        begins_as && self.first.contains(point) && Fault::of_events().contains(&fault)
    }

    /// Every single fault at every request, but for what another workload has had that begins in the
    /// same way.
    pub fn singles(&self, workload: &'static str, begins_as: Option<&Self>) -> Vec<Plan> {
        let had = |point: &(Verb, Point)| {
            self.first.contains(&point.1)
                && begins_as.is_some_and(|other| other.points.contains(point))
        };
        let mut all = Vec::new();
        // How a program starts does not depend on what its users will do: that is disturbed in the
        // first workload, and what is only read once more after a restart as well.
        let elsewhere = !FIRST.contains(&workload);
        let is_webhook = named(workload).is_some_and(|workload| workload.door.is_some());
        for point in &self.points {
            let had = had(point);
            let (verb, point) = point;
            if had {
                let again = *verb == Verb::Watch && self.shown.contains(point);
                let faults = again.then(Fault::of_events).into_iter().flatten();
                all.extend(faults.map(|fault| Plan {
                    workload,
                    faults: vec![(point.clone(), fault)],
                }));
                continue;
            }
            let starts = match verb {
                Verb::List => point.occurrence <= 2,
                Verb::Watch => point.occurrence == 2,
                _ => false,
            };
            let is_lease = is_webhook && point.call.contains(" leases ");
            if is_lease && (elsewhere || point.occurrence > OFTEN) {
                continue;
            }
            if elsewhere && starts && !point.call.contains("metadata.name=") {
                continue;
            }
            for fault in Fault::all_for(*verb) {
                // There is no older one than the first.
                if fault == Fault::OldList && point.occurrence == 1 {
                    continue;
                }
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
    fn what_two_workloads_begin_with_is_disturbed_in_one_of_them() {
        let point = |text: &str| (Verb::Patch, text.parse::<Point>().unwrap());
        let of = |points: &[&str], first: &[&str]| Reference {
            points: points.iter().map(|text| point(text)).collect(),
            first: first.iter().map(|text| point(text).1).collect(),
            ..Reference::default()
        };
        let made = "patch services a #1";
        let (first, later) = ("patch secrets a #1", "patch secrets a #2");
        let create = of(&[made, later], &[made, later]);
        let other = of(&[made, first, later], &[made, first]);
        let disturbed = |begins_as| {
            let plans = other.singles("labels", begins_as);
            let points = plans.iter().flat_map(|plan| &plan.faults);
            let points: BTreeSet<_> = points.map(|(point, _)| point.to_string()).collect();
            points.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(disturbed(None), [first, later, made]);
        assert_eq!(disturbed(Some(&create)), [first, later]);
    }

    #[test]
    fn what_a_watch_shows_later_is_disturbed_though_it_has_begun_as_another() {
        let watch: Point = "watch services a #1".parse().unwrap();
        let points = vec![(Verb::Watch, watch.clone())];
        let create = Reference {
            points: points.clone(),
            ..Reference::default()
        };
        let mut other = Reference {
            points,
            first: [watch.clone()].into(),
            ..Reference::default()
        };
        assert!(other.singles("labels", Some(&create)).is_empty());
        other.shown.insert(watch.clone());
        let plans = other.singles("labels", Some(&create));
        assert_eq!(plans.len(), Fault::of_events().len());
        assert!(other.is_later(true, &watch, Fault::CutWatch));
        assert!(!other.is_later(true, &watch, Fault::Hang));
        assert!(!other.is_later(false, &watch, Fault::CutWatch));
    }
}
