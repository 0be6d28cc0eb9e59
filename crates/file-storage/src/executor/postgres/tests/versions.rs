//! Old versions, as PostgreSQL keeps them: policies that are made by hand hold for them, raw SQL gets at nobody else's, and what
//! is asked of them walks an index.

use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Opened, TestDatabase, open_as, open_database, options};
use crate::bucket::{Bucket, BucketConfig, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::Executor;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{allow, bucket, maintain, path, service, user};
use crate::executor::postgres::{SchemaName, migrations, roles};
use crate::file::PutMode;
use crate::permissions::{Operation, Policy, RlsContext};
use crate::versions::{VersionScan, Versioning};

/// A bucket with two versions of one object.
async fn kept(subject: &Subject, owner: &RlsContext, name: &str, policy: BucketPolicy) -> Bucket {
    let config = BucketConfig { policy, versioning: Versioning::Enabled, ..BucketConfig::default() };
    let made = subject.bucket_with(owner, name, config).await;
    for bytes in [b"old" as &[u8], b"newer"] {
        subject.put(owner, (&made, "a"), bytes, PutMode::Upsert).await.unwrap();
    }
    made
}

/// The sizes of all versions that somebody sees in a bucket.
async fn seen(executor: &dyn Executor, who: &RlsContext, name: &str) -> Vec<u64> {
    let all =
        VersionScan { prefix: String::new(), from: String::new(), after: None, until: None, limit: 100 };
    let found = executor.scan_versions(&allow(who, Operation::ListVersions), &bucket(name), &all).await;
    found.unwrap().iter().map(|version| version.object.size).collect()
}

/// Runs statements as a user, in one transaction that is kept where all went well.
async fn as_user(
    client: &mut Client,
    who: &RlsContext,
    statements: &[&str],
) -> Result<(), tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    transaction.batch_execute("SET LOCAL ROLE authenticated").await?;
    let claims = json!({ "role": "authenticated", "sub": who.user_id() }).to_string();
    transaction.query("SELECT set_config('request.jwt.claims', $1, true)", &[&claims]).await?;
    for statement in statements {
        transaction.batch_execute(statement).await?;
    }
    transaction.commit().await
}

#[tokio::test]
async fn policies_that_are_made_by_hand_hold_for_versions() {
    let Opened { subject, database } = open_database().await;
    let (owner, other) = (user(), user());
    kept(&subject, &owner, "docs", BucketPolicy::Private).await;
    let admin = database.admin().await;
    let by_hand = async |sql: &str| admin.batch_execute(sql).await.unwrap();
    let on = &*subject.executor;
    assert_eq!(seen(on, &owner, "docs").await, [5, 3]);
    // Until a server has seen them, they close old versions to users; what is current obeys them at once.
    by_hand(
        "CREATE POLICY hand ON aerostore.storage_objects AS RESTRICTIVE FOR SELECT TO authenticated \
             USING (size > 3)",
    )
    .await;
    assert_eq!((seen(on, &owner, "docs").await, seen(on, &service(), "docs").await), (vec![5], vec![5, 3]));
    let again = open_as(&database, options(&database)).await;
    assert_eq!(seen(&*again.executor, &owner, "docs").await, [5]);
    by_hand("ALTER POLICY hand ON aerostore.storage_objects USING (size < 4)").await;
    assert!(seen(on, &owner, "docs").await.is_empty());
    // A change of policies through a server does as well as a start.
    let policy =
        Policy::parse("CREATE POLICY shown ON storage_objects FOR SELECT TO authenticated USING (true)");
    let access = maintain();
    on.create_policy(&access, &policy.unwrap()).await.unwrap();
    assert_eq!((seen(on, &owner, "docs").await, seen(on, &other, "docs").await), (vec![3], vec![3]));
    by_hand("DROP POLICY hand ON aerostore.storage_objects").await;
    assert!(on.drop_policy(&access, "shown").await.unwrap());
    assert_eq!((seen(on, &owner, "docs").await, seen(on, &other, "docs").await), (vec![5, 3], vec![]));
    let left = "SELECT 1 FROM pg_policies WHERE schemaname = 'aerostore' AND policyname NOT LIKE '~%' \
         AND tablename LIKE 'storage_object%'";
    assert!(admin.query(left, &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_cannot_hold_for_versions_closes_them_and_nothing_else() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    kept(&subject, &owner, "docs", BucketPolicy::Private).await;
    let admin = database.admin().await;
    let by_hand = async |sql: &str| admin.batch_execute(sql).await.unwrap();
    let looks = "USING (EXISTS (SELECT 1 FROM aerostore.storage_object_versions v WHERE v.size > 0))";
    for (name, policy) in [
        // As a likeness it would look into itself.
        ("looks", format!("FOR SELECT TO authenticated {looks}")),
        // As the server's own it is not taken for one of somebody's.
        ("~aerostore_mine", "AS RESTRICTIVE FOR SELECT TO authenticated USING (size > 3)".to_owned()),
    ] {
        by_hand(&format!("CREATE POLICY \"{name}\" ON aerostore.storage_objects {policy}")).await;
        let again = open_as(&database, options(&database)).await;
        let seen_by = async |who: RlsContext| seen(&*again.executor, &who, "docs").await;
        let all = (seen_by(owner.clone()).await, seen_by(service()).await);
        assert_eq!(all, (vec![5], vec![5, 3]), "{name}");
        by_hand(&format!("DROP POLICY \"{name}\" ON aerostore.storage_objects")).await;
        assert_eq!(seen_by(owner.clone()).await, [5, 3], "{name}");
    }

    // One that was made for versions alone is not replaced by one that comes for objects.
    by_hand(
        "CREATE POLICY guard ON aerostore.storage_object_versions AS RESTRICTIVE FOR SELECT TO authenticated \
             USING (size > 3)",
    )
    .await;
    let policy =
        Policy::parse("CREATE POLICY guard ON storage_objects FOR SELECT TO authenticated USING (true)");
    let taken = subject.executor.create_policy(&maintain(), &policy.unwrap()).await;
    assert!(matches!(taken, Err(StorageError::PolicyExists { .. })), "{taken:?}");
    assert_eq!(seen(&*subject.executor, &owner, "docs").await, [5]);
    by_hand("DROP POLICY guard ON aerostore.storage_object_versions").await;

    // Somebody who reads versions for long keeps them closed, and no server from starting.
    by_hand("CREATE POLICY hand ON aerostore.storage_objects FOR SELECT TO authenticated USING (true)").await;
    let dump = database.admin().await;
    dump.batch_execute("BEGIN; SELECT count(*) FROM aerostore.storage_object_versions").await.unwrap();
    let again = open_as(&database, options(&database)).await;
    assert_eq!(seen(&*again.executor, &owner, "docs").await, [5]);
    dump.batch_execute("COMMIT").await.unwrap();
    let again = open_as(&database, options(&database)).await;
    assert_eq!(seen(&*again.executor, &owner, "docs").await, [5, 3]);
}

#[tokio::test]
async fn a_policy_with_a_subquery_is_upgraded() {
    let database = TestDatabase::new();
    let mut admin = database.admin().await;
    roles::ensure(&admin, 150_000).await.unwrap();
    migrations::migrate(&mut admin, &SchemaName::default(), 9).await.unwrap();
    let (owner, member, other) = (user(), user(), user());
    let members = format!(
        "CREATE TABLE public.members (bucket_id text, path text, member uuid); \
         GRANT SELECT ON public.members TO authenticated; \
         INSERT INTO public.members VALUES ('docs', 'a', '{}'); \
         CREATE POLICY \"of members\" ON aerostore.storage_objects FOR SELECT TO authenticated USING ( \
             EXISTS (SELECT 1 FROM public.members m WHERE m.path = storage_objects.path \
             AND m.bucket_id = storage_objects.bucket_id AND m.member = aerostore.uid()) \
             OR 'storage_objects.path' = content_type)",
        member.user_id().unwrap()
    );
    admin.batch_execute(&members).await.unwrap();
    let subject = open_as(&database, options(&database)).await;
    kept(&subject, &owner, "docs", BucketPolicy::Private).await;
    assert_eq!(seen(&*subject.executor, &member, "docs").await, [5, 3]);
    assert!(seen(&*subject.executor, &other, "docs").await.is_empty());
}

#[tokio::test]
async fn raw_sql_takes_nobodys_version() {
    let Opened { subject, database } = open_database().await;
    let (alice, bob) = (user(), user());
    kept(&subject, &alice, "hers", BucketPolicy::Private).await;
    let his = kept(&subject, &bob, "his", BucketPolicy::Private).await;
    let mut admin = database.admin().await;
    let of_hers = "SELECT version::text FROM aerostore.storage_object_versions WHERE bucket_id = 'hers'";
    let version: String = admin.query_one(of_hers, &[]).await.unwrap().get(0);
    for sql in [
        format!(
            "INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, owner_id, \
             version) VALUES (gen_random_uuid(), 'his', 'raw', 3, 'text/plain', repeat('0', 64), 'x', \
             aerostore.uid(), '{version}')"
        ),
        format!("UPDATE aerostore.storage_objects SET version = '{version}' WHERE bucket_id = 'his'"),
    ] {
        let refused = as_user(&mut admin, &bob, &[&sql]).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::UNIQUE_VIOLATION), "{sql}");
    }
    // A version that must be kept is made no null version, which the next write would replace.
    let sql = "UPDATE aerostore.storage_objects SET versioned = false WHERE bucket_id = 'his'";
    let refused = as_user(&mut admin, &bob, &[sql]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    // Nor does a null version of his own, written beside another, get in the way of anything.
    let null = "UPDATE aerostore.storage_objects SET versioned = false, version = gen_random_uuid() \
         WHERE bucket_id = 'his'";
    for _ in 0..2 {
        as_user(&mut admin, &bob, &[null]).await.unwrap();
        subject.put(&bob, (&his, "a"), b"1", PutMode::Upsert).await.unwrap();
    }
    assert_eq!(seen(&*subject.executor, &alice, "hers").await, [5, 3]);
    subject.recount().await;
}

#[tokio::test]
async fn no_setting_of_a_callers_switches_the_books_off() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    kept(&subject, &owner, "docs", BucketPolicy::Private).await;
    let mut admin = database.admin().await;
    let before =
        subject.executor.events(&allow(&service(), Operation::Maintain), 0, 100).await.unwrap().len();
    as_user(
        &mut admin,
        &owner,
        &[
            "SELECT set_config('aerostore.promoting', 'on', true), set_config('aerostore.reason', 'replaced', true)",
            "DELETE FROM aerostore.storage_object_versions",
            "INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, owner_id, \
             version) VALUES (gen_random_uuid(), 'docs', 'raw', 7, 'text/plain', repeat('0', 64), 'x', \
             aerostore.uid(), gen_random_uuid())",
            "DELETE FROM aerostore.storage_objects WHERE path = 'a'",
        ],
    )
    .await
    .unwrap();
    let told = subject.executor.events(&allow(&service(), Operation::Maintain), 0, 100).await.unwrap();
    let kinds: Vec<_> = told.iter().skip(before).map(|event| &*event.kind).collect();
    assert_eq!(kinds, ["storage.object.deleted", "storage.object.created", "storage.object.deleted"]);
    assert!(told.iter().all(|event| event.payload.get("reason").is_none()));
    subject.recount().await;
    assert_eq!(subject.shown("docs").await.total_bytes, 12);
    // A marker is there, as after any deletion.
    let gone = subject.get(&owner, "docs", "a").await.unwrap_err();
    assert!(matches!(gone, StorageError::ObjectDeleted { .. }), "{gone:?}");
}

#[tokio::test]
async fn what_is_asked_of_versions_is_one_search_of_an_index() {
    let Opened { subject, database } = open_database().await;
    let owner = user();
    kept(&subject, &owner, "docs", BucketPolicy::Public).await;
    let admin = database.admin().await;
    let fill = "INSERT INTO aerostore.storage_object_versions (bucket_id, path, id, size, content_type, etag, owner_id, \
         version, versioned) SELECT 'docs', p, gen_random_uuid(), 0, 'text/plain', 'x', gen_random_uuid(), \
         gen_random_uuid(), true FROM generate_series(1, 20000), unnest(ARRAY['a', 'many']) p; \
         ANALYZE aerostore.storage_object_versions";
    admin.batch_execute(fill).await.unwrap();
    subject.get(&user(), "docs", "many").await.unwrap_err();
    let all = VersionScan { prefix: String::new(), from: "a".into(), after: None, until: None, limit: 10 };
    let access = allow(&service(), Operation::ListVersions);
    let page = subject.executor.scan_versions(&access, &bucket("docs"), &all).await.unwrap();
    let last = page.last().unwrap().object.version_id();
    let next =
        VersionScan { prefix: String::new(), from: "a".into(), after: Some(last), until: None, limit: 10 };
    assert_eq!(subject.executor.scan_versions(&access, &bucket("docs"), &next).await.unwrap().len(), 10);
    let access = allow(&service(), Operation::Download);
    subject.executor.open_version(&access, &bucket("docs"), &path("a"), last).await.unwrap();
    let access = allow(&service(), Operation::EmptyBucket);
    assert_eq!(subject.executor.empty_bucket(&access, &bucket("docs"), 5).await.unwrap().len(), 5);
    subject.executor.close().await;
    // What was read is counted by PostgreSQL itself, and told when the connections end.
    let sql = "SELECT coalesce(sum(idx_tup_read), 0)::bigint FROM pg_stat_all_indexes \
         WHERE schemaname = 'aerostore' AND relname = 'storage_object_versions'";
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
         AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    while admin.query_one(others, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let read: i64 = admin.query_one(sql, &[]).await.unwrap().get(0);
    assert!((1..500).contains(&read), "{read} rows of an index were read");
}
