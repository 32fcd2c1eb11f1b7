//! Each field of the schemas with values that somebody might write: valid, extreme, of another type,
//! empty, strange, gone and back again. Each is accepted, or refused by name; and what is accepted
//! converges or is said in a condition, and leaves nothing behind when it is taken back.
//!
//! `make test` takes a share that is another at each run; `FIELDS=all` takes every value, and
//! `FIELDS=12,34` those of these numbers, as a failure prints them.

mod admission;
mod choice;
mod company;
mod controller;
mod fields;
mod values;

use std::ops::Deref;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use support::light::scene::Scene;
use support::light::world::World;
use support::{case, runner};

/// A mothership with time for every value of every field.
struct Patient(World);

impl runner::World for Patient {
    type Scene = Scene;
    const AT_ONCE: usize = 2;
    const LIMIT: Duration = Duration::from_secs(40 * 60);

    async fn scene(&self, case: &str) -> Result<impl Deref<Target = Scene>> {
        self.0.scene(case).await
    }

    async fn end(self, well: bool) -> Result<()> {
        self.0.end(well).await
    }
}

fn main() -> ExitCode {
    runner::main(
        async { World::start().await.map(Patient) },
        &[
            case!(controller::what_is_accepted_converges_or_is_said_and_leaves_nothing_behind),
            case!(admission::every_value_is_accepted_or_refused_by_name),
        ],
    )
}
