//! `mothership worker`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::{exec, interrupted, print};
use crate::components::K0sVersion;
use crate::failure::Failure;
use crate::full::Full;
use crate::worker::WorkerOptions;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start a machine and run `k0s worker` in it
    Up {
        /// Its host name, and so the node's
        name: String,
        /// File with the join token
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
        /// TCP port of the node that the machine may reach; nothing else answers it
        #[arg(long = "allow-port", value_name = "PORT", required = true)]
        allow: Vec<u16>,
        /// Take the older of the two k0s versions
        #[arg(long)]
        previous: bool,
        /// Further argument of `k0s worker`
        #[arg(long = "k0s-arg", value_name = "ARG", allow_hyphen_values = true)]
        k0s_args: Vec<String>,
    },
    /// End a machine and remove its folder
    Down {
        /// Its name
        name: String,
    },
    /// Run a command in a machine
    Exec {
        /// Its name
        name: String,
        /// The command
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// Print names, addresses and whether they run
    List,
}

pub(super) async fn run(dir: &Path, command: Command) -> Result<ExitCode> {
    let full = Full::attach(dir).await?;
    match command {
        Command::Up {
            name,
            token_file,
            allow,
            previous,
            k0s_args,
        } => {
            let token = std::fs::read_to_string(&token_file).map_err(|error| {
                Failure::Usage(format!("the token file {}: {error}", token_file.display()))
            })?;
            let version = if previous {
                K0sVersion::Previous
            } else {
                K0sVersion::Current
            };
            let options = WorkerOptions {
                token: Some(token.trim().to_owned()),
                allow,
                version,
                k0s_args,
                detached: true,
                ..WorkerOptions::new(&name)
            };
            let started = tokio::select! {
                outcome = full.worker(options) => Some(outcome?),
                () = interrupted() => None,
            };
            let Some(worker) = started else {
                if let Ok(worker) = full.find_worker(&name).await {
                    worker.down().await?;
                }
                return Err(Failure::Interrupted.into());
            };
            print(&format!("{}\t{}\n", worker.name(), worker.address()));
        }
        Command::Down { name } => full.find_worker(&name).await?.down().await?,
        Command::Exec { name, argv } => {
            return exec(full.find_worker(&name).await?.machine().dir(), &argv);
        }
        Command::List => {
            for (name, address, alive) in full.workers() {
                let life = if alive { "running" } else { "ended" };
                print(&format!("{name}\t{address}\t{life}\n"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
