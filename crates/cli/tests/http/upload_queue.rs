//! Uploads whose clients do not want to wait: what they are answered, who sees their entries, and what an operator does about them.
//!
//! The provider that is not waited for is a second directory. Where its `blobs` is no directory for a while, it is not well.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{OTHER, OWNER, Reply, Server, Who, pattern};

const ME: Who = Who::User(OWNER);
const MANAGED: &str = "/api/v1/storage/upload-queue";

/// A server whose new bytes go to a second directory, and who has a spool before it.
struct Spooling {
    server: Server,
    disk: TempDir,
}

impl Spooling {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let disk = tempfile::tempdir().unwrap();
        let path = disk.path().to_str().unwrap().to_owned();
        let mut all = vec![
            ("AEROSTORE_PROVIDERS_DISK_KIND", "local"),
            ("AEROSTORE_PROVIDERS_DISK_PATH", &path),
            ("AEROSTORE_STORAGE_ACTIVE_PROVIDER", "disk"),
            ("AEROSTORE_STORAGE_SPOOL", "local"),
        ];
        all.extend(settings);
        let server = Server::start_with(&all);
        let made =
            server.call(Who::Service, "POST", "/bucket").json(&json!({ "name": "box", "public": true }));
        assert!(made.send().await.status < 300);
        Self { server, disk }
    }

    fn blobs(&self) -> PathBuf {
        self.disk.path().join("blobs")
    }

    /// Nothing can be written there from now on.
    fn break_disk(&self) {
        std::fs::rename(self.blobs(), self.disk.path().join("away")).unwrap();
        std::fs::write(self.blobs(), "no directory").unwrap();
    }

    fn mend_disk(&self) {
        std::fs::remove_file(self.blobs()).unwrap();
        std::fs::rename(self.disk.path().join("away"), self.blobs()).unwrap();
    }

    /// An upload that is deferred; gives its entry's id.
    async fn deferred(&self, who: Who, path: &str) -> String {
        let call = self.server.call(who, "PUT", &format!("/object/box/{path}"));
        let reply = call.header("prefer", "respond-async").body(pattern(100_000)).send().await;
        id(&reply.expect_status(202))
    }

    async fn entry(&self, who: Who, id: &str) -> Reply {
        self.server.call(who, "GET", &format!("/upload-queue/{id}")).send().await
    }

    async fn list(&self, who: Who, query: &str) -> Value {
        self.server.call(who, "GET", &format!("/upload-queue{query}")).send().await.expect_status(200).json()
    }

    /// The entry as soon as it has this status.
    async fn until(&self, id: &str, status: &str) -> Value {
        for _ in 0..600 {
            let entry = self.entry(Who::Service, id).await.expect_status(200).json();
            if entry["status"] == status {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the entry {id} never is {status}: {}", self.server.log());
    }

    async fn manage(&self, who: Who, rest: &str) -> Reply {
        let method = if rest.is_empty() || rest.starts_with('?') { "GET" } else { "POST" };
        self.server.request(who, method, &format!("{MANAGED}{rest}")).send().await
    }
}

/// The entry that an answer leads to.
fn id(reply: &Reply) -> String {
    let location = reply.header("location");
    assert!(location.starts_with("http://") && location.contains("/storage/v1/upload-queue/"), "{location}");
    location.rsplit('/').next().unwrap().to_owned()
}

fn ids(page: &Value) -> Vec<&str> {
    page["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect()
}

fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn an_upload_that_does_not_wait_is_there_at_once_and_comes_home() {
    let it = Spooling::start(&[]).await;
    let server = &it.server;
    it.break_disk();
    let upload = |method: &str, path: &str, prefer: &str| {
        let call = server.call(ME, method, &format!("/object/box/{path}"));
        call.header("prefer", prefer).header("origin", "http://app.example").body(pattern(100_000)).send()
    };
    let put = upload("PUT", "a b.txt", "respond-async").await.expect_status(202);
    assert_eq!(put.header("preference-applied"), "respond-async");
    let exposed = put.header("access-control-expose-headers");
    assert!(exposed.contains("location") && exposed.contains("preference-applied"), "{exposed}");
    assert_eq!((&put.json()["path"], &put.json()["size"]), (&json!("a b.txt"), &json!(100_000)));
    let posted = upload("POST", "b", "return=minimal, Respond-Async; wait=9").await.expect_status(202);
    let form =
        "--X\r\nContent-Disposition: form-data; name=\"\"; filename=\"c\"\r\nContent-Type: text/plain\r\n\r\n"
            .to_owned()
            + &"x".repeat(50_000) + "\r\n--X--\r\n";
    let form = server.call(ME, "POST", "/object/box/form").header("prefer", "respond-async").body(form);
    let form = form.header("content-type", "multipart/form-data; boundary=X").send().await.expect_status(202);

    // All of it is there at once: read, listed, known.
    assert_eq!(server.content("box/b").await.unwrap(), pattern(100_000));
    let entry = it.entry(ME, &id(&put)).await.expect_status(200).json();
    for (field, wanted) in [
        ("id", json!(id(&put))),
        ("user_id", json!(OWNER)),
        ("bucket_id", json!("box")),
        ("storage_path", json!("a b.txt")),
        ("file_name", json!("a b.txt")),
        ("file_size_bytes", json!(100_000)),
        ("reason", json!("deferred")),
        ("max_attempts", json!(20)),
        ("completed_at", Value::Null),
    ] {
        assert_eq!(entry[field], wanted, "{field} in {entry}");
    }
    assert!(entry.get("target_provider").is_none() && entry.get("source_provider").is_none(), "{entry}");
    let told = it.entry(Who::Service, &id(&put)).await.expect_status(200).json();
    assert_eq!((&told["source_provider"], &told["target_provider"]), (&json!("local"), &json!("disk")));

    it.mend_disk();
    for reply in [&put, &posted, &form] {
        let retried = it.manage(Who::Service, &format!("/{}/retry", id(reply))).await;
        assert!(matches!(retried.status, 200 | 409), "{}", retried.text());
        let entry = it.until(&id(reply), "completed").await;
        assert!(
            entry["completed_at"].is_string() && entry["attempt_count"].as_u64().unwrap() >= 1,
            "{entry}"
        );
    }
    assert_eq!(server.content("box/a%20b.txt").await.unwrap(), pattern(100_000));
    // The old copies go; what is left is at home.
    for _ in 0..1000 {
        if server.files_on_disk() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!((server.files_on_disk(), files(&it.blobs())), (0, 3));
    server.expect_clean().await;
}

#[tokio::test]
async fn what_need_not_wait_is_answered_as_ever() {
    let it = Spooling::start(&[]).await;
    let server = &it.server;
    let put = |who: Who, prefer: &str, size: usize| {
        let call = server.call(who, "PUT", "/object/box/x").header("prefer", prefer);
        call.body(pattern(size)).send()
    };
    // Not asked for; small enough for the database.
    for (prefer, size) in [("return=minimal", 100_000), ("x=respond-async", 100_000), ("respond-async", 100)]
    {
        let reply = put(ME, prefer, size).await.expect_status(200);
        assert_eq!(
            (reply.header("location"), reply.header("preference-applied")),
            ("", ""),
            "{prefer} {size}"
        );
    }
    // An upload by a URL has nobody who could ask for its entry.
    let signed =
        server.call(ME, "POST", "/object/upload/sign/box/signed").send().await.expect_status(200).json();
    let url = format!("/object/upload/sign/box/signed?token={}", signed["token"].as_str().unwrap());
    let signed = server.call(Who::Anon, "PUT", &url).header("prefer", "respond-async");
    let signed = signed.body(pattern(100_000)).send().await.expect_status(200);
    assert_eq!(signed.header("location"), "");
    // Without a spool, everybody waits.
    let plain = Server::start();
    plain.bucket(ME, "box", "private").await;
    let call = plain.call(ME, "PUT", "/object/box/x").header("prefer", "respond-async");
    call.body(pattern(100_000)).send().await.expect_status(200);
    assert_eq!(it.list(Who::Service, "").await["entries"], json!([]));
}

#[tokio::test]
async fn a_full_spool_lets_uploads_wait() {
    let it = Spooling::start(&[("AEROSTORE_STORAGE_SPOOL_MAX_SIZE", "150KB")]).await;
    it.break_disk();
    it.deferred(ME, "first").await;
    let second = it.server.call(ME, "PUT", "/object/box/second").header("prefer", "respond-async");
    let second = second.body(pattern(100_000)).send().await;
    // It waits for the provider, which is not well.
    assert!(second.status >= 500, "{} {}", second.status, second.text());
    it.mend_disk();
}

#[tokio::test]
async fn fs_i3_entries_are_seen_by_who_uploaded_and_by_the_service() {
    let it = Spooling::start(&[]).await;
    it.break_disk();
    let mine = it.deferred(ME, "mine").await;
    let also_mine = it.deferred(ME, "also/mine").await;
    let theirs = it.deferred(Who::User(OTHER), "theirs").await;

    it.entry(Who::Anon, &mine).await.expect_error(401, "AUTH_REQUIRED");
    it.server.call(Who::Anon, "GET", "/upload-queue").send().await.expect_error(401, "AUTH_REQUIRED");
    // Nobody is told what is wrong with a question that they may not ask.
    it.server.call(Who::Anon, "GET", "/upload-queue?limit=0").send().await.expect_error(401, "AUTH_REQUIRED");
    it.entry(Who::Anon, "x").await.expect_error(401, "AUTH_REQUIRED");
    it.entry(ME, &theirs).await.expect_error(404, "QUEUE_ENTRY_NOT_FOUND");
    it.entry(ME, &Uuid::new_v4().to_string()).await.expect_error(404, "QUEUE_ENTRY_NOT_FOUND");
    it.entry(Who::Service, &theirs).await.expect_status(200);

    assert_eq!(ids(&it.list(ME, "").await), [&also_mine, &mine]);
    assert_eq!(ids(&it.list(Who::User(OTHER), "").await), [&theirs]);
    assert_eq!(ids(&it.list(Who::Service, "").await), [&theirs, &also_mine, &mine]);
    // By pages, by bucket, by status.
    let first = it.list(Who::Service, "?limit=2").await;
    assert_eq!((ids(&first), &first["hasNext"]), (vec![theirs.as_str(), also_mine.as_str()], &json!(true)));
    let cursor = first["nextCursor"].as_str().unwrap();
    let last = it.list(Who::Service, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(
        (ids(&last), &last["hasNext"], &last["nextCursor"]),
        (vec![mine.as_str()], &json!(false), &Value::Null)
    );
    assert_eq!(it.list(ME, "?bucket=other-box").await["entries"], json!([]));
    assert_eq!(ids(&it.list(ME, "?bucket=box&status=").await).len(), 2);
    assert_eq!(it.list(ME, "?status=completed").await["entries"], json!([]));
    // Another's cursor tells nothing of theirs.
    let foreign = it.list(ME, &format!("?cursor={theirs}")).await;
    assert!(!ids(&foreign).contains(&theirs.as_str()), "{foreign}");

    for (query, words) in [
        ("?status=soon", "querystring/status must be equal to one of the allowed values"),
        ("?limit=0", "querystring/limit must be >= 1"),
        ("?limit=1001", "querystring/limit must be <= 1000"),
        ("?limit=many", "querystring/limit must be integer"),
        ("?cursor=x", "querystring/cursor must be a cursor"),
        ("?bucket=a%2Fb", ""),
        ("/x", "params/id must be a UUID"),
    ] {
        let reply =
            it.server.call(ME, "GET", &format!("/upload-queue{query}")).send().await.expect_status(400);
        let said = reply.json()["message"].as_str().unwrap().to_owned();
        assert!(said.starts_with(words), "{query}: {said}");
    }
    it.server.call(ME, "POST", "/upload-queue").send().await.expect_status(405);
    it.mend_disk();
}

#[tokio::test]
async fn users_are_not_told_what_providers_are_called() {
    let it = Spooling::start(&[]).await;
    it.break_disk();
    let mine = it.deferred(ME, "mine").await;
    let mut seen = Value::Null;
    for _ in 0..600 {
        seen = it.entry(ME, &mine).await.expect_status(200).json();
        if seen["error_message"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(seen["error_message"], "the storage provider failed", "{seen}");
    let names = ["\"disk\"", "\"local\"", "_provider\""];
    let sql = "SELECT * FROM upload_queue";
    let query = async |who| {
        let asked = it.server.call(who, "POST", "/query").json(&json!({ "sql": sql }));
        asked.send().await.expect_status(200).json()
    };
    let answer: Value = query(ME).await;
    assert_eq!(answer["row_count"], 1, "{answer}");
    for told in [seen, answer] {
        assert!(names.iter().all(|name| !told.to_string().contains(name)), "{told}");
    }
    // The service is told all of it.
    let shown = it.entry(Who::Service, &mine).await.expect_status(200).json();
    assert_eq!((&shown["source_provider"], &shown["target_provider"]), (&json!("local"), &json!("disk")));
    let row = query(Who::Service).await["rows"][0].clone();
    assert_eq!((&row["source_provider"], &row["target_provider"]), (&json!("local"), &json!("disk")));
    let asked = json!({ "sql": "SELECT id FROM upload_queue WHERE source_provider = 'local'" });
    for (who, status) in [(ME, 400), (Who::Service, 200)] {
        it.server.call(who, "POST", "/query").json(&asked).send().await.expect_status(status);
    }
    it.mend_disk();
}

#[tokio::test]
async fn the_service_gives_entries_up_and_queues_them_again() {
    let it = Spooling::start(&[]).await;
    it.break_disk();
    let (one, two) = (it.deferred(ME, "one").await, it.deferred(ME, "two").await);
    for (who, status) in [(Who::Anon, 401), (ME, 403)] {
        for rest in ["", "/retry", &format!("/{one}/retry"), &format!("/{one}/cancel"), "/x/retry"] {
            it.manage(who, rest).await.expect_status(status);
        }
    }
    it.manage(Who::Service, "/x/retry").await.expect_error(400, "INVALID_REQUEST");
    it.manage(Who::Service, "/x/cancel").await.expect_error(400, "INVALID_REQUEST");
    let nobody = Uuid::new_v4();
    for what in ["retry", "cancel"] {
        let unknown = it.manage(Who::Service, &format!("/{nobody}/{what}")).await;
        unknown.expect_error(404, "QUEUE_ENTRY_NOT_FOUND");
    }
    let depths = it.manage(Who::Service, "").await.expect_status(200).json();
    let open = depths["pending"].as_u64().unwrap() + depths["in_progress"].as_u64().unwrap();
    assert_eq!((open, &depths["failed"]), (2, &json!(0)), "{depths}");
    let way = &depths["ways"][0];
    assert_eq!(
        (&way["source_provider"], &way["target_provider"], &way["reason"]),
        (&json!("local"), &json!("disk"), &json!("deferred")),
        "{depths}"
    );

    for id in [&one, &two] {
        let given_up = it.manage(Who::Service, &format!("/{id}/cancel")).await.expect_status(200).json();
        assert_eq!((&given_up["status"], &given_up["id"]), (&json!("failed"), &json!(id)));
    }
    // They are where they were, and read there.
    assert_eq!(it.server.content("box/one").await.unwrap(), pattern(100_000));
    assert_eq!(it.manage(Who::Service, "").await.json()["failed"], 2);
    assert_eq!(ids(&it.list(ME, "?status=failed").await).len(), 2);
    it.mend_disk();
    let again = it.manage(Who::Service, &format!("/{one}/retry")).await.expect_status(200).json();
    assert_ne!(again["status"], "failed", "{again}");
    it.until(&one, "completed").await;
    it.manage(Who::Service, &format!("/{one}/cancel")).await.expect_status(409);
    it.manage(Who::Service, &format!("/{one}/retry")).await.expect_status(409);
    assert_eq!(it.manage(Who::Service, "/retry").await.expect_status(200).json(), json!({ "retried": 1 }));
    it.until(&two, "completed").await;
    assert_eq!(it.manage(Who::Service, "/retry").await.json(), json!({ "retried": 0 }));
    assert_eq!(it.manage(Who::Service, "").await.json()["ways"], json!([]));
}

#[tokio::test]
async fn what_waits_and_what_was_tried_in_vain_have_figures() {
    let it = Spooling::start(&[("AEROSTORE_UPLOAD_QUEUE_MAX_ATTEMPTS", "1")]).await;
    let depth = |status: &str| format!("upload_queue_depth{{status=\"{status}\"}}");
    it.break_disk();
    let id = it.deferred(ME, "one").await;
    it.until(&id, "failed").await;
    it.server.until_figure("upload_queue_failed_total", |entries| entries == 1.0).await;
    it.server.until_figure(&depth("failed"), |entries| entries == 1.0).await;
    assert_eq!(it.server.figure(&depth("pending")).await, Some(0.0));
    it.mend_disk();
    it.manage(Who::Service, "/retry").await.expect_status(200);
    it.until(&id, "completed").await;
    it.server.until_figure(&depth("failed"), |entries| entries == 0.0).await;
    assert_eq!(it.server.figure("upload_queue_failed_total").await, Some(1.0));
}

#[tokio::test]
async fn a_migration_is_the_services_and_empties_its_source() {
    let other = tempfile::tempdir().unwrap();
    let it = Spooling::start(&[
        ("AEROSTORE_POSTGRES_DELETION_GRACE", "0s"),
        ("AEROSTORE_PROVIDERS_OTHER_KIND", "local"),
        ("AEROSTORE_PROVIDERS_OTHER_PATH", other.path().to_str().unwrap()),
    ])
    .await;
    let server = &it.server;
    let migrate =
        |who: Who, body: Value| server.request(who, "POST", "/api/v1/storage/migrations").json(&body).send();
    server.put(ME, "box/a", pattern(100_000)).await;
    server.put(ME, "box/b", pattern(200_000)).await;
    let home = json!({ "from": "disk", "to": "other" });
    migrate(Who::Anon, home.clone()).await.expect_status(401);
    migrate(ME, home.clone()).await.expect_status(403);
    server.request(ME, "GET", "/api/v1/storage/providers").send().await.expect_status(403);
    server.request(Who::Anon, "GET", "/api/v1/storage/providers").send().await.expect_status(401);
    for (body, status, code) in [
        (json!({ "from": "disk", "to": "disk" }), 400, "INVALID_REQUEST"),
        (json!({ "from": "disk", "to": "local" }), 400, "INVALID_REQUEST"),
        (json!({ "from": "disk" }), 400, "INVALID_REQUEST"),
        (json!({ "from": "disk", "to": 5 }), 400, "INVALID_REQUEST"),
        (json!({ "from": "disk", "to": "nowhere" }), 404, "PROVIDER_NOT_FOUND"),
        (json!({ "from": "nowhere", "to": "disk" }), 404, "PROVIDER_NOT_FOUND"),
        (json!({ "from": "disk", "to": "other", "bucket": "none" }), 404, "BUCKET_NOT_FOUND"),
        (json!({ "from": "disk", "to": "other", "bucket": "a/b" }), 400, "INVALID_BUCKET_NAME"),
        (json!({ "from": "disk", "to": "other", "next": "nowhere" }), 400, "INVALID_REQUEST"),
        (json!({ "from": "disk", "to": "other", "limit": 0 }), 400, "INVALID_REQUEST"),
    ] {
        migrate(Who::Service, body).await.expect_error(status, code);
    }
    let kept = async || {
        let all = server.request(Who::Service, "GET", "/api/v1/storage/providers").send().await;
        let all = all.expect_status(200).json();
        let of =
            |name: &str| all.as_array().unwrap().iter().find(|it| it["provider"] == name).unwrap().clone();
        (of("disk"), of("other"), of("local"))
    };
    let (disk, other_one, local) = kept().await;
    assert_eq!((&other_one["blobs"], &other_one["configured"]), (&json!(0), &json!(true)));
    assert_eq!(
        (&disk["blobs"], &disk["bytes"], &disk["role"]),
        (&json!(2), &json!(300_000), &json!("active"))
    );
    assert_eq!(
        (&local["blobs"], &local["role"], &local["configured"]),
        (&json!(0), &json!("spool"), &json!(true))
    );

    let empty = json!({ "name": "empty", "policy": "private" });
    server.bucket_with(ME, empty).await;
    let nothing = json!({ "from": "disk", "to": "other", "bucket": "empty" });
    let nothing = migrate(Who::Service, nothing).await.expect_status(202).json();
    assert_eq!(nothing, json!({ "queued": 0, "bytes": 0, "next": null }));
    // Part by part.
    let part = json!({ "from": "disk", "to": "other", "limit": 1 });
    let queued = migrate(Who::Service, part).await.expect_status(202).json();
    assert_eq!(queued["queued"], 1, "{queued}");
    let rest = json!({ "from": "disk", "to": "other", "next": queued["next"] });
    let rest = migrate(Who::Service, rest).await.expect_status(202).json();
    assert_eq!((&rest["queued"], &rest["next"]), (&json!(1), &Value::Null), "{rest}");
    let depths = it.manage(Who::Service, "?bucket=empty").await;
    assert_eq!(depths.expect_status(200).json()["ways"], json!([]));
    for _ in 0..600 {
        if kept().await.0["blobs"] == 0 && kept().await.0["pending_deletions"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (disk, other_one, _) = kept().await;
    assert_eq!((&disk["blobs"], &disk["pending_deletions"]), (&json!(0), &json!(0)), "{}", server.log());
    assert_eq!((&other_one["blobs"], &other_one["bytes"]), (&json!(2), &json!(300_000)));
    assert_eq!((files(&it.blobs()), files(&other.path().join("blobs"))), (0, 2));
    assert_eq!(server.content("box/b").await.unwrap(), pattern(200_000));
    server.expect_clean().await;
}

#[tokio::test]
async fn supabases_dialect_defers_and_shows_alike() {
    let it = Spooling::start(&[("AEROSTORE_REST_DIALECT", "supabase")]).await;
    it.break_disk();
    let call = it.server.call(ME, "POST", "/object/box/x").header("prefer", "respond-async");
    let reply = call.body(pattern(100_000)).send().await.expect_status(202);
    assert_eq!(reply.json()["Key"], "box/x");
    let entry = it.entry(ME, &id(&reply)).await.expect_status(200).json();
    assert_eq!(entry["storage_path"], "x");
    assert_eq!(ids(&it.list(ME, "").await), [id(&reply).as_str()]);
    let theirs = it.entry(Who::User(OTHER), &id(&reply)).await;
    assert_eq!((theirs.status, &theirs.json()["statusCode"]), (400, &json!("404")), "{}", theirs.text());
    let anon = it.server.call(Who::Anon, "GET", "/upload-queue").send().await;
    assert!((400..500).contains(&anon.status), "{}", anon.text());
    let bad = it.server.call(ME, "GET", "/upload-queue?limit=0").send().await;
    assert_eq!(bad.status, 400);
    it.mend_disk();
}
