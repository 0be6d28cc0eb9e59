//! The judge of expressions and policies: a database with one table of objects, and with the functions that both know.

use std::env;
use std::ops::Deref;

use uuid::Uuid;

use super::database::Database;
use super::generate::{Row, Someone};

/// Where the server is; `None` where no test may ask one, which is said.
pub(crate) fn url() -> Option<String> {
    let url = env::var("AEROSTORE_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        println!("AEROSTORE_TEST_POSTGRES is not set: nothing was judged");
    }
    url
}

/// How many cases, and the seed, both printed.
pub(crate) fn plan(name: &str, usual: usize) -> (usize, u64) {
    let number = |key: &str| env::var(key).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("AEROSTORE_ORACLE_CASES").map_or(usual, |cases| usize::try_from(cases).unwrap());
    let seed = number("AEROSTORE_ORACLE_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    println!("oracle {name}: {cases} cases, AEROSTORE_ORACLE_SEED={seed}");
    (cases, seed)
}

/// The judge.
pub(crate) struct Judge(Database);

impl Deref for Judge {
    type Target = Database;

    fn deref(&self) -> &Database {
        &self.0
    }
}

/// What the server would have there by itself: Supabase's functions, ours by their schema, and the caller's settings.
const FUNCTIONS: &str = include_str!("functions.sql");

impl Judge {
    /// An empty database in which texts are ordered by their bytes.
    pub(crate) async fn open(url: &str) -> Self {
        let database = Database::create(url, "C").await;
        let client = &database.client;
        // Whoever connects may have the name of a schema here, which would come first. And a row is
        // looked up by its key: a scan would ask policies of all rows, and fail where one of them makes a policy fail.
        client.batch_execute("SET search_path = public; SET enable_seqscan = off").await.unwrap();
        client.batch_execute(FUNCTIONS).await.unwrap();
        Self(database)
    }

    /// Tells the functions who asks.
    pub(crate) async fn ask_as(&self, someone: &Someone) {
        let uid = someone.uid.map(|uid| uid.to_string()).unwrap_or_default();
        self.client
            .execute(
                "SELECT set_config('request.uid', $1, false), set_config('request.role', $2, false), \
                 set_config('request.claims', $3, false)",
                &[&uid, &someone.role, &someone.claims.to_string()],
            )
            .await
            .unwrap();
    }

    /// Puts rows where the old ones were.
    pub(crate) async fn keep(&self, rows: &[Row]) {
        self.client.batch_execute("DELETE FROM storage_objects").await.unwrap();
        for row in rows {
            self.client.batch_execute(&insert(row)).await.unwrap();
        }
    }

    pub(crate) async fn close(self) {
        self.0.drop().await;
    }
}

/// The row as an INSERT for the judge.
pub(crate) fn insert(row: &Row) -> String {
    let quote = crate::sql::quote_postgres;
    let or_null = |text: Option<String>| text.map_or_else(|| "NULL".to_owned(), |text| quote(&text));
    format!(
        "INSERT INTO storage_objects (id, bucket_id, path, size, content_type, cache_control, owner_id, metadata, \
         created_at, updated_at) VALUES ('{}', {}, {}, {}, {}, {}, {}, {}, {}, {})",
        row.id,
        quote(&row.bucket),
        quote(&row.path),
        row.size,
        quote(&row.content_type),
        or_null(row.cache_control.clone()),
        or_null(row.owner.map(|owner| owner.to_string())),
        quote(&row.metadata.to_string()),
        moment(row.created),
        moment(row.updated),
    )
}

fn moment(micros: i64) -> String {
    format!("'1970-01-01T00:00:00Z'::timestamptz + {} * interval '1 microsecond'", micros)
}
