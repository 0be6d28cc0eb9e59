//! Long work that is asked for: who may ask and look, what it does as whom, how it is ended, and that it outlives its server.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Reply, Server, Who};

const ME: Who = Who::User(OWNER);
const JOBS: &str = "/api/v1/storage/jobs";

async fn ask(server: &Server, who: Who, what: &str, asked: &Value) -> Reply {
    server.request(who, "POST", &format!("/api/v1/storage/folders/{what}")).json(asked).send().await
}

async fn show(server: &Server, who: Who, id: &str) -> Reply {
    server.request(who, "GET", &format!("{JOBS}/{id}")).send().await
}

async fn cancel(server: &Server, who: Who, id: &str) -> Reply {
    server.request(who, "POST", &format!("{JOBS}/{id}/cancel")).send().await
}

/// The job that an answer is about.
fn id(reply: &Reply) -> String {
    let id = reply.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(reply.header("location"), format!("{JOBS}/{id}"));
    id
}

/// A job as soon as it has ended.
async fn ended(server: &Server, id: &str) -> Value {
    for _ in 0..1200 {
        let job = show(server, Who::Service, id).await.expect_status(200).json();
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job {id} never ends: {}", server.log());
}

/// A job that was let in, as soon as it has ended.
async fn run(server: &Server, who: Who, what: &str, asked: Value) -> Value {
    let reply = ask(server, who, what, &asked).await.expect_status(202);
    ended(server, &id(&reply)).await
}

#[tokio::test]
async fn a_folder_is_deleted_of_what_its_caller_may_delete() {
    let server = Server::start();
    server.bucket(Who::Service, "box", "authenticated").await;
    for n in 0..5 {
        server.put(ME, &format!("box/f/mine-{n}"), "12345").await;
        server.put(Who::User(OTHER), &format!("box/f/theirs-{n}"), "1").await;
    }
    server.put(ME, "box/f", "beside").await;
    server.put(ME, "box/fg/x", "beside").await;
    let asked = |dry_run| json!({ "bucket": "box", "prefix": "f", "dry_run": dry_run });
    let looked = run(&server, ME, "delete", asked(true)).await;
    assert_eq!((&looked["status"], &looked["dry_run"]), (&json!("completed"), &json!(true)), "{looked}");
    assert_eq!((&looked["done"], &looked["total"], &looked["bytes"]), (&json!(10), &json!(10), &json!(30)));
    assert!(server.content("box/f/mine-0").await.is_some(), "it only looked");

    let job = run(&server, ME, "delete", asked(false)).await;
    assert_eq!((&job["status"], &job["kind"]), (&json!("completed"), &json!("delete_folder")), "{job}");
    assert_eq!((&job["done"], &job["bytes"], &job["failures"]), (&json!(5), &json!(25), &json!(5)), "{job}");
    assert_eq!(job["total"], 10, "{job}");
    assert_eq!(job["report"]["errors_by_code"], json!({ "STORAGE_UNAUTHORIZED": 5 }), "{job}");
    let failed: Vec<_> = job["report"]["failures"].as_array().unwrap().iter().map(|f| &f["path"]).collect();
    assert_eq!(failed, ["f/theirs-0", "f/theirs-1", "f/theirs-2", "f/theirs-3", "f/theirs-4"]);
    assert_eq!(job["params"], json!({ "bucket": "box", "prefix": "f/" }));
    for n in 0..5 {
        assert!(server.content(&format!("box/f/mine-{n}")).await.is_none());
        assert!(server.content(&format!("box/f/theirs-{n}")).await.is_some());
    }
    for beside in ["box/f", "box/fg/x"] {
        assert!(server.content(beside).await.is_some(), "{beside}");
    }
    // The service role may all of it; in an empty folder there is nothing to do.
    let job = run(&server, Who::Service, "delete", asked(false)).await;
    assert_eq!((&job["done"], &job["failures"], &job["user_id"]), (&json!(5), &json!(0), &Value::Null));
    let job = run(&server, Who::Service, "delete", asked(false)).await;
    assert_eq!((&job["status"], &job["done"]), (&json!("completed"), &json!(0)));
    server.expect_clean().await;
}

#[tokio::test]
async fn jobs_are_for_who_may_ask_and_shown_to_who_asked() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/f/a", "1").await;
    let asked = json!({ "bucket": "box", "prefix": "f/" });
    ask(&server, Who::Anon, "delete", &asked).await.expect_error(401, "AUTH_REQUIRED");
    ask(&server, Who::Anon, "delete", &json!({})).await.expect_error(401, "AUTH_REQUIRED");
    ask(&server, Who::User(OTHER), "delete", &asked).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    for wrong in [json!({}), json!({ "bucket": "box" }), json!({ "bucket": "box", "prefix": 5 })] {
        ask(&server, ME, "delete", &wrong).await.expect_error(400, "INVALID_REQUEST");
    }
    let odd = json!({ "bucket": "box", "prefix": "a/../b" });
    ask(&server, ME, "delete", &odd).await.expect_error(400, "INVALID_PATH");
    let none = json!({ "bucket": "none", "prefix": "" });
    ask(&server, ME, "delete", &none).await.expect_error(404, "BUCKET_NOT_FOUND");

    let job = id(&ask(&server, ME, "delete", &asked).await.expect_status(202));
    ended(&server, &job).await;
    show(&server, ME, &job).await.expect_status(200);
    show(&server, Who::User(OTHER), &job).await.expect_error(404, "JOB_NOT_FOUND");
    show(&server, Who::Anon, &job).await.expect_error(401, "AUTH_REQUIRED");
    show(&server, ME, "nonsense").await.expect_error(400, "INVALID_REQUEST");
    show(&server, Who::Anon, "nonsense").await.expect_error(401, "AUTH_REQUIRED");
    cancel(&server, Who::User(OTHER), &job).await.expect_error(404, "JOB_NOT_FOUND");
    cancel(&server, Who::Anon, &job).await.expect_error(401, "AUTH_REQUIRED");
    cancel(&server, ME, &job).await.expect_error(409, "JOB_ENDED");
    let list = async |who, query: &str| server.request(who, "GET", &format!("{JOBS}{query}")).send().await;
    list(Who::Anon, "?status=nonsense").await.expect_error(401, "AUTH_REQUIRED");
    for wrong in ["?status=x", "?kind=x", "?limit=0", "?limit=1001", "?limit=x", "?before=x"] {
        list(ME, wrong).await.expect_error(400, "INVALID_REQUEST");
    }
    let second = id(&ask(&server, Who::Service, "delete", &asked).await.expect_status(202));
    let ids = |page: &Value| -> Vec<String> {
        page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&list(ME, "").await.expect_status(200).json()), [job.as_str()]);
    assert!(ids(&list(Who::User(OTHER), "").await.expect_status(200).json()).is_empty());
    let page = list(Who::Service, "?limit=1").await.expect_status(200).json();
    assert_eq!((ids(&page), page["next_before"].as_str().unwrap()), (vec![second.clone()], second.as_str()));
    let page = list(Who::Service, &format!("?limit=1&before={second}")).await.expect_status(200).json();
    assert_eq!((ids(&page), &page["next_before"]), (vec![job.clone()], &Value::Null));
    ended(&server, &second).await;
    let page = list(ME, "?status=completed&kind=delete_folder").await.expect_status(200).json();
    assert_eq!(ids(&page), [job]);
    // What the caller's token said stays with the server.
    assert!(!page.to_string().contains("claims") && !page.to_string().contains("\"exp\""), "{page}");
}

#[tokio::test]
async fn folders_move_and_are_copied_with_what_stands_beside_their_bytes() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    server.bucket(ME, "other", "private").await;
    for n in 0..70 {
        let call =
            server.call(ME, "PUT", &format!("/object/box/a/b/{n:02}")).header("content-type", "text/x");
        // base64 of {"k":1}
        let call = call.header("x-metadata", "eyJrIjoxfQ==");
        call.body(vec![n; if n % 2 == 0 { 10 } else { 20_000 }]).send().await.expect_status(200);
    }
    server.put(ME, "other/c/00", "in the way").await;
    let copy = json!({ "bucket": "box", "prefix": "a/b", "to_bucket": "other", "to_prefix": "c" });
    let mut dry = copy.clone();
    dry["dry_run"] = true.into();
    let looked = run(&server, ME, "copy", dry).await;
    assert_eq!((&looked["done"], &looked["total"]), (&json!(69), &json!(70)), "{looked}");
    assert_eq!(looked["report"]["errors_by_code"], json!({ "OBJECT_EXISTS": 1 }));
    assert!(server.content("other/c/01").await.is_none(), "it only looked");
    let job = run(&server, ME, "copy", copy).await;
    assert_eq!(
        (&job["done"], &job["failures"], &job["status"]),
        (&json!(69), &json!(1), &json!("completed"))
    );
    assert_eq!((&job["report"]["failures"][0]["path"], &job["total"]), (&json!("a/b/00"), &json!(70)));
    assert_eq!(server.content("other/c/00").await.unwrap(), b"in the way");
    let info = server.call(ME, "GET", "/object/info/other/c/69").send().await.expect_status(200).json();
    assert_eq!((&info["content_type"], &info["metadata"]["k"]), (&json!("text/x"), &json!(1)), "{info}");
    // Up one level, in the same bucket: neither folder may lie in the other.
    for to in ["a", "a/b", "a/b/c", ""] {
        let asked = json!({ "bucket": "box", "prefix": "a/b", "to_prefix": to });
        ask(&server, ME, "move", &asked).await.expect_error(400, "INVALID_REQUEST");
    }
    let moved = json!({ "bucket": "box", "prefix": "a/b", "to_bucket": "other", "to_prefix": "c", "overwrite": true });
    let theirs = ask(&server, Who::User(OTHER), "move", &moved).await;
    theirs.expect_error(403, "STORAGE_UNAUTHORIZED");
    ask(&server, Who::Anon, "copy", &moved).await.expect_error(401, "AUTH_REQUIRED");
    let job = run(&server, ME, "move", moved).await;
    assert_eq!((&job["done"], &job["failures"]), (&json!(70), &json!(0)), "{job}");
    assert_eq!(server.content("other/c/00").await.unwrap(), vec![0; 10]);
    assert!(server.content("box/a/b/69").await.is_none());
    server.expect_clean().await;
}

#[tokio::test]
async fn a_job_is_cancelled_after_its_step() {
    let server = Server::start_with(&[("AEROSTORE_FAILPOINTS", "job.before_save=delay(2000ms)")]);
    many(&server, 1100).await;
    let asked = json!({ "bucket": "box", "prefix": "f" });
    let job = id(&ask(&server, ME, "delete", &asked).await.expect_status(202));
    until_begun(&server, &job).await;
    let cancelled = cancel(&server, ME, &job).await.expect_status(200).json();
    assert_eq!((&cancelled["status"], &cancelled["cancel_requested"]), (&json!("running"), &json!(true)));
    let job = ended(&server, &job).await;
    assert_eq!(job["status"], "cancelled", "{job}");
    let done = job["done"].as_u64().unwrap();
    assert!((1..1100).contains(&done), "what was done stays done, the rest stays: {job}");
    let left = run(&server, ME, "delete", json!({ "bucket": "box", "prefix": "f", "dry_run": true })).await;
    assert_eq!(left["done"].as_u64().unwrap() + done, 1100);
}

/// Names below a folder, of which there are no more than a thousand and some, and what they hold.
async fn names(server: &Server, prefix: &str) -> BTreeSet<String> {
    let sql = format!("SELECT path FROM storage_objects WHERE path LIKE '{prefix}%' ORDER BY path");
    let asked = json!({ "sql": sql, "max_rows": 5000 });
    let found = server.call(ME, "POST", "/query").json(&asked).send().await.expect_status(200).json();
    assert_eq!(found["truncated"], false, "{found}");
    let rows = found["rows"].as_array().unwrap().iter();
    rows.map(|row| row["path"].as_str().unwrap().strip_prefix(prefix).unwrap().to_owned()).collect()
}

/// Has a folder moved or copied, and gives that up amid: what the job says, the names where they were, and those where they were to go.
async fn given_up_amid(what: &str) -> (Server, Value, BTreeSet<String>, BTreeSet<String>) {
    let server = Server::start_with(&[("AEROSTORE_FAILPOINTS", "job.before_save=delay(2000ms)")]);
    many(&server, 1100).await;
    let asked = json!({ "bucket": "box", "prefix": "f", "to_prefix": "g" });
    let job = id(&ask(&server, ME, what, &asked).await.expect_status(202));
    for _ in 0..4000 {
        if server.content("box/g/0000").await.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cancelled = cancel(&server, ME, &job).await.expect_status(200).json();
    assert_eq!((&cancelled["status"], &cancelled["cancel_requested"]), (&json!("running"), &json!(true)));
    let job = ended(&server, &job).await;
    assert_eq!((&job["status"], &job["failures"]), (&json!("cancelled"), &json!(0)), "{job}");
    let (from, to) = (names(&server, "f/").await, names(&server, "g/").await);
    assert_eq!(to.len() as u64, job["done"].as_u64().unwrap(), "what was done is there: {job}");
    assert!((1..1100).contains(&to.len()), "and the rest is not: {job}");
    for name in [to.first().unwrap(), to.last().unwrap()] {
        assert_eq!(server.content(&format!("box/g/{name}")).await.unwrap(), b"12345");
    }
    (server, job, from, to)
}

fn all_names() -> BTreeSet<String> {
    (0..1100).map(|n| format!("{n:04}")).collect()
}

/// Asks for the rest of it, of a server that is in no way slow.
async fn go_on(server: Server, what: &str) -> (Server, Value) {
    let server = Server::start_in(server.terminate(), &[]);
    let job = run(&server, ME, what, json!({ "bucket": "box", "prefix": "f", "to_prefix": "g" })).await;
    (server, job)
}

#[tokio::test]
async fn a_move_that_is_cancelled_leaves_each_file_in_one_place() {
    let (server, job, from, to) = given_up_amid("move").await;
    assert!(from.is_disjoint(&to), "each is in one place: {job}");
    assert_eq!(from.union(&to).cloned().collect::<BTreeSet<_>>(), all_names(), "none is lost: {job}");
    server.expect_clean().await;
    // Asked for again, the rest goes.
    let (server, rest) = go_on(server, "move").await;
    assert_eq!((&rest["status"], &rest["done"]), (&json!("completed"), &json!(from.len())), "{rest}");
    assert_eq!((names(&server, "g/").await, names(&server, "f/").await), (all_names(), BTreeSet::new()));
    server.expect_clean().await;
}

#[tokio::test]
async fn a_copy_that_is_cancelled_leaves_what_it_copies_as_it_was() {
    let (server, job, from, to) = given_up_amid("copy").await;
    assert_eq!(from, all_names(), "none is lost: {job}");
    server.expect_clean().await;
    // Asked for again, those that are there already stand in the way, and the rest comes.
    let (server, rest) = go_on(server, "copy").await;
    let figures = (&rest["status"], &rest["done"], &rest["failures"]);
    assert_eq!(figures, (&json!("completed"), &json!(1100 - to.len()), &json!(to.len())), "{rest}");
    assert_eq!(rest["report"]["errors_by_code"], json!({ "OBJECT_EXISTS": to.len() }));
    assert_eq!((names(&server, "g/").await, names(&server, "f/").await), (all_names(), all_names()));
    server.expect_clean().await;
}

#[tokio::test]
async fn a_job_outlives_its_server() {
    let slow = [("AEROSTORE_FAILPOINTS", "job.before_save=delay(3000ms)")];
    let server = Server::start_with(&slow);
    many(&server, 1100).await;
    let asked = json!({ "bucket": "box", "prefix": "f" });
    let job = id(&ask(&server, ME, "delete", &asked).await.expect_status(202));
    until_begun(&server, &job).await;
    let server = Server::start_in(server.stop(), &[]);
    let job = ended(&server, &job).await;
    assert_eq!((&job["status"], &job["failures"]), (&json!("completed"), &json!(0)), "{job}");
    let left = run(&server, ME, "delete", json!({ "bucket": "box", "prefix": "f", "dry_run": true })).await;
    assert_eq!(left["done"], 0);
    server.expect_clean().await;
    // One whose server is stopped as it should goes on at once.
    let server = Server::start_in(server.stop(), &slow);
    let files: Vec<usize> = (0..1100).collect();
    fill(&server, &files).await;
    let job = id(&ask(&server, ME, "delete", &asked).await.expect_status(202));
    until_begun(&server, &job).await;
    let server = Server::start_in(server.terminate(), &[]);
    assert_eq!(ended(&server, &job).await["status"], "completed");
    server.expect_clean().await;
}

/// So many files in a folder.
async fn many(server: &Server, files: usize) {
    server.bucket(ME, "box", "private").await;
    fill(server, &(0..files).collect::<Vec<_>>()).await;
}

async fn fill(server: &Server, files: &[usize]) {
    for files in files.chunks(50) {
        let puts = files.iter().map(async |n| server.put(ME, &format!("box/f/{n:04}"), "12345").await);
        futures_util::future::join_all(puts).await;
    }
}

/// Waits until a job has done something that is not written down yet.
async fn until_begun(server: &Server, id: &str) {
    for _ in 0..4000 {
        let gone = server.content("box/f/0000").await.is_none();
        if gone && show(server, Who::Service, id).await.json()["status"] == "running" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the job {id} never begins: {}", server.log());
}
