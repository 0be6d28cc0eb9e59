//! Expressions one by one.

use std::borrow::Cow;
use std::collections::HashMap;

use rusqlite::named_params;
use serde_json::json;
use uuid::Uuid;

use super::generate::{Generator, Row, Someone, row, someone};
use super::judge::{Judge, plan, url};
use crate::sql::tests::random::Random;
use crate::sql::{
    Asker, Cells, ColumnRef, EvalError, Expr, Names, OBJECTS, Postgres, Scope, Sqlite, Value, expression,
};

/// What each way says of each row: a text as PostgreSQL prints it, NULL, or an error.
type Answers = HashMap<Uuid, Option<String>>;

#[tokio::test]
async fn expressions_mean_what_postgresql_says() {
    let Some(url) = url() else { return };
    let (cases, seed) = plan("expressions", 3000);
    let judge = Judge::open(&url).await;
    let sqlite = Ours::open();
    let mut random = Random(seed);
    let (mut refused, mut errors, mut wrong) = (0, 0, Vec::new());
    let mut rows = Vec::new();
    let mut asker = someone(&mut random);
    for case in 0..cases {
        if case % 25 == 0 {
            let now = chrono::Utc::now().timestamp_micros();
            rows = (0..4).map(|_| row(&mut random, now)).collect();
            judge.keep(&rows).await;
            sqlite.keep(&rows);
            asker = someone(&mut random);
            judge.ask_as(&asker).await;
        }
        let mut generator = Generator { random: &mut random };
        let text = match generator.random.below(6) {
            0 => generator.text(2),
            1 => generator.int(2),
            _ => generator.boolean(3),
        };
        let said = answers(&judge, &text).await;
        let expr = match expression(&text, &Scope::of(&OBJECTS)) {
            Ok(expr) => expr,
            Err(fault) => {
                // Refused because a constant in it fails: PostgreSQL never gives an answer either, or never gets there.
                refused += 1;
                if !fault.reason.contains("out of range")
                    && said.values().all(|said| !is_error(said.as_ref()))
                {
                    println!("refused: {text}\n  {fault}");
                }
                continue;
            }
        };
        errors += usize::from(said.values().any(|said| is_error(said.as_ref())));
        let rendered = Postgres { names: Names::Schema("aerostore"), column: None }.render(&expr);
        let ways = [
            ("rendered", answers(&judge, &rendered).await, rendered),
            ("evaluated", evaluated(&expr, &rows, &asker), String::new()),
            ("sqlite", sqlite.answers(&expr, &asker), sqlite.render(&expr)),
        ];
        for (way, ours, sql) in ways {
            for row in &rows {
                let (said, ours) = (&said[&row.id], &ours[&row.id]);
                if !alike(said.as_ref(), ours.as_ref(), way == "sqlite") {
                    let row = row.cells();
                    wrong.push(format!(
                        "{way}: {text}\n  {sql}\n  {row}\n  {asker:?}\n  PostgreSQL {said:?}, we {ours:?}"
                    ));
                }
            }
        }
        if wrong.len() > 5 {
            break;
        }
    }
    judge.close().await;
    println!("oracle expressions: {refused} refused, {errors} with an error somewhere");
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    assert!(refused * 4 < cases, "{refused} of {cases} were refused");
}

fn is_error(answer: Option<&String>) -> bool {
    answer.is_some_and(|answer| answer.starts_with("error "))
}

fn alike(said: Option<&String>, ours: Option<&String>, bare: bool) -> bool {
    if is_error(said) || is_error(ours) {
        return is_error(said) && is_error(ours);
    }
    // SQLite has no booleans.
    let bool = |text: Option<&String>| match text.map(String::as_str) {
        Some("true") if bare => Some("1".to_owned()),
        Some("false") if bare => Some("0".to_owned()),
        text => text.map(str::to_owned),
    };
    said.cloned() == ours.cloned() || bool(said) == bool(ours)
}

async fn answers(judge: &Judge, expression: &str) -> Answers {
    let rows =
        judge.client.query("SELECT row_id::text, answer FROM try_each($1)", &[&expression]).await.unwrap();
    rows.iter().map(|row| (row.get::<_, &str>(0).parse().unwrap(), row.get(1))).collect()
}

fn evaluated(expr: &Expr, rows: &[Row], someone: &Someone) -> Answers {
    let asker = Asker {
        user_id: someone.uid,
        role: Cow::Borrowed(someone.role),
        claims: Cow::Borrowed(&someone.claims),
        now: chrono::Utc::now().timestamp_micros(),
    };
    let answer = |row: &Row| match expr.evaluate(&asker, row) {
        Ok(value) => shown(&value),
        Err(error) => Some(format!("error {error}")),
    };
    rows.iter().map(|row| (row.id, answer(row))).collect()
}

fn shown(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.to_string()),
        other => panic!("no such top: {other:?}"),
    }
}

impl Cells for Row {
    fn cell(&self, column: ColumnRef) -> Result<Value<'_>, EvalError> {
        let text = |text: &str| Value::Text(Cow::Owned(text.to_owned()));
        Ok(match column.column.name {
            "id" => Value::Uuid(self.id),
            "bucket_id" => text(&self.bucket),
            "path" => text(&self.path),
            "size" => Value::Int(self.size),
            "content_type" => text(&self.content_type),
            "cache_control" => self.cache_control.as_deref().map_or(Value::Null, text),
            "owner_id" => self.owner.map_or(Value::Null, Value::Uuid),
            "metadata" => Value::Json(Cow::Borrowed(&self.metadata)),
            "created_at" => Value::Time(self.created),
            "updated_at" => Value::Time(self.updated),
            other => panic!("no column {other}"),
        })
    }
}

/// SQLite with our function.
struct Ours(rusqlite::Connection);

impl Ours {
    fn open() -> Self {
        let conn = rusqlite::Connection::open_in_memory().unwrap();
        crate::executor::sqlite::register_functions(&conn).unwrap();
        conn.execute_batch(
            "CREATE TABLE storage_objects (id TEXT, bucket_id TEXT, path TEXT, size INTEGER, content_type TEXT, \
             cache_control TEXT, owner_id TEXT, metadata TEXT, created_at INTEGER, updated_at INTEGER) STRICT",
        )
        .unwrap();
        Self(conn)
    }

    fn keep(&self, rows: &[Row]) {
        self.0.execute_batch("DELETE FROM storage_objects").unwrap();
        for row in rows {
            self.0
                .execute(
                    "INSERT INTO storage_objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    rusqlite::params![
                        row.id.to_string(),
                        row.bucket,
                        row.path,
                        row.size,
                        row.content_type,
                        row.cache_control,
                        row.owner.map(|owner| owner.to_string()),
                        row.metadata.to_string(),
                        row.created,
                        row.updated
                    ],
                )
                .unwrap();
        }
    }

    fn render(&self, expr: &Expr) -> String {
        Sqlite { column: &|column| format!("o.{}", column.column.name) }.render(expr)
    }

    fn answers(&self, expr: &Expr, someone: &Someone) -> Answers {
        let sql = format!(
            "SELECT CAST(({}) AS TEXT), :role, :uid, :caller FROM storage_objects o WHERE id = :id",
            self.render(expr)
        );
        let caller = json!({
            "uid": someone.uid, "role": someone.role, "claims": someone.claims,
            "now": chrono::Utc::now().timestamp_micros(),
        });
        let mut ids = self.0.prepare("SELECT id FROM storage_objects").unwrap();
        let ids: Vec<String> =
            ids.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
        let mut statement = self.0.prepare(&sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
        let mut answers = Answers::new();
        for id in ids {
            let answer = statement.query_row(
                named_params! {
                    ":id": id, ":role": someone.role, ":uid": someone.uid.map(|uid| uid.to_string()),
                    ":caller": caller.to_string(),
                },
                |row| row.get::<_, Option<String>>(0),
            );
            let answer = answer.unwrap_or_else(|error| Some(format!("error {error}")));
            answers.insert(id.parse().unwrap(), answer);
        }
        answers
    }
}
