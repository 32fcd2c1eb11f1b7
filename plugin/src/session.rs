//! One run of a command: its flags, its streams, and what an interrupt leaves behind.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::signal::unix::SignalKind;
use tokio::signal::{self};

use crate::error::Error;
use crate::escape::quoted;
use crate::flags::GlobalArgs;
use crate::mothership::client::Connection;
use crate::output::Output;

/// How long what was done may be taken back, for a signal that nobody sends twice.
const UNDOING: Duration = Duration::from_secs(15);

/// What is said when somebody presses Ctrl-C now.
#[derive(Debug, Clone)]
struct Leftover {
    left: String,
    hints: Vec<String>,
}

/// What becomes of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signals {
    End,
    /// Ctrl-C is for a command that was started.
    Child,
    /// The first one is for the command, which takes back what it has done.
    First,
    /// The command takes back what it has done; only who asks for it at the keyboard ends that.
    Undo,
}

/// The flags and streams of one command.
#[derive(Debug)]
pub struct Session {
    pub global: GlobalArgs,
    pub out: Output,
    leftover: RefCell<Leftover>,
    signals: Cell<Signals>,
}

impl Session {
    /// A session that has done nothing yet.
    pub fn new(global: GlobalArgs, out: Output) -> Self {
        let leftover = Leftover {
            left: "nothing was changed".to_owned(),
            hints: Vec::new(),
        };
        Self {
            global,
            out,
            leftover: RefCell::new(leftover),
            signals: Cell::new(Signals::End),
        }
    }

    /// Connects to the mothership that the flags name.
    ///
    /// # Errors
    /// [`Error::Kubeconfig`].
    pub async fn connect(&self) -> Result<Connection<'_>, Error> {
        Connection::open(&self.global, &self.out).await
    }

    /// From here on an interrupt leaves this in place, and these hints tell how to go on.
    pub fn leaves(&self, left: impl Into<String>, hints: Vec<String>) {
        *self.leftover.borrow_mut() = Leftover {
            left: left.into(),
            hints,
        };
    }

    /// From here on Ctrl-C is for a command that was started, which gets it from the terminal;
    /// SIGTERM and SIGHUP still end both.
    pub fn defer_interrupts(&self) {
        self.signals.set(Signals::Child);
    }

    /// While this goes on an interrupt tells this hint besides.
    pub async fn hinting<T>(&self, hint: String, work: impl Future<Output = T>) -> T {
        self.adds(hint);
        let done = work.await;
        self.leftover.borrow_mut().hints.pop();
        done
    }

    /// An interrupt tells this hint besides those that [`Session::leaves`] was last given.
    pub fn adds(&self, hint: String) {
        self.leftover.borrow_mut().hints.push(hint);
    }

    /// Does some work. A signal ends it and has it taken back before the error is returned. A second
    /// one from the keyboard ends that as well, and so do 15 s; a shell that is closed sends its
    /// SIGHUP twice.
    pub async fn undoing<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
        undo: impl Future<Output = ()>,
    ) -> Result<T, Error> {
        let before = self.signals.replace(Signals::First);
        // Of its own, since the other is for a second signal.
        let end = Cell::new(Signals::End);
        let done = tokio::select! {
            biased;
            () = signal(&end) => None,
            result = work => Some(result),
        };
        if let Some(result) = done {
            self.signals.set(before);
            return result;
        }
        self.signals.set(Signals::Undo);
        // What is left then is what the error tells.
        let _ = tokio::time::timeout(UNDOING, undo).await;
        self.signals.set(before);
        Err(self.interruption())
    }

    /// A command that the user may type next, with the flags that lead to the same mothership.
    pub fn kubectl(&self, rest: &str, namespace: &str) -> String {
        let mut command = format!("kubectl {rest} -n {}", quoted(namespace));
        let global = &self.global;
        let path = global
            .kubeconfig
            .as_ref()
            .map(|path| path.to_string_lossy());
        let flags = [
            ("--context", global.context.as_deref()),
            ("--kubeconfig", path.as_deref()),
            ("--cluster", global.cluster.as_deref()),
            ("--user", global.user.as_deref()),
            // `kubeconfig` has a --server of its own.
            ("-s", global.server.as_deref()),
            (
                "--certificate-authority",
                global.certificate_authority.as_deref(),
            ),
            ("--tls-server-name", global.tls_server_name.as_deref()),
            ("--as", global.impersonate.as_deref()),
            ("--as-uid", global.impersonate_uid.as_deref()),
        ];
        let groups = global.impersonate_groups.iter();
        let groups = groups.map(|group| ("--as-group", Some(group.as_str())));
        if global.insecure_skip_tls_verify {
            command.push_str(" --insecure-skip-tls-verify");
        }
        // A token is nothing to show; who types the command has it.
        for (flag, value) in flags.into_iter().chain(groups) {
            if let Some(value) = value {
                command.extend([" ", flag, " ", &quoted(value)]);
            }
        }
        command
    }

    /// The hints that [`Session::leaves`] was last given.
    pub fn how_to_go_on(&self) -> Vec<String> {
        self.leftover.borrow().hints.clone()
    }

    /// Does this to its end or to the first signal that ends the command.
    pub async fn until_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        tokio::select! {
            biased;
            () = signal(&self.signals) => Err(self.interruption()),
            result = work => result,
        }
    }

    fn interruption(&self) -> Error {
        let Leftover { left, hints } = self.leftover.borrow().clone();
        Error::Interrupted { left, hints }
    }
}

/// Ends with the first signal that ends the command; never, when signals cannot be watched.
async fn signal(signals: &Cell<Signals>) {
    let from_keys = [SignalKind::interrupt(), SignalKind::quit()];
    // A terminal that is closed asks nobody.
    let from_outside = [SignalKind::terminate(), SignalKind::hangup()];
    let (Some(mut keys), Some(mut outside)) = (any(from_keys), any(from_outside)) else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            Some(()) = keys.next() => if matches!(signals.get(), Signals::End | Signals::Undo) {
                return;
            },
            Some(()) = outside.next() => if matches!(signals.get(), Signals::End | Signals::Child) {
                return;
            },
            else => std::future::pending().await,
        }
    }
}

/// Every time that one of these signals comes; `None` when they cannot be watched.
fn any(kinds: [SignalKind; 2]) -> Option<impl Stream<Item = ()> + Unpin> {
    let watched = kinds.into_iter().filter(|kind| !is_ignored(*kind));
    let watched = watched.map(|kind| {
        let mut signal = signal::unix::signal(kind).ok()?;
        Some(stream::poll_fn(move |context| signal.poll_recv(context)))
    });
    watched.collect::<Option<Vec<_>>>().map(stream::select_all)
}

/// Whether whoever started this has said that the signal is to change nothing, as nohup does.
fn is_ignored(kind: SignalKind) -> bool {
    // Only Linux tells.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_leads_to_the_same_mothership() {
        let global = GlobalArgs {
            context: Some("it's prod".into()),
            kubeconfig: Some("/home/me/config".into()),
            impersonate: Some("jane".into()),
            impersonate_groups: vec!["dev".into(), "ops".into()],
            ..GlobalArgs::default()
        };
        let (out, _captured) = Output::captured();
        let session = Session::new(global, out);
        assert_eq!(
            session.kubectl("k0smotron status demo", "team-a"),
            r"kubectl k0smotron status demo -n team-a --context 'it'\''s prod' --kubeconfig /home/me/config --as jane --as-group dev --as-group ops"
        );
        let (out, _captured) = Output::captured();
        let session = Session::new(GlobalArgs::default(), out);
        assert_eq!(
            session.kubectl("get pods", "a; reboot"),
            "kubectl get pods -n 'a; reboot'"
        );
    }
}
