//! FS-I3: the access matrix of SPEC 3.2. Every operation, on every policy, with and without an owner of the bucket, by
//! every caller; what is refused changes nothing.
//!
//! In a bucket without owner "the owner" is the file's. Every cell has a bucket of its own, so that all run at once.

mod operations;
mod rights;
mod tus;

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use uuid::Uuid;

use operations::{Ask, Row, rows};
use rights::{Cell, Effect};

use crate::audit::Log;
use crate::support::{OTHER, OWNER, Reply, Server, Who};

const POLICIES: [&str; 3] = ["public", "authenticated", "private"];
const CALLERS: [Who; 4] = [Who::Anon, Who::User(OTHER), Who::User(OWNER), Who::Service];
/// What the object holds before the operation.
const BEFORE: &[u8] = b"before";

/// All cells of one operation, each in a bucket whose name begins with `prefix`.
fn cells(prefix: &str) -> Vec<Cell> {
    let mut cells = Vec::new();
    for policy in POLICIES {
        for owned in [true, false] {
            for who in CALLERS {
                cells.push(Cell { bucket: format!("{prefix}-{}", cells.len()), policy, owned, who });
            }
        }
    }
    cells
}

impl Cell {
    async fn prepare(&self, server: &Server) {
        let maker = if self.owned { Who::User(OWNER) } else { Who::Service };
        server.bucket(maker, &self.bucket, self.policy).await;
        server.put(Who::User(OWNER), &format!("{}/here", self.bucket), BEFORE).await;
    }

    fn describe(&self, operation: &str, reply: &Reply) -> String {
        let owner = if self.owned { "owned" } else { "without owner" };
        format!(
            "{operation} in a {} bucket {owner} by {:?}: {} {}",
            self.policy,
            self.who,
            reply.status,
            reply.text()
        )
    }
}

async fn check(server: &Server, row: &Row, cell: &Cell) {
    cell.prepare(server).await;
    // Copies to and moves from the free bucket are of the caller's own object; anon has none there.
    let own = if cell.who == Who::Anon { Who::Service } else { cell.who };
    let bucket = &cell.bucket;
    server.put(own, &format!("free/{bucket}"), "after").await;
    let Ask(method, path, headers, body) = &row.ask;
    let call = server.call(cell.who, method, &path.replace("{b}", bucket)).headers(headers);
    let reply = if body.is_empty() { call } else { call.body(body.replace("{b}", bucket)) }.send().await;

    let said = cell.describe(row.name, &reply);
    let wanted = (row.wanted)(cell);
    assert_eq!(reply.status, wanted.0, "{said}");
    if *method != "HEAD" && !wanted.1.is_empty() {
        assert_eq!(reply.json()["code"], wanted.1, "{said}");
    }
    let happened = if wanted.1.is_empty() && granted(row, cell) { row.effect } else { Effect::None };
    expect_effect(server, cell, happened, &said).await;
}

/// Whether success means that something changed: a delete of what the caller cannot see is a success without effect.
fn granted(row: &Row, cell: &Cell) -> bool {
    row.name != "delete" || cell.rights().delete
}

async fn expect_effect(server: &Server, cell: &Cell, effect: Effect, said: &str) {
    let bucket = server.call(Who::Service, "GET", &format!("/bucket/{}", cell.bucket)).send().await;
    let here = server.content(&format!("{}/here", cell.bucket)).await;
    let new = server.content(&format!("{}/new", cell.bucket)).await;
    let (wanted_here, wanted_new) = match effect {
        Effect::None | Effect::BucketChanged => (Some(BEFORE), None),
        Effect::Replaced => (Some(&b"after"[..]), None),
        Effect::Gone | Effect::BucketGone => (None, None),
        Effect::Made => (Some(BEFORE), new.as_deref()),
    };
    assert_eq!(here.as_deref(), wanted_here, "what is there after {said}");
    assert_eq!(new.as_deref(), wanted_new, "what is new after {said}");
    assert_eq!(new.is_some(), effect == Effect::Made, "what is new after {said}");
    let status = if effect == Effect::BucketGone { 404 } else { 200 };
    assert_eq!(bucket.status, status, "the bucket after {said}");
    if status == 200 {
        let limit = if effect == Effect::BucketChanged { json!(777) } else { Value::Null };
        assert_eq!(bucket.json()["file_size_limit"], limit, "the bucket after {said}");
    }
}

#[tokio::test]
async fn fs_i3_every_operation_on_every_policy_by_every_caller() {
    let server = Server::start();
    server.bucket(Who::Service, "free", "authenticated").await;
    let rows = rows();
    let all: Vec<_> = rows
        .iter()
        .enumerate()
        .flat_map(|(number, row)| cells(&format!("cell-{number}")).into_iter().map(move |cell| (row, cell)))
        .collect();
    assert_eq!(all.len(), rows.len() * 24);
    stream::iter(&all).for_each_concurrent(48, |(row, cell)| check(&server, row, cell)).await;
    server.expect_clean().await;
}

/// Every operation, granted or refused, has a line in the audit log that says whose it was and what came of it.
#[tokio::test]
async fn every_operation_of_the_matrix_has_a_line_in_the_audit_log() {
    let log = Log::new();
    let server = Server::start_with(&log.settings("all"));
    server.bucket(Who::Service, "free", "authenticated").await;
    let rows = rows();
    let mut all = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        let private = cells(&format!("audited-{number}")).into_iter();
        all.extend(private.filter(|cell| cell.policy == "private" && cell.owned).map(|cell| (row, cell)));
    }
    let replies: Vec<_> =
        stream::iter(&all).map(|asked| answered(&server, asked)).buffer_unordered(16).collect().await;
    server.terminate();
    let lines = log.lines();
    for (said, reply, who) in &replies {
        let id = reply.header("x-request-id");
        let of: Vec<_> = lines.iter().filter(|line| line["request_id"] == id).collect();
        // Of many, some may be refused within an answer that is none.
        let told = |line: &&Value| reply.status < 400 || line["outcome"] == "refused";
        assert!(of.iter().any(told), "{said}: {of:?}");
        if said.starts_with("public") {
            // Whoever asks there asks as anybody.
            continue;
        }
        let role = match who {
            Who::Anon => "anon",
            Who::User(_) => "authenticated",
            Who::Service => "service_role",
        };
        assert!(of.iter().all(|line| line["role"] == role || line["event"] == "request"), "{said}: {of:?}");
    }
    log.verified();
}

async fn answered(server: &Server, (row, cell): &(&Row, Cell)) -> (String, Reply, Who) {
    cell.prepare(server).await;
    let own = if cell.who == Who::Anon { Who::Service } else { cell.who };
    server.put(own, &format!("free/{}", cell.bucket), "after").await;
    let Ask(method, path, headers, body) = &row.ask;
    let call = server.call(cell.who, method, &path.replace("{b}", &cell.bucket)).headers(headers);
    let call = if body.is_empty() { call } else { call.body(body.replace("{b}", &cell.bucket)) };
    let reply = call.send().await;
    (cell.describe(row.name, &reply), reply, cell.who)
}

#[tokio::test]
async fn fs_i3_lists_and_batches_show_what_the_caller_may_see_and_take() {
    let server = Server::start();
    let cells = cells("lists");
    stream::iter(&cells).for_each_concurrent(24, |cell| check_lists(&server, cell)).await;
}

/// Asks for a list until it comes from memory: somebody else has asked for it before, and every answer is the same.
async fn asked_again<F: Future<Output = Reply>>(
    cell: &Cell,
    ask: &impl Fn(&'static str, String, Value) -> F,
    path: &str,
    body: Value,
) -> Reply {
    let first = ask("POST", path.to_owned(), body.clone()).await.expect_status(200);
    for _ in 0..2 {
        let again = ask("POST", path.to_owned(), body.clone()).await.expect_status(200);
        assert_eq!(again.json(), first.json(), "{}", cell.describe("the same list again", &again));
    }
    first
}

/// Lists never refuse. Batches of a caller without any access may refuse as a whole.
async fn check_lists(server: &Server, cell: &Cell) {
    cell.prepare(server).await;
    let (bucket, rights) = (&cell.bucket, cell.rights());
    // Whoever may see everything has it in memory by now, for others not to get.
    for _ in 0..3 {
        let all = server
            .call(Who::Service, "POST", &format!("/object/list/{bucket}"))
            .json(&json!({ "prefix": "" }));
        assert_eq!(all.send().await.expect_status(200).json()[0]["name"], "here");
    }
    let ask = |method, path: String, body: Value| server.call(cell.who, method, &path).json(&body).send();

    let seen = server.call(cell.who, "GET", "/bucket?limit=1000").send().await.expect_status(200);
    let listed = seen.json().as_array().unwrap().iter().any(|row| row["name"] == **bucket);
    assert_eq!(listed, rights.see, "{}", cell.describe("list buckets", &seen));

    let v1 = asked_again(cell, &ask, &format!("/object/list/{bucket}"), json!({ "prefix": "" })).await;
    let names: Vec<_> = v1.json().as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names == [json!("here")], rights.read, "{}", cell.describe("list", &v1));
    assert_eq!(names.is_empty(), !rights.read, "{}", cell.describe("list", &v1));

    let v2 = asked_again(cell, &ask, &format!("/object/list-v2/{bucket}"), json!({})).await;
    assert_eq!(
        v2.json()["objects"].as_array().unwrap().len(),
        usize::from(rights.read),
        "{}",
        cell.describe("v2", &v2)
    );
    assert_eq!(v2.json()["hasNext"], false, "{}", cell.describe("v2", &v2));

    let asked = json!({ "expiresIn": 60, "paths": ["here", "gone"] });
    let signed = ask("POST", format!("/object/sign/{bucket}"), asked).await;
    let said = cell.describe("sign both", &signed);
    if cell.is_open() {
        let entries = signed.expect_status(200).json();
        assert_eq!(entries[0]["signedURL"].is_string(), rights.read, "{said}");
        assert_eq!(
            (&entries[1]["signedURL"], entries[1]["error"].is_string()),
            (&Value::Null, true),
            "{said}"
        );
        // What cannot be seen is not told from what is not there.
        assert!(rights.read || entries[0]["error"] == entries[1]["error"], "{said}");
    } else {
        assert!(!signed.text().contains("token="), "{said}");
        assert!(!signed.text().contains("Object not found"), "{said}");
    }

    let deleted = ask("DELETE", format!("/object/{bucket}"), json!({ "prefixes": ["here", "gone"] })).await;
    let said = cell.describe("delete both", &deleted);
    match cell.who {
        Who::Anon => drop(deleted.expect_error(401, "AUTH_REQUIRED")),
        _ if !cell.is_open() => assert!([200, 403].contains(&deleted.status), "{said}"),
        _ => assert_eq!(deleted.json().as_array().unwrap().len(), usize::from(rights.delete), "{said}"),
    }
    assert_eq!(server.content(&format!("{bucket}/here")).await.is_none(), rights.delete, "{said}");
}

#[tokio::test]
async fn fs_i3_a_file_in_a_system_bucket_belongs_to_who_made_it() {
    let server = Server::start();
    for policy in POLICIES {
        server.bucket(Who::Service, policy, policy).await;
        let made =
            server.call(Who::User(OTHER), "POST", &format!("/object/{policy}/mine")).body("1").send().await;
        made.expect_status(201);
        let info = || async {
            server.call(Who::Service, "GET", &format!("/object/info/{policy}/mine")).send().await.json()
        };
        assert_eq!(info().await["owner_id"], json!(OTHER), "{policy}");

        // An overwrite keeps the owner, whoever makes it.
        server.put(Who::Service, &format!("{policy}/mine"), "2").await;
        assert_eq!(info().await["owner_id"], json!(OTHER), "{policy}");
        if policy == "authenticated" {
            server.put(Who::User(OWNER), "authenticated/mine", "3").await;
            assert_eq!(info().await["owner_id"], json!(OTHER));
        }

        // A copy belongs to who made it; a move keeps the owner.
        if policy != "private" {
            let body = json!({ "bucketId": policy, "sourceKey": "mine", "destinationKey": "copied" });
            let copied = server.call(Who::User(OWNER), "POST", "/object/copy").json(&body).send().await;
            copied.expect_status(200);
            server
                .call(Who::User(OTHER), "DELETE", &format!("/object/{policy}/copied"))
                .send()
                .await
                .expect_status(403);
        }
        let body = json!({ "bucketId": policy, "sourceKey": "mine", "destinationKey": "moved" });
        server.call(Who::Service, "POST", "/object/move").json(&body).send().await.expect_status(200);
        server
            .call(Who::User(OTHER), "DELETE", &format!("/object/{policy}/moved"))
            .send()
            .await
            .expect_status(204);
        assert_eq!(server.content(&format!("{policy}/moved")).await, None);
    }
}

#[tokio::test]
async fn fs_i3_a_file_in_somebodys_authenticated_bucket_is_deleted_by_its_owner_or_the_buckets() {
    let server = Server::start();
    let third = Who::User(Uuid::from_u128(3));
    server.bucket(Who::User(OWNER), "shared", "authenticated").await;
    for (who, status) in [(third, 403), (Who::User(OTHER), 204), (Who::User(OWNER), 204), (Who::Service, 204)]
    {
        server.put(Who::User(OTHER), "shared/file", "x").await;
        server.call(who, "DELETE", "/object/shared/file").send().await.expect_status(status);
        assert_eq!(server.content("shared/file").await.is_some(), status == 403, "{who:?}");
    }
}

#[tokio::test]
async fn buckets_are_created_by_users_unless_only_the_service_role_may() {
    for (setting, by_user) in [("authenticated", 201), ("service", 403)] {
        let server = Server::start_with(&[("AEROSTORE_BUCKETS_CREATION", setting)]);
        for (who, name, status) in [
            (Who::Anon, "by-anon", 401),
            (Who::User(OWNER), "by-user", by_user),
            (Who::Service, "by-service", 201),
        ] {
            let body = json!({ "name": name });
            server.call(who, "POST", "/bucket").json(&body).send().await.expect_status(status);
            let there = server.call(Who::Service, "GET", &format!("/bucket/{name}")).send().await;
            assert_eq!(there.status, if status == 201 { 200 } else { 404 }, "{setting}: {who:?}");
            if status == 201 {
                let bucket = there.json();
                assert_eq!(bucket["policy"], "private", "the default");
                assert_eq!(bucket["owner_id"], if who == Who::Service { Value::Null } else { json!(OWNER) });
            }
        }
    }
}
