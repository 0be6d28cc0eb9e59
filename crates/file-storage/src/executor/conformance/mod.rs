//! What every executor must do: one suite, run over each of them, so that a new engine has nothing to invent.
//!
//! An engine runs it by `executor_conformance!(open)`, `open` being an async function that gives a [`Subject`]
//! with an empty database. Cases speak to `dyn Executor` alone.

pub(crate) mod access;
pub(crate) mod buckets;
pub(crate) mod concurrency;
pub(crate) mod copies;
pub(crate) mod copies_upkeep;
pub(crate) mod events;
pub(crate) mod explanations;
pub(crate) mod extra;
pub(crate) mod jobs;
pub(crate) mod lifecycle;
pub(crate) mod listings;
pub(crate) mod multipart;
pub(crate) mod objects;
pub(crate) mod owned_versions;
pub(crate) mod pasted;
pub(crate) mod places;
pub(crate) mod policies;
pub(crate) mod queries;
pub(crate) mod queue;
pub(crate) mod queue_claims;
pub(crate) mod quota_warnings;
pub(crate) mod quotas;
pub(crate) mod resumable;
pub(crate) mod scrub;
pub(crate) mod subject;
pub(crate) mod upkeep;
pub(crate) mod usage;
pub(crate) mod versions;
pub(crate) mod webhooks;

pub(crate) use subject::Subject;

/// Makes a test of each case of the suite, over what `$open` opens.
macro_rules! executor_conformance {
    ($open:path) => {
        $crate::executor::conformance::executor_conformance! { @cases $open;
            buckets: [
                bkt_i1_bucket_names_are_unique, buckets_are_shown_and_listed, buckets_are_changed,
                owners_lower_their_buckets_quota_and_do_not_lift_it,
                emptying_and_deleting_buckets, deleting_a_bucket_keeps_its_queued_blobs
            ],
            objects: [
                objects_are_written_and_read_back, fs_i4_one_object_per_path, modes_meet_their_conditions,
                an_overwrite_keeps_id_owner_and_creation, deletes_are_idempotent, a_deletion_under_a_condition_takes_the_object_that_was_meant, moves_keep_what_they_move,
                moves_replace_and_refuse_like_writes, writes_to_a_bucket_made_anew_are_refused,
                large_and_odd_values_survive, many_objects_are_written_at_once_and_refused_alone,
                many_objects_meet_a_buckets_quota_one_by_one, the_same_path_in_another_bucket_is_another_object
            ],
            multipart: [
                parts_become_the_segments_of_an_object, one_part_is_an_object_like_any_other,
                replaced_and_given_up_parts_are_queued, an_upload_is_its_makers_and_the_service_roles,
                writing_is_decided_again_at_the_end, quotas_count_what_unfinished_uploads_hold,
                uploads_end_by_themselves_and_with_their_bucket, uploads_are_listed_by_path_and_age,
                ten_thousand_parts_are_linked_at_once, what_others_upload_keeps_a_bucket,
                folder_quotas_count_parts_and_what_they_become,
                a_caller_has_a_number_of_unfinished_uploads, what_the_service_role_completes_is_who_began_its
            ],
            resumable: [
                runs_are_appended_at_the_end_and_nowhere_else, who_took_an_upload_over_last_appends,
                partial_uploads_become_one_object
            ],
            access: [
                fs_i3_the_access_table_holds, rows_decide_in_a_system_bucket, misses_tell_nothing,
                signed_access_is_for_one_object, signing_an_upload_tells_nothing_that_is_not_seen,
                signing_an_upload_is_decided_by_what_is_seen, a_permission_not_asked_for_is_not_used,
                owners_keep_their_rows_when_a_bucket_closes, conditions_tell_nothing_of_rows_that_are_not_seen,
                taken_paths_are_told_to_those_who_may_write
            ],
            upkeep: [
                counters_follow_every_change, bucket_quotas_hold, replaced_and_deleted_blobs_are_queued,
                every_segments_blob_is_queued, every_way_of_going_is_an_event,
                known_and_lost_blobs, nonces_work_once, events_tell_what_happened,
                upkeep_is_the_service_roles
            ],
            events: [
                events_are_told_as_rows_show_them, a_bucket_made_anew_tells_nothing_of_the_one_before,
                what_is_at_a_path_now_may_be_somebody_elses, a_move_tells_no_place_that_is_hidden,
                policies_decide_about_events, events_of_older_states_are_told_as_those_would_be, old_events_go_and_are_known_to_be_gone,
                events_of_providers_are_the_services_alone
            ],
            versions: [
                an_overwrite_keeps_what_was_there, a_delete_marker_hides_and_comes_off,
                a_version_is_deleted_for_good, a_suspended_bucket_has_one_null_version,
                versions_count_against_quotas, old_versions_are_seen_and_deleted_by_whom_their_rows_let,
                policies_speak_of_old_versions, versions_are_listed_newest_first_and_in_pages,
                a_move_out_of_a_bucket_with_versions_leaves_a_marker, a_bucket_with_versions_is_not_empty,
                lost_versions_go_and_what_is_under_them_comes_up, twenty_writers_leave_twenty_versions
            ],
            owned_versions: [
                a_write_keeps_a_null_version_of_somebody_else, nobody_takes_off_anothers_delete_marker,
                a_policy_that_keeps_a_null_version_keeps_it_from_its_owner_too,
                a_buckets_policy_opens_what_is_current_alone, a_delete_marker_is_hidden_as_what_it_hides,
                a_policy_that_fails_on_what_a_marker_hides_keeps_the_marker,
                a_deletion_does_not_tell_what_is_hidden, admission_counts_the_null_version_that_goes,
                a_path_that_is_named_twice_is_deleted_once, only_the_newest_is_the_latest,
                a_version_that_goes_for_good_is_told, a_bucket_is_emptied_of_many_versions
            ],
            listings: [
                folders_are_shown_once, pages_follow_each_other, lists_show_what_may_be_read,
                fs_i4_lists_ignore_case_when_asked, lists_by_time_put_folders_first,
                foreign_cursors_are_refused, lists_are_what_a_naive_model_says
            ],
            quotas: [
                a_folders_quota_holds, a_quota_of_everything_holds, users_have_quotas_of_their_own_or_the_default,
                versions_count_in_their_folder, a_batch_is_held_to_the_sum_of_what_is_let_in, quotas_warn_or_are_off,
                quotas_are_told_to_owners_and_set_by_the_service_role, a_quota_may_be_below_what_is_used,
                admission_tells_the_tightest_quota, sixty_four_writers_meet_every_quota_at_once
            ],
            quota_warnings: [
                each_step_is_told_once, a_batch_tells_of_the_step_that_it_takes, a_quota_that_is_set_low_is_told_of
            ],
            queries: [
                queries_see_what_lists_and_reads_show, queries_need_their_own_access, heavy_queries_are_ended
            ],
            policies: [
                permissive_policies_widen_reads_and_restrictive_ones_narrow_them,
                a_policy_of_one_bucket_says_nothing_of_another, inserts_are_judged_by_the_new_row,
                admission_decides_what_is_known_and_lets_the_rest_through,
                policies_let_anon_in_and_refusals_still_ask_for_a_token,
                an_upsert_takes_insert_select_and_update, deletes_take_delete_and_select,
                an_upsert_at_a_free_path_takes_insert_alone, moves_are_judged_at_both_ends,
                a_policy_that_fails_refuses_and_tells_of_no_row, who_sees_a_row_is_told_that_a_policy_failed,
                names_are_unique_and_policies_are_listed,
                what_is_empty_has_no_folder_no_name_and_no_extension,
                a_bucket_is_emptied_of_what_policies_let_go, moves_take_no_update
            ],
            explanations: [explanations_name_each_rule_and_what_it_said, explanations_tell_of_what_fails],
            extra: [
                what_is_beside_an_object_is_kept_copied_and_replaced, tagging_takes_the_permission_to_overwrite,
                what_is_beside_a_bucket_is_its_owners, credentials_are_kept_for_upkeep_alone
            ],
            queue: [
                an_entry_comes_with_its_blob_and_goes_with_it, parts_keep_their_entries_as_segments,
                entries_are_their_uploaders_and_the_service_roles, lists_of_entries_are_in_pages,
                operators_queue_again_and_give_up, depths_and_usage_count_what_there_is,
                a_migration_queues_each_blob_once, what_was_completed_is_forgotten,
                who_says_first_which_directory_a_provider_is
            ],
            queue_claims: [
                workers_share_entries_and_none_is_twos, a_claim_ends_by_itself, attempts_end_as_they_should,
                a_blob_changes_its_place_once, a_place_is_changed_while_others_write
            ],
            copies: [
                copies_are_queued_with_the_write_that_makes_a_blob_known, a_copy_is_made_beside_its_blob,
                parts_get_their_copies_as_segments, copies_go_with_their_blob_whichever_way_it_goes,
                copies_follow_a_blob_that_moves, a_copy_is_made_while_its_blob_moves,
                a_blob_that_moves_may_stay_as_a_copy, copies_are_made_while_others_write
            ],
            copies_upkeep: [
                blobs_without_their_copies_are_found, copies_end_where_none_are_kept, copies_are_upkeeps_alone
            ],
            webhooks: [
                webhooks_are_kept_and_changed, one_delivers_to_a_webhook_at_a_time,
                a_webhook_goes_on_where_it_stood, a_claim_ends_where_something_else_is_wanted,
                webhooks_are_for_upkeep_alone
            ],
            lifecycle: [
                rules_are_kept_and_go_with_their_bucket, versions_are_looked_at_in_order, only_what_was_judged_goes,
                where_versions_are_kept_an_object_is_hidden, old_uploads_are_given_up,
                blobs_of_old_objects_are_queued_once, an_object_is_told_of_once, a_clock_that_leaps_has_rules_wait,
                rules_are_the_service_roles, a_version_moves_while_it_is_the_one,
                a_turn_is_taken_with_its_job_or_not_at_all
            ],
            jobs: [
                a_job_is_made_claimed_saved_and_ended, workers_share_jobs_and_none_is_twos,
                a_jobs_claim_ends_by_itself, jobs_without_progress_are_given_up, jobs_are_cancelled,
                jobs_are_their_callers_and_the_service_roles, lists_of_jobs_are_in_pages,
                a_caller_has_a_number_of_unfinished_jobs, old_jobs_are_forgotten
            ],
            scrub: [
                every_blob_is_told_once_as_rows_have_it, inline_segments_are_told_with_their_bytes,
                a_bad_blob_makes_way_for_a_good_one, scrubbing_is_the_service_roles
            ],
            places: [
                a_place_is_told_by_the_blobs_of_any_of_sixteen_buckets, a_place_of_copies_is_told_by_them
            ],
            usage: [usage_is_told_by_what_is_asked_for],
            pasted: [supabases_policies_are_pasted_unchanged],
            concurrency: [
                fs_i4_forty_writers_have_one_winner, quotas_are_never_overshot, closed_executors_refuse
            ]
        }
    };
    (@cases $open:path; $($module:ident: [$($case:ident),*]),*) => {
        $(mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::executor::conformance::$module::$case(&$open().await).await;
            })*
        })*
    };
}
pub(crate) use executor_conformance;
