//! The commands that look at a running instance, or need none.

mod etcd;
mod reset;
mod service;
mod token;

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
pub use etcd::etcd;
pub use reset::reset;
use serde_json::{Value, json};
pub use service::{install, installed, start, stop};
pub use token::token;

use crate::cli::{KubeconfigCommand, StatusArgs, VersionArgs};
use crate::config::ClusterConfig;
use crate::paths::{Paths, text};
use crate::pki::{Authority, Issued, Subject};
use crate::{duration, kubeconfig as conf, status as socket, version as versions};

/// Prints to stdout; a reader that has gone away is no error.
pub fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").ok();
}

/// The configuration of the running controller, or the defaults, as k0s has it.
pub fn running_config(paths: &Paths) -> Result<ClusterConfig> {
    let file = paths.runtime_config();
    let mut config = ClusterConfig::load(file.exists().then_some(file.as_path()))?;
    config.settle_address();
    Ok(config)
}

/// `k0s kubeconfig …`.
pub fn kubeconfig(command: KubeconfigCommand) -> Result<()> {
    match command {
        KubeconfigCommand::Create {
            username,
            groups,
            certificate_expires_after,
            context_name,
            common,
        } => {
            ensure!(!username.is_empty(), "username cannot be empty");
            ensure!(!context_name.is_empty(), "context-name cannot be empty");
            let paths = common.paths();
            let config = running_config(&paths)?;
            let life = duration::parse(&certificate_expires_after)?;
            let initialized = "cannot issue a certificate: is this the data directory of a controller that has run?";
            let ca = Authority::load(&paths.pki("ca")).context(initialized)?;
            let organization = Some(groups.as_str()).filter(|groups| !groups.is_empty());
            let subject = Subject {
                common_name: &username,
                organization,
                ..Subject::default()
            };
            let issued = ca.issue(&subject, life).context(initialized)?;
            let server = config.api_url();
            let text =
                conf::with_certificate(&context_name, &server, &ca.certificate, &username, &issued);
            say(text.trim_end());
        }
        KubeconfigCommand::Admin { common } => {
            let paths = common.paths();
            let config = running_config(&paths)?;
            let read = |file: &str| {
                let path = paths.pki(file);
                std::fs::read_to_string(&path).with_context(|| {
                    format!("cannot read {:?}: is this the data directory of a controller that has run?", text(&path))
                })
            };
            let issued = Issued {
                certificate: read("admin.crt")?,
                key: read("admin.key")?,
            };
            let text = conf::with_certificate(
                "k0s",
                &config.api_url(),
                &read("ca.crt")?,
                "admin",
                &issued,
            );
            say(text.trim_end());
        }
    }
    Ok(())
}

/// `k0s status`.
pub fn status(args: &StatusArgs) -> Result<()> {
    let answer = socket::ask(&args.common.paths().status_socket, "status")?;
    if let Some("json" | "yaml") = args.out.as_deref() {
        say(&serde_json::to_string_pretty(&answer)?);
        return Ok(());
    }
    for (title, name) in [
        ("Version", "Version"),
        ("Process ID", "Pid"),
        ("Role", "Role"),
        ("Workloads", "Workloads"),
        ("SingleNode", "SingleNode"),
    ] {
        let value = answer.get(name).unwrap_or(&Value::Null);
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        say(&format!("{title}: {text}"));
    }
    Ok(())
}

/// `k0s version`.
pub fn version(args: &VersionArgs) -> Result<()> {
    let version = versions::k0s();
    if args.all {
        say(&format!("k0s : {version}"));
        say(&format!("kubernetes : {}", versions::kubernetes(&version)));
        say(&format!("stand-in : {}", crate::STAND_IN));
    } else if args.json {
        let all = json!({"k0s": version, "kubernetes": versions::kubernetes(&version), "standIn": crate::STAND_IN});
        say(&serde_json::to_string_pretty(&all)?);
    } else {
        say(&version);
        writeln!(std::io::stderr(), "{}", crate::STAND_IN).ok();
    }
    Ok(())
}

/// `k0s kubectl …`: becomes kubectl. `--data-dir` in front is k0s's own.
pub fn kubectl(rest: &[std::ffi::OsString]) -> Result<()> {
    let (data, rest) = match rest {
        [flag, dir, rest @ ..] if flag == "--data-dir" => (Some(Path::new(dir).to_owned()), rest),
        [flag, rest @ ..] if flag.to_string_lossy().starts_with("--data-dir=") => (
            flag.to_string_lossy()
                .split_once('=')
                .map(|(_, dir)| dir.into()),
            rest,
        ),
        rest => (None, rest),
    };
    let paths = Paths::new(data, None, None);
    let mut command = Command::new(paths.component("kubectl")?);
    command.args(rest);
    if std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty()) {
        command.env("KUBECONFIG", paths.admin_conf());
    }
    Err(command.exec()).context("failed to run kubectl")
}
