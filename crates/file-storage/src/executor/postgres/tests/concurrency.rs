//! Many at once, over several processes' executors; callers who go away; connections that break.

use std::time::Duration;

use futures_util::future::join_all;

use super::moves::until;
use super::{Opened, TestDatabase, open_as, open_database, options};
use crate::bucket::{BucketConfig, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::conformance::quotas::meet_every_quota;
use crate::executor::conformance::subject::{allow, maintain, new_object, path, service, user};
use crate::executor::postgres::{PostgresAddress, PostgresExecutor, PostgresOptions};
use crate::executor::{Executor, UsageBy};
use crate::file::PutMode;
use crate::permissions::{Operation, Policy};
use crate::quota::QuotaScope;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_of_users_and_buckets_hold_over_two_processes() {
    let database = TestDatabase::new();
    let processes =
        [open_as(&database, options(&database)).await, open_as(&database, options(&database)).await];
    let owner = user();
    let made = processes[0].bucket(&owner, "free", BucketPolicy::Private).await;
    let tight = BucketConfig { quota_bytes: Some(500), ..BucketConfig::default() };
    let tight = processes[0].bucket_with(&owner, "tight", tight).await;
    processes[0].put(&owner, (&made, "first"), &[0; 100], PutMode::Create).await.unwrap();
    let admin = database.admin().await;
    admin.execute("UPDATE aerostore.storage_usage SET quota_bytes = 1000", &[]).await.unwrap();
    for (bucket, room) in [(&tight, 500), (&made, 400)] {
        let names: Vec<_> = (0..64).map(|n| format!("f{n}")).collect();
        let tries = names.iter().enumerate().map(|(n, at)| {
            let (process, body) = (&processes[n % 2], vec![0_u8; 30 + n % 7]);
            let owner = &owner;
            async move {
                process.put(owner, (bucket, at), &body, PutMode::Create).await.map(|put| put.object.size)
            }
        });
        let outcomes = join_all(tries).await;
        let taken: u64 = outcomes.iter().flatten().sum();
        assert!(taken <= room && taken > room - 37, "{taken} of {room} bytes were taken");
        for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(refused, StorageError::QuotaExceeded { .. }), "{refused:?}");
        }
        // What comes next has what is left.
        let rest = usize::try_from(room - taken).unwrap();
        if rest > 0 {
            processes[0].put(&owner, (bucket, "rest"), &vec![0; rest], PutMode::Create).await.unwrap();
        }
        let over = processes[1].put(&owner, (bucket, "over"), b"1", PutMode::Create).await;
        let scope = if bucket.name.as_str() == "tight" { "bucket" } else { "user" };
        assert!(matches!(over, Err(StorageError::QuotaExceeded { scope: s, .. }) if s == scope), "{over:?}");
    }
    processes[0].recount().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_quota_holds_over_two_processes() {
    let database = TestDatabase::new();
    let processes =
        [open_as(&database, options(&database)).await, open_as(&database, options(&database)).await];
    meet_every_quota(&[&processes[0], &processes[1]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_everything_at_once_leave_true_counters() {
    let database = TestDatabase::new();
    let processes =
        [open_as(&database, options(&database)).await, open_as(&database, options(&database)).await];
    let owner = user();
    for name in ["one", "two"] {
        processes[0].bucket(&owner, name, BucketPolicy::Private).await;
    }
    let buckets = [processes[0].shown("one").await, processes[0].shown("two").await];
    let work = (0..24_usize).map(|n| {
        let (process, buckets, owner) = (&processes[n % 2], &buckets, &owner);
        async move {
            for round in 0..12 {
                let at = format!("f{}", (n * 7 + round * 5) % 10);
                let (here, there) = (&buckets[(n + round) % 2], &buckets[(n + round + 1) % 2]);
                let outcome = match (n + round) % 5 {
                    0 | 1 => {
                        process.put(owner, (here, &at), &vec![0; n + round], PutMode::Upsert).await.map(drop)
                    }
                    2 => process.delete(owner, here.name.as_str(), &at).await.map(drop),
                    3 => {
                        let (from, to) = ((here.name.as_str(), at.as_str()), (there.name.as_str(), "moved"));
                        process.rename(owner, from, to, PutMode::Upsert).await.map(drop)
                    }
                    _ => {
                        let paths: Vec<_> = (0..10).rev().map(|f| path(&format!("f{f}"))).collect();
                        let access = allow(owner, Operation::Delete);
                        process.executor.delete_objects(&access, &here.name, &paths).await.map(drop)
                    }
                };
                match outcome {
                    Ok(()) | Err(StorageError::ObjectNotFound { .. }) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
    });
    join_all(work).await;
    processes[0].recount().await;
}

/// Who deletes an object has its row, and counts next. A batch over it waits for the row before it counts itself: else they would wait
/// for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_has_its_rows_before_it_counts() {
    let database = TestDatabase::new();
    let opened = open_as(&database, options(&database)).await;
    let owner = user();
    let made = opened.bucket(&owner, "photos", BucketPolicy::Private).await;
    // Written together, and one by one where a quota does not suffice for all.
    for round in 0..2 {
        opened.put(&owner, (&made, "there"), b"old", PutMode::Upsert).await.unwrap();
        let other = database.admin().await;
        let its_row = "BEGIN; SET LOCAL lock_timeout = '400ms'; \
             SELECT FROM aerostore.storage_objects WHERE path = 'there' FOR UPDATE";
        other.batch_execute(its_row).await.unwrap();
        let names = [format!("new {round}"), "there".to_owned(), format!("too large {round}")];
        let sizes = [1, 4, if round == 0 { 1 } else { 1000 }];
        let objects = names.iter().zip(sizes).map(|(name, size)| new_object(&made, name, &vec![0; size]));
        let access = allow(&owner, Operation::Upload(&PutMode::Upsert));
        let batch = opened.executor.put_objects(&access, objects.collect(), &PutMode::Upsert);
        let counts = async {
            let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                 AND wait_event_type = 'Lock'";
            until(&database, waiting, 1).await;
            other.batch_execute("UPDATE aerostore.storage_buckets SET updated_at = now(); COMMIT").await
        };
        let (written, counted) = tokio::join!(batch, counts);
        counted.unwrap();
        let went: Vec<bool> = written.unwrap().iter().map(Result::is_ok).collect();
        assert_eq!(went, [true, true, round == 0]);
        let access = allow(&service(), Operation::ManageQuotas);
        opened.executor.set_quota(&access, &QuotaScope::Global, Some(100)).await.unwrap();
    }
    opened.recount().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_who_go_away_leave_nothing_behind() {
    let opened = open_database().await;
    let owner = user();
    let made = opened.subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    for n in 0..60_u64 {
        let name = format!("f{n}");
        let put = opened.subject.put(&owner, (&made, &name), b"123", PutMode::Create);
        drop(tokio::time::timeout(Duration::from_micros(n * 60), put).await);
    }
    opened.subject.put(&owner, (&made, "last"), b"1", PutMode::Create).await.unwrap();
    opened.subject.recount().await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' \
         AND datname = current_database()";
    let admin = opened.database.admin().await;
    for _ in 0..1000 {
        if admin.query_one(open, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("transactions stay open");
}

#[tokio::test]
async fn broken_connections_are_replaced() {
    let opened = open_database().await;
    let owner = user();
    let made = opened.subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    opened.subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    let admin = opened.database.admin().await;
    for _ in 0..3 {
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        admin.query(kill, &[]).await.unwrap();
        assert!(opened.subject.get(&owner, "photos", "a").await.is_ok());
        opened.subject.executor.ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_that_is_not_there_is_unavailable() {
    let nowhere = PostgresAddress::parse("postgres://me:s3cret@127.0.0.1:1/x").unwrap();
    let refused = PostgresExecutor::open(PostgresOptions::new(nowhere)).await.unwrap_err();
    assert!(
        matches!(refused, StorageError::ProviderUnavailable { .. }) && refused.is_retryable(),
        "{refused:?}"
    );
    assert!(!format!("{refused:?}").contains("s3cret"));
}

#[tokio::test]
async fn too_many_and_too_long_are_said_so() {
    let database = TestDatabase::new();
    let short = PostgresOptions {
        connections: 1,
        waiting: 2,
        wait: Duration::from_millis(400),
        statement_timeout: Duration::from_millis(1500),
        ..options(&database)
    };
    let subject = open_as(&database, short).await;
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    // Somebody else holds the bucket's row.
    let mut admin = database.admin().await;
    let held = admin.transaction().await.unwrap();
    held.batch_execute("SELECT 1 FROM aerostore.storage_buckets FOR UPDATE").await.unwrap();
    let tries = (0..5).map(|n| {
        let (subject, owner, made) = (&subject, &owner, &made);
        async move { subject.put(owner, (made, &format!("f{n}")), b"1", PutMode::Create).await.map(drop) }
    });
    let codes: Vec<_> =
        join_all(tries).await.iter().map(|outcome| outcome.as_ref().unwrap_err().code()).collect();
    assert_eq!(codes, ["OPERATION_TIMEOUT", "OVERLOADED", "OVERLOADED", "OVERLOADED", "OVERLOADED"]);
    held.rollback().await.unwrap();
    subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await.unwrap();
}

#[tokio::test]
async fn a_first_count_takes_longer_than_a_statement_may() {
    let database = TestDatabase::new();
    let short = PostgresOptions {
        wait: Duration::from_millis(500),
        statement_timeout: Duration::from_millis(500),
        ..options(&database)
    };
    let subject = open_as(&database, short).await;
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "in/a"), b"123", PutMode::Create).await.unwrap();
    // As long as many rows would take; longer, too, than any other operation may.
    let admin = database.admin().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(7); RETURN new; END'; \
         CREATE TRIGGER slow BEFORE INSERT ON aerostore.storage_folder_quotas FOR EACH ROW EXECUTE FUNCTION slow(); \
         CREATE TRIGGER slow BEFORE INSERT ON aerostore.storage_quota_settings FOR EACH ROW EXECUTE FUNCTION slow()";
    admin.batch_execute(slow).await.unwrap();
    let access = allow(&service(), Operation::ManageQuotas);
    for scope in [QuotaScope::folder("photos/in").unwrap(), QuotaScope::Global] {
        let set = subject.executor.set_quota(&access, &scope, Some(10)).await.unwrap();
        assert_eq!((set.limit, set.used), (Some(10), 3), "{scope:?}");
    }
    admin.batch_execute("DROP TRIGGER slow ON aerostore.storage_quota_settings").await.unwrap();
    // The connection is as it was.
    let held = "SELECT 1 FROM aerostore.storage_buckets FOR UPDATE";
    let mut admin = database.admin().await;
    let transaction = admin.transaction().await.unwrap();
    transaction.batch_execute(held).await.unwrap();
    let late = subject.put(&owner, (&made, "b"), b"1", PutMode::Create).await.unwrap_err();
    assert_eq!(late.code(), "OPERATION_TIMEOUT");
}

#[tokio::test]
async fn queued_blobs_are_claimed_by_one_process() {
    use crate::executor::conformance::subject::new_blob;
    let database = TestDatabase::new();
    let processes =
        [open_as(&database, options(&database)).await, open_as(&database, options(&database)).await];
    let owner = user();
    let made = processes[0].bucket(&owner, "photos", BucketPolicy::Private).await;
    for n in 0..10 {
        let (object, _) = new_blob(&made, &format!("f{n}"), b"bytes");
        processes[0].put_object(&owner, object, &PutMode::Create).await.unwrap();
        processes[0].delete(&owner, "photos", &format!("f{n}")).await.unwrap();
    }
    let due = async |at: usize, limit| {
        let due = processes[at].executor.due_deletions(&maintain(), Duration::ZERO, limit).await.unwrap();
        due.into_iter().map(|blob| blob.key).collect::<Vec<_>>()
    };
    let (first, rest) = (due(0, 4).await, due(1, 100).await);
    assert_eq!((first.len(), rest.len()), (4, 6));
    assert!(first.iter().all(|key| !rest.contains(key)));
    assert_eq!(due(0, 100).await, first, "a process keeps what it has claimed");
    // A claim that was not kept ends.
    database
        .admin()
        .await
        .execute("UPDATE aerostore.blob_deletions SET claimed_until = now()", &[])
        .await
        .unwrap();
    assert_eq!(due(1, 100).await.len(), 10);
}

#[tokio::test]
async fn a_policy_made_by_hand_sees_what_a_batch_has_written_before() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    let made = subject.bucket(&owner, "box", BucketPolicy::Private).await;
    let admin = database.admin().await;
    let counts = "CREATE FUNCTION public.has_room() RETURNS boolean LANGUAGE sql SECURITY DEFINER \
            RETURN (SELECT count(*) FROM aerostore.storage_objects) < 2; \
         CREATE POLICY few ON aerostore.storage_objects AS RESTRICTIVE FOR INSERT TO authenticated \
            WITH CHECK (public.has_room())";
    admin.batch_execute(counts).await.unwrap();
    let objects = ["a", "b", "c", "d"].map(|at| new_object(&made, at, b"1")).to_vec();
    let access = allow(&owner, Operation::Upload(&PutMode::Create));
    let outcomes = subject.executor.put_objects(&access, objects, &PutMode::Create).await.unwrap();
    let let_in: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(let_in, [true, true, false, false], "{outcomes:?}");
    subject.recount().await;
}

#[tokio::test]
async fn no_mark_is_told_while_a_policy_is_there_that_was_made_by_hand() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    let made = subject.bucket(&owner, "box", BucketPolicy::Private).await;
    let access = allow(&owner, Operation::List);
    let is_told = async || subject.executor.mark(&access, &made.name).await.unwrap().is_some();
    let admin = database.admin().await;
    let by_hand = async |sql: &str| admin.batch_execute(sql).await.unwrap();
    assert!(is_told().await);
    for name in ["mine", "~aerostore_mine"] {
        let policy = format!("POLICY \"{name}\" ON aerostore.storage_objects");
        by_hand(&format!("CREATE {policy} FOR SELECT TO authenticated USING (true)")).await;
        assert!(!is_told().await, "{name}");
        by_hand(&format!("DROP {policy}")).await;
        assert!(is_told().await, "{name}");
    }
    let policy = "CREATE POLICY small ON storage_objects FOR SELECT TO authenticated USING (size < 3)";
    subject.executor.create_policy(&maintain(), &Policy::parse(policy).unwrap()).await.unwrap();
    assert!(is_told().await);
    // What somebody puts in its place has its name alone.
    by_hand(
        "DROP POLICY small ON aerostore.storage_objects; \
         CREATE POLICY small ON aerostore.storage_objects FOR SELECT TO authenticated USING (true)",
    )
    .await;
    assert!(!is_told().await);
}

#[tokio::test]
async fn a_look_at_all_objects_waits_for_its_place_a_moment_at_most() {
    let database = TestDatabase::new();
    let executor = PostgresExecutor::open(options(&database)).await.unwrap();
    let access = allow(&user(), Operation::ReadUsage);
    let taken = executor.queries.acquire_many(4).await.unwrap();
    let refused = executor.usage_by(&access, &UsageBy::Bucket, 10).await;
    assert!(matches!(refused, Err(StorageError::Overloaded { .. })), "{refused:?}");
    drop(taken);
    assert!(executor.usage_by(&access, &UsageBy::Bucket, 10).await.unwrap().is_empty());
    executor.close().await;
}
