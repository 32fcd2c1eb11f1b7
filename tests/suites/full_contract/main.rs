//! What the product relies on in k0s, asked of whichever k0s is packed: the stand-in or, with
//! `K0S_BIN`, a real one. Where the two differ the real one is right. A control plane written by
//! hand serves all cases, which are in the order of its life.

mod bodies;
mod commands;
mod files;
mod life;
mod objects;
mod plane;
mod serving;
mod tokens;
mod worker;

use std::process::ExitCode;

use support::full::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    runner::main(
        World::without_product(&[]),
        &[
            case!(life::it_comes_up_by_itself_when_its_etcd_comes_late),
            case!(life::it_keeps_to_its_prefix_in_an_external_etcd),
            case!(life::live_controllers_and_leaders_hold_leases),
            case!(commands::version_is_one_line_on_standard_output),
            case!(commands::status_is_told_by_a_running_instance_only),
            case!(commands::kubeconfigs_are_for_the_external_address),
            case!(commands::a_configuration_with_a_mistake_is_refused_by_name),
            case!(files::given_authorities_are_kept_and_leaves_are_named_as_ever),
            case!(serving::the_api_answers_for_every_name_and_address_it_has),
            case!(serving::only_health_is_open_to_strangers_and_only_with_an_authentication_file),
            case!(objects::the_kubernetes_endpoints_are_the_external_address),
            case!(objects::a_live_worker_profile_becomes_a_config_map),
            case!(objects::manifests_are_applied_and_pruned_with_their_files),
            case!(tokens::a_join_token_is_a_packed_kubeconfig_and_a_bootstrap_secret),
            case!(tokens::an_invalidated_token_is_unauthorized),
            case!(worker::a_worker_joins_by_token_and_is_reached_by_logs_and_exec),
            case!(life::it_ends_well_when_told_to),
        ],
    )
}
