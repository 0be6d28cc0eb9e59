//! Random queries over the same rows, rendered for both engines: the answers are the same to the byte. Needs
//! `AEROSTORE_TEST_POSTGRES`, the URL of a server on which databases may be made; without it nothing is compared, and
//! the test says so. `AEROSTORE_ORACLE_CASES` sets how many queries, `AEROSTORE_ORACLE_SEED` repeats a run.

use std::env;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use super::rows::{Engine, Row, rows};
use super::{LIMITS, Subject, USER, claims, service};
use crate::errors::StorageError;
use crate::sql::query::generate::{Random, query};
use crate::sql::query::{Answer, AnswerWriter, Query, parse, postgres, read_postgres};

const SCHEMA: &str = include_str!("parity.sql");

/// A database of this test's own.
struct Judge {
    client: Client,
    admin: Client,
    name: String,
}

async fn connect(url: &str, database: Option<&str>) -> Client {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    if let Some(database) = database {
        config.dbname(database);
    }
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move {
        // Ends with the client.
        let _ended = connection.await;
    });
    client
}

impl Judge {
    async fn open(url: &str, rows: &[Row]) -> Self {
        let admin = connect(url, None).await;
        let name = format!("aerostore_queries_{}", Uuid::new_v4().simple());
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'");
        admin.batch_execute(&create).await.unwrap();
        let client = connect(url, Some(&name)).await;
        client.batch_execute(SCHEMA).await.unwrap();
        let inserts: String = rows.iter().map(|row| row.insert(Engine::Postgres) + ";").collect();
        client.batch_execute(&inserts).await.unwrap();
        let claims = serde_json::Value::Object(claims("service_role", USER)).to_string();
        client.execute("SELECT set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
        Self { client, admin, name }
    }

    async fn ask(&self, query: &Query) -> Result<Answer, String> {
        let sql = postgres(query, "aerostore", query.rows_to_read(&LIMITS));
        let said = |error: tokio_postgres::Error| match error.as_db_error() {
            // What is no error of a value is one of ours.
            Some(error) if error.code().code().starts_with("22") => error.message().to_owned(),
            _ => panic!("{error:?}\n{sql}"),
        };
        let mut writer = AnswerWriter::new(query, &LIMITS);
        for row in self.client.query(&sql, &[]).await.map_err(said)? {
            let types: Vec<_> = writer.types().collect();
            let values = types.iter().enumerate().map(|(at, ty)| read_postgres(row.get(at), *ty).unwrap());
            writer.push(values.collect::<Vec<_>>()).unwrap();
        }
        Ok(writer.finish())
    }

    /// What PostgreSQL says of the text as it was written: names, and how many rows.
    async fn ask_as_written(&self, text: &str) -> Result<(Vec<String>, usize), String> {
        let statement = self.client.prepare(text).await.map_err(|error| format!("{error:?}"))?;
        let names = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let counted = format!("SELECT count(*) FROM ({text}) AS x");
        match self.client.query_one(&counted, &[]).await {
            Ok(row) => Ok((names, usize::try_from(row.get::<_, i64>(0)).unwrap())),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    async fn close(self) {
        drop(self.client);
        self.admin.batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_answer_alike() {
    let Some(url) = env::var("AEROSTORE_TEST_POSTGRES").ok().filter(|url| !url.is_empty()) else {
        println!("AEROSTORE_TEST_POSTGRES is not set: nothing was compared");
        return;
    };
    let number = |key: &str| env::var(key).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = number("AEROSTORE_ORACLE_CASES").unwrap_or(2000);
    let seed = number("AEROSTORE_ORACLE_SEED").unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0);
    println!("queries: {cases} cases, AEROSTORE_ORACLE_SEED={seed}");
    let mut random = Random(seed);
    let rows = rows(&mut random);
    let judge = Judge::open(&url, &rows).await;
    let subject = Subject::open();
    subject.keep(&rows);
    let (mut refused, mut wrong) = (0, Vec::new());
    for _ in 0..cases {
        let text = query(&mut random);
        let query = match parse(&text, &[]) {
            Ok(query) => query,
            Err(fault) => {
                // Whatever PostgreSQL takes of these is taken, but for what is named here.
                let known = ["digits", "avg of", "sum of", "no order", "can't tell"]
                    .iter()
                    .any(|word| fault.reason.contains(word));
                if !known && judge.ask_as_written(&text).await.is_ok() {
                    wrong.push(format!("refused: {text}\n  {fault}"));
                }
                refused += 1;
                continue;
            }
        };
        let theirs = judge.ask(&query).await;
        let ours = match subject.ask(&service(), &text, &[], LIMITS).await {
            Ok(answer) => Ok(answer),
            Err(StorageError::InvalidSql(fault)) => Err(fault.reason),
            Err(error) => panic!("{text}: {error:?}"),
        };
        if ours != theirs {
            wrong.push(format!(
                "{text}\n  {}\n  PostgreSQL {theirs:?}\n  SQLite {ours:?}",
                postgres(&query, "aerostore", 1)
            ));
        }
        if let (Ok(ours), Ok((names, count))) = (&ours, judge.ask_as_written(&text).await) {
            let own: Vec<_> = ours.columns.iter().map(|(name, _)| name.clone()).collect();
            let rows = usize::try_from(ours.row_count).unwrap();
            if own != names || (!ours.truncated && rows != count) {
                wrong.push(format!("as written: {text}\n  {names:?} {count}, we {own:?} {rows}"));
            }
        }
        if wrong.len() > 5 {
            break;
        }
    }
    judge.close().await;
    println!("queries: {refused} were refused");
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    assert!(refused * 4 < cases, "{refused} of {cases} were refused");
}
