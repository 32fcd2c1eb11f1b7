//! The machine that finds faults: workloads are run once more for every single thing that can happen
//! to every one of their requests, and each run has to come to what it comes to without it.
//!
//! A run has a namespace and a program of its own behind a proxy; several run at once. What has
//! to hold is in `oracles`. The program needs no more than a kubeconfig, so any other operator of
//! the same API can stand in its place.

mod asks;
mod choice;
mod door;
mod history;
mod hosted;
mod machine;
pub mod operator;
mod oracles;
mod plan;
mod reference;
mod requests;
mod rest;
mod stage;
mod state;
mod summary;
mod workloads;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Parser as _;
use futures::StreamExt as _;
use mothership::cli::interrupted;
use tokio::sync::Semaphore;

pub use self::choice::Scope;
use self::choice::{Arguments, chosen, plans};
use self::machine::{Machine, Outcome};
use self::oracles::{Finding, Kind};
use self::plan::Plan;
use self::reference::Reference;
use self::summary::Summary;
use self::workloads::{Workload, named};

/// How often a run says how far it is.
const PROGRESS: Duration = Duration::from_secs(60);

/// The main function of a suite.
pub fn main(scope: Scope) -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(scope, &arguments)));
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(101),
        Err(error) => {
            print(&format!("\nstopped: {error:#}"));
            ExitCode::from(101)
        }
    }
}

fn print(text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What plans are made from and run on.
struct Begun {
    workloads: Vec<&'static Workload>,
    machine: Machine,
    at_once: usize,
    since: Instant,
    references: BTreeMap<&'static str, Arc<Reference>>,
    failed: usize,
}

/// Records the workloads.
async fn begin(scope: Scope, arguments: &Arguments) -> Result<Begun> {
    let workloads = chosen(scope, arguments)?;
    let machine = Machine::start(scope, arguments, &workloads).await?;
    let at_once = match arguments.test_threads {
        _ if !machine.keeps_to_a_namespace() => 1,
        threads => threads.unwrap_or(scope.at_once).clamp(1, scope.at_once),
    };
    let since = Instant::now();
    let mut references = BTreeMap::new();
    let mut failed = 0;
    let recordings = workloads
        .iter()
        .map(async |workload| (workload, machine.reference(workload, at_once > 1).await));
    let mut recordings = futures::stream::iter(recordings).buffer_unordered(at_once.div_ceil(2));
    while let Some((workload, reference)) = recordings.next().await {
        match reference {
            Ok(reference) => {
                let unstable = reference.unstable();
                for place in &unstable {
                    print(&format!(
                        "{}: {place} is not the same in two runs",
                        workload.name
                    ));
                }
                if !reference.only_once.is_empty() {
                    let all: Vec<_> = reference
                        .only_once
                        .iter()
                        .map(ToString::to_string)
                        .collect();
                    print(&format!(
                        "{}: in one of two rehearsals only, and so not disturbed: {}",
                        workload.name,
                        all.join(", ")
                    ));
                }
                // Whatever happened there would be hidden.
                failed += usize::from(!unstable.is_empty());
                references.insert(workload.name, Arc::new(reference));
            }
            Err(error) => {
                failed += 1;
                print(&format!(
                    "test {} ... FAILED\n    without any fault: {error:#}",
                    workload.name
                ));
            }
        }
    }
    drop(recordings);
    Ok(Begun {
        workloads,
        machine,
        at_once,
        since,
        references,
        failed,
    })
}

/// As many plans come after each other on one mothership: all that they leave behind makes its API server
/// slower.
const ON_ONE: usize = 2000;

/// How many plans failed.
async fn run(scope: Scope, arguments: &Arguments) -> Result<usize> {
    let Begun {
        workloads,
        mut machine,
        at_once,
        since,
        references,
        mut failed,
    } = tokio::select! {
        begun = begin(scope, arguments) => begun?,
        // What is dropped ends its processes.
        () = interrupted() => bail!("interrupted"),
    };
    let plans = plans(scope, arguments, &references)?;
    ensure!(
        failed > 0 || !plans.is_empty(),
        "no plan fits what was asked for"
    );
    print(&format!(
        "{} workloads recorded after {:.0} s; {} plans",
        references.len(),
        since.elapsed().as_secs_f64(),
        plans.len()
    ));
    if arguments.list {
        for plan in &plans {
            print(&plan.to_string());
        }
        machine.end(true).await?;
        return Ok(failed);
    }
    let mut tally = Tally {
        passed: references.len(),
        failed,
        count: plans.len(),
        since,
        said: Instant::now(),
        summary: Summary::default(),
    };
    let mut ran = 0;
    for (number, some) in plans.chunks(ON_ONE).enumerate() {
        if number > 0 {
            machine.end(tally.failed == failed).await?;
            failed = tally.failed;
            machine = tokio::select! {
                another = Machine::start(scope, arguments, &workloads) => another?,
                () = interrupted() => bail!("interrupted"),
            };
        }
        let done = try_out(&machine, some, at_once, &references, arguments, &mut tally).await;
        ran += done;
        if done < some.len() {
            if let Some(last) = ran.checked_sub(1).and_then(|last| plans.get(last)) {
                print(&format!("what is left: --after '{last}'"));
            }
            break;
        }
    }
    print(&tally.summary.to_string());
    for (workload, [ran, missed]) in tally.summary.missed() {
        tally.failed += 1;
        print(&format!(
            "{workload}: {missed} of {ran} plans met no such request"
        ));
    }
    let word = if tally.failed == 0 { "ok" } else { "FAILED" };
    print(&format!(
        "\nall in {:.0} s\ntest result: {word}. {} passed; {} failed",
        since.elapsed().as_secs_f64(),
        tally.passed,
        tally.failed
    ));
    machine.end(tally.failed == failed).await?;
    Ok(tally.failed)
}

/// What came of plans until now.
struct Tally {
    passed: usize,
    failed: usize,
    /// How many there are.
    count: usize,
    since: Instant,
    /// When it was last said how far it is.
    said: Instant,
    summary: Summary,
}

impl Tally {
    fn add(&mut self, arguments: &Arguments, mut outcome: Outcome) {
        if !arguments.plan.is_empty() && !outcome.reached {
            outcome
                .findings
                .push(Finding::new(Kind::EndState, "there was no such request"));
        }
        if outcome.findings.is_empty() {
            self.passed += usize::from(outcome.reached);
            if !outcome.reached {
                print(&format!("{}: there was no such request", outcome.plan));
            }
        } else {
            self.failed += 1;
            print(&format!(
                "test {} ... FAILED ({:.1} s)",
                outcome.plan,
                outcome.took.as_secs_f64()
            ));
            for finding in &outcome.findings {
                print(&format!("    {}: {}", finding.kind, finding.what));
            }
        }
        self.summary.add(&outcome);
        if self.said.elapsed() > PROGRESS {
            self.said = Instant::now();
            print(&format!(
                "{} of {} plans after {:.0} s, {} failed",
                self.summary.plans(),
                self.count,
                self.since.elapsed().as_secs_f64(),
                self.failed
            ));
        }
    }
}

/// Runs these; how many of them until the first that did not come to its end, when it is stopped.
async fn try_out(
    machine: &Machine,
    plans: &[Plan],
    at_once: usize,
    references: &BTreeMap<&'static str, Arc<Reference>>,
    arguments: &Arguments,
    tally: &mut Tally,
) -> usize {
    let places = Semaphore::new(at_once);
    let runs = plans.iter().cloned().enumerate();
    let runs = runs.map(async |(index, plan)| {
        let reference = references.get(plan.workload).cloned();
        let takes = named(plan.workload).map_or(1, |workload| workload.places);
        let takes = takes.min(u32::try_from(at_once).unwrap_or(u32::MAX));
        // It is never closed.
        let _places = places.acquire_many(takes).await;
        (index, machine.try_out(plan, reference).await)
    });
    let mut outcomes = futures::stream::iter(runs).buffer_unordered(at_once);
    let mut stopped = std::pin::pin!(interrupted());
    let mut left: BTreeSet<usize> = (0..plans.len()).collect();
    loop {
        let next = tokio::select! {
            next = outcomes.next() => next,
            () = &mut stopped => {
                tally.failed += 1;
                print("stopped: interrupted; these plans ran");
                break;
            }
        };
        let Some((index, outcome)) = next else { break };
        left.remove(&index);
        tally.add(arguments, outcome);
        if arguments
            .stop_after
            .is_some_and(|most| tally.failed >= most)
        {
            print("stopped: there may be more");
            break;
        }
    }
    left.first().copied().unwrap_or(plans.len())
}
