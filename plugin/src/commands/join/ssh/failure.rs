//! Why a machine did not join, in the words of a person.

use std::time::Duration;

use crate::duration;
use crate::error::Exit;

/// Why a machine did not join.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Nobody has said that this key is the machine's.
    #[error("its host key is not known")]
    UnknownKey,
    #[error("its host key is another than the known one")]
    ChangedKey,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    #[error("the connection was lost: {0}")]
    Lost(String),
    #[error("ssh was refused: {0}")]
    Denied(String),
    #[error("no root there: {0}")]
    NoRoot(String),
    #[error("{0}")]
    Joined(String),
    #[error("k0s did not get there: {0}")]
    Download(String),
    /// Nothing of the kind can be run there.
    #[error("{0}")]
    Unfit(String),
    #[error("{0}")]
    NoEntry(String),
    /// The cluster's API does not answer the machine.
    #[error("{0}")]
    NoApi(String),
    /// Another machine of this call has joined under its name.
    #[error("another machine has joined as {0} as well, and both are one Node")]
    SameName(String),
    /// Something has ended the script, which had no time to take anything back.
    #[error("the script was ended there (exit code {code}): {last}")]
    Killed {
        /// 128 and the signal.
        code: i32,
        /// What was said last.
        last: String,
    },
    /// Any other end of the script.
    #[error("{0}")]
    Script(String),
    #[error("ssh cannot be run: {0}")]
    NoSsh(String),
    #[error("its Node cannot be looked at: {0}")]
    NoNode(String),
    #[error("timed out after {}: {last}", duration::age(*waited))]
    TimedOut {
        /// How long it was given.
        waited: Duration,
        /// What it was at.
        last: String,
    },
}

impl Failure {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownKey => Some(
                "compare the key and add it to known_hosts (ssh-keyscan shows it), name a file \
                 with --known-hosts, or take what comes with --accept-new-host-keys",
            ),
            Self::ChangedKey => Some(
                "was the machine reinstalled? Then remove the old key with ssh-keygen -R; if not, \
                 somebody may stand in between",
            ),
            Self::Unreachable(_) => {
                Some("is the machine up, is the address right, and is there a way to it?")
            }
            Self::Denied(_) => Some(
                "is it the right user, and the right key? Choose them with user@ and --identity",
            ),
            Self::NoRoot(_) => Some("log in as root, or let the user run sudo without a password"),
            Self::Download(_) => Some(
                "a machine without a way out gets k0s with --k0s-binary FILE, or from a mirror \
                 with --download-url and --k0s-sha256",
            ),
            Self::NoEntry(_) => {
                Some("was it revoked meanwhile? Run the command again for a new one")
            }
            Self::NoApi(_) => Some(
                "is the cluster exposed to where the machine is, and does a firewall or proxy let \
                 it through? kubectl k0smotron status shows the address",
            ),
            Self::SameName(_) => Some(
                "take it out with k0s stop && k0s reset, give it a host name of its own, and join \
                 it again",
            ),
            Self::NoSsh(_) => Some("install OpenSSH's client"),
            Self::TimedOut { .. } => Some(
                "give it longer with --timeout, or look on the machine: journalctl -u k0sworker",
            ),
            Self::Lost(_) | Self::Killed { .. } => {
                Some("look on the machine whether k0s was started: k0s status")
            }
            Self::Joined(_) | Self::Unfit(_) | Self::Script(_) | Self::NoNode(_) => None,
        }
    }

    /// Whether the machine may go on by itself: one whose script has ended badly takes back what it
    /// has done.
    pub const fn may_go_on(&self) -> bool {
        matches!(
            self,
            Self::TimedOut { .. } | Self::Lost(_) | Self::Killed { .. } | Self::NoNode(_)
        )
    }

    /// How a process ends that has this to tell.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Unreachable(_) | Self::Lost(_) | Self::NoApi(_) => Exit::Unreachable,
            Self::Denied(_) | Self::NoRoot(_) | Self::NoEntry(_) => Exit::NoPermission,
            Self::Joined(_) | Self::SameName(_) => Exit::Conflict,
            Self::TimedOut { .. } => Exit::TimedOut,
            _ => Exit::Failure,
        }
    }

    /// What an end with this code and these last lines on standard error means. The codes are
    /// the script's own, but for 255, which is ssh's.
    pub fn from_exit(code: Option<i32>, said: &[String]) -> Self {
        let has = |part: &str| said.iter().find(|line| line.contains(part)).cloned();
        let last = || last(said);
        match code {
            Some(255) => {
                if has("IDENTIFICATION HAS CHANGED").is_some()
                    || has("host key for").is_some_and(|line| line.contains("has changed"))
                {
                    Self::ChangedKey
                } else if has("host key is known for").is_some()
                    || has("Host key verification failed").is_some()
                {
                    Self::UnknownKey
                } else if let Some(line) =
                    has("Permission denied").or_else(|| has("Too many authentication failures"))
                {
                    Self::Denied(line)
                } else {
                    Self::Unreachable(last())
                }
            }
            Some(3) => Self::Joined(last()),
            Some(4) => Self::NoRoot(last()),
            Some(5) => Self::Download(last()),
            Some(6) => Self::Unfit(last()),
            Some(7) => Self::NoEntry(last()),
            Some(8) => Self::NoApi(last()),
            // These the script has a trap for, in which it takes back what it has done.
            Some(129 | 130 | 141 | 143) => Self::Script(last()),
            Some(code) if code >= 128 => Self::Killed { code, last: last() },
            _ => Self::Script(last()),
        }
    }
}

/// What was said last, rather by the script than by anything else.
pub fn last(said: &[String]) -> String {
    let own = said
        .iter()
        .rev()
        .find_map(|line| line.strip_prefix("error: "));
    let any = said
        .iter()
        .rev()
        .map(String::as_str)
        .find(|line| !line.trim().is_empty());
    own.or(any).unwrap_or("it said nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: i32, said: &str) -> Failure {
        let said: Vec<String> = said.lines().map(str::to_owned).collect();
        Failure::from_exit(Some(code), &said)
    }

    #[test]
    fn opensshs_words_become_reasons() {
        for (said, reason) in [
            (
                "No ED25519 host key is known for node-1 and you have requested strict checking.\n\
                 Host key verification failed.",
                Failure::UnknownKey,
            ),
            (
                "@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
                 Host key verification failed.",
                Failure::ChangedKey,
            ),
            (
                "root@node-1: Permission denied (publickey).",
                Failure::Denied("root@node-1: Permission denied (publickey).".into()),
            ),
            (
                "ssh: connect to host node-1 port 22: Connection refused",
                Failure::Unreachable(
                    "ssh: connect to host node-1 port 22: Connection refused".into(),
                ),
            ),
            (
                "ssh: Could not resolve hostname node-1: Name or service not known",
                Failure::Unreachable(
                    "ssh: Could not resolve hostname node-1: Name or service not known".into(),
                ),
            ),
        ] {
            assert_eq!(of(255, said), reason);
        }
    }

    #[test]
    fn the_scripts_codes_become_reasons_with_its_own_words() {
        let said = "motd\nerror: this needs root\nConnection to node-1 closed.";
        assert_eq!(of(4, said), Failure::NoRoot("this needs root".into()));
        assert_eq!(of(3, said).exit(), Exit::Conflict);
        assert_eq!(of(1, "oops"), Failure::Script("oops".into()));
        assert_eq!(of(1, ""), Failure::Script("it said nothing".into()));
    }

    #[test]
    fn only_a_script_that_has_ended_itself_has_taken_back_what_it_did() {
        for code in [1, 3, 7, 129, 130, 141, 143] {
            assert!(!of(code, "oops").may_go_on(), "{code}");
        }
        for code in [131, 134, 137, 139, 254] {
            let failure = of(code, "Killed");
            assert!(failure.may_go_on(), "{code}");
            assert!(failure.to_string().ends_with(&format!("{code}): Killed")));
        }
    }
}
