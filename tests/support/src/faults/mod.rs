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

use std::collections::BTreeMap;
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
use self::machine::Machine;
use self::oracles::{Finding, Kind};
use self::reference::Reference;
use self::summary::Summary;
use self::workloads::named;

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
    machine: Machine,
    at_once: usize,
    since: Instant,
    references: BTreeMap<&'static str, Arc<Reference>>,
    failed: usize,
}

/// Records the workloads.
async fn begin(scope: Scope, arguments: &Arguments) -> Result<Begun> {
    let workloads = chosen(scope, arguments)?;
    let serves = workloads.iter().any(|workload| workload.serves);
    let doors = workloads.iter().any(|workload| workload.door.is_some());
    let machine = Machine::start(scope, arguments, serves, doors).await?;
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
        machine,
        at_once,
        since,
        references,
        failed,
    })
}

/// How many plans failed.
async fn run(scope: Scope, arguments: &Arguments) -> Result<usize> {
    let Begun {
        machine,
        at_once,
        since,
        references,
        mut failed,
    } = tokio::select! {
        begun = begin(scope, arguments) => begun?,
        // What is dropped ends its processes.
        () = interrupted() => bail!("interrupted"),
    };
    let mut passed = references.len();
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
    let count = plans.len();
    if arguments.list {
        for plan in &plans {
            print(&plan.to_string());
        }
        machine.end(true).await?;
        return Ok(failed);
    }
    let places = Semaphore::new(at_once);
    let runs = plans.into_iter().map(async |plan| {
        let reference = references.get(plan.workload).cloned();
        let takes = named(plan.workload).map_or(1, |workload| workload.places);
        let takes = takes.min(u32::try_from(at_once).unwrap_or(u32::MAX));
        // It is never closed.
        let _places = places.acquire_many(takes).await;
        machine.try_out(plan, reference).await
    });
    let mut outcomes = futures::stream::iter(runs).buffer_unordered(at_once);
    let mut summary = Summary::default();
    let mut said = Instant::now();
    let mut stopped = std::pin::pin!(interrupted());
    loop {
        let next = tokio::select! {
            next = outcomes.next() => next,
            () = &mut stopped => {
                failed += 1;
                print("stopped: interrupted; these plans ran");
                break;
            }
        };
        let Some(mut outcome) = next else { break };
        if !arguments.plan.is_empty() && !outcome.reached {
            outcome
                .findings
                .push(Finding::new(Kind::EndState, "there was no such request"));
        }
        if outcome.findings.is_empty() {
            passed += usize::from(outcome.reached);
            if !outcome.reached {
                print(&format!("{}: there was no such request", outcome.plan));
            }
        } else {
            failed += 1;
            print(&format!(
                "test {} ... FAILED ({:.1} s)",
                outcome.plan,
                outcome.took.as_secs_f64()
            ));
            for finding in &outcome.findings {
                print(&format!("    {}: {}", finding.kind, finding.what));
            }
        }
        summary.add(&outcome);
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            print(&format!(
                "{} of {count} plans after {:.0} s, {failed} failed",
                summary.plans(),
                since.elapsed().as_secs_f64()
            ));
        }
        if arguments.stop_after.is_some_and(|most| failed >= most) {
            print("stopped: there may be more");
            break;
        }
    }
    drop(outcomes);
    print(&summary.to_string());
    for (workload, [ran, missed]) in summary.missed() {
        failed += 1;
        print(&format!(
            "{workload}: {missed} of {ran} plans met no such request"
        ));
    }
    let word = if failed == 0 { "ok" } else { "FAILED" };
    print(&format!(
        "\nall in {:.0} s\ntest result: {word}. {passed} passed; {failed} failed",
        since.elapsed().as_secs_f64()
    ));
    machine.end(failed == 0).await?;
    Ok(failed)
}
