//! What the database itself refuses, whoever asks it and however: raw SQL as the roles of users.

use serde_json::json;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::{Opened, open_database};
use crate::bucket::BucketPolicy;
use crate::executor::conformance::subject::{maintain, service, user};
use crate::file::PutMode;
use crate::permissions::policy::tests::SUPABASE;
use crate::permissions::{Policy, RlsContext};

/// Every table that users may ask.
const TABLES: [&str; 5] =
    ["storage_buckets", "storage_objects", "storage_segments", "storage_usage", "upload_queue"];

/// What is the server's alone.
const CLOSED: [&str; 10] = [
    "aerostore.storage_events",
    "aerostore.storage_events_gone",
    "aerostore.blob_deletions",
    "aerostore.blob_copies",
    "aerostore.used_nonces",
    "aerostore.provider_identities",
    "aerostore.storage_policies",
    "aerostore.schema_migrations",
    "aerostore_inner.bucket_access",
    "aerostore_inner.policies_in_force",
];

/// Runs a statement as a role with claims, or without any, and takes it back.
async fn ask(
    client: &mut Client,
    role: &str,
    claims: Option<serde_json::Value>,
    sql: &str,
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let transaction = client.transaction().await.unwrap();
    transaction.batch_execute(&format!("SET LOCAL ROLE {role}")).await.unwrap();
    if let Some(claims) = claims {
        let claims = claims.to_string();
        transaction.query("SELECT set_config('request.jwt.claims', $1, true)", &[&claims]).await.unwrap();
    }
    transaction.query(sql, &[]).await
}

fn claims(of: &RlsContext) -> Option<serde_json::Value> {
    Some(json!({ "role": of.role().as_str(), "sub": of.user_id() }))
}

fn id(of: &RlsContext) -> Uuid {
    of.user_id().unwrap()
}

#[track_caller]
fn is_refused(outcome: &Result<Vec<Row>, tokio_postgres::Error>, what: &str) {
    let code = outcome.as_ref().err().and_then(|error| error.code());
    assert_eq!(code, Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{what}: {outcome:?}");
}

/// Alice has a private bucket with an object, an object in a system bucket, usage, and something queued.
async fn alices() -> (Opened, Client, RlsContext, RlsContext) {
    let opened = open_database().await;
    let (alice, bob) = (user(), user());
    let own = opened.subject.bucket(&alice, "alices", BucketPolicy::Private).await;
    let system = opened.subject.bucket(&service(), "system", BucketPolicy::Private).await;
    for made in [&own, &system] {
        opened.subject.put(&alice, (made, "a/b.txt"), b"hers", PutMode::Create).await.unwrap();
    }
    let admin = opened.database.admin().await;
    let queue = "INSERT INTO aerostore.upload_queue (user_id, bucket_id, file_name, file_size_bytes, mime_type, \
         storage_path, blob_key, source_provider, target_provider, reason) \
         VALUES ($1, 'alices', 'b.txt', 4, 'text/plain', 'a/b.txt', 'k', 'local', 's3', 'deferred')";
    admin.execute(queue, &[&id(&alice)]).await.unwrap();
    (opened, admin, alice, bob)
}

#[tokio::test]
async fn fs_i3_raw_sql_shows_each_user_their_own_rows_alone() {
    let (_opened, mut admin, alice, bob) = alices().await;
    for table in TABLES {
        let all = format!("SELECT * FROM aerostore.{table}");
        let hers = ask(&mut admin, "authenticated", claims(&alice), &all).await.unwrap();
        assert!(!hers.is_empty(), "Alice sees her rows of {table}");
        let his = ask(&mut admin, "authenticated", claims(&bob), &all).await.unwrap();
        assert!(his.is_empty(), "Bob sees {} of Alice's rows of {table}", his.len());
        let anons = ask(&mut admin, "anon", Some(json!({ "role": "anon" })), &all).await.unwrap();
        assert!(anons.is_empty(), "anon sees {} of Alice's rows of {table}", anons.len());
        // Claims that do not fit the database's role are nobody's.
        let posing = ask(&mut admin, "anon", claims(&alice), &all).await.unwrap();
        assert!(posing.is_empty(), "anon with Alice's claims sees rows of {table}");
    }
    let mine = "SELECT path FROM aerostore.storage_objects WHERE owner_id = aerostore.current_user_id()";
    assert_eq!(ask(&mut admin, "authenticated", claims(&alice), mine).await.unwrap().len(), 2);
}

#[tokio::test]
async fn fs_i3_without_claims_there_is_nobody_and_nothing() {
    let (opened, mut admin, alice, _) = alices().await;
    for (name, policy) in [("open", BucketPolicy::Public), ("shared", BucketPolicy::Authenticated)] {
        let made = opened.subject.bucket(&alice, name, policy).await;
        opened.subject.put(&alice, (&made, "a"), b"1", PutMode::Create).await.unwrap();
    }
    for role in ["anon", "authenticated"] {
        for table in TABLES {
            let all = format!("SELECT * FROM aerostore.{table}");
            let found = ask(&mut admin, role, None, &all).await.unwrap();
            assert!(found.is_empty(), "{role} without claims sees {} rows of {table}", found.len());
        }
    }
}

#[tokio::test]
async fn fs_i3_nobody_writes_in_somebody_elses_name_or_place() {
    let (opened, mut admin, alice, bob) = alices().await;
    let shared = opened.subject.bucket(&alice, "shared", BucketPolicy::Authenticated).await;
    opened.subject.put(&bob, (&shared, "his"), b"1", PutMode::Create).await.unwrap();
    let insert = |bucket: &str, owner: Uuid| {
        format!(
            "INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, \
             owner_id, version) VALUES (gen_random_uuid(), '{bucket}', 'raw', 0, 'text/plain', repeat('0', 64), \
             'x', '{owner}', gen_random_uuid())"
        )
    };
    let (her, him) = (id(&alice), id(&bob));
    let bobs = async |admin: &mut Client, sql: &str| ask(admin, "authenticated", claims(&bob), sql).await;
    bobs(&mut admin, &insert("shared", him)).await.unwrap();
    bobs(&mut admin, &insert("system", him)).await.unwrap();
    for (what, sql) in [
        ("an object in her name", insert("shared", her)),
        ("an object in her name, in a system bucket", insert("system", her)),
        ("an object in her bucket", insert("alices", him)),
        ("another owner", format!("UPDATE aerostore.storage_objects SET owner_id = '{her}'")),
        ("another identity", "UPDATE aerostore.storage_objects SET id = gen_random_uuid()".to_owned()),
        ("a move into her bucket", "UPDATE aerostore.storage_objects SET bucket_id = 'alices'".to_owned()),
        ("counters", "UPDATE aerostore.storage_buckets SET total_bytes = 0".to_owned()),
        ("a quota", "UPDATE aerostore.storage_usage SET quota_bytes = NULL".to_owned()),
        ("a queue entry", "UPDATE aerostore.upload_queue SET status = 'failed'".to_owned()),
        ("segments", "DELETE FROM aerostore.storage_segments".to_owned()),
        (
            "a bucket in her name",
            format!(
                "INSERT INTO aerostore.storage_buckets (id, uuid, owner_id) \
                 VALUES ('x', gen_random_uuid(), '{her}')"
            ),
        ),
    ] {
        is_refused(&bobs(&mut admin, &sql).await, what);
    }
    // What he can't see he can't change, either.
    for sql in [
        "DELETE FROM aerostore.storage_objects WHERE bucket_id IN ('alices', 'system') RETURNING 1",
        "UPDATE aerostore.storage_objects SET etag = 'x' WHERE bucket_id = 'alices' RETURNING 1",
        "DELETE FROM aerostore.storage_buckets RETURNING 1",
        "UPDATE aerostore.storage_buckets SET policy = 'public' RETURNING 1",
    ] {
        assert!(bobs(&mut admin, sql).await.unwrap().is_empty(), "{sql}");
    }
    // Anon, whose role has the grants and no policy.
    let anon = ask(&mut admin, "anon", Some(json!({ "role": "anon" })), &insert("shared", her)).await;
    is_refused(&anon, "anon's object");
}

#[tokio::test]
async fn fs_i3_raw_sql_sees_what_policies_grant_and_no_more() {
    let (opened, mut admin, alice, bob) = alices().await;
    let made = opened.subject.shown("alices").await;
    for at in ["shared/a", "shared/b.secret"] {
        opened.subject.put(&alice, (&made, at), b"1", PutMode::Create).await.unwrap();
    }
    for sql in [
        "CREATE POLICY shared ON storage_objects FOR SELECT TO authenticated USING (bucket_id = 'alices' \
         AND (storage.foldername(name))[1] = 'shared' AND auth.jwt() ->> 'team' = 'red')",
        "CREATE POLICY inbox ON storage_objects FOR INSERT TO anon WITH CHECK (starts_with(name, 'in/'))",
        "CREATE POLICY secrets ON storage_objects AS RESTRICTIVE FOR SELECT USING (storage.extension(name) <> 'secret')",
    ] {
        opened.subject.executor.create_policy(&maintain(), &Policy::parse(sql).unwrap()).await.unwrap();
    }
    let red = |of: &RlsContext, role: &str| Some(json!({ "role": role, "sub": of.user_id(), "team": "red" }));
    let paths = "SELECT path FROM aerostore.storage_objects ORDER BY path";
    let seen = async |admin: &mut Client, role: &str, claims| {
        let rows = ask(admin, role, claims, paths).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()
    };
    assert_eq!(seen(&mut admin, "authenticated", red(&bob, "authenticated")).await, ["shared/a"]);
    assert_eq!(seen(&mut admin, "authenticated", red(&alice, "authenticated")).await.len(), 3);
    // Neither the role alone, nor claims of another role, nor none at all are somebody.
    for (role, claims) in [
        ("authenticated", claims(&bob)),
        ("authenticated", None),
        ("authenticated", Some(json!({ "team": "red" }))),
        ("authenticated", red(&bob, "anon")),
        ("authenticated", red(&bob, "service_role")),
        ("anon", red(&bob, "authenticated")),
    ] {
        assert!(seen(&mut admin, role, claims.clone()).await.is_empty(), "{role} {claims:?}");
    }
    let bytes = "SELECT bytes FROM aerostore.storage_segments";
    let told = ask(&mut admin, "authenticated", red(&bob, "authenticated"), bytes).await.unwrap();
    assert_eq!(told.len(), 1, "the way to the bytes is open as far as the rows are");
    for write in ["UPDATE aerostore.storage_objects SET size = 2", "DELETE FROM aerostore.storage_objects"] {
        let write = format!("WITH done AS ({write} RETURNING 1) SELECT * FROM done");
        let done = ask(&mut admin, "authenticated", red(&bob, "authenticated"), &write).await.unwrap();
        assert!(done.is_empty(), "{write}");
    }
    let insert = |path: &str| {
        format!(
            "INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, version) \
             VALUES (gen_random_uuid(), 'alices', '{path}', 0, 'text/plain', repeat('0', 64), 'x', gen_random_uuid())"
        )
    };
    let nobody = Some(json!({ "role": "anon" }));
    ask(&mut admin, "anon", nobody.clone(), &insert("in/a")).await.unwrap();
    is_refused(&ask(&mut admin, "anon", nobody, &insert("out")).await, "an object elsewhere");
    is_refused(&ask(&mut admin, "anon", None, &insert("in/a")).await, "an object of nobody's");
    // Nobody but the owner of the table changes policies.
    for sql in
        ["DROP POLICY shared ON aerostore.storage_objects", "SELECT * FROM aerostore_inner.read_widened"]
    {
        for role in ["anon", "authenticated", "service_role"] {
            is_refused(&ask(&mut admin, role, claims(&bob), sql).await, sql);
        }
    }
}

#[tokio::test]
async fn policies_leave_lookups_and_lists_on_their_indexes() {
    let (opened, mut admin, _, bob) = alices().await;
    let fill = "INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, checksum, etag, version) \
         SELECT gen_random_uuid(), 'alices', 'f' || lpad(n::text, 6, '0'), 0, 'text/plain', repeat('0', 64), 'x', \
         gen_random_uuid() FROM generate_series(1, 20000) n";
    admin.batch_execute(fill).await.unwrap();
    admin.batch_execute("ANALYZE aerostore.storage_objects").await.unwrap();
    for sql in SUPABASE {
        opened.subject.executor.create_policy(&maintain(), &Policy::parse(sql).unwrap()).await.unwrap();
    }
    for asked in [
        "SELECT size FROM aerostore.storage_objects WHERE bucket_id = 'alices' AND path = 'f000700'",
        "SELECT path FROM aerostore.storage_objects WHERE bucket_id = 'alices' AND path >= 'f' AND path < 'g' \
         ORDER BY path LIMIT 100",
        "SELECT path FROM aerostore.storage_objects WHERE bucket_id = 'alices' AND path >= 'f' AND path < 'g' \
         ORDER BY path DESC LIMIT 100",
    ] {
        let plan = ask(&mut admin, "authenticated", claims(&bob), &format!("EXPLAIN {asked}")).await.unwrap();
        let plan = plan.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n");
        assert!(plan.contains("storage_objects_pkey on storage_objects"), "{plan}");
        let conditions = plan.lines().find(|line| line.contains("Index Cond")).unwrap_or_default();
        assert!(conditions.contains("bucket_id =") && conditions.contains("path"), "{plan}");
        assert!(!plan.contains("Sort") && !plan.contains("hashed"), "{plan}");
    }
}

#[tokio::test]
async fn fs_i3_bookkeeping_is_out_of_reach() {
    let (_opened, mut admin, alice, _) = alices().await;
    for role in ["anon", "authenticated"] {
        for table in CLOSED {
            let asked = ask(&mut admin, role, claims(&alice), &format!("SELECT * FROM {table}")).await;
            is_refused(&asked, &format!("{role} reads {table}"));
        }
        for call in [
            "SELECT aerostore_inner.count_in_bucket('alices', 0, -4)",
            "SELECT aerostore_inner.count_for_owner(gen_random_uuid(), 1, 1)",
            "SELECT aerostore_inner.discard_bytes(ARRAY[gen_random_uuid()])",
        ] {
            is_refused(&ask(&mut admin, role, claims(&alice), call).await, call);
        }
    }
    let unforced = "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname IN ('aerostore', 'aerostore_inner') AND c.relkind IN ('r', 'p') \
         AND c.relname <> 'schema_migrations' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)";
    assert!(admin.query(unforced, &[]).await.unwrap().is_empty(), "row-level security is forced everywhere");
}

#[tokio::test]
async fn the_books_are_kept_whoever_changes_rows() {
    let (opened, mut admin, alice, bob) = alices().await;
    let sql = "WITH made AS (INSERT INTO aerostore.storage_objects (id, bucket_id, path, size, content_type, \
         checksum, etag, owner_id, version) SELECT gen_random_uuid(), 'system', 'raw' || n, n, 'text/plain', \
         repeat('0', 64), 'x', aerostore.current_user_id(), gen_random_uuid() FROM generate_series(1, 10) n) SELECT 1";
    let transaction = admin.transaction().await.unwrap();
    transaction.batch_execute("SET LOCAL ROLE authenticated").await.unwrap();
    let claims = claims(&bob).unwrap().to_string();
    transaction.query("SELECT set_config('request.jwt.claims', $1, true)", &[&claims]).await.unwrap();
    transaction.query(sql, &[]).await.unwrap();
    let update =
        "UPDATE aerostore.storage_objects SET size = size + 1, version = gen_random_uuid() WHERE size > 5";
    transaction.execute(update, &[]).await.unwrap();
    transaction.execute("DELETE FROM aerostore.storage_objects WHERE size < 3", &[]).await.unwrap();
    transaction.commit().await.unwrap();
    let shown = opened.subject.shown("system").await;
    assert_eq!((shown.file_count, shown.total_bytes), (9, 4 + 55 + 5 - 3));
    opened.subject.recount().await;
    assert!(opened.subject.get(&alice, "system", "a/b.txt").await.is_ok());
}

#[tokio::test]
async fn functions_for_policies_are_supabases() {
    let opened = open_database().await;
    let mut admin = opened.database.admin().await;
    let sql = "SELECT aerostore.foldername(n), aerostore.filename(n), aerostore.extension(n) \
         FROM unnest(ARRAY['a/b/c.tar.gz', 'x', 'u/']) n";
    let empty = "SELECT num_nulls(aerostore.foldername(n), aerostore.filename(n), aerostore.extension(n)) \
         FROM unnest(ARRAY['', NULL]) n";
    let nulls = ask(&mut admin, "anon", None, empty).await.unwrap();
    assert!(nulls.iter().all(|row| row.get::<_, i32>(0) == 3));
    let rows = ask(&mut admin, "anon", None, sql).await.unwrap();
    let told: Vec<(Vec<String>, String, String)> =
        rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect();
    let expected = [(vec!["a", "b"], "c.tar.gz", "gz"), (vec![], "x", "x"), (vec!["u"], "", "")];
    for (told, (folders, name, extension)) in told.iter().zip(expected) {
        assert_eq!(
            (told.0.join("/"), told.1.as_str(), told.2.as_str()),
            (folders.join("/"), name, extension)
        );
    }
    let who = "SELECT aerostore.uid()::text, aerostore.role(), aerostore.jwt() ->> 'team'";
    let someone =
        json!({ "sub": "00000000-0000-0000-0000-000000000001", "role": "authenticated", "team": "red" });
    let row = &ask(&mut admin, "authenticated", Some(someone), who).await.unwrap()[0];
    let told: (String, String, String) = (row.get(0), row.get(1), row.get(2));
    assert_eq!((told.0.ends_with('1'), told.1.as_str(), told.2.as_str()), (true, "authenticated", "red"));
}

#[tokio::test]
async fn an_upload_goes_its_way_and_no_other() {
    let (_opened, admin, alice, _) = alices().await;
    let go = async |status: &str| {
        let sql = format!(
            "UPDATE aerostore.upload_queue SET status = '{status}', started_at = now(), completed_at = \
             CASE WHEN '{status}' IN ('completed', 'failed') THEN now() END WHERE user_id = $1"
        );
        admin.execute(&sql, &[&id(&alice)]).await.map_err(|error| error.code().cloned())
    };
    let refused = Err(Some(SqlState::CHECK_VIOLATION));
    for (status, expected) in [
        ("completed", refused.clone()),
        ("in_progress", Ok(1)),
        ("pending", Ok(1)),
        ("in_progress", Ok(1)),
        ("failed", Ok(1)),
        ("completed", refused.clone()),
        ("in_progress", refused.clone()),
        ("pending", Ok(1)),
        ("in_progress", Ok(1)),
        ("completed", Ok(1)),
        ("pending", refused.clone()),
        ("failed", refused.clone()),
        ("anything", refused.clone()),
    ] {
        assert_eq!(go(status).await, expected, "to {status}");
    }
    let insert = "INSERT INTO aerostore.upload_queue (bucket_id, file_name, file_size_bytes, mime_type, storage_path, \
         blob_key, source_provider, target_provider, reason, status, completed_at) \
         VALUES ('b', 'f', 1, 't', 'p', 'k2', 'l', 's', 'deferred', 'completed', now())";
    assert_eq!(admin.execute(insert, &[]).await.map_err(|error| error.code().cloned()), refused);
}
