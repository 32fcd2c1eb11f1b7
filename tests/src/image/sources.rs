//! Programs of the project that go into images: k0s or its stand-in, the controller and the webhook;
//! and the plugin, which is built along with them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::Image;
use crate::components::K0sVersion;
use crate::progress::Progress;
use crate::{paths, requirements};

/// What is built for images, and the plugin, which the demo takes from the same build.
pub(crate) const PACKAGES: [&str; 4] = ["controller", "webhook", "k0s-standin", "plugin"];

/// The target of programs that must run in an image without any library.
pub(crate) const TARGET: &str = match std::env::consts::ARCH.as_bytes() {
    b"aarch64" => "aarch64-unknown-linux-musl",
    _ => "x86_64-unknown-linux-musl",
};

/// Variables that name programs which are built already.
const STAND_IN: &str = "MOTHERSHIP_STANDIN";
const CONTROLLER: &str = "MOTHERSHIP_CONTROLLER";
const WEBHOOK: &str = "MOTHERSHIP_WEBHOOK";

/// What `cargo run` and `cargo test` tell their program about itself. Build scripts of dependencies
/// watch some of it, and would run again, with all that follows, whenever a suite comes after a
/// build by hand.
const SET_BY_CARGO: [&str; 7] = [
    "CARGO_BIN_",
    "CARGO_CRATE_",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_MANIFEST_",
    "CARGO_PKG_",
    "CARGO_PRIMARY_",
    "OUT_DIR",
];

/// The k0s that is packed: a real one that `K0S_BIN` names (`K0S_BIN_PREVIOUS` for the version to
/// upgrade from), else the project's stand-in, for which one program plays both versions.
#[derive(Clone, Debug)]
pub struct K0s {
    /// The program.
    pub program: PathBuf,
    /// As it prints it: `v1.36.3+k0s.2`.
    pub release: String,
    /// Whether it is the stand-in.
    pub is_stand_in: bool,
}

pub(super) fn real(version: K0sVersion) -> Option<PathBuf> {
    let variable = match version {
        K0sVersion::Current => "K0S_BIN",
        K0sVersion::Previous => "K0S_BIN_PREVIOUS",
    };
    built(variable)
}

impl K0s {
    /// The version that images and workers get, without building anything.
    pub fn release(version: K0sVersion) -> Result<String> {
        match real(version) {
            Some(program) => ask_release(&program),
            None => Ok(version.release().to_owned()),
        }
    }

    /// Finds it, or has cargo build the stand-in.
    pub fn find(version: K0sVersion, progress: &Progress) -> Result<Self> {
        if let Some(program) = real(version) {
            let program = program
                .canonicalize()
                .with_context(|| format!("looking up {}", program.display()))?;
            let release = ask_release(&program)?;
            progress.say(format!(
                "k0s is a real one: {} {release}",
                program.display()
            ));
            return Ok(Self {
                program,
                release,
                is_stand_in: false,
            });
        }
        let program = cargo_build(STAND_IN, "k0s", progress)?;
        let release = version.release().to_owned();
        progress.say(format!(
            "k0s is the project's stand-in, in the role of {release}"
        ));
        Ok(Self {
            program,
            release,
            is_stand_in: true,
        })
    }
}

fn ask_release(program: &Path) -> Result<String> {
    let output = Command::new(program)
        .arg("version")
        .output()
        .with_context(|| format!("running {} version", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || !text.starts_with('v') {
        bail!(
            "{} version says nothing that looks like a version",
            program.display()
        );
    }
    Ok(text)
}

/// The controller's program, as its image has it.
pub fn controller(progress: &Progress) -> Result<PathBuf> {
    cargo_build(CONTROLLER, "k0smotron-controller", progress)
}

/// The webhook's program, as its image has it.
pub fn webhook(progress: &Progress) -> Result<PathBuf> {
    cargo_build(WEBHOOK, "k0smotron-webhook", progress)
}

/// The plugin's program, from the same build.
pub fn plugin(progress: &Progress) -> Result<PathBuf> {
    cargo_build("MOTHERSHIP_PLUGIN", "kubectl-k0smotron", progress)
}

/// A program that is built already.
fn built(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

impl Image {
    /// Whether cargo builds what goes into it.
    pub(crate) fn is_built_by_cargo(self) -> bool {
        match self {
            Self::K0s(version) => real(version).is_none() && built(STAND_IN).is_none(),
            Self::Controller => built(CONTROLLER).is_none(),
            Self::Webhook => built(WEBHOOK).is_none(),
            Self::Pause | Self::Busybox | Self::Etcd | Self::Airgap(..) => false,
        }
    }
}

/// Has cargo build a program without libraries, or takes the one that a variable names.
fn cargo_build(variable: &str, program: &str, progress: &Progress) -> Result<PathBuf> {
    if let Some(path) = built(variable) {
        return path
            .canonicalize()
            .with_context(|| format!("looking up {}", path.display()));
    }
    requirements::check(requirements::IMAGES)?;
    progress.say(format!(
        "cargo build {program} and what else goes into images"
    ));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(paths::workspace())
        .args(["build", "--profile", "demo", "--target", TARGET])
        // Always all of them: cargo builds the dependencies anew for another choice of members,
        // whose features differ.
        .args(PACKAGES.iter().flat_map(|package| ["-p", package]))
        .args(["--bins", "--message-format", "json-render-diagnostics"])
        .stderr(std::process::Stdio::inherit());
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if SET_BY_CARGO.iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let output = command.output().context("running cargo")?;
    if !output.status.success() {
        bail!("cargo build of {program} failed");
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .and_then(|name| name.as_str())
                == Some(program)
        })
        .find_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .with_context(|| format!("cargo built no {program}"))
}
