//! What the controller costs for 1, 100, 1,000 and more Clusters: a measurement, run by `make bench`
//! with a release build, against a mothership without nodes. Figures are printed; each fails only at
//! ten times what is promised. Another operator of the same API is measured in turn with it by
//! `--operator`, and its figures stand beside ours as ratios.
//!
//! Nothing that watches costs the API server anything: while Clusters are made it is asked for one
//! object of each kind and how many remain, and what the operator has asked is read from a log.

mod figures;
mod goals;
mod observe;
mod place;
mod process;
mod run;
mod table;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use clap::{Parser as _, ValueEnum};
use mothership::cli::interrupted;
use mothership::components::Components;
use mothership::progress::Progress;
use support::released;

use self::figures::Figures;
use self::place::{Subject, Who};

/// Measures what many Clusters cost.
#[derive(clap::Parser, Debug)]
#[command(name = "bench_scale")]
struct Arguments {
    /// How many Clusters, each number on a mothership of its own
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    sizes: Vec<usize>,

    /// Another operator, measured in turn with this product's controller: a command line that reads
    /// KUBECONFIG
    #[arg(long)]
    operator: Option<String>,

    /// How often all of it is measured [default: 1, and 2 beside another operator]
    #[arg(long)]
    rounds: Option<usize>,

    /// For how long nothing happens while the cost of that is measured, in seconds
    #[arg(long, default_value_t = 30)]
    idle: u64,

    /// How many Clusters wait for a load balancer beside a normal one; 0 leaves that out
    #[arg(long, default_value_t = 100)]
    pending: usize,

    /// How figures are printed
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,

    /// As the standard test runner has it; everything is shown
    #[arg(long, hide = true)]
    nocapture: bool,

    /// As the standard test runner has it: what it is called, and not run unless that is asked for
    #[arg(long, hide = true)]
    list: bool,

    /// As the standard test runner has it
    #[arg(hide = true)]
    filters: Vec<String>,
}

const NAME: &str = "scale::what_many_clusters_cost";

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// A table
    #[default]
    Table,
    /// JSON
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let names = &arguments.filters;
    let is_meant = names.is_empty() || names.iter().any(|name| NAME.contains(name.as_str()));
    if arguments.list || !is_meant {
        let line = if is_meant {
            format!("{NAME}: test\n")
        } else {
            String::new()
        };
        // A closed standard output is no reason to fail.
        let _ = std::io::stdout().write_all(line.as_bytes());
        return ExitCode::SUCCESS;
    }
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                // What is dropped ends its processes.
                tokio::select! {
                    outcome = measure(&arguments) => outcome,
                    () = interrupted() => bail!("interrupted"),
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::from(101)
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let progress = Progress::new();
    let subjects = subjects(arguments).await?;
    let components = tokio::task::spawn_blocking({
        let progress = progress.clone();
        move || Components::light(&progress)
    })
    .await??;
    let rounds = arguments.rounds.unwrap_or(subjects.len());
    let idle = Duration::from_secs(arguments.idle);
    let mut all: Vec<Figures> = Vec::new();
    for size in &arguments.sizes {
        for round in 0..rounds {
            for subject in &subjects {
                progress.say(format!("{size} Clusters, {}, round {round}", subject.who));
                all.push(run::burst(subject, &components, *size, idle).await?);
            }
        }
    }
    let mut beside = Vec::new();
    for _ in (0..rounds).filter(|_| arguments.pending > 0) {
        for subject in &subjects {
            progress.say(format!(
                "{} without an address, {}",
                arguments.pending, subject.who
            ));
            beside.push(run::beside(subject, &components, arguments.pending).await?);
        }
    }
    let text = match arguments.output {
        Output::Table => table::text(&all, &beside),
        Output::Json => format!("{:#}\n", table::json(&all, &beside)),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let missed = goals::missed(&all, &beside);
    ensure!(missed.is_empty(), "ten times over its goal: {missed:#?}");
    Ok(())
}

async fn subjects(arguments: &Arguments) -> Result<Vec<Subject>> {
    let program =
        tokio::task::spawn_blocking(|| released::program("k0smotron-controller")).await??;
    let mut subjects = vec![Subject::ours(&program)?];
    if let Some(line) = &arguments.operator {
        subjects.push(Subject::other(line)?);
    }
    Ok(subjects)
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ours => "ours",
            Self::Other => "other",
        })
    }
}
