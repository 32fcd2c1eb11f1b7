//! Worker machines as people meet them: something is installed in them, by hand, over ssh or by
//! cloud-init, and they join a hosted cluster.

mod cloud;
mod joined;
mod joins;
mod roots;
mod service;
mod ssh;

use std::process::ExitCode;

use support::full::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    runner::main(
        World::start(&[]),
        &[
            case!(
                roots::an_install_changes_nothing_of_the_hosts_disk_and_vanishes_with_the_machine
            ),
            case!(service::a_machine_joins_by_install_and_its_service_and_leaves_by_reset),
            case!(ssh::the_key_opens_the_machine_and_nothing_else_does),
            case!(cloud::user_data_makes_a_machine_join),
            case!(joins::two_machines_join_over_ssh_side_by_side),
            case!(joins::a_machine_that_nobody_waits_for_joins_all_the_same),
            case!(joins::a_script_and_user_data_each_make_a_machine_join),
            case!(joins::a_machine_without_k0s_downloads_it_from_a_mirror_and_joins),
            case!(joins::a_token_that_is_wrong_or_has_ended_changes_nothing),
        ],
    )
}
