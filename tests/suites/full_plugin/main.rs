//! What a person types and sees, on a real mothership with the product installed: transcripts, in
//! which `kubectl` is the real one and finds the plugin as it finds any.
//!
//! `TRYCMD=overwrite` writes into them what was seen: look the difference through before you keep it.

mod bundles;
mod transcripts;

use std::process::ExitCode;

use mothership::Image;
use mothership::components::K0sVersion;
use support::full::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    runner::main(
        World::start(&[Image::K0s(K0sVersion::Previous)]),
        &[
            case!(transcripts::a_cluster_from_its_creation_to_its_deletion),
            case!(transcripts::a_cluster_is_made_from_a_file_and_edited),
            case!(transcripts::an_upgrade_is_planned_done_and_followed),
            case!(transcripts::somebody_is_let_in_with_few_rights),
            case!(transcripts::a_control_plane_is_measured_and_gathered_for_those_who_help),
            case!(transcripts::a_machine_is_let_in_drained_and_taken_out),
            case!(bundles::a_support_bundle_has_the_logs_and_none_of_the_secrets),
            case!(transcripts::the_product_is_removed_and_installed_again),
        ],
    )
}
