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

use std::process::ExitCode;

use support::light::world::{Paced, World};
use support::{case, runner};

/// With time for every value of every field.
type Patient = Paced<2, { 40 * 60 }>;

fn main() -> ExitCode {
    runner::main(
        async {
            World::start()
                .await
                .map(|world| -> Patient { Paced(world) })
        },
        &[
            case!(controller::what_is_accepted_converges_or_is_said_and_leaves_nothing_behind),
            case!(admission::every_value_is_accepted_or_refused_by_name),
        ],
    )
}
