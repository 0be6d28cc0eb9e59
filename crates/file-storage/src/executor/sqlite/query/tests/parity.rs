//! Random queries over the same rows, rendered for both engines: the answers are the same to the byte. Needs
//! `AEROSTORE_TEST_POSTGRES`, the URL of a server on which databases may be made; without it nothing is compared, and
//! the test says so. `AEROSTORE_ORACLE_CASES` sets how many queries, `AEROSTORE_ORACLE_SEED` repeats a run.

use super::rows::{Engine, Row, rows};
use super::{LIMITS, Subject, USER, claims, service};
use crate::errors::StorageError;
use crate::sql::query::generate::query;
use crate::sql::query::{Answer, AnswerWriter, Query, parse, postgres, read_postgres};
use crate::sql::tests::oracle::database::Database;
use crate::sql::tests::oracle::judge::{plan, url};
use crate::sql::tests::random::Random;

const SCHEMA: &str = include_str!("parity.sql");

/// PostgreSQL, with the same rows.
struct Judge(Database);

impl Judge {
    async fn open(url: &str, rows: &[Row]) -> Self {
        let database = Database::create(url, "C.UTF-8").await;
        let client = &database.client;
        client.batch_execute(SCHEMA).await.unwrap();
        let inserts: String = rows.iter().map(|row| row.insert(Engine::Postgres) + ";").collect();
        client.batch_execute(&inserts).await.unwrap();
        let claims = serde_json::Value::Object(claims("service_role", USER)).to_string();
        client.execute("SELECT set_config('request.jwt.claims', $1, false)", &[&claims]).await.unwrap();
        Self(database)
    }

    async fn ask(&self, query: &Query) -> Result<Answer, String> {
        let sql = postgres(query, "aerostore", query.rows_to_read(&LIMITS));
        let said = |error: tokio_postgres::Error| match error.as_db_error() {
            // What is no error of a value is one of ours.
            Some(error) if error.code().code().starts_with("22") => error.message().to_owned(),
            _ => panic!("{error:?}\n{sql}"),
        };
        let mut writer = AnswerWriter::new(query, &LIMITS);
        for row in self.0.client.query(&sql, &[]).await.map_err(said)? {
            let types: Vec<_> = writer.types().collect();
            let values = types.iter().enumerate().map(|(at, ty)| read_postgres(row.get(at), *ty).unwrap());
            writer.push(values.collect::<Vec<_>>()).unwrap();
        }
        Ok(writer.finish())
    }

    /// What PostgreSQL says of the text as it was written: names, and how many rows.
    async fn ask_as_written(&self, text: &str) -> Result<(Vec<String>, usize), String> {
        let statement = self.0.client.prepare(text).await.map_err(|error| format!("{error:?}"))?;
        let names = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let counted = format!("SELECT count(*) FROM ({text}) AS x");
        match self.0.client.query_one(&counted, &[]).await {
            Ok(row) => Ok((names, usize::try_from(row.get::<_, i64>(0)).unwrap())),
            Err(error) => Err(format!("{error:?}")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_answer_alike() {
    let Some(url) = url() else { return };
    let (cases, seed) = plan("queries", 2000);
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
    judge.0.drop().await;
    println!("queries: {refused} were refused");
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    assert!(refused * 4 < cases, "{refused} of {cases} were refused");
}
