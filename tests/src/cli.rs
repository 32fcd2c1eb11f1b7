//! The command line.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::components::{Components, Module};
use crate::failure::Failure;
use crate::light::{self, Light, LightOptions};
use crate::progress::Progress;
use crate::state::{Level, State};
use crate::{paths, requirements, supervisor};

/// Starts and ends motherships: real Kubernetes on this machine, for the demo and the suites.
#[derive(Debug, Parser)]
#[command(name = "mothership", version, arg_required_else_help = true)]
struct Cli {
    /// State folder [default: MOTHERSHIP_DIR, or k0smotron-mothership below XDG_STATE_HOME]
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a mothership and leave it running
    Up {
        /// Only etcd, API server and controller manager; needs no root
        #[arg(long)]
        light: bool,
    },
    /// End the mothership and everything that belongs to it, and remove its folder
    Down,
    /// Say what runs
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
    /// Print the path of a kubeconfig
    Kubeconfig {
        /// Issue it for this user; without it the administrator's is printed
        #[arg(long)]
        user: Option<String>,
        /// A group of that user, two at most
        #[arg(long = "group", requires = "user")]
        groups: Vec<String>,
    },
    /// Build all components into the cache
    Build,
    /// Print what must be installed: program, package, and whether it is there
    Requirements,
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        tied: bool,
    },
}

/// Runs the command line and says in one line what went wrong, if something did.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            let code = error
                .downcast_ref::<Failure>()
                .map_or(1, Failure::exit_code);
            // A failure is a whole sentence; what was being done when it came up adds nothing.
            let line = error
                .downcast_ref::<Failure>()
                .map_or_else(|| format!("{error:#}"), ToString::to_string);
            let _ = writeln!(std::io::stderr(), "mothership: {line}");
            ExitCode::from(code)
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let dir = match cli.dir {
        Some(dir) => dir,
        None => paths::state()?,
    };
    // Before any thread exists: namespaces are entered by the whole process.
    if let Command::Supervise { tied } = cli.command {
        nix::unistd::setsid().context("leaving the terminal")?;
        return supervisor::serve(&dir, tied).map(|()| ExitCode::SUCCESS);
    }
    tokio::runtime::Runtime::new()?.block_on(dispatch(cli.command, dir))
}

async fn dispatch(command: Command, dir: PathBuf) -> Result<ExitCode> {
    match command {
        Command::Up { light } => up(dir, light).await?,
        Command::Down => down(dir).await?,
        Command::Status { output } => return status(dir, output).await,
        Command::Kubeconfig { user, groups } => {
            let dir = dir.canonicalize().unwrap_or(dir);
            let state = State::read(&dir)?;
            let access = crate::Access::new(&dir, state.server);
            let path = match user {
                Some(user) => {
                    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                    access.kubeconfig(&user, &groups)?
                }
                None => access.admin_kubeconfig()?,
            };
            print(&format!("{}\n", path.display()));
        }
        Command::Build => {
            Components::ensure(&Module::ALL, &Progress::new())?;
        }
        Command::Requirements => {
            for requirement in [
                requirements::BUILD,
                requirements::IMAGES,
                requirements::FULL,
            ]
            .concat()
            {
                let state = if requirements::find(requirement.program).is_some() {
                    "ok"
                } else {
                    "missing"
                };
                print(&format!(
                    "{}\t{}\t{state}\n",
                    requirement.program, requirement.package
                ));
            }
        }
        Command::Supervise { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) {
    // A closed pipe is no error worth a message.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn up(dir: PathBuf, light: bool) -> Result<()> {
    let start = async {
        let options = LightOptions {
            dir: Some(dir.clone()),
            detached: true,
            ..LightOptions::default()
        };
        let _ = light;
        Light::start(options)
            .await
            .map(|light| light.admin_kubeconfig())?
    };
    let kubeconfig = tokio::select! {
        outcome = start => outcome?,
        () = interrupted() => {
            if State::read(&dir).is_ok() {
                light::clean(&dir).await?;
            }
            return Err(Failure::Interrupted.into());
        }
    };
    print(&format!("export KUBECONFIG={}\n", kubeconfig.display()));
    Ok(())
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

async fn down(dir: PathBuf) -> Result<()> {
    if !dir.exists() {
        return Err(Failure::NotRunning(dir).into());
    }
    light::clean(&dir.canonicalize()?).await
}

async fn status(dir: PathBuf, output: Output) -> Result<ExitCode> {
    let state = State::read(&dir)?;
    let services = match state.level {
        Level::Light | Level::Full => Light::attach(&dir).await?.supervisor().status().await?,
    };
    match output {
        Output::Json => {
            let all = serde_json::json!({ "mothership": state, "services": services });
            print(&format!("{}\n", serde_json::to_string_pretty(&all)?));
        }
        Output::Text => {
            print(&format!(
                "{:?} mothership at {}\n",
                state.level, state.server
            ));
            for service in services {
                let life = service.ended.unwrap_or_else(|| "running".to_owned());
                print(&format!(
                    "{:<26} {:>7}  {life}\n",
                    service.name, service.pid
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
