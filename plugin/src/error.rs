//! Everything that can end a command early, as one clear line, hints and an exit code.

use std::io;
use std::time::Duration;

use crate::{duration, suggest};

mod answer;
mod exit;

pub use answer::innermost;
pub use exit::Exit;

/// Why a command did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Flags that are each fine but not together.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write in its place.
        hint: String,
    },
    #[error("there is no cluster \"{name}\" in namespace \"{namespace}\"")]
    UnknownCluster {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// Names there that look alike.
        near: Vec<String>,
        /// Namespaces that have a cluster of exactly this name.
        elsewhere: Vec<String>,
    },
    /// Something else that has to be there is not.
    #[error("cannot {attempt}: {answer}")]
    NotFound {
        /// What was tried.
        attempt: String,
        /// What came back.
        answer: String,
        /// What to do.
        hint: String,
    },
    /// The API server knows no Clusters.
    #[error(
        "cannot {attempt}: the API server at {server} does not know the resource (k0smotron.io/v1beta2)"
    )]
    NotInstalled {
        /// What was tried.
        attempt: String,
        /// The API server's URL.
        server: String,
    },
    #[error("no permission to {attempt}: {answer}")]
    Forbidden {
        /// What was tried.
        attempt: String,
        /// What came back.
        answer: String,
    },
    /// The API server does not know who asks.
    #[error("not logged in: cannot {attempt}: {answer}")]
    Unauthorized {
        /// What was tried.
        attempt: String,
        /// What came back.
        answer: String,
    },
    /// No answer from the API server.
    #[error("cannot reach the API server at {server}: {cause}")]
    Unreachable {
        /// Its URL.
        server: String,
        /// The innermost reason.
        cause: String,
    },
    #[error("{message}")]
    Kubeconfig {
        /// What is wrong, with the file or the entry.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A wait has ended without what was waited for.
    #[error("timed out after {} waiting for {what}: {last}", duration::age(*waited))]
    TimedOut {
        /// How long was waited.
        waited: Duration,
        /// What for.
        what: String,
        /// The last thing that was seen.
        last: String,
        /// What is in place, and how to go on.
        hints: Vec<String>,
    },
    /// Something of that name is there already.
    #[error("cannot {attempt}: {answer}")]
    Conflict {
        /// What was tried.
        attempt: String,
        /// What came back.
        answer: String,
        /// What to do.
        hint: String,
    },
    #[error("cannot {attempt}: refused: {}", causes.join("\n  "))]
    Refused {
        /// What was tried.
        attempt: String,
        /// Each thing that is wrong, with its field; the first is on the line of the error.
        causes: Vec<String>,
        /// What to do.
        hint: String,
    },
    /// What was tested would not be accepted.
    #[error("{refused} of {of} objects would be refused")]
    WouldBeRefused {
        /// How many.
        refused: usize,
        /// Of how many.
        of: usize,
    },
    /// Machines that were to join have not.
    #[error("{failed} of {of} machines have not joined: {first}")]
    NotJoined {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// Why the first of them has not.
        first: String,
        /// How the process ends.
        exit: Exit,
        /// What to do.
        hints: Vec<String>,
    },
    /// Tokens whose requests are gone were not seen to end.
    #[error("{left} of {of} join tokens may still let machines join: {first}")]
    NotRevoked {
        /// How many.
        left: usize,
        /// Of how many.
        of: usize,
        /// The first of them, and why.
        first: String,
        /// How to end them.
        hints: Vec<String>,
    },
    /// Any other answer of the API server.
    #[error("cannot {attempt}: {answer}")]
    Server {
        /// What was tried.
        attempt: String,
        /// What came back.
        answer: String,
        /// Whether asking again may help.
        passing: bool,
    },
    #[error("cannot {attempt}: {source}")]
    Io {
        /// What was tried.
        attempt: String,
        /// Why it failed.
        source: io::Error,
    },
    /// What was looked at does not work.
    #[error("{problems} of what was looked at does not work")]
    Unwell {
        /// How many findings say so.
        problems: usize,
    },
    /// A command of the user's has failed, and has said why.
    #[error("the command ended with exit code {code}")]
    Child {
        /// Its exit code.
        code: u8,
    },
    #[error("{0}")]
    Declined(String),
    /// Ctrl-C, SIGTERM or a terminal that was closed.
    #[error("interrupted: {left}")]
    Interrupted {
        /// What was left in place.
        left: String,
        /// How to go on or take it back.
        hints: Vec<String>,
    },
}

impl Error {
    /// A failed file or stream.
    pub fn io(attempt: impl Into<String>, source: io::Error) -> Self {
        Self::Io {
            attempt: attempt.into(),
            source,
        }
    }

    /// The exit code as a number: that of a command of the user's where one was run.
    pub fn code(&self) -> u8 {
        match self {
            Self::Child { code } => *code,
            other => other.exit().code(),
        }
    }

    /// The kind of end of a process that ends with this.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::UnknownCluster { .. } | Self::NotFound { .. } => Exit::NotFound,
            Self::NotInstalled { .. } => Exit::NotInstalled,
            Self::Forbidden { .. } | Self::Unauthorized { .. } => Exit::NoPermission,
            Self::Unreachable { .. } => Exit::Unreachable,
            Self::Kubeconfig { .. } => Exit::Kubeconfig,
            Self::TimedOut { .. } => Exit::TimedOut,
            Self::Conflict { .. } => Exit::Conflict,
            Self::Refused { .. } | Self::WouldBeRefused { .. } => Exit::Refused,
            Self::Server { .. }
            | Self::NotRevoked { .. }
            | Self::Io { .. }
            | Self::Declined(_)
            | Self::Child { .. }
            | Self::Unwell { .. } => Exit::Failure,
            Self::NotJoined { exit, .. } => *exit,
            Self::Interrupted { .. } => Exit::Interrupted,
        }
    }

    /// What to try, a sentence each.
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Usage { hint, .. }
            | Self::NotFound { hint, .. }
            | Self::Kubeconfig { hint, .. }
            | Self::Conflict { hint, .. }
            | Self::Refused { hint, .. } => vec![hint.clone()],
            Self::UnknownCluster {
                near,
                elsewhere,
                name,
                ..
            } => unknown(name, near, elsewhere),
            Self::NotInstalled { .. } => vec![
                "install k0smotron there: kubectl k0smotron install --registry REGISTRY".to_owned(),
                "or point at the right mothership with --context or --kubeconfig".to_owned(),
            ],
            Self::Forbidden { .. } => vec![
                "ask the mothership's administrator for a Role that allows it, or use another \
                 --context"
                    .to_owned(),
            ],
            Self::Unauthorized { .. } => {
                vec!["log in again, or use another --context or --kubeconfig".to_owned()]
            }
            Self::Unreachable { server, cause } => vec![unreachable(server, cause)],
            Self::TimedOut { hints, .. }
            | Self::NotJoined { hints, .. }
            | Self::NotRevoked { hints, .. }
            | Self::Interrupted { hints, .. } => hints.clone(),
            Self::Server { passing: true, .. } => {
                vec!["the API server is busy or starting; try again in a moment".to_owned()]
            }
            Self::Server { .. } => vec!["see the request with -v".to_owned()],
            Self::Io { .. }
            | Self::Declined(_)
            | Self::Child { .. }
            | Self::Unwell { .. }
            | Self::WouldBeRefused { .. } => Vec::new(),
        }
    }

    /// Whether a wait goes on after this.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Server { passing: true, .. }
        )
    }

    /// Whether the object that was asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::UnknownCluster { .. })
    }
}

fn unknown(name: &str, near: &[String], elsewhere: &[String]) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(namespace) = elsewhere.first() {
        hints.push(format!(
            "there is one in namespace {}: add -n {namespace}",
            elsewhere.join(", ")
        ));
    }
    if !near.is_empty() {
        hints.push(suggest::did_you_mean(near));
    }
    if hints.is_empty() {
        hints.push(format!(
            "see what is there: kubectl k0smotron list -A; make it: kubectl k0smotron create {name}"
        ));
    }
    hints
}

fn unreachable(server: &str, cause: &str) -> String {
    if cause.contains("through the proxy") {
        return "is the proxy (proxy-url of the kubeconfig, or HTTPS_PROXY) right? NO_PROXY lists \
                what is reached without it"
            .to_owned();
    }
    if cause.contains("certificate") {
        return "the server's certificate does not fit the kubeconfig; is it the right \
                certificate-authority, and the right server?"
            .to_owned();
    }
    if cause.contains("InvalidContentType") {
        return format!("{server} does not speak TLS; is its scheme right?");
    }
    if cause.contains("lookup") || cause.contains("resolve") {
        return "is the host name of the kubeconfig's server right, and the network up?".to_owned();
    }
    "is the mothership running, and is this its address? Choose another with --context or \
     --kubeconfig; --request-timeout waits longer"
        .to_owned()
}

#[cfg(test)]
mod tests;
