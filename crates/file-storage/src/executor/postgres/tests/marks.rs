//! Marks of objects: another one after whatever changes what a reader is answered, and the same after all else.

use std::collections::HashSet;

use super::{Opened, open_database};
use crate::bucket::{Bucket, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::conformance::subject::{
    Subject, allow, bucket, maintain, new_blob, path, service, user, with_segments,
};
use crate::file::{Place, PutMode};
use crate::permissions::{Operation, Policy, RlsContext};

async fn mark(subject: &Subject, caller: &RlsContext, of: &Bucket, at: &str) -> Option<String> {
    let access = allow(caller, Operation::Download);
    let mark = subject.executor.object_mark(&access, &of.name, &path(at)).await.unwrap();
    mark.map(|mark| mark.0.into())
}

#[tokio::test]
async fn no_mark_of_an_object_comes_back_and_what_is_beside_it_leaves_it_as_it_is() {
    let Opened { subject, database } = open_database().await;
    let admin = database.admin().await;
    let owner = user();
    let made = subject.bucket(&owner, "box", BucketPolicy::Private).await;
    let mut told = HashSet::new();
    let mut is_new = async |what: &str| {
        let now = mark(&subject, &owner, &made, "a").await.unwrap();
        assert_eq!(
            mark(&subject, &service(), &made, "a").await.as_ref(),
            Some(&now),
            "all are told the same"
        );
        assert!(told.insert(now), "{what}");
    };
    let is_old = async |before: &Option<String>, what: &str| {
        assert_eq!(mark(&subject, &owner, &made, "a").await, *before, "{what}");
    };
    let put = async |at: &str, bytes: &[u8]| {
        let (object, _) = new_blob(&made, at, bytes);
        subject.put_object(&service(), object, &PutMode::Upsert).await.unwrap();
    };
    // What comes back when an object goes again would tell of what was there meanwhile.
    let is_nothing = async || {
        let [one, other] =
            [mark(&subject, &owner, &made, "a").await, mark(&subject, &owner, &made, "a").await];
        assert!(one.is_some() && one != other, "what is not there has another mark each time");
    };
    is_nothing().await;
    put("a", b"1").await;
    is_new("an object").await;
    put("a", b"1").await;
    is_new("an overwrite").await;
    for (what, sql) in [
        ("its row", "UPDATE aerostore.storage_objects SET content_type = content_type"),
        ("tags", "UPDATE aerostore.storage_objects SET extra = NULL"),
        ("its segment", "UPDATE aerostore.storage_segments SET provider = 'elsewhere'"),
        ("its segment, once more", "UPDATE aerostore.storage_segments SET provider = 'local'"),
        ("its bucket, opened", "UPDATE aerostore.storage_buckets SET policy = 'public'"),
        ("its bucket, closed", "UPDATE aerostore.storage_buckets SET policy = 'private'"),
        ("its bucket's owner", "UPDATE aerostore.storage_buckets SET owner_id = gen_random_uuid()"),
        ("its table's rights", "GRANT SELECT ON aerostore.storage_objects TO PUBLIC"),
        (
            "its table's rules",
            "ALTER POLICY \"~aerostore_object_read\" ON aerostore.storage_objects USING (true)",
        ),
        ("rules of segments", "ALTER POLICY segment_read ON aerostore.storage_segments USING (true)"),
    ] {
        admin.batch_execute(sql).await.unwrap();
        is_new(what).await;
    }
    let closed = "CREATE POLICY closed ON storage_objects AS RESTRICTIVE FOR SELECT TO anon USING (size > 3)";
    subject.executor.create_policy(&maintain(), &Policy::parse(closed).unwrap()).await.unwrap();
    is_new("a policy").await;
    subject.executor.drop_policy(&maintain(), "closed").await.unwrap();
    is_new("no policy").await;
    // None of this is about the object.
    let before = mark(&subject, &owner, &made, "a").await;
    put("b", b"1").await;
    is_old(&before, "an object beside it").await;
    put("b", b"22").await;
    is_old(&before, "an overwrite beside it").await;
    subject.delete(&service(), "box", "b").await.unwrap();
    is_old(&before, "a deletion beside it").await;
    admin
        .batch_execute("UPDATE aerostore.storage_buckets SET file_count = 7, total_bytes = 9")
        .await
        .unwrap();
    is_old(&before, "counters").await;
    subject.executor.recount_usage(&maintain(), true).await.unwrap();
    is_old(&before, "counters that were put right").await;
    subject.bucket(&owner, "other", BucketPolicy::Public).await;
    is_old(&before, "another bucket").await;
    subject.delete(&service(), "box", "a").await.unwrap();
    is_nothing().await;
    put("a", b"1").await;
    is_new("an object of its name").await;
}

#[tokio::test]
async fn what_a_mark_does_not_tell_of_has_none() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    let made = subject.bucket(&owner, "box", BucketPolicy::Private).await;
    for (at, count) in [("some", 16_usize), ("many", 17)] {
        let parts = (0..count).map(|_| (&b"1"[..], Place::Inline("1".into())));
        let object = with_segments(&made, at, &[b'1'; 17][..count], parts);
        subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    }
    assert!(mark(&subject, &owner, &made, "some").await.is_some());
    assert!(mark(&subject, &owner, &made, "many").await.is_none(), "so many segments are not marked");
    let later =
        "CREATE POLICY later ON storage_objects FOR SELECT TO authenticated USING (created_at > now())";
    subject.executor.create_policy(&maintain(), &Policy::parse(later).unwrap()).await.unwrap();
    assert!(mark(&subject, &owner, &made, "some").await.is_none(), "the clock");
    assert!(mark(&subject, &service(), &made, "some").await.is_some(), "whom no policy speaks of");
    subject.executor.drop_policy(&maintain(), "later").await.unwrap();
    let admin = database.admin().await;
    for table in ["storage_objects", "storage_segments"] {
        let policy = format!("POLICY mine ON aerostore.{table}");
        admin
            .batch_execute(&format!("CREATE {policy} FOR SELECT TO authenticated USING (true)"))
            .await
            .unwrap();
        assert!(mark(&subject, &owner, &made, "some").await.is_none(), "{table}");
        admin.batch_execute(&format!("DROP {policy}")).await.unwrap();
        assert!(mark(&subject, &owner, &made, "some").await.is_some(), "{table}");
    }
    // An access to one object gives no mark of another.
    let narrow = allow(&owner, Operation::Download).narrowed(bucket("box"), path("some"));
    subject.executor.object_mark(&narrow, &made.name, &path("some")).await.unwrap().unwrap();
    let refused = subject.executor.object_mark(&narrow, &made.name, &path("many")).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
}

#[tokio::test]
async fn all_that_is_set_of_a_bucket_counts_but_its_counters() {
    let Opened { database, .. } = open_database().await;
    let admin = database.admin().await;
    let sql = "SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = 'aerostore.storage_buckets'::regclass \
         AND a.attnum > 0 AND NOT a.attisdropped AND NOT EXISTS (SELECT 1 FROM pg_trigger t \
             WHERE t.tgrelid = a.attrelid AND t.tgname = 'bucket_was_set' AND a.attnum = ANY (t.tgattr)) ORDER BY 1";
    let rows = admin.query(sql, &[]).await.unwrap();
    let left: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(left, ["file_count", "total_bytes", "unfinished_bytes"]);
}
