//! Many machines side by side: what each is at, and what became of it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use tokio::time::Instant;

use super::failure::Failure;
use super::host::Host;
use crate::escape;
use crate::output::table::{Cell, Table};
use crate::output::{Output, Style};

/// How far a machine has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reached {
    Ready,
    /// k0s is started; nobody has waited for a Node.
    Started,
}

/// What became of a machine.
#[derive(Debug)]
pub struct JoinOutcome {
    pub host: String,
    /// Its Node, once it has told its name.
    pub node: Option<String>,
    pub took: Duration,
    /// How far it has come, or why not.
    pub result: Result<Reached, Failure>,
}

impl JoinOutcome {
    /// Whether the machine may be at it still, and needs its token for that.
    pub fn may_still_join(&self) -> bool {
        match &self.result {
            Ok(Reached::Started) => true,
            Ok(Reached::Ready) => false,
            Err(failure) => failure.may_go_on(),
        }
    }
}

/// Joins every machine, so many at once; one that fails stops no other. `join` is given the
/// machine and its line on the board, and returns the name of its Node and how far it came.
pub async fn all(
    hosts: &[Host],
    parallel: usize,
    timeout: Option<Duration>,
    board: &Board<'_>,
    join: impl AsyncFn(&Host, Line<'_>) -> (Option<String>, Result<Reached, Failure>),
) -> Vec<JoinOutcome> {
    let join = &join;
    let runs = stream::iter(hosts.iter().enumerate()).map(|(index, host)| async move {
        let line = Line { board, index };
        let started = Instant::now();
        line.step("connecting");
        let run = join(host, line);
        let (node, result) = match timeout {
            Some(timeout) => tokio::time::timeout(timeout, run)
                .await
                .unwrap_or_else(|_| {
                    let last = board.state(index);
                    (
                        None,
                        Err(Failure::TimedOut {
                            waited: timeout,
                            last,
                        }),
                    )
                }),
            None => run.await,
        };
        line.end(&result);
        let outcome = JoinOutcome {
            host: host.to_string(),
            node,
            took: started.elapsed(),
            result,
        };
        line.needs_token(outcome.may_still_join());
        outcome
    });
    let mut ended: Vec<JoinOutcome> = runs.buffer_unordered(parallel.max(1)).collect().await;
    let place = |outcome: &JoinOutcome| {
        hosts
            .iter()
            .position(|host| host.to_string() == outcome.host)
    };
    ended.sort_by_key(place);
    ended
}

/// Shows each machine's step: a line of its own on a terminal, `host: step` elsewhere.
pub struct Board<'a> {
    out: &'a Output,
    names: Vec<String>,
    states: RefCell<Vec<String>>,
    bars: Vec<ProgressBar>,
    needing: &'a RefCell<BTreeSet<usize>>,
    changed: Box<dyn Fn(&str) + 'a>,
}

impl<'a> Board<'a> {
    /// A board on which nothing has begun. `changed` is told every time in a sentence what each
    /// machine is at; `needing` has those that may go on by themselves, and need the token for that.
    pub fn new(
        out: &'a Output,
        hosts: &[Host],
        needing: &'a RefCell<BTreeSet<usize>>,
        changed: impl Fn(&str) + 'a,
    ) -> Self {
        let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let widest = names.iter().map(String::len).max().unwrap_or_default();
        let bars = if out.is_watched() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
            names
                .iter()
                .map(|name| {
                    let bar = all.add(ProgressBar::new_spinner());
                    if let Ok(style) =
                        ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}")
                    {
                        bar.set_style(style);
                    }
                    bar.set_prefix(format!("{name:widest$}"));
                    bar.enable_steady_tick(Duration::from_millis(120));
                    bar
                })
                .collect()
        } else {
            Vec::new()
        };
        Self {
            out,
            states: RefCell::new(vec!["not begun".to_owned(); names.len()]),
            names,
            bars,
            needing,
            changed: Box::new(changed),
        }
    }

    fn state(&self, index: usize) -> String {
        self.states.borrow().get(index).cloned().unwrap_or_default()
    }

    fn show(&self, index: usize, state: &str) {
        if let Some(last) = self.states.borrow_mut().get_mut(index) {
            if last == state {
                return;
            }
            state.clone_into(last);
        }
        let all: Vec<String> = self
            .names
            .iter()
            .zip(self.states.borrow().iter())
            .map(|(name, state)| format!("{name}: {state}"))
            .collect();
        (self.changed)(&all.join("; "));
        if let Some(bar) = self.bars.get(index) {
            bar.set_message(escape::line(state).into_owned());
        } else if let Some(name) = self.names.get(index) {
            self.out.note(&format!("{name}: {state}"));
        }
    }
}

/// One machine's line.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    board: &'a Board<'a>,
    index: usize,
}

impl Line<'_> {
    /// Shows a step; one that is shown already is not repeated.
    pub fn step(&self, step: &str) {
        self.board.show(self.index, step);
    }

    /// Whether the machine may go on by itself, and needs the token for that.
    pub fn needs_token(&self, needs: bool) {
        let mut needing = self.board.needing.borrow_mut();
        if needs {
            needing.insert(self.index);
        } else {
            needing.remove(&self.index);
        }
    }

    fn end(&self, result: &Result<Reached, Failure>) {
        match result {
            Ok(Reached::Ready) => self.step("Ready"),
            Ok(Reached::Started) => self.step("started"),
            Err(failure) => self.step(&format!("failed: {failure}")),
        }
        if let Some(bar) = self.board.bars.get(self.index) {
            bar.finish();
        }
    }
}

/// The summary for a person.
pub fn table(outcomes: &[JoinOutcome]) -> Table {
    let mut table = Table::new(["MACHINE", "NODE", "STATE", "TOOK", "REASON"]);
    for outcome in outcomes {
        let (state, style, reason) = match &outcome.result {
            Ok(Reached::Ready) => ("ready", Style::Good, String::new()),
            Ok(Reached::Started) => ("started", Style::Waiting, String::new()),
            Err(failure) => ("failed", Style::Bad, failure.to_string()),
        };
        table.push(vec![
            outcome.host.as_str().into(),
            outcome.node.as_deref().unwrap_or("<none>").into(),
            Cell::styled(state, style),
            crate::duration::age(outcome.took).into(),
            reason.into(),
        ]);
    }
    table
}

/// The summary for a program.
pub fn report(outcomes: &[JoinOutcome]) -> serde_json::Value {
    let machines = outcomes.iter().map(|outcome| {
        let (state, reason) = match &outcome.result {
            Ok(Reached::Ready) => ("ready", None),
            Ok(Reached::Started) => ("started", None),
            Err(failure) => ("failed", Some(failure.to_string())),
        };
        serde_json::json!({
            "machine": outcome.host,
            "node": outcome.node,
            "state": state,
            "reason": reason,
            "seconds": (outcome.took.as_secs_f64() * 1000.0).round() / 1000.0,
        })
    });
    serde_json::json!({"machines": machines.collect::<Vec<_>>()})
}
