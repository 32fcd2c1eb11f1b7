//! Steps: a title, the commands as a user would type them, what they print, how long they took.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::Context as _;

use crate::components::Components;
use crate::demo::place::Place;
use crate::failure::Failure;
use crate::image::TARGET;
use crate::progress::Progress;
use crate::state::State;
use crate::{paths, requirements};

/// Why the demo went no further.
#[derive(Debug)]
pub struct Stop {
    /// A sentence for the user.
    pub message: String,
    /// The exit code of the demo.
    pub code: u8,
}

impl Stop {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            code: 2,
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast::<Failure>() {
            Ok(failure) => failure.into(),
            Err(error) => Self {
                message: format!("{error:#}"),
                code: 1,
            },
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self {
            code: failure.exit_code(),
            message: failure.to_string(),
        }
    }
}

/// The steps so far, and the environment in which the commands run.
pub(super) struct Tour {
    programs: PathBuf,
    kubeconfig: Option<PathBuf>,
    dir: Option<PathBuf>,
    end: &'static str,
    steps: usize,
}

impl Tour {
    /// A folder with `kubectl`, `kubectl-k0smotron` and `mothership` comes first in `PATH`: every
    /// command can be typed as it is printed.
    pub(super) fn new(place: &Place) -> Result<Self, Stop> {
        let target = target_folder()?;
        let programs = target.join("demo-bin");
        std::fs::create_dir_all(&programs)
            .with_context(|| format!("creating {}", programs.display()))?;
        put(&programs, "mothership", &paths::own_binary()?)?;
        put(
            &programs,
            "kubectl-k0smotron",
            &target.join(TARGET).join("demo/kubectl-k0smotron"),
        )?;
        if place.is_ours() {
            let components = Components::full(&Progress::new())?;
            put(&programs, "kubectl", components.path("kubectl")?)?;
        } else if requirements::find("kubectl").is_none() {
            return Err(Stop::usage("kubectl is not in PATH"));
        }
        let mut tour = Self {
            programs,
            kubeconfig: None,
            dir: place.dir()?,
            end: place.end(),
            steps: 0,
        };
        if !place.is_new() {
            tour.kubeconfig = std::env::var_os("KUBECONFIG").map(PathBuf::from);
        }
        Ok(tour)
    }

    /// From here on commands go to the mothership that was started.
    pub(super) fn enter(&mut self, place: &Place) -> Result<(), Stop> {
        let Some(dir) = place.dir()? else {
            return Ok(());
        };
        let state = State::read(&dir)?;
        self.kubeconfig = Some(crate::Access::new(&dir, state.server).admin_kubeconfig()?);
        Ok(())
    }

    /// What to type so that the printed commands work in the user's own shell.
    pub(super) fn exports(&self) -> String {
        let path = format!("export PATH={}:$PATH\n", self.programs.display());
        match &self.kubeconfig {
            Some(file) => format!("{path}export KUBECONFIG={}\n", file.display()),
            None => path,
        }
    }

    /// Prints and runs the commands of one step; the first that fails ends the demo.
    pub(super) fn step(&mut self, title: &str, commands: &[&str]) -> Result<(), Stop> {
        self.steps += 1;
        say(&format!("\n== {}. {title}", self.steps));
        let started = Instant::now();
        for line in commands {
            say(&format!("$ {line}"));
            let status = self
                .shell(line)
                .status()
                .with_context(|| format!("running {line}"))?;
            if !status.success() {
                return Err(self.failed(line, status));
            }
        }
        say(&format!("   {:.1} s", started.elapsed().as_secs_f64()));
        Ok(())
    }

    /// What a command prints, without showing it.
    pub(super) fn ask(&self, line: &str) -> Result<String, Stop> {
        let output = self
            .shell(line)
            .stdout(Stdio::piped())
            .output()
            .with_context(|| format!("running {line}"))?;
        if !output.status.success() {
            return Err(self.failed(line, output.status));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// A shell, because the line is what a user types into one; nothing in it comes from outside.
    /// What it writes are credentials, for nobody else to read.
    fn shell(&self, line: &str) -> Command {
        let mut path = self.programs.clone().into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut command = Command::new("/bin/sh");
        command
            .args(["-ec", &format!("umask 077; {line}")])
            .env("PATH", path)
            .stdin(Stdio::null());
        let mut set = |name: &str, value: Option<OsString>| {
            if let Some(value) = value {
                command.env(name, value);
            }
        };
        set(
            "KUBECONFIG",
            self.kubeconfig.clone().map(PathBuf::into_os_string),
        );
        set(
            "MOTHERSHIP_DIR",
            self.dir.clone().map(PathBuf::into_os_string),
        );
        command
    }

    fn failed(&self, line: &str, status: ExitStatus) -> Stop {
        // Ended by a signal: Ctrl-C goes to the command and to the demo alike.
        let code = status.code().unwrap_or(130);
        if code == 130 {
            let message = format!("interrupted; {} ends what runs", self.end);
            return Stop { message, code: 130 };
        }
        let left = match self.dir.as_ref().filter(|dir| State::read(dir).is_ok()) {
            Some(dir) => format!(
                "\nThe mothership stays, to look into; its logs are in {}.\n{}{} ends it.",
                dir.join("log").display(),
                self.exports(),
                self.end
            ),
            None => String::new(),
        };
        Stop {
            message: format!("`{line}` ended with exit code {code}.{left}"),
            code: u8::try_from(code).unwrap_or(1),
        }
    }
}

/// A paragraph on standard output.
pub(super) fn say(text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Where cargo puts what it builds: the folder above the profile's, in which this program is.
fn target_folder() -> anyhow::Result<PathBuf> {
    let me = std::env::current_exe().context("the path of the running program")?;
    me.ancestors()
        .nth(2)
        .map(Path::to_owned)
        .context("the program has no folder")
}

fn put(folder: &Path, name: &str, program: &Path) -> anyhow::Result<()> {
    let link = folder.join(name);
    let _ = std::fs::remove_file(&link);
    symlink(program, &link).with_context(|| format!("linking {}", link.display()))
}
