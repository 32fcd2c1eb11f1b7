//! `join --ssh`: joins machines from here, side by side.

mod failure;
mod fleet;
#[cfg(test)]
mod fuzz;
mod host;
mod nodes;
mod remote;
mod token;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kube::api::DynamicObject;

use self::failure::Failure;
use self::fleet::{Board, JoinOutcome, Line, Reached};
use self::host::Host;
use self::nodes::Nodes;
use self::remote::Load;
use self::token::Token;
use super::script::{self, Setup};
use super::{Format, JoinArgs};
use crate::error::{Error, Exit};
use crate::escape::quoted;
use crate::flags;
use crate::mothership::client::Connection;
use crate::output::Structured;
use crate::session::Session;
use crate::tokens::{self, JoinToken, Role, TokenArgs};

/// How long the token of a call is good for unless the user says otherwise.
const TTL: Duration = Duration::from_secs(3600);
/// How long a machine may take unless the user says otherwise.
const PATIENCE: Duration = Duration::from_secs(600);
/// Why a token is not taken back.
const STAYS: &str = "Machines may still be joining with the token: it stays until its end.";

#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Joining over ssh")]
pub struct SshArgs {
    /// Join these machines from here
    #[arg(
        help = "Join these machines from here: [user@]host[:port], several with commas",
        long = "ssh",
        value_name = "MACHINE",
        value_delimiter = ','
    )]
    pub machines: Vec<Host>,
    /// Private key to log in with
    #[arg(long, value_name = "FILE", requires = "machines")]
    pub identity: Option<PathBuf>,
    /// File with the machines' host keys, in place of your own
    #[arg(long, value_name = "FILE", requires = "machines")]
    pub known_hosts: Option<PathBuf>,
    /// Accept the keys of machines that are not known yet; a changed key is refused all the same
    #[arg(long, requires = "machines")]
    pub accept_new_host_keys: bool,
    /// Option of ssh, such as ProxyJump=bastion; may be given several times
    #[arg(long = "ssh-option", value_name = "OPTION", requires = "machines", value_parser = script::plain)]
    pub ssh_options: Vec<String>,
    /// How many machines are joined at once
    #[arg(long, value_name = "N", default_value_t = 10, requires = "machines",
        value_parser = clap::value_parser!(u16).range(1..=500))]
    pub parallel: u16,
    /// Don't wait for the nodes to be Ready; the token stays until its end
    #[arg(long, requires = "machines")]
    pub no_wait: bool,
    /// Don't revoke the token once the nodes are Ready
    #[arg(long, requires = "machines")]
    pub keep_token: bool,
}

/// Joins the machines that the flags name.
///
/// # Errors
/// [`Error::NotJoined`] unless every machine has come to its end.
pub async fn run(
    session: &Session,
    connection: &Connection<'_>,
    args: &JoinArgs,
    cluster: &DynamicObject,
    masked: &JoinToken,
) -> Result<(), Error> {
    if !matches!(args.output, Format::Command | Format::Json) {
        return Err(Error::Usage {
            message: "--ssh prints a table, or -o json".to_owned(),
            hint: "leave -o or --ssh out".to_owned(),
        });
    }
    if let Some(twice) = twice(&args.ssh.machines) {
        return Err(Error::Usage {
            message: format!("{twice} is named twice"),
            hint: "name each machine once".to_owned(),
        });
    }
    let setup = Setup {
        binary: args.k0s_binary.as_ref().map(|_| "-".to_owned()),
        size: args
            .k0s_binary
            .as_ref()
            .and_then(|path| std::fs::metadata(path).ok())
            .map(|found| found.len()),
        ..Setup::from_args(args)?
    };
    let preview = script::script(masked, &setup)?;
    if args.print {
        return session
            .out
            .data(&review(&args.ssh, args.k0s_binary.as_deref(), &preview));
    }
    if let Some(path) = &args.k0s_binary {
        let attempt = format!("read {}", path.display());
        std::fs::File::open(path).map_err(|source| Error::io(attempt, source))?;
    }
    let waits =
        args.request.role == Role::Worker && !args.ssh.no_wait && args.start_command.is_none();
    let nodes = if waits {
        Some(
            Nodes::open(session, connection, cluster)
                .await
                .map_err(|error| not_from_here(error, args.ssh.machines.len()))?,
        )
    } else {
        None
    };
    let wanted = TokenArgs {
        ttl: Some(args.request.ttl.unwrap_or(TTL)),
        ..args.request.clone()
    };
    let request = Token::new(session, connection, wanted, args.ssh.keep_token)?;
    let needing = RefCell::default();
    let work = async {
        let token = request.obtain(cluster).await?;
        let token = JoinToken {
            version: masked.version.clone(),
            ..token
        };
        let load = Load {
            script: script::script(&token, &setup)?,
            binary: args.k0s_binary.clone(),
            program: "ssh".into(),
            node: overridden(&setup.arguments),
        };
        let nodes = nodes.as_ref();
        let outcomes = join(session, args, &load, nodes, &request, &needing).await;
        Ok((outcomes, token))
    };
    let done = if args.ssh.keep_token {
        Box::pin(work).await
    } else {
        let interrupted = async {
            if needing.borrow().is_empty() {
                request.end_aloud().await;
            } else {
                session.out.note(STAYS);
                session.adds(request.how_to_revoke());
            }
        };
        Box::pin(session.undoing(work, interrupted)).await
    };
    let (outcomes, token) = match done {
        Ok(done) => done,
        Err(interrupted @ Error::Interrupted { .. }) => return Err(interrupted),
        Err(error) => {
            request.end().await;
            return Err(without_token(error, args.ssh.keep_token));
        }
    };
    let outcomes = told_apart(outcomes);
    let still_joining = outcomes.iter().any(JoinOutcome::may_still_join);
    if still_joining {
        session.out.note(STAYS);
    }
    if still_joining || args.ssh.keep_token {
        tokens::tell(session, &token);
    } else {
        request.end().await;
    }
    if args.output == Format::Json {
        let report = fleet::report(&outcomes);
        session.out.structured(Structured::Json, &report)?;
    } else {
        let table = fleet::table(&outcomes);
        session.out.data(&table.render(session.out.paint()))?;
    }
    ended(&outcomes)
}

async fn join(
    session: &Session,
    args: &JoinArgs,
    load: &Load,
    nodes: Option<&Nodes>,
    request: &Token<'_>,
    needing: &RefCell<BTreeSet<usize>>,
) -> Vec<JoinOutcome> {
    let mut hints = vec![
        "a machine on which k0s was being installed may go on by itself; see there: k0s status"
            .to_owned(),
    ];
    if args.ssh.keep_token {
        hints.push(request.how_to_revoke());
    }
    let machines = &args.ssh.machines;
    let board = Board::new(&session.out, machines, needing, |states| {
        session.leaves(states, hints.clone());
    });
    let timeout = flags::timeout(args.request.timeout.unwrap_or(PATIENCE));
    let parallel = usize::from(args.ssh.parallel);
    fleet::all(machines, parallel, timeout, &board, async |host, line| {
        one(host, line, &args.ssh, load, nodes).await
    })
    .await
}

async fn one(
    host: &Host,
    line: Line<'_>,
    args: &SshArgs,
    load: &Load,
    nodes: Option<&Nodes>,
) -> (Option<String>, Result<Reached, Failure>) {
    // From then on the kubelet gets its certificate with the token, and nobody takes k0s away there.
    let started = || line.needs_token(true);
    let ran = remote::run(host, args, load, |step| line.step(step), started).await;
    let machine = match ran {
        Ok(machine) => machine,
        Err(failure) => return (None, Err(failure)),
    };
    let node = load.node.clone().unwrap_or(machine.node);
    let Some(nodes) = nodes else {
        return (Some(node), Ok(Reached::Started));
    };
    let boot = machine.boot.as_deref();
    let ready = nodes.ready(&node, boot, |step| line.step(step)).await;
    (Some(node), ready.map(|()| Reached::Ready))
}

/// Machines of one name are one Node, which is Ready when any of them is.
fn told_apart(mut outcomes: Vec<JoinOutcome>) -> Vec<JoinOutcome> {
    let mut seen: Vec<String> = Vec::new();
    for outcome in &mut outcomes {
        let Some(node) = &outcome.node else {
            continue;
        };
        if seen.contains(node) {
            outcome.result = Err(Failure::SameName(node.clone()));
        }
        seen.push(node.clone());
    }
    outcomes
}

/// The name that the kubelet is told to take in place of the machine's own.
fn overridden(arguments: &[String]) -> Option<String> {
    let words = arguments.iter().flat_map(|word| word.split_whitespace());
    words
        .filter_map(|word| word.split_once("--hostname-override="))
        .map(|(_, name)| name.to_owned())
        .next()
}

fn twice(machines: &[Host]) -> Option<&Host> {
    let mut rest = machines.iter();
    while let Some(machine) = rest.next() {
        if rest.clone().any(|other| other == machine) {
            return Some(machine);
        }
    }
    None
}

/// Nothing was done yet; who cannot see the nodes from here may still join machines.
fn not_from_here(error: Error, machines: usize) -> Error {
    match error {
        Error::Unreachable { server, cause } => Error::NotJoined {
            failed: machines,
            of: machines,
            first: format!("the hosted API at {server} cannot be reached from here: {cause}"),
            exit: Exit::Unreachable,
            hints: vec!["join without waiting for the nodes: --no-wait".to_owned()],
        },
        other => other,
    }
}

/// The hints about a token that is late are no good once it is taken back.
fn without_token(error: Error, kept: bool) -> Error {
    match error {
        Error::TimedOut {
            waited, what, last, ..
        } if !kept => Error::TimedOut {
            waited,
            what,
            last,
            hints: vec![
                "no machine was touched, and the token's request was taken back".to_owned(),
            ],
        },
        other => other,
    }
}

fn ended(outcomes: &[JoinOutcome]) -> Result<(), Error> {
    let failures: Vec<&Failure> = outcomes
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err())
        .collect();
    let Some(first) = failures.first() else {
        return Ok(());
    };
    let mut hints: Vec<String> = Vec::new();
    for hint in failures.iter().filter_map(|failure| failure.hint()) {
        if !hints.iter().any(|known| known == hint) {
            hints.push(hint.to_owned());
        }
    }
    let alike = failures
        .iter()
        .all(|failure| failure.exit() == first.exit());
    Err(Error::NotJoined {
        failed: failures.len(),
        of: outcomes.len(),
        first: first.to_string(),
        exit: if alike { first.exit() } else { Exit::Failure },
        hints,
    })
}

/// What would be run, and what it would be given.
fn review(ssh: &SshArgs, binary: Option<&Path>, script: &str) -> String {
    let mut text = String::new();
    for machine in &ssh.machines {
        let words = host::arguments(machine, ssh, remote::command(script));
        text.push_str("ssh");
        for word in words {
            text.push(' ');
            text.push_str(&quoted(&word.to_string_lossy()));
        }
        text.push('\n');
    }
    text.push_str("\nEach is given this on its standard input");
    if let Some(path) = binary {
        text.push_str(", and after it the file ");
        text.push_str(&path.to_string_lossy());
    }
    text.push_str(":\n\n");
    text + script
}

#[cfg(test)]
mod tests;
