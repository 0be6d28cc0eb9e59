//! PostgreSQL as the judge of policies: native row-level security over a plain table, under random policies, rows
//! and callers, for every command; and what we decide. See `sql/tests/oracle`.

use std::collections::HashMap;

use serde_json::Value as Json;
use uuid::Uuid;

use super::tests::SUPABASE;
use super::{Candidate, Policy, PolicySet, Writing, judge};
use crate::executor::sqlite::Oracle;
use crate::permissions::{Permission, RlsContext};
use crate::sql::tests::oracle::generate::{Generator, Row, Someone, row, someone};
use crate::sql::tests::oracle::judge::{Judge, insert, plan, url};
use crate::sql::tests::random::Random;

const COMMANDS: [&str; 5] = ["ALL", "SELECT", "INSERT", "UPDATE", "DELETE"];

/// A random policy, in words that PostgreSQL takes as they are.
pub(crate) fn policy(random: &mut Random, number: usize) -> String {
    if random.chance(5) {
        let pasted = random.one(SUPABASE);
        let name = pasted.split('"').nth(1).unwrap();
        return pasted.replace(name, &format!("{name} {number}"));
    }
    let command = random.one(&COMMANDS);
    let kind = random.one(&["", "AS PERMISSIVE", "AS PERMISSIVE", "AS RESTRICTIVE"]);
    let to = random.one(&["", "TO anon", "TO authenticated", "TO anon, authenticated", "TO public"]);
    let mut generator = Generator { random };
    let using = format!("USING ({})", generator.boolean(2));
    let check = format!("WITH CHECK ({})", generator.boolean(2));
    let conditions = match command {
        "SELECT" | "DELETE" => using,
        "INSERT" => check,
        _ if random.chance(3) => format!("{using} {check}"),
        _ => using,
    };
    format!("CREATE POLICY p{number} ON storage_objects {kind} FOR {command} {to} {conditions}")
}

/// What each command comes to, per row: done, or not, whether for a refusal, an invisible row, or an error.
type Decisions = HashMap<(&'static str, Uuid), bool>;

#[tokio::test]
async fn policies_decide_as_postgresqls_own() {
    let Some(url) = url() else { return };
    let (cases, seed) = plan("policies", 600);
    let judge = Judge::open(&url).await;
    judge.guard_rows().await;
    let mut random = Random(seed);
    let (mut decisions, mut allowed, mut taken, mut wrong) = (0, 0, 0, Vec::new());
    while decisions < cases * 10 && wrong.is_empty() {
        let now = chrono::Utc::now().timestamp_micros();
        let rows: Vec<_> = (0..3).map(|_| row(&mut random, now)).collect();
        let fresh = row(&mut random, now);
        let asker = someone(&mut random);
        let mut texts = Vec::new();
        for number in 0..=random.below(4) {
            let text = policy(&mut random, number);
            // What we refuse, as a constant in it fails, is not compared.
            if Policy::parse(&text).is_ok() {
                texts.push(text);
            }
        }
        taken += texts.len();
        let set: PolicySet = texts.iter().map(|text| Policy::parse(text).unwrap()).collect();
        judge.keep(&rows).await;
        let context = context(&asker);
        // Conditions read the claims with the role and the user in them.
        let asker = Someone { claims: Json::Object(context.effective_claims()), ..asker };
        for rendered in [false, true] {
            judge.enact(&set, rendered).await;
            let said = said(&judge, &asker, &rows, &fresh).await;
            let ours = ours(&set, &context, &rows, &fresh);
            for (key, said) in &said {
                decisions += 1;
                allowed += usize::from(*said);
                if ours[key] != *said {
                    let row = rows.iter().chain([&fresh]).find(|row| row.id == key.1).unwrap().cells();
                    wrong.push(format!(
                        "{} rendered={rendered}: PostgreSQL {said}\n  {row}\n  {asker:?}",
                        key.0
                    ));
                }
            }
        }
        if !wrong.is_empty() {
            wrong.push(texts.join("\n"));
        }
    }
    judge.close().await;
    println!("oracle policies: {taken} policies, {decisions} decisions, {allowed} of them allowed");
    assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
    assert!(allowed > 0 && allowed < decisions);
}

fn context(asker: &Someone) -> RlsContext {
    let Json::Object(claims) = asker.claims.clone() else { panic!("claims are an object") };
    match asker.uid {
        Some(user) => RlsContext::user(user, claims, "oracle"),
        None => RlsContext::anon("oracle"),
    }
}

/// What PostgreSQL does: each command on each row alone, undone afterwards.
async fn said(judge: &Judge, asker: &Someone, rows: &[Row], fresh: &Row) -> Decisions {
    let mut decisions = Decisions::new();
    for row in rows {
        let id = row.id;
        for (command, sql) in [
            ("select", format!("SELECT 1 FROM storage_objects WHERE id = '{id}'")),
            (
                "update",
                format!("UPDATE storage_objects SET size = {}, path = path WHERE id = '{id}'", fresh.size),
            ),
            ("delete", format!("DELETE FROM storage_objects WHERE id = '{id}'")),
        ] {
            let done = judge.does(asker, &sql).await;
            decisions.extend(done.map(|done| ((command, id), done)));
        }
    }
    let made = judge.does(asker, &insert(fresh)).await;
    decisions.extend(made.map(|made| (("insert", fresh.id), made)));
    decisions
}

/// What we do: rows that are there by the predicates in statements, new ones by [`judge`].
fn ours(set: &PolicySet, context: &RlsContext, rows: &[Row], fresh: &Row) -> Decisions {
    let sqlite = Oracle::open(set.clone(), context);
    let now = chrono::Utc::now().timestamp_micros();
    let mut decisions = Decisions::new();
    for row in rows {
        sqlite.keep(row);
        let visible = sqlite.holds(Permission::ObjectRead);
        let old = row.object();
        let writing = Writing { existing: Some(&old), creates: false, overwrites: false, reads: false };
        let changed = Candidate::object(&crate::StorageObject {
            size: u64::try_from(fresh.size).unwrap(),
            ..row.object()
        });
        let (_, overwrite) = judge(set, context, now, writing, &changed, false);
        decisions.insert(("select", row.id), visible);
        let update = visible && sqlite.holds(Permission::ObjectOverwrite) && overwrite.is_ok();
        decisions.insert(("update", row.id), update);
        decisions.insert(("delete", row.id), visible && sqlite.holds(Permission::ObjectDelete));
    }
    let writing = Writing { existing: None, creates: false, overwrites: false, reads: false };
    let (create, _) = judge(set, context, now, writing, &Candidate::object(&fresh.object()), true);
    decisions.insert(("insert", fresh.id), create.is_ok());
    decisions
}

impl Judge {
    /// Roles, grants and row-level security on the table.
    async fn guard_rows(&self) {
        self.client
            .batch_execute(
                "DO $$ BEGIN CREATE ROLE anon; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
                 DO $$ BEGIN CREATE ROLE authenticated; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; \
                 GRANT USAGE ON SCHEMA public, auth, storage, aerostore TO anon, authenticated; \
                 GRANT ALL ON storage_objects TO anon, authenticated; \
                 ALTER TABLE storage_objects ENABLE ROW LEVEL SECURITY",
            )
            .await
            .unwrap();
    }

    /// Puts these policies in force, and no others: as they were written, or as we render them.
    async fn enact(&self, set: &PolicySet, rendered: bool) {
        let names = self.client.query("SELECT policyname FROM pg_policies", &[]).await.unwrap();
        for name in names {
            let name = name.get::<_, &str>(0).replace('"', "\"\"");
            self.client.batch_execute(&format!("DROP POLICY \"{name}\" ON storage_objects")).await.unwrap();
        }
        for policy in set.all() {
            let sql = if rendered {
                policy.for_postgres("aerostore").replace("\"aerostore\".storage_objects", "storage_objects")
            } else {
                // What Supabase keeps as text is a uuid here, and compared as a text all the same.
                let text = policy.definition.replace("storage.objects", "storage_objects");
                text.replace(
                    "owner_id = (select auth.uid()::text)",
                    "owner_id::text = (select auth.uid()::text)",
                )
            };
            self.client.batch_execute(&sql).await.unwrap_or_else(|error| panic!("{sql}\n{error:?}"));
        }
    }

    /// Whether a command does something to a row, when this caller runs it. `None` where PostgreSQL fails before it looks
    /// at rows: its planner "cannot cope with" a call that is compared with itself, and computes what callers are while it
    /// estimates, though no row may need it.
    async fn does(&self, asker: &Someone, sql: &str) -> Option<bool> {
        match self.runs(asker, sql).await {
            Ok(rows) => Some(rows > 0),
            Err(_) if self.runs(asker, &format!("EXPLAIN {sql}")).await.is_err() => None,
            Err(_) => Some(false),
        }
    }

    async fn runs(&self, asker: &Someone, sql: &str) -> Result<u64, tokio_postgres::Error> {
        let begin = format!("BEGIN; SET LOCAL ROLE {}", asker.role);
        self.client.batch_execute(&begin).await.unwrap();
        self.ask_as(asker).await;
        let done = self.client.execute(sql, &[]).await;
        self.client.batch_execute("ROLLBACK").await.unwrap();
        done
    }
}

impl Row {
    /// The row as an object of ours.
    fn object(&self) -> crate::StorageObject {
        let time = |micros| chrono::DateTime::from_timestamp_micros(micros).unwrap();
        let Json::Object(metadata) = self.metadata.clone() else { panic!("metadata is an object") };
        crate::StorageObject {
            id: self.id,
            bucket: crate::BucketName::parse(&self.bucket).unwrap(),
            path: crate::ObjectPath::parse(&self.path).unwrap(),
            size: u64::try_from(self.size).unwrap(),
            content_type: self.content_type.clone(),
            cache_control: self.cache_control.clone(),
            checksum: Some(crate::file::Sha256::of(b"")),
            etag: String::new(),
            owner_id: self.owner,
            metadata,
            version: self.id,
            versioned: false,
            created_at: time(self.created),
            updated_at: time(self.updated),
            extra: Default::default(),
        }
    }
}
