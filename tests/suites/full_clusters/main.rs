//! Hosted clusters on a real mothership: what a user is promised, each proved in a case whose name
//! says what. One mothership serves all; every case that runs alone makes what it needs.

mod admission;
mod deletion;
mod highly_available;
mod labels;
mod live_config;
mod ready;
mod rights;
mod settled;
mod sharing;
mod tokens;
mod volumes;
mod worker;

use std::process::ExitCode;

use mothership::Image;
use mothership::components::K0sVersion;
use support::full::world::World;
use support::{case, runner};

/// NodePort clusters that several cases use, each in a namespace of its name.
const LEFT: &str = "left";
const RIGHT: &str = "right";

fn main() -> ExitCode {
    // The order keeps the number of control planes that run at once small; the load that needs the
    // machine for itself comes before there are any.
    runner::main(
        World::start(&[Image::K0s(K0sVersion::Previous)]),
        &[
            case!(admission::a_restart_and_a_renewal_under_load_fail_no_admission),
            case!(ready::one_replica_is_available_about_as_soon_as_a_bare_k0s_is_ready),
            case!(highly_available::three_replicas_answer_through_loss_restart_and_upgrade),
            case!(
                sharing::node_port_clusters_live_side_by_side_while_one_waits_for_a_load_balancer
            ),
            case!(tokens::a_token_waits_until_its_cluster_is_ready),
            case!(worker::a_worker_apart_joins_by_token_and_is_reached_by_konnectivity_only),
            case!(tokens::a_token_is_shown_once_it_can_be_used),
            case!(tokens::a_lost_token_secret_comes_back),
            case!(tokens::a_token_is_refused_after_its_expiry),
            case!(tokens::a_token_is_revoked_with_its_request),
            case!(tokens::a_restart_loses_no_token_and_writes_nothing_to_those_that_stay),
            case!(labels::labelling_a_cluster_restarts_nothing_and_empties_no_endpoints),
            case!(live_config::a_changed_configuration_reaches_the_running_control_plane),
            case!(deletion::a_cluster_made_anew_at_once_has_keys_of_its_own),
            case!(deletion::deleting_a_cluster_leaves_only_volumes_that_are_to_be_kept),
            case!(settled::a_restart_of_the_controller_writes_nothing_about_what_is_settled),
            case!(settled::an_outage_of_all_replicas_is_seen_and_so_is_its_end),
            case!(settled::a_refused_child_leaves_available_alone),
            case!(volumes::an_emptied_etcd_is_never_served),
            case!(volumes::what_was_left_is_served_on_purpose_only_and_a_lost_member_is_replaced),
            case!(rights::the_controller_is_restricted_and_asks_for_nothing_it_may_not),
        ],
    )
}
