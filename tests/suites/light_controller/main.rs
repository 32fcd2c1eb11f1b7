//! The controller against a real API server without nodes: what it makes, mends and refuses, what
//! that costs, and what it leaves alone. Each case has a namespace, a controller and a user of its
//! own, with exactly the rights of the shipped roles.

mod addresses;
mod deleted;
mod deletion;
mod edited;
mod failures;
mod gates;
mod keys;
mod leader;
mod named;
mod network_policies;
mod pods;
mod ports;
mod refusals;
mod replaced;
mod replicas;
mod requests;
mod revoking;
mod rewrites;
mod token_refusals;
mod tokens;
mod unreadable;
mod upstream;
mod volumes;

use std::process::ExitCode;

use support::light::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    // Without admission: whatever the controller has to do with can be stored here, as it can while
    // the webhook is away. The longest first, so that the others fill the time beside them.
    runner::main(
        World::without_admission(),
        &[
            case!(leader::of_two_candidates_one_writes_and_the_other_takes_over),
            case!(pods::a_namespace_that_refuses_pods_is_named_until_it_lets_them),
            case!(pods::what_a_kubelet_says_of_pods_is_said_until_they_are_ready),
            case!(revoking::a_deleted_request_waits_until_its_cluster_can_be_asked),
            case!(tokens::a_token_is_shown_once_it_works_and_one_that_cannot_be_revoked_is_named),
            case!(edited::every_kind_of_child_edited_by_hand_is_mended),
            case!(deleted::every_child_deleted_by_hand_is_back_with_the_same_key_and_ports),
            case!(deleted::a_deleted_key_that_another_finalizer_holds_is_back_once_it_lets_go),
            case!(keys::a_key_that_is_truly_lost_is_said_and_not_made_anew),
            case!(keys::the_data_of_a_kept_key_cannot_be_edited),
            case!(volumes::what_a_cluster_of_the_same_name_has_left_is_said_and_not_served),
            case!(volumes::once_a_cluster_has_served_no_member_begins_with_nothing),
            case!(volumes::a_member_that_is_not_added_by_hand_stays_away_whatever_is_edited),
            case!(volumes::an_etcd_of_an_earlier_release_is_not_rolled),
            case!(ports::of_two_clusters_with_the_same_node_ports_the_second_says_so),
            case!(ports::allocated_node_ports_are_recorded_first_and_stay),
            case!(ports::a_load_balancer_is_waited_for_and_holds_up_nobody),
            case!(requests::creating_a_cluster_takes_at_most_20_requests),
            case!(requests::a_touched_cluster_costs_nothing_and_a_label_only_metadata),
            case!(requests::a_restart_costs_nothing_beyond_lists_and_watches),
            case!(requests::of_a_cluster_only_status_and_finalizer_are_ever_written),
            case!(refusals::a_field_not_honoured_yet_is_named_and_nothing_is_done),
            case!(refusals::somebody_elses_object_is_named_and_not_touched),
            case!(tokens::a_request_waits_for_its_cluster_and_says_so),
            case!(token_refusals::a_request_for_another_namespaces_cluster_gets_nothing),
            case!(token_refusals::somebody_elses_secret_is_named_before_there_is_a_token),
            case!(token_refusals::whatever_keeps_a_token_from_being_made_is_said),
            case!(
                token_refusals::a_token_that_is_there_is_no_news_while_its_cluster_cannot_be_asked
            ),
            case!(revoking::a_token_that_stays_behind_is_named_after_five_minutes),
            case!(replicas::etcd_keeps_its_members_while_the_control_plane_is_scaled),
            case!(deletion::a_deleted_cluster_leaves_nothing_but_the_volumes_to_keep),
            case!(deletion::a_namespace_with_clusters_can_be_deleted),
            case!(deletion::a_deletion_that_is_forbidden_says_so_and_ends_once_it_is_allowed),
            case!(deletion::keys_of_a_cluster_that_was_removed_by_force_are_let_go),
            case!(named::a_take_over_keeps_every_key_that_upstream_has_named),
            case!(named::naming_ones_own_certificates_deletes_none),
            case!(deletion::keys_that_were_kept_without_their_cluster_can_be_deleted_later),
            case!(named::a_leaf_of_its_users_under_our_name_is_only_read),
            case!(named::somebody_elses_key_makes_room_when_it_goes),
            case!(failures::the_old_way_in_stays_while_the_new_one_cannot_be_made),
            case!(named::a_named_authority_without_its_key_is_said_until_it_has_one),
            case!(rewrites::a_key_that_somebody_adds_to_a_made_secret_costs_nothing),
            case!(rewrites::a_condition_that_somebody_adds_costs_nothing),
            case!(rewrites::a_fight_over_a_child_is_slowed_down_and_named),
            case!(rewrites::a_fight_over_what_is_obsolete_is_slowed_down_and_named),
            case!(failures::what_answers_500_is_said_and_tried_again_without_a_storm),
            case!(failures::a_leftover_that_may_not_be_deleted_is_said_and_freezes_nothing),
            case!(failures::a_cluster_takes_one_address_of_the_service_range),
            case!(named::a_key_that_was_kept_and_is_named_can_be_deleted),
            case!(failures::what_running_pods_mount_stays_while_their_set_cannot_be_written),
            case!(unreadable::a_cluster_that_does_not_parse_is_named_and_ends),
            case!(deletion::errors_that_are_never_worded_alike_make_no_storm),
            case!(rewrites::a_field_that_is_not_stored_is_no_fight),
            case!(named::watches_of_named_secrets_end_with_their_clusters),
            case!(refusals::a_foreign_object_without_any_label_is_left_alone),
            case!(network_policies::network_policies_are_there_for_who_asks),
            case!(network_policies::somebody_elses_network_policy_is_named_and_stays),
            case!(replaced::a_ca_that_its_user_replaces_signs_nothing),
            case!(replaced::an_etcd_ca_that_its_user_replaces_signs_nothing),
            case!(pods::pods_that_become_ready_in_time_are_never_listed),
            case!(gates::pods_follow_when_their_configuration_is_written),
            case!(gates::pods_keep_their_configuration_until_they_are_replaced),
            case!(gates::pods_follow_when_the_service_has_their_ports),
            case!(gates::keys_are_kept_while_a_spec_is_refused),
            case!(addresses::the_order_of_a_balancers_addresses_changes_nothing),
            case!(addresses::a_cluster_that_waits_for_a_node_finds_the_first),
            case!(addresses::an_external_address_that_changes_reaches_all_that_names_it),
            case!(deletion::a_key_without_its_labels_is_let_go),
            case!(upstream::zeros_that_are_stored_are_taken_as_left_out),
        ],
    )
}
