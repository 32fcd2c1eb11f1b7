//! Runs the cases of a suite on one world, which takes a while to make.

#![expect(
    async_fn_in_trait,
    reason = "the runner has one thread, and nobody else runs cases"
)]

use std::future::Future;
use std::io::Write as _;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::{FutureExt as _, StreamExt as _};

/// What a suite runs on.
pub trait World: Sized {
    /// What a case is given of it.
    type Scene: Scene;
    /// Cases at a time; `--test-threads` can only lower it.
    const AT_ONCE: usize;
    /// No case may hold up the rest for longer.
    const LIMIT: Duration;

    /// What the case of this name works in: one of its own, or one for all.
    async fn scene(&self, case: &str) -> Result<impl Deref<Target = Self::Scene>>;

    /// Ends it; with `well` nothing is left to be looked at.
    async fn end(self, well: bool) -> Result<()>;
}

/// What a case works in.
pub trait Scene {
    /// What has to hold after every case.
    fn check(&self) -> Result<()> {
        Ok(())
    }

    /// Lines that are printed together with the outcome.
    fn told(&self) -> String {
        String::new()
    }

    /// What somebody would look at after a failure.
    async fn look_around(&self) -> String;
}

/// What a running case is.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One proof.
#[derive(Debug)]
pub struct Case<S> {
    /// Says what it proves.
    pub name: &'static str,
    /// Proves it.
    pub run: for<'a> fn(&'a S) -> Running<'a>,
}

/// A case from the path of an async function.
#[macro_export]
macro_rules! case {
    ($module:ident :: $name:ident) => {
        $crate::runner::Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: |scene| Box::pin($module::$name(scene)),
        }
    };
}

/// What `cargo test -- …` was called with, as far as it matters here.
#[derive(Debug, Default)]
struct Arguments {
    list: bool,
    exact: bool,
    ignored: bool,
    threads: Option<usize>,
    names: Vec<String>,
    skip: Vec<String>,
}

impl Arguments {
    fn parse(mut args: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => parsed.list = true,
                "--exact" => parsed.exact = true,
                "--ignored" => parsed.ignored = true,
                "--skip" => parsed.skip.extend(args.next()),
                "--test-threads" => parsed.threads = args.next().and_then(|text| text.parse().ok()),
                "--format" | "--color" | "--logfile" | "-Z" => drop(args.next()),
                flag if flag.starts_with("--test-threads=") => {
                    parsed.threads = flag.split('=').nth(1).and_then(|text| text.parse().ok());
                }
                flag if flag.starts_with('-') => {}
                _ => parsed.names.push(arg),
            }
        }
        parsed
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |pattern: &String| {
            if self.exact {
                pattern == name
            } else {
                name.contains(pattern.as_str())
            }
        };
        !self.ignored
            && (self.names.is_empty() || self.names.iter().any(matches))
            && !self.skip.iter().any(matches)
    }
}

fn print(text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// The main function of a suite. The world is made only when there is a case to run.
pub fn main<W: World>(
    world: impl Future<Output = Result<W>>,
    cases: &[Case<W::Scene>],
) -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let cases: Vec<_> = cases
        .iter()
        .filter(|case| arguments.wants(case.name))
        .collect();
    if arguments.list {
        for case in cases {
            print(&format!("{}: test", case.name));
        }
        return ExitCode::SUCCESS;
    }
    print(&format!("\nrunning {} tests", cases.len()));
    if cases.is_empty() {
        return ExitCode::SUCCESS;
    }
    let most = arguments.threads.unwrap_or(W::AT_ONCE);
    let at_once = most.clamp(1, W::AT_ONCE);
    let failed = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run_all(world, &cases, at_once)));
    match failed {
        Ok(failed) if failed.is_empty() => {
            print(&format!("\ntest result: ok. {} passed", cases.len()));
            ExitCode::SUCCESS
        }
        Ok(failed) => {
            print(&format!("\nfailures:\n    {}", failed.join("\n    ")));
            print(&format!(
                "\ntest result: FAILED. {} passed; {} failed",
                cases.len() - failed.len(),
                failed.len()
            ));
            ExitCode::from(101)
        }
        Err(error) => {
            print(&format!("\nno test could run: {error:#}"));
            ExitCode::from(101)
        }
    }
}

async fn run_all<W: World>(
    world: impl Future<Output = Result<W>>,
    cases: &[&Case<W::Scene>],
    at_once: usize,
) -> Result<Vec<&'static str>> {
    let started = Instant::now();
    let world = world.await?;
    print(&format!(
        "mothership with the product after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    let mut failed = Vec::new();
    let mut outcomes = futures::stream::iter(cases)
        .map(async |case| {
            // Lines that alone-running cases print meanwhile belong below their name.
            if at_once == 1 {
                print(&format!("\ntest {} ...", case.name));
            }
            (case.name, run_one(&world, case).await)
        })
        .buffer_unordered(at_once);
    while let Some((name, passed)) = outcomes.next().await {
        if !passed {
            failed.push(name);
        }
    }
    drop(outcomes);
    world.end(failed.is_empty()).await?;
    print(&format!("all in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(failed)
}

/// Whether the case passed.
async fn run_one<W: World>(world: &W, case: &Case<W::Scene>) -> bool {
    let started = Instant::now();
    let name = case.name;
    let scene = match world.scene(name).await {
        Ok(scene) => scene,
        Err(error) => {
            print(&format!("test {name} ... FAILED\nno scene: {error:#}"));
            return false;
        }
    };
    let run = AssertUnwindSafe((case.run)(&scene)).catch_unwind();
    let outcome = match tokio::time::timeout(W::LIMIT, run).await {
        Ok(Ok(outcome)) => outcome.and_then(|()| scene.check()),
        // The panic has printed itself.
        Ok(Err(_)) => Err(anyhow!("panicked")),
        Err(_) => Err(anyhow!("not done after {} s", W::LIMIT.as_secs())),
    };
    let seconds = started.elapsed().as_secs_f64();
    let told = scene.told();
    match outcome {
        Ok(()) => {
            print(&format!("test {name} ... ok ({seconds:.1} s){told}"));
            true
        }
        Err(error) => {
            let around = scene.look_around().await;
            print(&format!(
                "test {name} ... FAILED ({seconds:.1} s){told}\n{error:#}\n{around}"
            ));
            false
        }
    }
}
