//! The command line.

mod workers;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand, ValueEnum};

use crate::components::{Components, Module};
use crate::failure::Failure;
use crate::full::{self, Full, FullOptions};
use crate::image::Image;
use crate::light::{self, Light, LightOptions};
use crate::progress::Progress;
use crate::state::{Level, State};
use crate::{machine, paths, supervisor};

const DIR_HELP: &str =
    "State folder [default: MOTHERSHIP_DIR, or k0smotron-mothership below XDG_STATE_HOME]";

/// Starts and ends motherships: real Kubernetes on this machine, for the demo and the suites.
#[derive(Debug, Parser)]
#[command(name = "mothership", version, arg_required_else_help = true)]
struct Cli {
    /// State folder
    #[arg(long, global = true, value_name = "FOLDER", help = DIR_HELP)]
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
    /// Pack images and put them into the mothership
    #[command(subcommand)]
    Image(ImageCommand),
    /// Worker machines that join a hosted cluster
    #[command(subcommand)]
    Worker(workers::Command),
    /// Run a command in the mothership's machine
    Exec {
        /// The command
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    #[command(hide = true)]
    Supervise {
        #[arg(long)]
        tied: bool,
    },
    #[command(hide = true)]
    MachineKeep {
        #[arg(long)]
        tied: bool,
    },
    #[command(hide = true)]
    MachineInit {
        #[arg(long)]
        tied: bool,
    },
    #[command(hide = true)]
    MachineServe {
        #[arg(long)]
        tied: bool,
    },
    #[command(hide = true)]
    MachineExec {
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
enum ImageCommand {
    /// Print short names and full names
    List,
    /// Pack images if need be, and print their names and archives
    Pack {
        /// Short names, or `all`
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// Pack images if need be and import them
    Load {
        /// Short names, or `all`
        #[arg(required = true)]
        names: Vec<String>,
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
    let hidden = match &cli.command {
        Command::Supervise { tied } => {
            nix::unistd::setsid().context("leaving the terminal")?;
            Some(supervisor::serve(&dir, *tied))
        }
        Command::MachineKeep { tied } => Some(machine::keep(&dir, *tied)),
        Command::MachineInit { tied } => Some(machine::become_init(&dir, *tied)),
        Command::MachineServe { tied } => Some(machine::serve(&dir, *tied)),
        Command::MachineExec { argv } => Some(machine::enter(&dir, argv)),
        _ => None,
    };
    if let Some(outcome) = hidden {
        return outcome.map(|()| ExitCode::SUCCESS);
    }
    tokio::runtime::Runtime::new()?.block_on(dispatch(cli.command, dir))
}

async fn dispatch(command: Command, dir: PathBuf) -> Result<ExitCode> {
    match command {
        Command::Up { light } => up(dir, light).await?,
        Command::Down => clean(&dir).await?,
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
        Command::Image(ImageCommand::List) => {
            for image in Image::ALL {
                print(&format!("{:<14}{}\n", image.name(), image.reference()?));
            }
        }
        Command::Image(ImageCommand::Load { names }) => {
            let images = images(&names)?;
            let full = Full::attach(&dir).await?;
            for image in images {
                print(&format!("{}\n", full.load_image(image).await?));
            }
        }
        Command::Image(ImageCommand::Pack { names }) => {
            for image in images(&names)? {
                let archive = image.archive(&Progress::new())?;
                print(&format!("{}\t{}\n", image.reference()?, archive.display()));
            }
        }
        Command::Worker(command) => return workers::run(&dir, command).await,
        Command::Exec { argv } => {
            Full::attach(&dir).await?;
            return exec(&full::machine_dir(&dir.canonicalize()?), &argv);
        }
        Command::Supervise { .. }
        | Command::MachineKeep { .. }
        | Command::MachineInit { .. }
        | Command::MachineServe { .. }
        | Command::MachineExec { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn images(names: &[String]) -> Result<Vec<Image>> {
    if names.iter().any(|name| name == "all") {
        return Ok(Image::ALL.to_vec());
    }
    names
        .iter()
        .map(|name| Ok(name.parse::<Image>()?))
        .collect()
}

/// Becomes a command in a machine, so that its exit code and its terminal are the caller's.
fn exec(machine: &Path, argv: &[String]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let Some((program, args)) = argv.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let error = machine::command(machine, program.as_ref())?
        .args(args)
        .exec();
    Err(error).context("running the command")
}

fn print(text: &str) {
    // A closed pipe is no error worth a message.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

async fn up(dir: PathBuf, light: bool) -> Result<()> {
    let start = async {
        if light {
            let options = LightOptions {
                dir: Some(dir.clone()),
                detached: true,
                ..LightOptions::default()
            };
            Light::start(options).await?.admin_kubeconfig()
        } else {
            let options = FullOptions {
                dir: Some(dir.clone()),
                detached: true,
                ..FullOptions::default()
            };
            Full::start(options).await?.admin_kubeconfig()
        }
    };
    let kubeconfig = tokio::select! {
        outcome = start => outcome?,
        () = interrupted() => {
            if State::read(&dir).is_ok() {
                clean(&dir).await?;
            }
            return Err(Failure::Interrupted.into());
        }
    };
    print(&format!("export KUBECONFIG={}\n", kubeconfig.display()));
    Ok(())
}

async fn clean(dir: &Path) -> Result<()> {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    match State::read(&dir)?.level {
        Level::Light => light::clean(&dir).await,
        Level::Full => full::clean(&dir).await,
    }
}

/// Returns when somebody asks for the end: SIGINT or SIGTERM.
pub async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

async fn status(dir: PathBuf, output: Output) -> Result<ExitCode> {
    let state = State::read(&dir)?;
    let services = match state.level {
        Level::Light => Light::attach(&dir).await?.supervisor().status().await?,
        Level::Full => {
            Full::attach(&dir)
                .await?
                .machine()?
                .supervisor()
                .status()
                .await?
        }
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
