//! Runs the cases of a suite on one mothership, some at a time, each in a scene of its own.

use std::future::Future;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::{FutureExt as _, StreamExt as _};

use super::scene::Scene;
use super::world::World;

/// No case may hold up the rest for longer.
const LIMIT: Duration = Duration::from_secs(100);
/// Cases at a time unless `--test-threads` says otherwise: most of their time they wait.
const AT_ONCE: usize = 4;

/// What a running case is.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One proof.
#[derive(Clone, Copy)]
pub struct Case {
    /// Says what it proves.
    pub name: &'static str,
    /// Proves it.
    pub run: for<'a> fn(&'a Scene) -> Running<'a>,
}

/// A case from the path of an async function.
#[macro_export]
macro_rules! case {
    ($module:ident :: $name:ident) => {
        $crate::controlled::runner::Case {
            name: stringify!($name),
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

/// The main function of a suite.
pub fn main(cases: &[Case]) -> ExitCode {
    let arguments = Arguments::parse(std::env::args().skip(1));
    let cases: Vec<Case> = cases
        .iter()
        .filter(|case| arguments.wants(case.name))
        .copied()
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
    let at_once = arguments.threads.unwrap_or(AT_ONCE).max(1);
    let failed = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run_all(&cases, at_once)));
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

async fn run_all(cases: &[Case], at_once: usize) -> Result<Vec<&'static str>> {
    let started = Instant::now();
    let world = World::start().await?;
    print(&format!(
        "mothership with the product after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    let failed: Vec<&'static str> = futures::stream::iter(cases)
        .map(|case| run_one(&world, case))
        .buffer_unordered(at_once)
        .filter_map(std::future::ready)
        .collect()
        .await;
    world.end(failed.is_empty()).await?;
    print(&format!("all in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(failed)
}

/// The case's name if it failed.
async fn run_one(world: &World, case: &Case) -> Option<&'static str> {
    let started = Instant::now();
    let scene = match world.scene(case.name).await {
        Ok(scene) => scene,
        Err(error) => {
            print(&format!("test {} ... no scene: {error:#}", case.name));
            return Some(case.name);
        }
    };
    let run = AssertUnwindSafe((case.run)(&scene)).catch_unwind();
    let outcome = match tokio::time::timeout(LIMIT, run).await {
        Ok(Ok(Ok(()))) => scene.left_clusters_alone(),
        Ok(Ok(Err(error))) => Err(error),
        // The panic has printed itself.
        Ok(Err(_)) => Err(anyhow!("panicked")),
        Err(_) => Err(anyhow!("not done after {} s", LIMIT.as_secs())),
    };
    let seconds = started.elapsed().as_secs_f64();
    let told = scene.told();
    match outcome {
        Ok(()) => {
            print(&format!("test {} ... ok ({seconds:.1} s){told}", case.name));
            None
        }
        Err(error) => {
            print(&format!(
                "test {} ... FAILED ({seconds:.1} s){told}\n{error:#}\n{}",
                case.name,
                scene.look_around().await
            ));
            Some(case.name)
        }
    }
}
