//! `connect` and `exec`: a program that finds the hosted cluster in its KUBECONFIG.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use clap::Args;

use crate::error::Error;
use crate::escape::quoted;
use crate::flags;
use crate::hosted::{Hosted, Tunnel, ViaArgs};
use crate::kubeconfig::file;
use crate::session::Session;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron connect demo\n\
    \x20 kubectl k0smotron connect demo -- helm list -A\n\
    \x20 kubectl k0smotron connect demo --kubeconfig-file demo.kubeconfig --port 6443")]
pub struct ConnectArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// What to run with KUBECONFIG set; your shell unless given
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
    /// Run nothing: write a kubeconfig to this file, and keep the way open until Ctrl-C
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    pub kubeconfig_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n\
    \x20 kubectl k0smotron exec demo -- kubectl get nodes\n\
    \x20 kubectl k0smotron exec demo --via tunnel -- kubectl logs -n kube-system -l k8s-app=kube-dns")]
pub struct ExecArgs {
    /// Name of the cluster
    #[arg(value_parser = flags::object_name)]
    pub name: String,
    /// What to run with KUBECONFIG set
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
    /// How to get there.
    #[command(flatten)]
    pub way: ViaArgs,
}

/// Opens the way to a hosted cluster, and a shell that uses it.
pub async fn run(session: &Session, args: &ConnectArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.name).await?;
    let hosted = Hosted::open(session, &connection, &cluster, &args.way).await?;
    let whose = format!("{}/{}", connection.namespace, args.name);
    let through = if hosted.tunnel.is_some() {
        " through the mothership"
    } else {
        ""
    };
    if let Some(path) = &args.kubeconfig_file {
        let answers = format!("{whose} answers at {}{through}", hosted.server);
        return hold(session, &hosted, path, &answers).await;
    }
    let command = if args.command.is_empty() {
        let shell = std::env::var_os("SHELL").filter(|shell| !shell.is_empty());
        session.out.note(&format!(
            "{whose} answers at {}{through}; leave it with exit",
            hosted.server
        ));
        vec![shell.unwrap_or_else(|| "/bin/sh".into())]
    } else {
        args.command.clone()
    };
    with(session, &hosted, &command).await
}

/// Keeps the way open, and the file that leads there, until somebody ends it.
async fn hold(session: &Session, hosted: &Hosted, path: &Path, answers: &str) -> Result<(), Error> {
    let written = file::write_new(path, &hosted.kubeconfig, false);
    let made = written.map_err(|error| match error {
        Error::Conflict {
            attempt, answer, ..
        } => Error::Conflict {
            attempt,
            answer,
            hint: "remove it, or name another file".to_owned(),
        },
        other => other,
    })?;
    let shown = path.display();
    session.out.note(&open(answers, path));
    let remove = async {
        let left = match &made {
            // Somebody else may have put something there since.
            Some(file)
                if std::fs::read_to_string(file).is_ok_and(|text| text != hosted.kubeconfig) =>
            {
                format!("the way is closed; {shown} was changed meanwhile, and stays")
            }
            Some(file) if std::fs::remove_file(file).is_err() && file.exists() => {
                format!("{shown} stays, and leads nowhere now")
            }
            // A pipe or a device keeps nothing.
            None if path.is_file() => {
                format!("the way is closed; {shown} was there before, and stays")
            }
            _ => "the way is closed".to_owned(),
        };
        session.leaves(left, Vec::new());
    };
    session.undoing(std::future::pending(), remove).await
}

fn open(answers: &str, path: &Path) -> String {
    let path = quoted(&path.to_string_lossy());
    format!("{answers} until Ctrl-C: kubectl --kubeconfig {path} get nodes")
}

/// Runs a command that finds the hosted cluster in its KUBECONFIG.
pub async fn exec(session: &Session, args: &ExecArgs) -> Result<(), Error> {
    let connection = session.connect().await?;
    let cluster = connection.cluster(&args.name).await?;
    let hosted = Hosted::open(session, &connection, &cluster, &args.way).await?;
    with(session, &hosted, &args.command).await
}

async fn with(session: &Session, hosted: &Hosted, command: &[OsString]) -> Result<(), Error> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    // Private from its first moment, and gone with this function.
    let mut file = tempfile::Builder::new()
        .prefix("k0smotron-")
        .suffix(".kubeconfig")
        .tempfile()
        .map_err(|source| Error::io("make a kubeconfig for the command", source))?;
    file.write_all(hosted.kubeconfig.as_bytes())
        .map_err(|source| Error::io("write a kubeconfig for the command", source))?;
    // Ctrl-C is for the command, which gets it from the terminal; what it makes of it is awaited.
    session.defer_interrupts();
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .env("KUBECONFIG", file.path())
        .stdin(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| Error::io(format!("run {}", Path::new(program).display()), source))?;
    let ended = child
        .wait()
        .await
        .map_err(|source| Error::io("wait for the command", source))?;
    if ended.success() {
        return Ok(());
    }
    if let Some(trouble) = hosted.tunnel.as_ref().and_then(Tunnel::trouble) {
        session
            .out
            .note(&format!("warning: the tunnel had trouble: {trouble}"));
    }
    Err(Error::Child { code: code(ended) })
}

/// As a shell has it: the command's code, or 128 and the signal that ended it.
fn code(ended: ExitStatus) -> u8 {
    let number = ended
        .code()
        .or_else(|| ended.signal().map(|signal| 128 + signal));
    number
        .and_then(|number| u8::try_from(number).ok())
        .unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_another_terminal_is_quoted() {
        assert_eq!(
            open("demo answers", Path::new("my files/a")),
            "demo answers until Ctrl-C: kubectl --kubeconfig 'my files/a' get nodes"
        );
    }
}
