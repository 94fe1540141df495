//! One suite, both back ends. Every case is an async function over an open laboratory; the macro below makes a test of
//! it for SQLite and one for PostgreSQL.
//!
//! PostgreSQL is reached through `TANDEM_TEST_POSTGRES_URL`, an address of a role that may create databases. Without it
//! the PostgreSQL half fails: a suite that silently runs half proves nothing.

mod audit;
mod credentials;
mod encryption;
mod engines;
mod governance;
mod jobs;
mod lab;
mod log_sources;
mod opening;
mod rows;
mod runs;
mod signals;

macro_rules! suite {
    ($($module:ident::$case:ident,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::lab::run(crate::lab::Lab::sqlite(), crate::$module::$case).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                crate::lab::run(crate::lab::Lab::postgres().await, crate::$module::$case).await;
            })*
        }
    };
}

suite! {
    rows::a_row_has_one_version_after_another,
    rows::each_expectation_refuses_what_it_should,
    rows::a_failing_write_leaves_nothing_of_its_commit,
    rows::one_of_many_racing_updates_wins,
    rows::tenants_do_not_see_each_other,
    rows::pages_walk_every_row_once_even_among_equal_times,
    rows::pages_filter_and_start_where_told,
    rows::the_oldest_come_first_from_the_other_end,
    rows::a_walk_meets_each_row_once_while_rows_change,
    rows::a_unique_column_is_a_conflict,
    rows::reads_see_what_was_answered,
    rows::odd_text_is_kept_or_found_the_same_way,
    signals::a_first_signal_makes_an_incident_and_a_draft,
    signals::equal_signals_at_once_are_one_incident,
    signals::distinct_signals_at_once_lose_nothing,
    signals::one_commit_may_hold_many_signals,
    signals::a_blocked_signal_is_counted_without_a_draft,
    signals::a_tombstone_gives_its_draft_back,
    signals::a_recurrence_may_open_a_second_draft,
    signals::a_signal_beside_a_conflict_is_not_counted,
    signals::an_amendment_and_a_count_never_lose_each_other,
    signals::an_unreadable_incident_is_never_replaced,
    signals::equal_failures_of_two_tenants_are_two_incidents,
    governance::parallel_creations_stop_at_the_daily_limit,
    governance::the_cap_holds_for_all_agents_together,
    governance::an_approval_for_one_use_is_used_once,
    governance::runs_that_start_at_once_do_not_overrun_a_cap,
    governance::spending_at_once_adds_up,
    governance::an_unreadable_rule_refuses_and_is_not_taken_for_absent,
    audit::numbers_have_no_gap_under_racing_commits,
    audit::pages_go_both_ways_and_filter,
    audit::a_time_bound_finds_every_row_in_whatever_order_they_came,
    audit::an_upper_bound_finds_every_row_also_those_that_came_late,
    audit::a_checkpoint_only_grows,
    audit::bodies_go_and_everything_else_stays,
    audit::nodes_answer_by_level_and_index,
    audit::a_first_value_stays,
    jobs::a_job_is_claimed_once_and_ends,
    jobs::a_lease_that_ran_out_passes_on,
    jobs::a_lease_that_is_kept_starts_anew_and_a_lost_one_cannot_be,
    jobs::a_lease_ends_with_the_process_that_alone_could_hold_it,
    jobs::lanes_and_times_decide_what_is_due,
    jobs::a_woken_job_is_due_at_once,
    jobs::racing_workers_share_without_overlap,
    jobs::writing_a_job_wakes,
    log_sources::a_position_and_what_was_found_before_it_are_one_commit,
    log_sources::a_draft_from_a_log_brings_its_evidence_and_its_triage,
    log_sources::a_receipt_counts_its_report_once,
    credentials::a_secret_finds_its_row_in_any_tenant,
    credentials::last_use_never_goes_back,
    runs::racing_claims_share_runs_without_overlap,
    runs::the_same_report_at_once_counts_once,
    runs::a_bad_end_leaves_its_note_and_job_with_it,
    runs::automations_and_runs_are_listed_and_kept_whole,
    opening::what_was_answered_is_there_after_reopening,
    opening::a_newer_schema_is_refused,
    opening::a_dropped_store_finishes_its_queue,
    opening::the_store_says_whether_it_is_alone,
}

#[test]
fn postgres_is_configured() {
    assert!(
        std::env::var_os("TANDEM_TEST_POSTGRES_URL").is_some(),
        "set TANDEM_TEST_POSTGRES_URL, or half of this suite proves nothing"
    );
}
