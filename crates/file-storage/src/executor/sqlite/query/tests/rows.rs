//! Random rows, for both engines.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::sql::tests::random::Random;
use crate::sql::{quote_postgres, quote_sqlite};

/// Whose literals a row is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// A value of a row.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Time(i64),
    Json(Json),
    Texts(Vec<String>),
}

/// A row of a table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) table: &'static str,
    pub(super) cells: Vec<(&'static str, Cell)>,
}

impl Row {
    pub(super) fn insert(&self, engine: Engine) -> String {
        let names: Vec<_> = self.cells.iter().map(|(name, _)| *name).collect();
        let cells: Vec<_> = self.cells.iter().map(|(_, cell)| cell.literal(engine)).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.table, names.join(", "), cells.join(", "))
    }
}

impl Cell {
    fn literal(&self, engine: Engine) -> String {
        let quote = |text: &str| match engine {
            Engine::Sqlite => quote_sqlite(text),
            Engine::Postgres => quote_postgres(text),
        };
        match (self, engine) {
            (Self::Null, _) => "NULL".to_owned(),
            (Self::Int(number), _) | (Self::Time(number), Engine::Sqlite) => number.to_string(),
            (Self::Text(text), _) => quote(text),
            (Self::Time(micros), Engine::Postgres) => {
                format!("'1970-01-01T00:00:00Z'::timestamptz + {micros} * interval '1 microsecond'")
            }
            (Self::Json(json), _) => quote(&json.to_string()),
            (Self::Texts(texts), Engine::Sqlite) => quote(&json!(texts).to_string()),
            (Self::Texts(texts), Engine::Postgres) => {
                let texts: Vec<_> = texts.iter().map(|text| quote(text)).collect();
                format!("ARRAY[{}]::text[]", texts.join(", "))
            }
        }
    }
}

/// The users that rows are of.
pub(super) const USERS: [Uuid; 3] = [Uuid::from_u128(0xa1), Uuid::from_u128(0xb2), Uuid::from_u128(0xc3)];

const PATHS: &[&str] = &[
    "a",
    "A",
    "b",
    "É",
    "é",
    "a/b.png",
    "b/c.png",
    "it's",
    "100%",
    "back\\slash",
    "日本",
    "z/z/z",
    "tab\tx",
];
const TYPES: &[&str] = &["image/png", "text/plain", "Text/HTML", ""];
const SIZES: &[i64] = &[0, 1, 2, 99, 100, 101, 1000, 65_536, 1_000_000_007, 9_000_000_000_000_000_000];

/// The micros of the year 2026's begin.
const NEW_YEAR: i64 = 1_767_225_600_000_000;

fn id(random: &mut Random) -> Cell {
    let high = u128::try_from(random.below(usize::MAX)).unwrap() << 64;
    Cell::Text(Uuid::from_u128(high | u128::try_from(random.below(usize::MAX)).unwrap()).to_string())
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap()
}

fn time(random: &mut Random) -> Cell {
    Cell::Time(NEW_YEAR + number(random.below(5)) * 86_400_000_000 + number(random.below(3)))
}

fn owner(random: &mut Random) -> Cell {
    if random.chance(3) { Cell::Null } else { Cell::Text(USERS[random.below(3)].to_string()) }
}

fn maybe(cell: Cell, random: &mut Random) -> Cell {
    if random.chance(2) { Cell::Null } else { cell }
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// Buckets, objects and usage.
pub(super) fn rows(random: &mut Random) -> Vec<Row> {
    let mut rows = Vec::new();
    let buckets = ["avatars", "docs", "empty", "É"];
    for name in buckets {
        let types = Cell::Texts(vec!["image/*".to_owned(), "a \"b\", {c}".to_owned()]);
        let quota = Cell::Int(SIZES[random.below(SIZES.len())]);
        rows.push(Row {
            table: "storage_buckets",
            cells: vec![
                ("id", text(name)),
                ("uuid", id(random)),
                ("owner_id", owner(random)),
                ("policy", text(random.one(&["public", "authenticated", "private"]))),
                ("allowed_mime_types", maybe(types, random)),
                ("max_file_size", Cell::Int(number(random.below(3)) * 1000)),
                ("quota_bytes", maybe(quota, random)),
                ("file_count", Cell::Int(number(random.below(9)))),
                ("total_bytes", Cell::Int(number(random.below(9)))),
                ("created_at", time(random)),
                ("updated_at", time(random)),
            ],
        });
    }
    for bucket in ["avatars", "docs", "É"] {
        for path in PATHS {
            if random.chance(3) {
                continue;
            }
            let metadata = match random.below(4) {
                0 => json!({}),
                1 => json!({ "team": "red", "n": 1.5, "longer": [1, "a", null, { "b": true }] }),
                2 => json!({ "team": "É", "n": null }),
                _ => json!({ "n": -3, "team": "a/b" }),
            };
            let digest = "ab".repeat(32);
            rows.push(Row {
                table: "storage_objects",
                cells: vec![
                    ("id", id(random)),
                    ("bucket_id", text(bucket)),
                    ("path", text(path)),
                    ("size", Cell::Int(SIZES[random.below(SIZES.len())])),
                    ("content_type", text(random.one(TYPES))),
                    ("cache_control", maybe(text(random.one(&["no-cache", "max-age=60"])), random)),
                    ("checksum", text(&digest)),
                    ("etag", text(random.one(&["x", "y"]))),
                    ("owner_id", owner(random)),
                    ("metadata", Cell::Json(metadata)),
                    ("version", id(random)),
                    ("created_at", time(random)),
                    ("updated_at", time(random)),
                ],
            });
        }
    }
    for user in USERS {
        let calculated = time(random);
        rows.push(Row {
            table: "storage_usage",
            cells: vec![
                ("id", id(random)),
                ("user_id", text(&user.to_string())),
                ("total_bytes", Cell::Int(SIZES[random.below(SIZES.len())])),
                ("file_count", Cell::Int(number(random.below(9)))),
                ("quota_bytes", maybe(Cell::Int(5000), random)),
                ("last_calculated_at", maybe(calculated, random)),
                ("created_at", time(random)),
                ("updated_at", time(random)),
            ],
        });
    }
    rows
}
