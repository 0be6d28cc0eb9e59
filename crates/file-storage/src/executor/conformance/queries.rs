//! Queries: by no wording does anybody see other rows than those that reads show them.

use std::time::{Duration, Instant};

use super::subject::{Subject, allow, anon, bucket, service, user};
use crate::bucket::{BucketConfig, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::{BucketListing, BucketSort, SortOrder};
use crate::file::PutMode;
use crate::permissions::{Operation, RlsContext};
use crate::sql::query::{QueryLimits, parse};

const LIMITS: QueryLimits = QueryLimits { rows: 1000, bytes: 1 << 20, time: Duration::from_secs(30) };

async fn ask(subject: &Subject, caller: &RlsContext, text: &str) -> serde_json::Value {
    let answer =
        subject.executor.query(&allow(caller, Operation::Query), &parse(text, &[]).unwrap(), &LIMITS).await;
    let answer = answer.unwrap_or_else(|error| panic!("{text}: {error:?}"));
    serde_json::from_str(&format!("[{}]", answer.rows)).unwrap()
}

pub(crate) async fn queries_see_what_lists_and_reads_show(subject: &Subject) {
    let (owner, other) = (user(), user());
    for policy in [BucketPolicy::Public, BucketPolicy::Authenticated, BucketPolicy::Private] {
        for (by, kind) in [(&owner, "owned"), (&service(), "system")] {
            let config = BucketConfig { policy, ..BucketConfig::default() };
            let made = subject.bucket_with(by, &format!("{kind}-{policy:?}").to_lowercase(), config).await;
            for (writer, path) in [(&owner, "of-owner"), (&other, "of-other"), (&service(), "of-nobody")] {
                // Where a writer may not write, there is nothing to see.
                let _refused = subject.put(writer, (&made, path), b"1", PutMode::Create).await;
            }
        }
    }
    let all = ask(subject, &service(), "SELECT bucket_id, path FROM storage_objects").await;
    assert!(all.as_array().unwrap().len() > 10, "{all}");
    for caller in [&anon(), &owner, &other, &service()] {
        let mut readable = Vec::new();
        for row in all.as_array().unwrap() {
            let (name, path) = (row["bucket_id"].as_str().unwrap(), row["path"].as_str().unwrap());
            if subject.get(caller, name, path).await.is_ok() {
                readable.push(row.clone());
            }
        }
        for text in [
            "SELECT bucket_id, path FROM storage_objects",
            "SELECT bucket_id, path FROM storage_objects WHERE true OR owner_id IS NOT NULL ORDER BY bucket_id, path",
            "SELECT DISTINCT o.bucket_id, o.path FROM storage_objects o LEFT JOIN storage_objects x ON true",
            "SELECT bucket_id, path FROM storage_objects GROUP BY bucket_id, path",
        ] {
            let seen = ask(subject, caller, text).await;
            assert_eq!(seen.as_array().unwrap(), &readable, "{caller:?}: {text}");
        }
        let listing = BucketListing {
            limit: 100,
            offset: 0,
            sort: (BucketSort::Name, SortOrder::Ascending),
            ..BucketListing::default()
        };
        let listed =
            subject.executor.list_buckets(&allow(caller, Operation::ListBuckets), &listing).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|bucket| bucket.name.as_str()).collect();
        let seen = ask(subject, caller, "SELECT id FROM storage_buckets").await;
        let seen: Vec<_> = seen.as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
        assert_eq!(seen, listed, "{caller:?}");
    }
    // Usage is one's own.
    for (caller, users) in [(&anon(), 0), (&owner, 1), (&other, 1), (&user(), 0), (&service(), 2)] {
        let seen = ask(subject, caller, "SELECT user_id FROM storage_usage").await;
        assert_eq!(seen.as_array().unwrap().len(), users, "{caller:?}");
        assert_eq!(ask(subject, caller, "SELECT id FROM upload_queue").await, serde_json::json!([]));
    }
    let who =
        ask(subject, &owner, "SELECT current_user_id() AS id, auth.role() AS role, auth.jwt() ->> 'x' AS x")
            .await;
    assert_eq!(who, serde_json::json!([{ "id": owner.user_id(), "role": "authenticated", "x": null }]));
}

pub(crate) async fn queries_need_their_own_access(subject: &Subject) {
    let query = parse("SELECT 1 AS one", &[]).unwrap();
    for operation in [Operation::ListBuckets, Operation::Info, Operation::ReadUsage] {
        let refused = subject.executor.query(&allow(&user(), operation), &query, &LIMITS).await;
        assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{operation:?}: {refused:?}");
    }
    let signed = crate::permissions::Access::signed(
        Operation::Download,
        &anon(),
        bucket("some"),
        super::subject::path("a"),
    );
    assert!(subject.executor.query(&signed, &query, &LIMITS).await.is_err());
}

pub(crate) async fn heavy_queries_are_ended(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "heavy", BucketPolicy::Private).await;
    for number in 0..40 {
        subject.put(&owner, (&made, &number.to_string()), b"1", PutMode::Create).await.unwrap();
    }
    let text = "SELECT count(*) FROM objects a, objects b, objects c, objects d, objects e, objects f \
        WHERE a.size + b.size + c.size + d.size + e.size <> f.size OR length(a.path || b.path) > 3";
    let limits = QueryLimits { time: Duration::from_millis(500), ..LIMITS };
    let started = Instant::now();
    let access = allow(&owner, Operation::Query);
    let ended = subject.executor.query(&access, &parse(text, &[]).unwrap(), &limits).await;
    assert!(matches!(ended, Err(StorageError::OperationTimeout { .. })), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(
        ask(subject, &owner, "SELECT count(*) AS n FROM objects").await,
        serde_json::json!([{ "n": 40 }])
    );
}
