//! Runs the cases of a suite in their order on one world, which takes half a minute to make.

use std::future::Future;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::FutureExt as _;
use mothership::Image;

use super::world::World;

/// No case may hold up the rest for longer.
const LIMIT: Duration = Duration::from_secs(300);

/// What a running case is.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One proof.
#[derive(Clone, Copy)]
pub struct Case {
    /// Says what it proves.
    pub name: &'static str,
    /// Proves it.
    pub run: for<'a> fn(&'a World) -> Running<'a>,
}

/// A case from the path of an async function.
#[macro_export]
macro_rules! case {
    ($module:ident :: $name:ident) => {
        $crate::common::runner::Case {
            name: stringify!($name),
            run: |world| Box::pin($module::$name(world)),
        }
    };
}

/// What `cargo test -- …` was called with, as far as it matters here.
#[derive(Debug, Default)]
struct Arguments {
    list: bool,
    exact: bool,
    ignored: bool,
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
                "--test-threads" | "--format" | "--color" | "--logfile" | "-Z" => {
                    drop(args.next());
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
pub fn main(images: &[Image], cases: &[Case]) -> ExitCode {
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
    let failed = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run_all(images, &cases)));
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

async fn run_all(images: &[Image], cases: &[Case]) -> Result<Vec<&'static str>> {
    let started = Instant::now();
    let world = World::start(images).await?;
    print(&format!(
        "mothership with the product after {:.1} s",
        started.elapsed().as_secs_f64()
    ));
    let mut failed = Vec::new();
    for case in cases {
        print(&format!("\ntest {} ...", case.name));
        let started = Instant::now();
        let run = AssertUnwindSafe((case.run)(&world)).catch_unwind();
        let outcome = match tokio::time::timeout(LIMIT, run).await {
            Ok(Ok(outcome)) => outcome,
            // The panic has printed itself.
            Ok(Err(_)) => Err(anyhow!("panicked")),
            Err(_) => Err(anyhow!("not done after {} s", LIMIT.as_secs())),
        };
        let seconds = started.elapsed().as_secs_f64();
        match outcome {
            Ok(()) => print(&format!("test {} ... ok ({seconds:.1} s)", case.name)),
            Err(error) => {
                print(&format!(
                    "test {} ... FAILED ({seconds:.1} s)\n{error:#}",
                    case.name
                ));
                print(&world.look_around().await);
                failed.push(case.name);
            }
        }
    }
    world.end(failed.is_empty()).await?;
    print(&format!("all in {:.1} s", started.elapsed().as_secs_f64()));
    Ok(failed)
}
