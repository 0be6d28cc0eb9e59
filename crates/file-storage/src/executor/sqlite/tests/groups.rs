//! Group commit: who shares one, who fails with it, and how the writer goes on.

use std::sync::mpsc;

use futures_util::future::join_all;
use rusqlite::{Connection, ffi};

use super::open_at;
use crate::errors::{StorageError, UrlEnd};
use crate::executor::Executor;
use crate::executor::conformance::subject::{bucket, path, user};
use crate::executor::sqlite::SqliteExecutor;
use crate::executor::sqlite::errors::Fault;

/// Marks that an operation happened.
pub(super) fn mark(conn: &Connection, nonce: &str) -> Result<(), Fault> {
    conn.execute("INSERT INTO used_nonces VALUES (?1, 0)", [nonce])?;
    Ok(())
}

pub(super) fn marks(executor: &SqliteExecutor) -> Vec<String> {
    let read = |conn: &Connection| {
        let mut statement = conn.prepare("SELECT nonce FROM used_nonces ORDER BY nonce")?;
        let found = statement.query_map([], |row| row.get(0))?;
        Ok(found.collect::<Result<Vec<String>, _>>()?)
    };
    executor.read("marks", read).unwrap()
}

/// Keeps the writer busy until it is told to go on, so that what is sent meanwhile makes one group.
async fn hold<T>(executor: &SqliteExecutor, meanwhile: impl Future<Output = T>) -> T {
    let (begun, running) = tokio::sync::oneshot::channel();
    let (go, wait) = mpsc::channel::<()>();
    let held = executor.writer.run("hold", move |_| {
        begun.send(()).unwrap();
        wait.recv().unwrap();
        Ok(())
    });
    let group = async {
        // Before, the writer could take some of the group along with this.
        running.await.unwrap();
        // The first poll puts everything in the queue, in order; then the writer may go on.
        let (outcome, ()) = futures_util::future::join(meanwhile, async move { go.send(()).unwrap() }).await;
        outcome
    };
    futures_util::future::join(held, group).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_shares_a_commit_and_fails_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let broken = async {
        executor
            .writer
            .run("broken", |conn| {
                // A foreign key that is checked at the commit, and breaks it.
                conn.execute_batch(
                    "PRAGMA defer_foreign_keys = ON; INSERT INTO multipart_parts \
                     (upload_id, number, size, sha256, etag, bytes, created_at) VALUES \
                     ('00000000-0000-0000-0000-000000000001', 1, 1, printf('%064d', 0), '', x'00', 0)",
                )?;
                Ok(())
            })
            .await
    };
    let names: Vec<String> = (0..20).map(|n| format!("n{n}")).collect();
    let sound = join_all(names.iter().map(|name| {
        let name = name.clone();
        executor.writer.run("sound", move |conn| mark(conn, &name))
    }));
    let (sound, broken) = hold(&executor, futures_util::future::join(sound, broken)).await;
    assert!(broken.is_err());
    // One commit for all, and so one failure: nothing was answered that had not happened.
    assert!(sound.iter().all(Result::is_err));
    assert!(marks(&executor).is_empty());
    executor.writer.run("next", |conn| mark(conn, "next")).await.unwrap();
    assert_eq!(marks(&executor), ["next"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_or_a_panic_is_its_callers_alone() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let run = &executor.writer;
    let group = futures_util::future::join4(
        run.run("before", |conn| mark(conn, "a-before")),
        run.run("panics", |conn| -> Result<(), Fault> {
            mark(conn, "b-panics")?;
            panic!("on purpose");
        }),
        run.run("refused", |conn| {
            mark(conn, "c-refused")?;
            Err::<(), _>(StorageError::UrlExpired(UrlEnd::Used).into())
        }),
        run.run("after", |conn| mark(conn, "d-after")),
    );
    let (before, panics, refused, after) = hold(&executor, group).await;
    assert!(before.is_ok() && after.is_ok());
    assert!(matches!(panics, Err(StorageError::Internal { .. })), "{panics:?}");
    assert!(matches!(refused, Err(StorageError::UrlExpired(_))), "{refused:?}");
    assert_eq!(marks(&executor), ["a-before", "d-after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_io_error_fails_the_group_and_reopens_the_connection() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let run = &executor.writer;
    run.run("setting", |conn| Ok(conn.execute_batch("CREATE TEMP TABLE of_this_connection (x)")?))
        .await
        .unwrap();
    let group = futures_util::future::join3(
        run.run("before", |conn| mark(conn, "before")),
        run.run("fails", |_| {
            let error = ffi::Error::new(ffi::SQLITE_IOERR_FSYNC);
            Err::<(), _>(Fault::Engine(rusqlite::Error::SqliteFailure(error, None)))
        }),
        run.run("after", |conn| mark(conn, "after")),
    );
    let (before, fails, after) = hold(&executor, group).await;
    assert!(matches!(before, Err(StorageError::Io { .. })), "{before:?}");
    assert!(matches!(fails, Err(StorageError::Io { .. })), "{fails:?}");
    assert!(after.is_ok(), "{after:?}");
    assert_eq!(marks(&executor), ["after"]);
    let gone = run.run("gone", |conn| Ok(conn.execute_batch("SELECT x FROM of_this_connection")?)).await;
    assert!(gone.is_err(), "the connection is still the old one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_survived() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let run = &executor.writer;
    let pages = |limit: &'static str| {
        run.run("limit", move |conn| {
            Ok(conn.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(()))?)
        })
    };
    pages("1").await.unwrap();
    let full = run.run("fill", |conn| mark(conn, &"x".repeat(1 << 20))).await;
    assert!(
        matches!(&full, Err(StorageError::DiskFull { provider }) if **provider == *"database"),
        "{full:?}"
    );
    pages("1000000").await.unwrap();
    run.run("again", |conn| mark(conn, "again")).await.unwrap();
    assert_eq!(marks(&executor), ["again"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_left_the_queue_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let run = &executor.writer;
    let mut left = Box::pin(run.run("left", |conn| mark(conn, "left")));
    let stays = async {
        assert!(futures_util::poll!(&mut left).is_pending());
        drop(left);
        run.run("stays", |conn| mark(conn, "stays")).await
    };
    hold(&executor, stays).await.unwrap();
    assert_eq!(marks(&executor), ["stays"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_finishes_what_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let executor = open_at(dir.path());
    let names: Vec<String> = (0..50).map(|n| format!("n{n:02}")).collect();
    let accepted = join_all(names.iter().map(|name| {
        let name = name.clone();
        executor.writer.run("accepted", move |conn| mark(conn, &name))
    }));
    let (outcomes, ()) = futures_util::future::join(accepted, executor.close()).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(!dir.path().join("test.db-wal").exists(), "the log was not moved at the end");
    assert_eq!(marks(&open_at(dir.path())), names);
    let access = crate::permissions::Access::check(
        &user(),
        crate::permissions::Operation::Info,
        None,
        crate::permissions::AccessRules::default(),
    );
    assert!(executor.object(&access.unwrap(), &bucket("gone"), &path("a")).await.is_err());
}
