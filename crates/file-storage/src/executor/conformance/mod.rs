//! What every executor must do: one suite, run over each of them, so that a new engine has nothing to invent.
//!
//! An engine runs it by `executor_conformance!(open)`, `open` being an async function that gives a [`Subject`]
//! with an empty database. Cases speak to `dyn Executor` alone.

pub(crate) mod buckets;
pub(crate) mod objects;
mod subject;

pub(crate) use subject::Subject;

/// Makes a test of each case of the suite, over what `$open` opens.
macro_rules! executor_conformance {
    ($open:path) => {
        $crate::executor::conformance::executor_conformance! { @cases $open;
            buckets: [
                bkt_i1_bucket_names_are_unique, buckets_are_shown_and_listed, buckets_are_changed,
                emptying_and_deleting_buckets, deleting_a_bucket_keeps_its_queued_blobs
            ],
            objects: [
                objects_are_written_and_read_back, fs_i4_one_object_per_path, modes_meet_their_conditions,
                an_overwrite_keeps_id_owner_and_creation, deletes_are_idempotent, moves_keep_what_they_move,
                moves_replace_and_refuse_like_writes, writes_to_a_bucket_made_anew_are_refused,
                large_and_odd_values_survive
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
