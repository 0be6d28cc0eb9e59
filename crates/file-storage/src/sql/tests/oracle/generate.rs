//! Random expressions that PostgreSQL takes, as text, and random rows and callers for them.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::sql::tests::random::Random;

/// The users that rows and callers are of.
pub(crate) const USERS: [Uuid; 3] = [Uuid::from_u128(0xa1), Uuid::from_u128(0xb2), Uuid::from_u128(0xc3)];

const TEXTS: &[&str] = &[
    "",
    "a",
    "A",
    "b",
    "a/b.png",
    "public",
    "avatars",
    "Folder",
    "é",
    "É",
    "x_y",
    "100%",
    "back\\slash",
    "it''s",
    "00000000-0000-0000-0000-0000000000a1",
    "12",
    " 7 ",
    "-3",
    "2147483647",
    "9223372036854775807",
    "true",
    "t",
    "off",
    "o",
    "png",
    "image/png",
    "team-1",
    "authenticated",
    "anon",
    "a b",
    "a,b",
    "tab\tx",
    "日本",
    "1.0",
];

const PATTERNS: &[&str] = &[
    "%", "a%", "%a%", "_", "__%", "A%", "%.png", "100\\%", "x\\_y", "%\\", "", "a", "%/%", "é", "É%", "%_/%",
    "\\a", "image/%",
];

fn quote(text: &str) -> String {
    // The pools have their quotes doubled already.
    format!("'{text}'")
}

/// An expression of a type, at most so deep.
pub(crate) struct Generator<'r> {
    pub(crate) random: &'r mut Random,
}

impl Generator<'_> {
    fn paren(&mut self, text: String) -> String {
        if self.random.chance(6) { text } else { format!("({text})") }
    }

    pub(crate) fn boolean(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.random.below(9) {
                0 => "true".to_owned(),
                1 => "false".to_owned(),
                2 => "NULL::boolean".to_owned(),
                3 => "bucket_id = 'avatars'".to_owned(),
                4 => "owner = auth.uid()".to_owned(),
                5 => "(storage.foldername(name))[1] = (select auth.uid())::text".to_owned(),
                6 => "auth.role() = 'authenticated'".to_owned(),
                7 => "size < 1000".to_owned(),
                _ => "storage.extension(name) = 'png'".to_owned(),
            };
        }
        let d = depth - 1;
        let text = match self.random.below(26) {
            0..=3 => {
                let op = self.random.one(&["AND", "OR"]);
                format!("{} {op} {}", self.boolean(d), self.boolean(d))
            }
            4 => format!("NOT {}", self.boolean(d)),
            5 => {
                let test = self.random.one(&[
                    "IS TRUE",
                    "IS NOT TRUE",
                    "IS FALSE",
                    "IS NOT FALSE",
                    "IS UNKNOWN",
                    "IS NOT NULL",
                ]);
                format!("({}) {test}", self.boolean(d))
            }
            6..=8 => {
                let op = self.comparison();
                format!("{} {op} {}", self.text(d), self.text(d))
            }
            9 | 10 => {
                let op = self.comparison();
                format!("{} {op} {}", self.int(d), self.int(d))
            }
            11 => {
                let op = self.comparison();
                format!("{} {op} {}", self.uuid(d), self.uuid(d))
            }
            12 => {
                let op = self.comparison();
                format!("{} {op} {}", self.time(d), self.time(d))
            }
            13 | 14 => {
                let not = self.random.one(&["", "NOT "]);
                let like = self.random.one(&["LIKE", "ILIKE"]);
                let pattern =
                    if self.random.chance(4) { self.text(d) } else { quote(self.random.one(PATTERNS)) };
                let escape = self.random.one(&["", "", "", " ESCAPE '_'", " ESCAPE ''", " ESCAPE 'a'"]);
                format!("({}) {not}{like} ({pattern}){escape}", self.text(d))
            }
            15 => {
                let not = self.random.one(&["", "NOT "]);
                let last =
                    if self.random.chance(5) { "NULL".to_owned() } else { quote(self.random.one(TEXTS)) };
                format!(
                    "({}) {not}IN ({}, {}, {last})",
                    self.text(d),
                    quote(self.random.one(TEXTS)),
                    self.text(0)
                )
            }
            16 => {
                let not = self.random.one(&["", "NOT "]);
                format!("({}) {not}BETWEEN {} AND {}", self.int(d), self.int(0), self.int(0))
            }
            17 => format!("({}) = ANY ({})", self.text(d), self.array()),
            18 => format!("starts_with({}, {})", self.text(d), self.text(d)),
            19 => format!("({})::boolean", self.text(d)),
            20 => {
                let op = self.random.one(&["=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]);
                format!("({}) {op} ({})", self.json(d), self.json(d))
            }
            21 => {
                let test = self.random.one(&["IS NULL", "IS NOT NULL"]);
                let of = match self.random.below(4) {
                    0 => self.text(d),
                    1 => self.int(d),
                    2 => self.json(d),
                    _ => self.array(),
                };
                format!("({of}) {test}")
            }
            22 => {
                format!("CASE WHEN {} THEN {} ELSE {} END", self.boolean(d), self.boolean(d), self.boolean(d))
            }
            23 => {
                let sought = if self.random.chance(3) { self.text(d) } else { self.key_text() };
                format!("({}) ? ({sought})", self.json(d))
            }
            24 => {
                let part = if self.random.chance(2) { self.json(d) } else { self.part() };
                format!("({}) @> ({part})", self.json(d))
            }
            _ => {
                let op = self.random.one(&["<", ">=", "=", "<>"]);
                let numeric =
                    self.random.one(&["1.5", "0.25", "1000000.0", "2.50 * size", "size * 0.001 + 1.25"]);
                format!("{} {op} {numeric}", self.int(d))
            }
        };
        self.paren(text)
    }

    fn comparison(&mut self) -> &'static str {
        self.random.one(&["=", "=", "<>", "<", "<=", ">", ">=", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"])
    }

    pub(crate) fn text(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.random.below(12) {
                0..=2 => quote(self.random.one(TEXTS)),
                3 => "NULL::text".to_owned(),
                4 => "bucket_id".to_owned(),
                5 => "content_type".to_owned(),
                6 => "cache_control".to_owned(),
                7 => "auth.role()".to_owned(),
                8 => "storage.filename(name)".to_owned(),
                9 => "(auth.jwt() ->> 'team')".to_owned(),
                _ => "name".to_owned(),
            };
        }
        let d = depth - 1;
        match self.random.below(17) {
            0 => format!("({} || {})", self.text(d), self.text(d)),
            1 => format!("lower({})", self.text(d)),
            2 => format!("upper({})", self.text(d)),
            3 => {
                let number = self.random.one(&["1", "2", "3", "-1", "-2", "0"]);
                let separator = self.random.one(&["'/'", "'.'", "''", "'//'", "'a'"]);
                format!("split_part({}, {separator}, {number})", self.text(d))
            }
            4 => format!("coalesce({}, {})", self.text(d), self.text(d)),
            5 => format!("nullif({}, {})", self.text(d), self.text(d)),
            6 => format!("({})::text", self.int(d)),
            7 => format!("({})::text", self.uuid(d)),
            8 => format!("({})::text", self.boolean(d)),
            9 => format!("({})::text", self.json(d)),
            10 => format!("({} ->> {})", self.json(d), self.key()),
            11 => {
                let index = self.random.one(&["1", "2", "0", "-1", "9"]);
                format!("({})[{index}]", self.array())
            }
            12 => format!("storage.extension({})", self.text(d)),
            13 => format!("storage.filename({})", self.text(d)),
            14 => format!("CASE WHEN {} THEN {} END", self.boolean(d), self.text(d)),
            15 => format!(
                "CASE {} WHEN {} THEN {} ELSE {} END",
                self.text(d),
                self.text(0),
                self.text(d),
                self.text(d)
            ),
            _ => self.text(0),
        }
    }

    pub(crate) fn int(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .random
                .one(&[
                    "size",
                    "size",
                    "0",
                    "1",
                    "2",
                    "1000",
                    "2147483647",
                    "5000000000",
                    "-1",
                    "NULL::bigint",
                ])
                .to_owned();
        }
        let d = depth - 1;
        match self.random.below(12) {
            0..=3 => {
                let op = self.random.one(&["+", "-", "*", "/", "%"]);
                let text = format!("{} {op} {}", self.int(d), self.int(d));
                self.paren(text)
            }
            4 => format!("length({})", self.text(d)),
            5 => format!("array_length({}, 1)", self.array()),
            6 => format!("cardinality({})", self.array()),
            7 => format!("({})::int", self.text(d)),
            8 => format!("({})::bigint", self.text(d)),
            9 => format!("coalesce({}, {})", self.int(d), self.int(d)),
            10 => format!("nullif({}, {})", self.int(d), self.int(d)),
            _ => format!("CASE WHEN {} THEN {} ELSE {} END", self.boolean(d), self.int(d), self.int(d)),
        }
    }

    fn uuid(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 4 } else { 6 }) {
            0 => "owner_id".to_owned(),
            1 => "auth.uid()".to_owned(),
            2 => "(SELECT auth.uid())".to_owned(),
            3 => format!("'{}'::uuid", self.random.one(&USERS)),
            4 => format!("({})::uuid", self.text(depth - 1)),
            _ => "id".to_owned(),
        }
    }

    fn time(&mut self, depth: usize) -> String {
        let interval = self.random.one(&["1 day", "36 hours", "-2 days", "90 minutes", "1 week 30 seconds"]);
        match self.random.below(if depth == 0 { 4 } else { 6 }) {
            0 => "created_at".to_owned(),
            1 => "updated_at".to_owned(),
            2 => "now()".to_owned(),
            3 => "'2026-03-01T12:00:00+02:00'::timestamptz".to_owned(),
            4 => format!("({} - interval '{interval}')", self.time(0)),
            _ => format!("({} + interval '{interval}')", self.time(0)),
        }
    }

    fn json(&mut self, depth: usize) -> String {
        match self.random.below(if depth == 0 { 3 } else { 5 }) {
            0 => "metadata".to_owned(),
            1 => "auth.jwt()".to_owned(),
            2 => {
                let literal = [
                    "1",
                    "1.0",
                    "\"a\"",
                    "null",
                    "[1, \"b\", null]",
                    "{\"a\": 1, \"team\": \"team-1\"}",
                    "true",
                ];
                format!("'{}'::jsonb", self.random.one(&literal))
            }
            _ => format!("({} -> {})", self.json(depth - 1), self.key()),
        }
    }

    fn key(&mut self) -> String {
        self.random
            .one(&[
                "'team'", "'app'", "'a'", "'list'", "'n'", "0", "1", "-1", "5", "'flag'", "'deep'", "'none'",
            ])
            .to_owned()
    }

    fn key_text(&mut self) -> String {
        self.random.one(&["'team'", "'a'", "'b'", "'team-1'", "'list'", "'deep'", "'x'", "'none'"]).to_owned()
    }

    /// What may be in a value.
    fn part(&mut self) -> String {
        let part = self.random.one(&[
            "1",
            "1.0",
            "\"a\"",
            "null",
            "[]",
            "{}",
            "[1]",
            "[[1]]",
            "[\"b\", \"b\"]",
            "{\"a\": 1.0}",
            "{\"team\": \"team-1\"}",
            "{\"deep\": {}}",
            "{\"list\": []}",
            "{\"list\": [1]}",
            "[{}]",
            "true",
            "{\"list\": [[]]}",
            "{\"a\": [1]}",
        ]);
        format!("'{part}'::jsonb")
    }

    fn array(&mut self) -> String {
        match self.random.below(4) {
            0 => format!("ARRAY[{}, {}]", quote(self.random.one(TEXTS)), self.text(0)),
            1 => "storage.foldername(bucket_id)".to_owned(),
            _ => "storage.foldername(name)".to_owned(),
        }
    }
}

/// A row, as both engines get it.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) bucket: String,
    pub(crate) path: String,
    pub(crate) size: i64,
    pub(crate) content_type: String,
    pub(crate) cache_control: Option<String>,
    pub(crate) owner: Option<Uuid>,
    pub(crate) metadata: Json,
    /// Microseconds since 1970.
    pub(crate) created: i64,
    pub(crate) updated: i64,
}

impl Row {
    /// The row in a line, for messages.
    pub(crate) fn cells(&self) -> String {
        format!(
            "{} {:?} {} {:?} {:?} {:?} {}",
            self.bucket,
            self.path,
            self.size,
            self.content_type,
            self.cache_control,
            self.owner,
            self.metadata
        )
    }
}

/// A caller.
#[derive(Debug, Clone)]
pub(crate) struct Someone {
    pub(crate) role: &'static str,
    pub(crate) uid: Option<Uuid>,
    pub(crate) claims: Json,
}

pub(crate) fn row(random: &mut Random, now: i64) -> Row {
    let hour = 3_600_000_000;
    let path = match random.below(5) {
        0 => format!("{}/{}.png", random.one(&USERS), random.below(10)),
        1 => format!("public/{}", random.one(&["a.png", "b.PNG", "noext", ".hidden", "x.tar.gz"])),
        2 => random.one(TEXTS).replace("''", "'"),
        3 => format!(
            "{}/{}",
            random.one(&["Folder", "a", "é", "100%"]),
            random.one(&["b/c.txt", "d", "", "_"])
        ),
        _ => format!("team-{}/a/b/c.jpg", random.below(3)),
    };
    Row {
        id: Uuid::from_u128((u128::from(random.next()) << 64) | u128::from(random.next())),
        bucket: random.one(&["avatars", "docs"]).to_owned(),
        path: if crate::ObjectPath::parse(&path).is_ok() { path } else { "p".to_owned() },
        size: random.one(&[0, 1, 5, 999, 1000, 2_147_483_648, 9_000_000_000_000]),
        content_type: random.one(&["image/png", "text/plain", "IMAGE/JPEG", ""]).to_owned(),
        cache_control: random.one(&[None, Some("no-cache".to_owned()), Some("12".to_owned())]),
        owner: random.one(&[None, Some(USERS[0]), Some(USERS[1])]),
        metadata: json_value(random),
        created: now - random.one(&[-3, 1, 20, 30, 50, 500]) * hour,
        updated: now - random.one(&[1, 20, 30, 50]) * hour,
    }
}

pub(crate) fn someone(random: &mut Random) -> Someone {
    let uid = random.one(&[None, Some(USERS[0]), Some(USERS[1])]);
    let claims = json_value(random);
    let claims = if claims.is_object() { claims } else { json!({}) };
    Someone { role: if uid.is_some() { "authenticated" } else { "anon" }, uid, claims }
}

fn json_value(random: &mut Random) -> Json {
    random.one(&[
        json!({}),
        json!({"team": "team-1", "app": {"team": "team-2", "list": ["a", "b"]}, "n": 1, "flag": true}),
        json!({"a": 1.0, "n": "12", "list": [1, 2.50, "x", null], "flag": "yes", "deep": {"a": {"a": null}}}),
        json!({"n": 1e30, "a": -0.0, "team": "", "list": [], "none": null}),
        json!({"n": 1.5e-7, "zz": "q\"\\\n\u{1}é", "b": false, "aa": [{"y": 1, "x": 2}]}),
        json!({"n": 12345678901234567890_u64, "a": "TRUE", "team": ["team-1"], "flag": 0}),
    ])
}
