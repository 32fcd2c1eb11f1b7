//! Admission and conversion on a real API server: the shipped configurations, pointed at a webhook
//! that runs as a process, with what `kubectl` prints.

mod certificates;
mod deletion;
mod objects;
mod outage;
mod policies;
mod rules;
mod taken;
mod unready;
mod upgrades;
mod upstream;
mod versions;
mod writes;

use std::process::ExitCode;

use support::light::world::World;
use support::{case, runner};

fn main() -> ExitCode {
    runner::main(
        World::start(),
        &[
            // First, since it takes longest: a mothership of its own.
            case!(outage::without_its_webhook_a_mothership_goes_on),
            case!(
                unready::a_webhook_that_has_to_convert_for_itself_is_ready_and_decides_nothing_yet
            ),
            case!(certificates::authorities_and_leaves_change_without_one_failed_admission),
            case!(rules::every_rule_lets_one_through_and_refuses_one),
            case!(rules::every_rule_on_changes_lets_one_through_and_refuses_one),
            case!(rules::all_that_is_wrong_is_said_at_once),
            case!(upgrades::versions_go_up_one_minor_at_a_time),
            case!(taken::what_another_has_already_is_named),
            case!(versions::objects_of_the_old_version_are_converted_and_come_back_equal),
            case!(versions::the_old_version_can_be_read_scaled_and_labelled),
            case!(writes::apply_patch_scale_and_status_go_through_unharmed),
            case!(writes::a_label_on_an_old_object_changes_no_version),
            case!(writes::a_dry_run_shows_the_whole_decision),
            case!(deletion::an_object_that_is_going_is_never_blocked),
            case!(deletion::an_object_that_only_claims_to_be_going_is_refused),
            case!(deletion::a_protected_cluster_stays_until_the_annotation_is_gone),
            case!(policies::a_policy_enforces_warns_or_only_counts),
            case!(policies::defaults_of_a_policy_are_merged_in_and_overwrite_nothing),
            case!(policies::an_expression_with_a_fault_is_refused_with_its_place),
            case!(upstream::zeros_are_taken_as_left_out_at_every_write),
            case!(upstream::names_of_mounts_and_manifests_never_meet_ours),
            case!(taken::what_another_namespace_has_is_refused_and_not_named),
            case!(policies::what_is_forbidden_does_not_come_in_by_changing_what_was_there),
            case!(policies::the_status_counts_what_violates_a_policy_now),
        ],
    )
}
