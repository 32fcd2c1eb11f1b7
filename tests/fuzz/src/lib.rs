//! Fuzz targets: what somebody else sends, wrong in every way that chance finds, with a promise that
//! holds whatever it is.
//!
//! A target is a test in a module `fuzz` beside what it drives. `make test` gives each [`BUDGET`],
//! and `make fuzz` all of them as long as it is let. What fails is printed, made as small as it
//! fails, with the number by which it comes again: `BOLERO_RANDOM_SEED`.
//!
//! Bytes alone find the first `if` of a parser and nothing behind it, so inputs are valid ones with
//! a few changes: of their text, or of the tree that they stand for.

#![warn(missing_docs)]
#![expect(
    clippy::panic,
    reason = "a target without its seeds is a test that cannot fail"
)]

mod text;
mod tree;

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[doc(hidden)]
pub use bolero;
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
pub use text::{Bytes, bytes, text};
pub use tree::{Tree, tree};

/// How long each target goes on, unless `BOLERO_RANDOM_TEST_TIME_MS` says otherwise.
pub const BUDGET: Duration = Duration::from_millis(700);

/// What one input may take of a processor, whatever it is and however little of it is optimised.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs a target: inputs, and what holds for each.
#[macro_export]
macro_rules! check {
    ($inputs:expr, |$input:ident: $type:ty| $body:expr) => {
        // Nothing that it looks at is looked at again after a panic.
        let run = ::std::panic::AssertUnwindSafe(|$input: $type| {
            $body;
        });
        $crate::bolero::check!()
            .with_test_time($crate::BUDGET)
            .with_generator($inputs)
            .for_each(|input| {
                let run = &run;
                $crate::within_limits(input, || (run.0)(input));
            });
    };
}

/// Runs it on one input, and fails when that takes too long.
///
/// What ends the process, such as a stack that is full, ends all that could be said about it. So
/// the input is written down before, where `FUZZ_LAST` names a folder for that.
#[doc(hidden)]
pub fn within_limits(input: &impl Debug, run: impl FnOnce()) {
    if let Some(folder) = std::env::var_os("FUZZ_LAST") {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("main").replace("::", ".");
        // The target goes on without.
        let _ = std::fs::write(Path::new(&folder).join(name), format!("{input:?}"));
    }
    let before = processor_time();
    run();
    let took = processor_time().saturating_sub(before);
    assert!(took < LIMIT, "took {took:?} of a processor");
}

/// Of this thread, so that a busy machine makes nothing slow.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

/// A file of the repository, by its path from the root.
///
/// # Panics
/// When it is not there.
pub fn file(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The YAML or JSON objects in the files of a folder, in the order of their names.
///
/// # Panics
/// When there are none, or one cannot be read.
pub fn objects(folder: &str) -> Vec<Value> {
    let at = root().join(folder);
    let entries = std::fs::read_dir(&at).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|end| end == "yaml" || end == "json")
    });
    paths.sort();
    let all: Vec<Value> = paths
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            serde_saphyr::from_multiple::<Value>(&text)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    assert!(!all.is_empty(), "no object in {folder}");
    all
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
