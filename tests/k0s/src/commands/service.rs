//! `k0s install`, `start` and `stop`: k0s as a service of a machine without systemd.
//!
//! k0s leaves all this to a library, which on such a machine writes a script into `/etc/init.d`.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::Uid;

use crate::cli::InstallArgs;
use crate::paths::{text, write_file};

/// Where its service is.
const SCRIPT: &str = "/etc/init.d/k0sworker";
const NAME: &str = "k0sworker";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How k0s calls the system that runs its service, and its file; nothing when it is not installed.
pub fn installed() -> Option<(&'static str, &'static str)> {
    Path::new(SCRIPT)
        .exists()
        .then_some(("unix-systemv", SCRIPT))
}

/// `k0s install worker …`.
pub fn install(args: &InstallArgs) -> Result<()> {
    need_root()?;
    ensure!(
        args.worker.node.token.is_none(),
        "a service keeps no join token: give a file that holds it with --token-file"
    );
    if Path::new(SCRIPT).exists() {
        ensure!(
            args.force,
            "failed to install k0s service: Init already exists: {SCRIPT}"
        );
        uninstall();
    }
    let program = std::env::current_exe().context("failed to find this program")?;
    let given: Vec<OsString> = std::env::args_os()
        .skip_while(|arg| arg != "worker")
        .skip(1)
        .collect();
    let command = service_command(&program, &given)?;
    if let Some(folder) = Path::new(SCRIPT).parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("failed to create {}", text(folder)))?;
    }
    write_file(Path::new(SCRIPT), script(&command, &args.env), 0o755)?;
    for place in levels() {
        // A machine without these folders starts nothing by itself.
        std::os::unix::fs::symlink(SCRIPT, place).ok();
    }
    if args.start { start() } else { Ok(()) }
}

/// What the service runs: the flags that `install` was given, but its own, with absolute paths.
fn service_command(program: &Path, given: &[OsString]) -> Result<String> {
    let mut words = vec![text(program), "worker".to_owned()];
    let mut flags = Vec::new();
    let mut rest = given.iter();
    while let Some(arg) = rest.next() {
        let arg = arg.to_str().context("an argument is no text")?;
        let (name, value) = match arg.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (arg, None),
        };
        match name {
            "--force" | "--start" => {}
            "-e" | "--env" => {
                if value.is_none() {
                    rest.next();
                }
            }
            "--token-file" | "--data-dir" => {
                let value = value
                    .or_else(|| Some(rest.next()?.to_str()?.to_owned()))
                    .with_context(|| format!("{name} needs a value"))?;
                let path = std::path::absolute(value)?;
                flags.push(format!("{name}={}", text(path)));
            }
            _ => flags.push(arg.to_owned()),
        }
    }
    words.append(&mut flags);
    Ok(shell_words::join(words))
}

fn script(command: &str, env: &[String]) -> String {
    let mut exports = String::new();
    for entry in env {
        exports.push_str("export ");
        exports.push_str(&shell_words::quote(entry));
        exports.push('\n');
    }
    format!(
        r#"#!/bin/sh
### BEGIN INIT INFO
# Provides:          {NAME}
# Required-Start:
# Required-Stop:
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: k0s - Zero Friction Kubernetes
# Description:       k0s - Zero Friction Kubernetes (played by the stand-in of k0smotron's tests)
### END INIT INFO

name={NAME}
pid_file=/var/run/$name.pid
stdout_log=/var/log/$name.log
stderr_log=/var/log/$name.err
{exports}
is_running() {{
    [ -f "$pid_file" ] && [ -d "/proc/$(cat "$pid_file")" ]
}}

case "$1" in
start)
    if is_running; then
        echo "Already started"
    else
        echo "Starting $name"
        setsid {command} </dev/null >>"$stdout_log" 2>>"$stderr_log" &
        echo $! >"$pid_file"
        if ! is_running; then
            echo "Unable to start, see $stdout_log and $stderr_log"
            exit 1
        fi
    fi
    ;;
stop)
    if is_running; then
        kill "$(cat "$pid_file")"
        tenths=0
        while is_running && [ $tenths -lt 300 ]; do
            sleep 0.1
            tenths=$((tenths + 1))
        done
        if is_running; then
            echo "Not stopped; may still be shutting down or shutdown may have failed"
            exit 1
        fi
        rm -f "$pid_file"
    fi
    ;;
restart)
    "$0" stop && "$0" start
    ;;
status)
    if is_running; then
        echo "Running"
    else
        echo "Stopped"
        exit 1
    fi
    ;;
*)
    echo "Usage: $0 {{start|stop|restart|status}}"
    exit 1
    ;;
esac
"#
    )
}

/// The links by which a machine starts and ends it.
fn levels() -> impl Iterator<Item = String> {
    let on = |level| format!("/etc/rc{level}.d/S50{NAME}");
    let off = |level| format!("/etc/rc{level}.d/K02{NAME}");
    [2, 3, 4, 5]
        .into_iter()
        .map(on)
        .chain([0, 1, 6].into_iter().map(off))
}

/// Removes the service.
pub(super) fn uninstall() {
    for place in levels() {
        std::fs::remove_file(place).ok();
    }
    std::fs::remove_file(SCRIPT).ok();
}

/// `k0s start`.
pub fn start() -> Result<()> {
    not_found()
}

/// `k0s stop`.
pub fn stop() -> Result<()> {
    not_found()
}

/// A real one asks for a controller's service before a worker's, and on a machine without systemd it
/// takes the answer that there is none for a failure.
fn not_found() -> Result<()> {
    need_root()?;
    bail!("exit status 1")
}

pub(super) fn need_root() -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "this command must be run as root!"
    );
    Ok(())
}

fn service(action: &str) -> Command {
    let mut command = Command::new(SCRIPT);
    command
        .arg(action)
        .current_dir("/")
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::null());
    command
}

/// Whether the service runs.
pub(super) fn runs() -> Result<bool> {
    let output = service("status").output();
    Ok(output
        .with_context(|| format!("failed to run {SCRIPT}"))?
        .status
        .success())
}

#[cfg(test)]
mod tests {
    use super::*;

    // As a shell reads it.
    fn command(line: &str) -> Vec<String> {
        let given: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let command = service_command(Path::new("/usr/local/bin/k0s"), &given).unwrap();
        shell_words::split(&command).unwrap()
    }

    #[test]
    fn the_service_gets_the_flags_of_a_worker_and_none_of_install() {
        assert_eq!(
            command(
                "--force --token-file /etc/k0s/token -e A=b --labels=a=b,c=d --env=C=d --profile p"
            ),
            [
                "/usr/local/bin/k0s",
                "worker",
                "--token-file=/etc/k0s/token",
                "--labels=a=b,c=d",
                "--profile",
                "p"
            ]
        );
    }

    #[test]
    fn relative_paths_become_absolute() {
        let here = std::env::current_dir().unwrap();
        let path = text(here.join("token"));
        let words = command("--token-file token");
        assert_eq!(words.last(), Some(&format!("--token-file={path}")));
    }

    #[test]
    fn the_script_does_what_it_says() {
        let dir = tempfile::tempdir().unwrap();
        let own = script("sleep 30", &["A=b c".to_owned()])
            .replace("/var/run", &text(dir.path()))
            .replace("/var/log", &text(dir.path()));
        let path = dir.path().join(NAME);
        write_file(&path, own, 0o755).unwrap();
        let run = |action: &str| Command::new(&path).arg(action).output().unwrap();
        assert_eq!(run("status").stdout, b"Stopped\n");
        assert!(run("start").status.success());
        assert_eq!(run("status").stdout, b"Running\n");
        assert_eq!(run("start").stdout, b"Already started\n");
        assert!(run("stop").status.success());
        assert!(!run("status").status.success());
    }
}
