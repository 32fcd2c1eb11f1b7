//! The children of Clusters have the shape that other tools rely on: upstream's, but for the
//! differences that `docs/compatibility.md` tells of.
//!
//! `tests/fixtures/compat` holds five Clusters and what upstream v2.1 made of them on a real API
//! server, reduced to names, labels, owners, selectors, ports, keys, mounts, containers, volumes
//! and the k0s configuration. Pods never ran there, so no kubeconfig is among them; addresses of
//! Services are replaced, and the one field that this version does not honour is left out.

mod differences;
mod reduce;
mod shapes;

use std::process::ExitCode;

use support::light::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    runner::main(
        World::start(),
        &[case!(
            shapes::children_look_as_upstreams_but_for_what_is_documented
        )],
    )
}
