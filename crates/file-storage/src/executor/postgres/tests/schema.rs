//! Migrations: forward from every version, back again, never over a newer one, and many at the same time. Roles: made
//! or asked for.

use futures_util::future::join_all;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{TestDatabase, open_as, options};
use crate::bucket::BucketPolicy;
use crate::errors::StorageError;
use crate::executor::Executor;
use crate::executor::conformance::subject::{listing, maintain, paths, service, user};
use crate::executor::postgres::{PostgresExecutor, PostgresOptions, SchemaName, migrations, roles};
use crate::file::PutMode;
use crate::permissions::Policy;

/// What there is in our schemas, as PostgreSQL's catalogs tell it.
async fn schema(client: &Client) -> Vec<String> {
    let sql = "SELECT told FROM ( \
        SELECT format('column %s.%s %s %s', table_name, column_name, data_type, collation_name) AS told \
            FROM information_schema.columns WHERE table_schema LIKE 'aerostore%' \
        UNION ALL SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname LIKE 'aerostore%' \
        UNION ALL SELECT format('policy %s %s %s %s %s', tablename, policyname, roles, qual, with_check) \
            FROM pg_policies WHERE schemaname LIKE 'aerostore%' \
        UNION ALL SELECT format('function %s %s %s', p.oid::regprocedure, p.proowner::regrole, p.prosrc) \
            FROM pg_proc p WHERE p.pronamespace::regnamespace::text LIKE 'aerostore%' \
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid \
            WHERE NOT t.tgisinternal AND c.relnamespace::regnamespace::text LIKE 'aerostore%' \
        UNION ALL SELECT format('grant %s %s %s', table_name, grantee, privilege_type) \
            FROM information_schema.role_table_grants WHERE table_schema LIKE 'aerostore%' \
        UNION ALL SELECT format('column grant %s.%s %s %s', table_name, column_name, grantee, privilege_type) \
            FROM information_schema.column_privileges WHERE table_schema LIKE 'aerostore%' \
        UNION ALL SELECT format('rls %s %s %s', relname, relrowsecurity, relforcerowsecurity) \
            FROM pg_class WHERE relnamespace::regnamespace::text LIKE 'aerostore%' AND relkind = 'r' \
        ) all_of_it ORDER BY 1";
    client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn every_version_leads_to_the_newest_schema() {
    let name = SchemaName::default();
    let fresh = TestDatabase::new();
    let mut client = fresh.admin().await;
    roles::ensure(&client, 150_000).await.unwrap();
    migrations::migrate(&mut client, &name, migrations::newest()).await.unwrap();
    let expected = schema(&client).await;
    assert!(expected.len() > 200, "{}", expected.len());
    for version in migrations::versions() {
        let database = TestDatabase::new();
        let mut client = database.admin().await;
        migrations::migrate(&mut client, &name, version).await.unwrap();
        let then = schema(&client).await;
        migrations::migrate(&mut client, &name, migrations::newest()).await.unwrap();
        assert_eq!(schema(&client).await, expected, "from version {version}");
        migrations::roll_back(&mut client, &name, version).await.unwrap();
        let left: Vec<String> =
            schema(&client).await.into_iter().filter(|told| !told.starts_with("rls")).collect();
        let then: Vec<String> = then.into_iter().filter(|told| !told.starts_with("rls")).collect();
        assert_eq!(left, then, "back to version {version}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = TestDatabase::new();
    open_as(&database, options(&database)).await.executor.close().await;
    let admin = database.admin().await;
    admin.execute("INSERT INTO aerostore.schema_migrations VALUES (999, 'later')", &[]).await.unwrap();
    let refused = PostgresExecutor::open(options(&database)).await.unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert!(cause.contains("newer Aerostore"), "{cause}");
}

#[tokio::test]
async fn a_rolled_back_database_opens_again() {
    let database = TestDatabase::new();
    open_as(&database, options(&database)).await.executor.close().await;
    PostgresExecutor::roll_back(options(&database), 1).await.unwrap();
    let again = open_as(&database, options(&database)).await;
    again.bucket(&user(), "photos", BucketPolicy::Private).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_start_together_wait_for_each_other() {
    let databases = [TestDatabase::new(), TestDatabase::new()];
    let starts = (0..12).map(|at| PostgresExecutor::open(options(&databases[at % 2])));
    for opened in join_all(starts).await {
        opened.unwrap().ping().await.unwrap();
    }
}

#[tokio::test]
async fn a_schema_of_any_name_will_do_and_is_its_own() {
    let database = TestDatabase::new();
    let owner = user();
    for name in ["select", "files_2"] {
        let schema = SchemaName::parse(name).unwrap();
        let subject = open_as(&database, PostgresOptions { schema, ..options(&database) }).await;
        let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
        subject.put(&owner, (&made, name), b"1", PutMode::Create).await.unwrap();
        assert_eq!(paths(&subject.list(&owner, "photos", &listing("", true)).await), [name]);
        subject.recount().await;
    }
}

/// A role that may log in and no more than it is given.
struct Login<'a> {
    database: &'a TestDatabase,
    name: String,
}

impl<'a> Login<'a> {
    async fn new(database: &'a TestDatabase, grants: &str) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = database.admin().await;
        admin.batch_execute(&format!("CREATE ROLE {name} LOGIN")).await.unwrap();
        admin.batch_execute(&grants.replace("{login}", &name)).await.unwrap();
        Self { database, name }
    }

    fn options(&self) -> PostgresOptions {
        let url = self.database.url().replace("aerostore@", &format!("{}@", self.name));
        PostgresOptions { connections: 4, ..PostgresOptions::new(url_of(&url)) }
    }

    async fn gone(self) {
        let admin = self.database.admin().await;
        admin.batch_execute(&format!("DROP OWNED BY {0} CASCADE; DROP ROLE {0}", self.name)).await.unwrap();
    }
}

fn url_of(url: &str) -> crate::executor::postgres::PostgresAddress {
    crate::executor::postgres::PostgresAddress::parse(url).unwrap()
}

const MEMBER: &str = "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {login}', current_database()); END $$; \
     GRANT anon, authenticated, service_role, aerostore_keeper TO {login}";

#[tokio::test]
async fn an_ordinary_login_role_is_enough() {
    let database = TestDatabase::new();
    roles::ensure(&database.admin().await, 150_000).await.unwrap();
    let login = Login::new(&database, MEMBER).await;
    let second = Login::new(&database, MEMBER).await;
    let (owner, other) = (user(), user());
    let subject = open_as(&database, login.options()).await;
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let policy = Policy::parse("CREATE POLICY mine ON storage.objects USING (owner = auth.uid())").unwrap();
    subject.executor.create_policy(&maintain(), &policy).await.unwrap();
    assert!(subject.executor.drop_policy(&maintain(), "mine").await.unwrap());
    subject.executor.create_policy(&maintain(), &policy).await.unwrap();
    // Another login role than the one that made the tables.
    let subject = open_as(&database, second.options()).await;
    let another = Policy::parse("CREATE POLICY another ON storage.objects USING (true)").unwrap();
    for refused in [
        subject.executor.create_policy(&maintain(), &another).await,
        subject.executor.drop_policy(&maintain(), "mine").await.map(drop),
    ] {
        let Err(StorageError::Internal { context, .. }) = refused else { panic!("{refused:?}") };
        assert!(context.contains("owner of the tables"), "{context}");
    }
    assert_eq!(subject.executor.policies(&maintain()).await.unwrap().all().len(), 1);
    subject.put(&other, (&made, "a/b"), b"1", PutMode::Create).await.unwrap();
    subject.put(&owner, (&made, "a/b"), b"22", PutMode::Upsert).await.unwrap();
    subject.rename(&other, ("photos", "a/b"), ("photos", "c"), PutMode::Create).await.unwrap();
    assert_eq!(paths(&subject.list(&owner, "photos", &listing("", true)).await), ["c"]);
    assert_eq!(subject.shown("photos").await.total_bytes, 2);
    assert!(subject.delete(&other, "photos", "c").await.unwrap().is_some());
    subject.put(&service(), (&made, "d"), b"1", PutMode::Create).await.unwrap();
    subject.recount().await;
    subject.executor.close().await;
    second.gone().await;
    login.gone().await;
}

#[tokio::test]
async fn what_only_an_administrator_can_do_is_named() {
    let database = TestDatabase::new();
    roles::ensure(&database.admin().await, 150_000).await.unwrap();
    let login = Login::new(&database, "").await;
    let refused = PostgresExecutor::open(login.options()).await.unwrap_err();
    let StorageError::Internal { context, .. } = &refused else { panic!("{refused:?}") };
    let wanted = format!("GRANT anon, authenticated, service_role, aerostore_keeper TO {};", login.name);
    assert!(context.contains(&wanted) && context.contains("CREATE ROLE aerostore_keeper"), "{context}");
    login.gone().await;
}
