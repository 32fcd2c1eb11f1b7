//! One machine: ssh as a child process, with everything secret on its standard input.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, Command};

use super::failure::{Failure, last};
use super::host::Host;
use super::{SshArgs, host};
use crate::flags;
use crate::lines::Lines;

/// How many of the last lines on standard error are kept.
const KEPT: usize = 40;
/// How much of a line is, in bytes: the machine may say what it likes.
const ROOM: usize = 400;
/// What the script's lines about its steps begin with.
const STEP: &str = "join: ";
/// The steps from which k0s may be up, and in need of the token, before the machine has said so.
const STARTING: [&str; 2] = ["starting k0s", "running the start command"];

/// What is sent to each machine.
#[derive(Debug)]
pub struct Load {
    pub script: String,
    /// A file of this machine that follows it.
    pub binary: Option<PathBuf>,
    pub program: PathBuf,
    /// Name of the Node where it is not the machine's own.
    pub node: Option<String>,
}

/// What the machine's shell is told: to keep the script in a file, so that it can run as root
/// and has the rest of the input for itself. `dd` takes not one byte more than the script.
pub fn command(script: &str) -> String {
    format!(
        "sh -c 't=$(mktemp) || exit 1; trap \"rm -f $t\" EXIT; \
         trap \"exit 129\" HUP; trap \"exit 143\" TERM; trap \"exit 141\" PIPE; \
         dd bs=1 count={} of=\"$t\" 2>/dev/null; sh \"$t\"'",
        script.len()
    )
}

/// What a machine says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Name of its Node.
    pub node: String,
    /// Which of the starts of which kernel it is, where it can tell.
    pub boot: Option<String>,
}

/// Runs the script there, tells each step and when k0s may be up, and returns what it says of itself.
///
/// # Errors
/// Why it did not come to its end.
pub async fn run(
    host: &Host,
    args: &SshArgs,
    load: &Load,
    step: impl Fn(&str),
    started: impl Fn(),
) -> Result<Machine, Failure> {
    let mut child = Command::new(&load.program)
        .args(host::arguments(host, args, command(&load.script)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::NoSsh(error.to_string()))?;
    let (Some(input), Some(output), Some(errors)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(Failure::NoSsh("it has no streams".to_owned()));
    };
    let (mut node, mut boot, mut begun) = (None, None, false);
    let mut said: Vec<String> = Vec::new();
    let ((), (), fed) = tokio::join!(
        lines(output, |line| {
            if let Some(name) = line.strip_prefix("node: ") {
                node = flags::object_name(name.trim()).ok();
            } else if let Some(id) = line.strip_prefix("boot: ") {
                boot = Some(id.trim().to_owned());
            }
        }),
        lines(errors, |line| {
            if let Some(now) = line.strip_prefix(STEP) {
                begun = true;
                step(now);
                if STARTING.contains(&now) {
                    started();
                }
            } else {
                if said.len() == KEPT {
                    said.remove(0);
                }
                said.push(line.to_owned());
            }
        }),
        feed(input, &load.script, load.binary.as_deref()),
    );
    let status = child
        .wait()
        .await
        .map_err(|error| Failure::NoSsh(error.to_string()))?;
    // What this machine could not send is why the other one complains.
    fed?;
    if !status.success() {
        return Err(match status.code() {
            // The machine has its share in what is said there.
            None | Some(255) if begun => Failure::Lost(last(&said)),
            // It came to its end there, and only the shell around it was ended: nothing was undone.
            Some(code) if node.is_some() => Failure::Killed {
                code,
                last: last(&said),
            },
            code => Failure::from_exit(code, &said),
        });
    }
    match node {
        Some(node) => Ok(Machine { node, boot }),
        None => Err(Failure::NoNode(
            "the machine did not tell its name".to_owned(),
        )),
    }
}

/// Sends everything. A machine that stops reading has its reasons, which it tells itself.
async fn feed(mut input: ChildStdin, script: &str, binary: Option<&Path>) -> Result<(), Failure> {
    if input.write_all(script.as_bytes()).await.is_err() {
        return Ok(());
    }
    if let Some(path) = binary {
        let unreadable =
            |error| Failure::Download(format!("{} cannot be read: {error}", path.display()));
        let mut file = File::open(path).await.map_err(unreadable)?;
        // Only the other end can fail from here on: the machine checks what has come.
        let _ = tokio::io::copy(&mut file, &mut input).await;
    }
    let _ = input.shutdown().await;
    Ok(())
}

async fn lines(mut stream: impl AsyncRead + Unpin, mut each: impl FnMut(&str)) {
    let (mut lines, mut bytes) = (Lines::new(ROOM), [0; 4096]);
    while let Ok(read @ 1..) = stream.read(&mut bytes).await {
        for line in lines.feed(bytes.get(..read).unwrap_or_default()) {
            each(line.trim_end());
        }
    }
    if let Some(line) = lines.rest() {
        each(line.trim_end());
    }
}
