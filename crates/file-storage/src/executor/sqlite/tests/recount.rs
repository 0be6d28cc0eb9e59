//! Counters that went wrong behind our back: a recount finds them, and sets right what it is told to.

use std::sync::Arc;

use super::open_at;
use crate::bucket::BucketPolicy;
use crate::executor::UsageDifference;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{allow, maintain, user};
use crate::executor::sqlite::rls::text;
use crate::file::PutMode;
use crate::permissions::Operation;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recount_finds_wrong_counters_and_repairs_them_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    let executor = Arc::new(open_at(dir.path()));
    let subject = Subject::new(executor.clone(), ());
    let (owner, forgotten) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    subject.bucket(&owner, "right", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"123", PutMode::Create).await.unwrap();
    subject.put(&forgotten, (&made, "b"), b"12", PutMode::Create).await.unwrap();
    let ids = [&owner, &forgotten].map(|user| text(user.user_id().unwrap()));
    let [one, other] = ids.clone();
    executor
        .writer
        .run("break", move |conn| {
            conn.execute(
                "UPDATE storage_buckets SET total_bytes = 50, file_count = 1 WHERE id = 'photos'",
                [],
            )?;
            conn.execute(
                "UPDATE storage_usage SET total_bytes = 7, file_count = 9 WHERE user_id = ?1",
                [one],
            )?;
            Ok(conn.execute("DELETE FROM storage_usage WHERE user_id = ?1", [other])?)
        })
        .await
        .unwrap();
    let wrong = |scope, name: &str, bytes, files| UsageDifference {
        scope,
        name: name.to_owned(),
        bytes,
        files,
        unfinished: (0, 0),
    };
    let mut expected = vec![
        wrong("bucket", "photos", (50, 5), (1, 2)),
        wrong("user", &ids[0], (7, 3), (9, 1)),
        wrong("user", &ids[1], (0, 2), (0, 1)),
    ];
    expected.sort_by(|a, b| (a.scope, &a.name).cmp(&(b.scope, &b.name)));
    let recount = async |repair| subject.executor.recount_usage(&maintain(), repair).await.unwrap();
    assert_eq!(recount(false).await, expected);
    assert_eq!(recount(false).await, expected, "asking changes nothing");
    assert_eq!(recount(true).await, expected);
    assert_eq!(recount(false).await, []);
    let shown = subject.shown("photos").await;
    assert_eq!((shown.total_bytes, shown.file_count), (5, 2));
    for (caller, counted) in [(&owner, (3, 1)), (&forgotten, (2, 1))] {
        let usage = subject.executor.own_usage(&allow(caller, Operation::ReadUsage)).await.unwrap();
        assert_eq!((usage.total_bytes, usage.file_count), counted);
    }
}
