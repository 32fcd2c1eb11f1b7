//! One line that follows a wait on a terminal; a line for each change elsewhere.

use std::cell::RefCell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::escape;
use crate::output::Output;

/// Shows what a wait is at.
pub struct Progress<'a> {
    out: &'a Output,
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl<'a> Progress<'a> {
    /// Starts to show a wait for `what`.
    pub fn start(out: &'a Output, what: &str) -> Self {
        let bar = out.is_watched().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) =
                ProgressStyle::with_template("{spinner} {prefix} [{elapsed}] {wide_msg}")
            {
                bar.set_style(style);
            }
            bar.set_prefix(escape::line(what).into_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            out.note(what);
        }
        Self {
            out,
            bar,
            last: RefCell::default(),
        }
    }

    /// Shows the state; one that is shown already is not repeated.
    pub fn update(&self, state: &str) {
        if *self.last.borrow() == state {
            return;
        }
        state.clone_into(&mut self.last.borrow_mut());
        match &self.bar {
            Some(bar) => bar.set_message(escape::line(state).into_owned()),
            None => self.out.note(&format!("  {state}")),
        }
    }

    /// The state that was shown last.
    pub fn last(&self) -> String {
        self.last.borrow().clone()
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
