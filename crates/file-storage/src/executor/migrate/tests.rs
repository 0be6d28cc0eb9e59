//! Rows of every table, moved into a real PostgreSQL by a login role with no more than it needs.

#[allow(dead_code, reason = "shared with other suites, each of which uses a part of it")]
use std::path::PathBuf;

use rusqlite::Connection;
use tempfile::TempDir;
use uuid::Uuid;

use super::tables::TABLES;
use super::{Migration, Moved};
use crate::errors::StorageError;
use crate::executor::postgres::{PostgresAddress, PostgresExecutor, PostgresOptions};
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};
use crate::executor::{EventExecutor, Executor, UpkeepExecutor};
use crate::failpoint::{Action, arm, arm_nth};
use crate::permissions::{Access, AccessRules, Operation, Policy, RlsContext};

use crate::executor::postgres::tests::database::TestDatabase;

/// Rows of all kinds, some as no server would write them today. `{n}` are uuids.
const ROWS: &str = r#"
    INSERT INTO storage_buckets VALUES
        ('pub', '{1}', NULL, 'public', '["image/*","text/plain"]', 5, 1000, 1, 3, -1, 1700000000123456, 12, NULL, 'off', 3),
        ('ü.b', '{2}', '{9}', 'private', '[]', 0, NULL, 2, 9007199254740993, 0, 0, 0, '{"tags":[["b","1"],["a","ü"]]}', 'suspended', 5);
    INSERT INTO storage_objects VALUES
        ('{3}', 'pub', 'a/ü ß"''\😀.txt', 3, 'text/plain', 'no-store', '{sha}', 'e', NULL,
         '{"b":[1.50,1e300,-0.0,12345678901234567890123],"aa":{"\ud83d\ude00\n":null}, "a":"\\"}', '{4}', 1, 2, '{"tags":[["k","v"]],"headers":{"expires":"0"}}', 0),
        ('{5}', 'ü.b', 'x', 9007199254740993, '', NULL, '{sha}', 'e', '{9}', '{}', '{6}', 1, 2, NULL, 1),
        ('{7}', 'ü.b', 'empty', 0, '', '', '{sha}', '', '{9}', '{}', '{8}', 1, 2, NULL, 0);
    INSERT INTO storage_object_versions VALUES
        (4, 'ü.b', 'gone', '{1}', 0, 'text/plain', NULL, '{sha}', 'e', '{9}', '{}', '{2}', 1, 2, NULL, 1, 0, 3),
        (7, 'ü.b', 'gone', '{2}', 0, '', NULL, NULL, '', '{9}', '{}', '{9}', 1, 2, '{"tags":[["k","v"]]}', 0, 1, 3);
    INSERT INTO storage_segments VALUES
        ('{4}', 0, 0, 3, '{sha}', NULL, NULL, x'00ff5c'), ('{6}', 0, 0, 9, '{sha}', 'local', 'k1', NULL),
        ('{6}', 1, 9, 8, '{sha}', 'local', 'k2', NULL), ('{8}', 0, 0, 0, '{sha}', NULL, NULL, x'');
    INSERT INTO storage_usage VALUES ('{1}', '{9}', 9007199254740993, 2, 77, NULL, 1, 2, 12);
    INSERT INTO multipart_uploads VALUES
        ('{1}', 'pub', 'big', 'authenticated', '{9}', 1, 'text/plain', NULL, '{"a":1}',
            '{"type":"COMPOSITE","algorithm":"CRC32"}', 12, 1, 2, '{"tags":[["k","v"]]}',
            0, '{2}'),
        ('{2}', 'ü.b', 'x', 'service_role', NULL, 0, '', 'no-store', '{}', NULL, 0, 1, 2, NULL, 1, NULL);
    INSERT INTO multipart_parts VALUES
        ('{1}', 1, 9, '{sha}', 'e', '{}', 'local', 'k3', NULL, 1), ('{1}', 7, 3, '{sha}', 'e', '{}', NULL, NULL, x'00ff5c', 1);
    INSERT INTO resumable_uploads VALUES ('{2}', 5, 3, 0, 'filename eA==', NULL);
    INSERT INTO storage_folder_quotas VALUES ('pub', 'a/', 100, 3, 1, 2);
    INSERT INTO storage_quota_settings VALUES (1, 'warn', 5, NULL, 9007199254749999, 9007199254741008);
    INSERT INTO blob_deletions VALUES ('k9', 'local', 5, 2, 1700000000000001);
    INSERT INTO blob_copies VALUES ('c1', 'k1', 's3', 9, 1700000000000001), ('c2', 'k2', 's3', 8, 5);
    INSERT INTO storage_events VALUES (3, '{1}', 'storage.object.created', 'pub', 'a', NULL, '{"size":1}', 5),
        (40, '{2}', 'storage.object.deleted', 'pub', 'a', '{9}', '{}', 6), (50, '{3}', 'k', 'pub', NULL, NULL, '{}', 7);
    DELETE FROM storage_events WHERE sequence = 50;
    INSERT INTO storage_events_gone VALUES (1, 2);
    INSERT INTO lifecycle_rules VALUES ('{1}', 'pub', 'api', NULL, '{"enabled":true,"max_age_days":3}', 1, 2),
        ('{2}', 'pub', 's3', 'ü', '{}', 1, 2);
    INSERT INTO lifecycle_warnings VALUES ('{4}', '{1}', 1700000000000001, 5, 'warn');
    INSERT INTO lifecycle_state VALUES (1, 1700000000000001, NULL, 5);
    INSERT INTO used_nonces VALUES ('{1}', 1900000000000000);
    INSERT INTO s3_credentials VALUES ('AS1', 'a key', 'authenticated', '{9}', 1, 'sealed', 5, NULL),
        ('AS2', '', 'service_role', NULL, 0, 'sealed', 6, 7);
    INSERT INTO upload_queue VALUES
        ('{1}', '{9}', 'ü.b', 'f', 1, 't', 'p', 'k1', 'local', 's3', 'deferred', 'pending', 0, 5, NULL, 1, NULL, NULL, 1, NULL, NULL, 1, 1),
        ('{2}', NULL, 'ü.b', 'f', 1, 't', 'p', 'k2', 'local', 's3', 'migration', 'pending', 1, 5, 'no', 1, NULL, NULL, 1, NULL, NULL, 1, 1);
    INSERT INTO storage_webhooks VALUES
        ('{1}', 'https://example.org/', '["storage.test"]', 'pub', 'a/', 'active', 40, 2, 9, NULL, 'answered 500', 8, 'sealed', NULL, NULL,
            NULL, NULL, 1, 2);
    INSERT INTO jobs VALUES
        ('{1}', 'delete_folder', '{"role":"authenticated"}', '{9}', '{"prefix":"a/"}', 0, 'pending', 0, 'null', 0, 0, NULL, 0, '{}', NULL, NULL, NULL, 0, 1, NULL, 1, NULL),
        ('{2}', 'scrub', '{"role":"service_role"}', NULL, '{}', 1, 'pending', 1, '{"after":"ü"}', 5, 9007199254740993, 7, 1, '{"counts":{"x":1}}', '{"code":"C"}', NULL, NULL, 3, 1, 2, 3, NULL);
    INSERT INTO provider_identities VALUES ('local', '{4}');
    INSERT INTO storage_policies VALUES ('Its readers', 'SELECT', 1, '["authenticated"]', 'CREATE POLICY "Its readers" ON
        storage.objects FOR SELECT TO authenticated USING (name = ''x'' AND auth.jwt() ->> ''team'' = ''red'')', 7);
    UPDATE upload_queue SET status = 'in_progress', started_at = 4, leased_by = '{3}', leased_until = 9 WHERE id = '{2}';
"#;

/// A data directory, an empty database, and a login role that owns nothing yet.
struct Scene {
    dir: TempDir,
    database: TestDatabase,
    login: String,
}

impl Scene {
    async fn new() -> Self {
        let (dir, database) = (tempfile::tempdir().unwrap(), TestDatabase::new());
        // Makes the roles, which belong to the whole server.
        let elsewhere = TestDatabase::new();
        PostgresExecutor::open(to(&elsewhere.url())).await.unwrap().close().await;
        let login = format!("test_{}", Uuid::new_v4().simple());
        let grants = format!(
            "CREATE ROLE {login} LOGIN; GRANT anon, authenticated, service_role, aerostore_keeper TO {login}; \
             DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {login}', current_database()); END $$"
        );
        database.admin().await.batch_execute(&grants).await.unwrap();
        let scene = Self { dir, database, login };
        SqliteExecutor::open(SqliteOptions::new(scene.file())).unwrap().close().await;
        let mut rows = ROWS.replace("{sha}", &"0".repeat(64));
        for number in 1..=9 {
            rows = rows.replace(&format!("{{{number}}}"), &Uuid::from_u128(number).to_string());
        }
        scene.sqlite(&rows);
        scene
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("metadata.sqlite")
    }

    fn sqlite(&self, statements: &str) {
        Connection::open(self.file()).unwrap().execute_batch(statements).unwrap();
    }

    fn target(&self) -> PostgresOptions {
        to(&self.database.url().replace("aerostore@", &format!("{}@", self.login)))
    }

    async fn migrate(&self) -> Result<Moved, StorageError> {
        Migration { source: self.file(), target: self.target() }.run(&|_| {}).await
    }

    #[track_caller]
    fn refused(outcome: Result<Moved, StorageError>, words: &str) {
        let Err(StorageError::Internal { context, .. }) = outcome else { panic!("{outcome:?}") };
        assert!(context.contains(words), "`{words}` is not in: {context}");
    }

    /// Rows of all tables in PostgreSQL; zero where there are no tables.
    async fn rows(&self) -> i64 {
        let (admin, mut sum) = (self.database.admin().await, 0);
        for table in TABLES {
            let name = format!("aerostore.{}", table.name);
            let there = admin.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&name]).await.unwrap();
            if there.get(0) {
                let count = admin.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await.unwrap();
                sum += count.get::<_, i64>(0);
            }
        }
        sum
    }

    async fn end(self) {
        let gone = format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.login);
        self.database.admin().await.batch_execute(&gone).await.unwrap();
    }
}

fn to(url: &str) -> PostgresOptions {
    PostgresOptions { connections: 4, ..PostgresOptions::new(PostgresAddress::parse(url).unwrap()) }
}

#[tokio::test]
async fn every_row_arrives_and_the_tables_are_guarded_as_before() {
    let scene = Scene::new().await;
    let before = std::fs::read(scene.file()).unwrap();
    let rehearsed =
        Migration { source: scene.file(), target: scene.target() }.rehearse(&|_| {}).await.unwrap();
    let there = "SELECT to_regnamespace('aerostore') IS NULL";
    let admin = scene.database.admin().await;
    assert!(admin.query_one(there, &[]).await.unwrap().get::<_, bool>(0), "a rehearsal makes nothing");

    let moved = scene.migrate().await.unwrap();
    assert_eq!(moved, rehearsed);
    let rows: Vec<u64> = moved.tables.iter().map(|table| table.rows).collect();
    assert_eq!(rows, [2, 3, 2, 4, 2, 2, 1, 1, 1, 1, 0, 1, 2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 1, 1]);
    assert_eq!(scene.rows().await, 39, "no event was told, nothing was queued");
    assert!(before == std::fs::read(scene.file()).unwrap(), "the source is as it was");

    let unguarded = "SELECT count(*) FROM pg_class c WHERE relnamespace = 'aerostore'::regnamespace AND relkind = 'r' \
         AND relname <> 'schema_migrations' AND (NOT relforcerowsecurity OR NOT relrowsecurity OR EXISTS ( \
             SELECT 1 FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgenabled <> 'O'))";
    assert_eq!(admin.query_one(unguarded, &[]).await.unwrap().get::<_, i64>(0), 0);
    let object = admin
        .query_one(
            "SELECT path, metadata #>> '{aa,😀\n}', metadata #>> '{b,3}', metadata ->> 'a', extract(epoch FROM updated_at)::text \
             FROM aerostore.storage_objects WHERE bucket_id = 'pub'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(object.get::<_, &str>(0), "a/ü ß\"'\\😀.txt");
    assert_eq!(object.get::<_, Option<&str>>(1), None);
    assert_eq!(object.get::<_, &str>(2), "12345678901234567890123");
    assert_eq!((object.get::<_, &str>(3), object.get::<_, &str>(4)), ("\\", "0.000002"));

    // Policies are in force there, too.
    let shown = "SELECT using_expression FROM aerostore.storage_policies";
    let shown = admin.query_one(shown, &[]).await.unwrap();
    assert_eq!(
        shown.get::<_, &str>(0),
        "((\"path\" = 'x'::text) AND ((auth.jwt() ->> 'team'::text) = 'red'::text))"
    );
    for (team, paths) in [("red", 2), ("blue", 1)] {
        let claims = format!(r#"{{"role":"authenticated","sub":"{}","team":"{team}"}}"#, Uuid::from_u128(77));
        let ask = format!("BEGIN; SET LOCAL ROLE authenticated; SET LOCAL request.jwt.claims = '{claims}'");
        admin.batch_execute(&ask).await.unwrap();
        let seen = admin.query("SELECT path FROM aerostore.storage_objects", &[]).await.unwrap();
        assert_eq!(seen.len(), paths, "{team}");
        admin.batch_execute("ROLLBACK").await.unwrap();
    }

    // A server goes on from there, and so do readers of events: what is new comes behind what they know.
    let executor = PostgresExecutor::open(scene.target()).await.unwrap();
    let access =
        Access::check(&RlsContext::system("test"), Operation::Maintain, None, AccessRules::default())
            .unwrap();
    assert_eq!(executor.recount_usage(&access, false).await.unwrap(), []);
    assert_eq!(executor.policies(&access).await.unwrap().all().len(), 1);
    assert!(executor.drop_policy(&access, "Its readers").await.unwrap());
    let another = Policy::parse("CREATE POLICY another ON storage.objects USING (name = 'x')").unwrap();
    executor.create_policy(&access, &another).await.unwrap();
    assert!(!executor.consume_nonce(Uuid::from_u128(1), chrono::Utc::now()).await.unwrap());
    admin.execute("DELETE FROM aerostore.storage_objects WHERE path = 'x'", &[]).await.unwrap();
    let events: Vec<u64> =
        executor.events(&access, 0, 10).await.unwrap().iter().map(|event| event.sequence).collect();
    assert_eq!(events, [3, 40, 41]);
    assert_eq!(executor.recount_usage(&access, false).await.unwrap(), []);
    executor.close().await;

    // Neither does SQLite serve it any more, nor does a second move go over what is there.
    let refused = SqliteExecutor::open(SqliteOptions::new(scene.file())).unwrap_err();
    let StorageError::Internal { context, .. } = refused else { panic!("{refused:?}") };
    assert!(context.contains("was moved to postgres://"), "{context}");
    Scene::refused(scene.migrate().await, "is not empty (storage_buckets");
    scene.end().await;
}

#[tokio::test]
async fn what_fails_half_way_leaves_nothing() {
    let scene = Scene::new().await;
    for points in [
        arm_nth(scene.dir.path(), "migrate.table", Action::Io, 6),
        arm(scene.dir.path(), "migrate.before_commit", Action::Io),
    ] {
        Scene::refused(scene.migrate().await, "migrate.");
        assert!(points.hits() > 0);
        assert_eq!(scene.rows().await, 0);
    }
    // What was undone can be done, and SQLite was not told that it is over.
    SqliteExecutor::open(SqliteOptions::new(scene.file())).unwrap().close().await;
    scene.migrate().await.unwrap();
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_moved_is_named() {
    let scene = Scene::new().await;
    let server = SqliteExecutor::open(SqliteOptions::new(scene.file())).unwrap();
    Scene::refused(scene.migrate().await, "a server has");
    let migration = Migration { source: scene.file(), target: scene.target() };
    assert!(migration.rehearse(&|_| {}).await.unwrap().in_use);
    server.close().await;
    drop(server);

    scene.sqlite("CREATE TABLE later (id INTEGER)");
    Scene::refused(scene.migrate().await, "table later is not one");
    scene.sqlite("DROP TABLE later; ALTER TABLE storage_usage ADD COLUMN later TEXT");
    Scene::refused(scene.migrate().await, "table storage_usage is not one");
    scene.sqlite("ALTER TABLE storage_usage DROP COLUMN later");
    scene.sqlite(r#"UPDATE storage_objects SET metadata = '{"a":"\u0000"}' WHERE path = 'x'"#);
    Scene::refused(scene.migrate().await, "storage_objects can't be moved ('ü.b', 'x')");
    scene.sqlite("UPDATE storage_objects SET metadata = '{}'; UPDATE storage_buckets SET file_count = 8 WHERE id = 'pub'");
    Scene::refused(scene.migrate().await, "usage --repair");
    scene.sqlite("UPDATE storage_buckets SET file_count = 1; UPDATE storage_buckets SET file_count = 2 WHERE id <> 'pub'");
    let newest: i64 = Connection::open(scene.file())
        .and_then(|database| database.query_row("PRAGMA user_version", [], |row| row.get(0)))
        .unwrap();
    scene.sqlite("PRAGMA user_version = 2");
    Scene::refused(scene.migrate().await, "schema version 2");
    scene.sqlite(&format!("PRAGMA user_version = {newest}"));
    scene.sqlite("INSERT INTO storage_policies VALUES ('p', 'ALL', 1, '[]', '', 0)");
    Scene::refused(scene.migrate().await, "the policy p in the database is not understood");
    scene.sqlite("UPDATE storage_policies SET definition = (SELECT max(definition) FROM storage_policies) WHERE name = 'p'");
    Scene::refused(scene.migrate().await, "the policy p can't be moved: its statement makes Its readers");
    scene.sqlite("DELETE FROM storage_policies WHERE name = 'p'");
    assert_eq!(scene.rows().await, 0);
    scene.end().await;
}

#[tokio::test]
async fn tables_that_somebody_else_made_are_refused() {
    let scene = Scene::new().await;
    PostgresExecutor::open(to(&scene.database.url())).await.unwrap().close().await;
    Scene::refused(scene.migrate().await, "belong to aerostore");
    scene.end().await;
}
