//! One suite, two stores: what a controller relies on holds on both, and what is
//! peculiar to one is tested beside it. The value that stands for a store in the runs
//! in virtual time is asked the same.

mod commit;
mod crash;
mod embedded;
mod etcd_faults;
mod etcd_secure;
mod ground;
mod load;
mod same;
mod ttl;
#[path = "../virtual_time/store.rs"]
#[expect(dead_code, reason = "its judge asks more of it than a controller does")]
mod value;
mod watch;

/// Every case on a fresh embedded store, on a fresh etcd, and on the value.
macro_rules! on_all {
    ($($subject:ident: $($case:ident)*;)*) => {
        mod on_embedded {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $case() -> anyhow::Result<()> {
                    crate::$subject::$case(&crate::ground::Ground::embedded()?).await
                })*
            })*
        }
        mod on_value {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $case() -> anyhow::Result<()> {
                    crate::$subject::$case(&crate::ground::Ground::value()?).await
                })*
            })*
        }
        mod on_etcd {
            $(mod $subject {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $case() -> anyhow::Result<()> {
                    crate::$subject::$case(&crate::ground::Ground::etcd()?).await
                })*
            })*
        }
    };
}

on_all! {
    commit:
        created_once
        a_stale_revision_changes_nothing
        a_conflict_fails_only_its_own
        a_group_is_judged_against_the_state_before_it
        a_key_put_twice_refuses_the_group
        a_key_put_and_deleted
        over_the_budget_is_refused
        nothing_changed_is_no_revision
        a_batch_is_a_transaction_whole
        a_delete_is_not_a_put_of_nothing;
    ttl:
        a_dead_ttl_refuses_the_group
        expiry_deletes_all_keys_at_once
        kept_alive_it_lives
        revoked_it_is_gone
        a_key_put_again_without_it_survives
        a_ttl_is_never_given_twice;
    watch:
        load_then_watch_misses_nothing
        it_resumes_after_a_revision
        forgotten_revisions_are_compacted
        catching_up_may_be_large
        every_watch_sees_everything;
    load:
        empty
        more_than_one_message_holds
        large_values
        while_others_write;
}
