//! Settings that come into force while the server runs: each is changed in `storage.yml`, alone, and what it is for is seen before and after.

use std::cell::Cell;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Reloaded;
use crate::{json, text};

const USER: &str = "11111111-1111-4111-8111-111111111111";

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server with a user's buckets: `mine`, which is public, with the objects `a` and `b`, and `pictures`.
struct Scene {
    server: Reloaded,
    service: String,
    user: String,
    /// How often something was made, so that each has a name of its own.
    made: Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        let server = Reloaded::start("");
        let service = server.service_key();
        let user = server.run(None, &["token", "create", "--user", USER]).ok().trim().to_owned();
        let scene = Self { server, service, user, made: Cell::new(0) };
        let run = |arguments: &[&str]| scene.server.run(Some(&scene.user), arguments).ok();
        run(&["bucket", "create", "mine", "--policy", "public"]);
        run(&["bucket", "create", "pictures", "--mime-type", "image/png"]);
        for name in ["a", "b"] {
            assert_eq!(scene.put(&format!("mine/{name}")), "200");
        }
        scene
    }

    fn new_name(&self) -> String {
        self.made.set(self.made.get() + 1);
        format!("made-{}", self.made.get())
    }

    /// What curl writes, and whether it is content.
    fn curl(&self, arguments: &[&str]) -> (String, bool) {
        let mut command = Command::new("curl");
        let output =
            command.args(["-sS", "--noproxy", "*"]).args(arguments).stdin(Stdio::null()).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    /// What is answered to a request.
    fn ask(&self, token: &str, method: &str, path: &str, more: &[&str]) -> String {
        let url = format!("{}{path}", self.server.url.trim_end_matches('/'));
        let bearer = format!("authorization: Bearer {token}");
        self.curl(&[&["-X", method, "-H", &bearer, &url], more].concat()).0
    }

    /// The status of that.
    fn status(&self, token: &str, method: &str, path: &str, more: &[&str]) -> String {
        self.ask(token, method, path, &[&["-o", "/dev/null", "-w", "%{http_code}"], more].concat())
    }

    /// The same of a body in JSON.
    fn send(&self, token: &str, method: &str, path: &str, body: &str) -> String {
        self.status(token, method, path, &["-H", "content-type: application/json", "-d", body])
    }

    /// Has the user upload five bytes.
    fn put(&self, place: &str) -> String {
        let head = ["-H", "content-type: image/png", "-d", "12345"];
        self.status(&self.user, "PUT", &format!("/storage/v1/object/{place}"), &head)
    }

    /// Has the user upload 50 kB, which are a blob.
    fn put_large(&self, name: &str) {
        let file = self.server.folder.path().join("large");
        std::fs::write(&file, vec![b'1'; 50_000]).unwrap();
        let data = format!("@{}", file.display());
        let path = format!("/storage/v1/object/mine/{name}");
        assert_eq!(self.status(&self.user, "PUT", &path, &["--data-binary", &data]), "200");
    }

    /// A URL by which anybody may read an object.
    fn signed(&self, body: &str) -> String {
        let head = ["-H", "content-type: application/json", "-d", body];
        let signed = json(&self.ask(&self.user, "POST", "/storage/v1/object/sign/mine/a", &head));
        signed["url"].as_str().unwrap_or_else(|| panic!("{signed}")).to_owned()
    }

    /// Whether some of twenty requests for this are too many.
    fn are_too_many(&self, url: &str) -> String {
        let mut arguments = vec!["-w", "\n%{http_code}\n"];
        arguments.extend([url; 20]);
        let (said, _) = self.curl(&arguments);
        let count = |status: &str| said.lines().filter(|line| *line == status).count();
        assert_eq!(count("200") + count("429"), 20, "{said}");
        if count("429") > 0 { "too many" } else { "fine" }.to_owned()
    }

    /// Rows of an answer to a query for both objects.
    fn rows(&self) -> String {
        let sql = "SELECT path FROM objects WHERE path = 'a' OR path = 'b'";
        let found = self.server.run(Some(&self.service), &["query", sql, "--json"]).ok();
        json(&found)["row_count"].to_string()
    }

    fn blobs(&self) -> usize {
        files(&self.server.folder.path().join("data/blobs"))
    }

    /// Reads these settings, and has it said that the keys have changed.
    #[track_caller]
    fn reload(&self, settings: &str, keys: &[&str]) {
        let line = self.server.reload(settings, "configuration reloaded");
        for key in keys {
            assert!(line.contains(key), "{key} in {line}");
        }
    }

    /// What is seen is this before, and that after.
    #[track_caller]
    fn changes(&self, settings: &str, keys: &[&str], see: impl Fn() -> String, before: &str, after: &str) {
        assert_eq!(see(), before, "before {settings}");
        self.reload(settings, keys);
        let began = Instant::now();
        loop {
            let seen = see();
            if seen == after {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{seen} is not {after} after {settings}");
        }
    }
}

/// Files below a folder that hold blobs.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_blob = |path: &Path| path.extension().is_none_or(|extension| extension != "lock");
    entries.map(|path| if path.is_dir() { files(&path) } else { usize::from(is_blob(&path)) }).sum()
}

#[test]
fn who_may_do_what_changes() {
    let scene = Scene::new();
    let origin = || {
        let head = ["-o", "/dev/null", "-D", "-", "-H", "origin: https://elsewhere.example"];
        let said = scene.ask(&scene.user, "GET", "/storage/v1/object/public/mine/a", &head).to_lowercase();
        let allowed = said.lines().find_map(|line| line.strip_prefix("access-control-allow-origin: "));
        allowed.unwrap_or("none").trim().to_owned()
    };
    let cors = "cors: {allowed_origins: ['https://app.example']}\n";
    scene.changes(cors, &["cors.allowed_origins"], origin, "*", "none");

    let bucket = || {
        let body = format!("{{\"name\": \"{}\"}}", scene.new_name());
        scene.send(&scene.user, "POST", "/storage/v1/bucket", &body)
    };
    scene.changes("buckets: {creation: service}\n", &["buckets.creation"], bucket, "201", "403");

    let read = || scene.status(&scene.user, "GET", "/storage/v1/object/mine/a", &[]);
    scene.changes("auth: {audience: [app]}\n", &["auth.audience"], read, "200", "401");
    scene.reload("", &["auth.audience"]);
    scene.changes("auth: {issuer: ['https://issuer.example']}\n", &["auth.issuer"], read, "200", "401");
    scene.reload("", &["auth.issuer"]);

    let there = scene.server.folder.path().join("there");
    std::fs::create_dir(&there).unwrap();
    std::fs::write(there.join("file"), "12345").unwrap();
    let adopt = || {
        let asked = ["adopt", text(&there), "--bucket", "mine", "--prefix", "adopted"];
        scene.server.run(Some(&scene.service), &asked).code.to_string()
    };
    let directories = format!("adopt: {{directories: ['{}']}}\n", there.display());
    scene.changes(&directories, &["adopt.directories"], adopt, "1", "0");
}

#[test]
fn limits_of_requests_change() {
    let scene = Scene::new();
    let public = format!("{}/storage/v1/object/public/mine/a", scene.server.url.trim_end_matches('/'));
    let signed = scene.signed("{\"expiresIn\": 600}");
    for (of, url) in [("public", &public), ("signed", &signed)] {
        let keys = [format!("rate_limit.{of}_per_second"), format!("rate_limit.{of}_burst")];
        let settings = format!("rate_limit: {{{of}_per_second: 1, {of}_burst: 1}}\n");
        let keys = keys.each_ref().map(String::as_str);
        scene.changes(&settings, &keys, || scene.are_too_many(url), "fine", "too many");
    }

    let batch = || {
        let three = r#"{"bucket": "mine", "paths": ["x", "y", "z"]}"#;
        let answer = scene.send(&scene.user, "DELETE", "/api/v1/storage/files/batch", three);
        if answer == "400" { "refused" } else { "done" }.to_owned()
    };
    scene.changes("batch: {max_files: 2}\n", &["batch.max_files"], batch, "done", "refused");

    scene.changes("query: {max_rows: 1}\n", &["query.max_rows"], || scene.rows(), "2", "1");
    scene.reload("", &["query.max_rows"]);
    scene.changes("query: {default_rows: 1}\n", &["query.default_rows"], || scene.rows(), "2", "1");
    scene.reload("", &["query.default_rows"]);
    scene.changes("query: {max_bytes: 1B}\n", &["query.max_bytes"], || scene.rows(), "2", "0");

    let second_stream = || {
        let _first = scene.server.events(&scene.service);
        match scene.server.events(&scene.service) {
            Ok(_) => "there".to_owned(),
            Err(said) => said.chars().take("HTTP/1.1 503".len()).collect(),
        }
    };
    let settings = "events: {max_subscribers: 1}\n";
    scene.changes(settings, &["events.max_subscribers"], second_stream, "there", "HTTP/1.1 503");

    // Each one is left unfinished.
    let begin = || {
        let metadata = format!(
            "upload-metadata: bucketName {},objectName {}",
            STANDARD.encode("mine"),
            STANDARD.encode(scene.new_name())
        );
        let head = ["-D", "-", "-H", "tus-resumable: 1.0.0", "-H", "upload-length: 5", "-H", &metadata];
        scene.ask(&scene.user, "POST", "/storage/v1/upload/resumable", &head)
    };
    let status = || begin().split(' ').nth(1).unwrap_or_default().to_owned();
    let expires = || {
        let said = begin();
        let until = said.lines().find_map(|line| line.strip_prefix("upload-expires: ")).unwrap();
        let left = httpdate::parse_http_date(until.trim()).unwrap().duration_since(SystemTime::now());
        if left.unwrap_or_default() > Duration::from_secs(600) { "late" } else { "soon" }.to_owned()
    };
    let settings = "uploads: {resumable_expiry: 1m}\n";
    scene.changes(settings, &["uploads.resumable_expiry"], expires, "late", "soon");
    let settings = "uploads: {max_unfinished: 1}\n";
    scene.changes(settings, &["uploads.max_unfinished"], status, "201", "429");
}

#[test]
fn what_becomes_of_bytes_changes() {
    let scene = Scene::new();
    // What lies on the disk is changed: it is found out where reads compare.
    scene.put_large("large");
    let place = "/storage/v1/object/mine/large";
    let folder = scene.server.folder.path().join("data/blobs");
    let found = Command::new("find").arg(folder).args(["-type", "f", "-size", "+40k"]).output().unwrap();
    let blob = String::from_utf8(found.stdout).unwrap();
    let blob = blob.trim_end();
    std::fs::write(blob, vec![b'2'; 50_000]).unwrap();
    let reads = || {
        let url = format!("{}{place}", scene.server.url.trim_end_matches('/'));
        let bearer = format!("authorization: Bearer {}", scene.user);
        scene.curl(&["-f", "-o", "/dev/null", "-H", &bearer, &url]).1.to_string()
    };
    let settings = "storage: {verify_on_read: true}\n";
    scene.changes(settings, &["storage.verify_on_read"], reads, "true", "false");

    let no_picture = || {
        let path = format!("/storage/v1/object/pictures/{}", scene.new_name());
        let head = ["-H", "content-type: image/png", "-d", "<!doctype html><html><body>"];
        scene.status(&scene.user, "PUT", &path, &head)
    };
    let settings = "storage: {verify_content: true}\n";
    scene.changes(settings, &["storage.verify_content"], no_picture, "200", "415");

    let blobs = || {
        let before = scene.blobs();
        assert_eq!(scene.put(&format!("mine/{}", scene.new_name())), "200");
        (scene.blobs() - before).to_string()
    };
    let settings = "storage: {inline_threshold: 0}\n";
    scene.changes(settings, &["storage.inline_threshold"], blobs, "0", "1");

    let upload = || scene.put(&format!("mine/{}", scene.new_name()));
    let settings = "quotas: {default_user: 1B}\n";
    scene.changes(settings, &["quotas.default_user"], upload, "200", "507");
}

#[test]
fn signed_urls_change() {
    let scene = Scene::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let lives = |url: &str| {
        let claims = url.split_once("token=").unwrap().1.split('.').nth(1).unwrap_or_else(|| panic!("{url}"));
        let claims = URL_SAFE_NO_PAD.decode(claims).unwrap();
        let expires = json(std::str::from_utf8(&claims).unwrap())["exp"].as_u64().unwrap();
        if expires > now + 600 { "long" } else { "short" }.to_owned()
    };
    let settings = "signing: {default_expiry: 1m}\n";
    scene.changes(settings, &["signing.default_expiry"], || lives(&scene.signed("{}")), "long", "short");
    let hours =
        || scene.send(&scene.user, "POST", "/storage/v1/object/sign/mine/a", r#"{"expiresIn": 10800}"#);
    let settings = "signing: {max_expiry: 2h}\n";
    scene.changes(settings, &["signing.max_expiry"], hours, "200", "400");
    let upload = || {
        let path = format!("/storage/v1/object/upload/sign/mine/{}", scene.new_name());
        let signed = json(&scene.ask(&scene.user, "POST", &path, &[]));
        lives(signed["url"].as_str().unwrap_or_else(|| panic!("{signed}")))
    };
    let settings = "signing: {upload_expiry: 1m}\n";
    scene.changes(settings, &["signing.upload_expiry"], upload, "long", "short");

    // Another secret ends what the one before signed, unless that is accepted still.
    let url = scene.signed("{\"expiresIn\": 600}");
    let read = || scene.curl(&["-o", "/dev/null", "-w", "%{http_code}", &url]).0;
    let secrets = std::fs::read_to_string(scene.server.folder.path().join("data/secrets.json")).unwrap();
    let old = json(&secrets)["signing_secret"].as_str().unwrap().to_owned();
    let new = "a new secret that is long enough 12345";
    let settings = format!("signing: {{secret: '{new}'}}\n");
    scene.changes(&settings, &["signing.secret"], read, "200", "403");
    let settings = format!("signing: {{secret: '{new}', previous_secrets: ['{old}']}}\n");
    scene.changes(&settings, &["signing.previous_secrets"], read, "403", "200");
    let url = scene.signed("{\"expiresIn\": 600}");
    scene.reload(&format!("signing: {{secret: '{new}'}}\n"), &["signing.previous_secrets"]);
    assert_eq!(scene.curl(&["-o", "/dev/null", "-w", "%{http_code}", &url]).0, "200", "by the new one");
}

#[test]
fn cleanups_change() {
    let scene = Scene::new();
    for number in 0..3 {
        scene.put_large(&format!("large-{number}"));
    }
    let before = scene.blobs();
    // Nobody knows of their blobs any more.
    let metadata =
        rusqlite::Connection::open(scene.server.folder.path().join("data/metadata.sqlite")).unwrap();
    let gone = "DELETE FROM storage_segments WHERE blob_key IS NOT NULL; DELETE FROM storage_objects WHERE size = 50000";
    metadata.execute_batch(gone).unwrap();
    let cleanup = |mode: &str, told: &str| {
        json(&scene.server.run(Some(&scene.service), &["cleanup", mode, "--json"]).ok())[told].to_string()
    };
    let gone = || (before - scene.blobs()).to_string();
    // They are too young, until that is old enough; they go one by one, and by themselves where that is often done.
    let orphans = || cleanup("--dry-run", "orphan_blobs");
    scene.changes("cleanup: {grace: 1s}\n", &["cleanup.grace"], orphans, "0", "3");
    scene.reload("cleanup: {grace: 1s, max_per_run: 1}\n", &["cleanup.max_per_run"]);
    assert_eq!((cleanup("--apply", "deleted_blobs"), gone()), ("1".to_owned(), "1".to_owned()));
    let settings = "cleanup: {grace: 1s, interval: 1s, enabled: false}\n";
    scene.reload(settings, &["cleanup.interval", "cleanup.enabled"]);
    let settings = "cleanup: {grace: 1s, interval: 1s}\n";
    scene.changes(settings, &["cleanup.enabled"], gone, "1", "3");
    let events = || {
        let kept = metadata.query_row("SELECT count(*) FROM storage_events", [], |row| row.get::<_, u32>(0));
        if kept.unwrap() > 1 { "all" } else { "one" }.to_owned()
    };
    scene.changes("events: {max_kept: 1}\n", &["events.max_kept"], events, "all", "one");
}

#[test]
fn how_many_jobs_run_and_how_fast_changes() {
    let scene = Scene::new();
    for number in 0..12 {
        scene.put_large(&format!("large-{number}"));
    }
    // Of one place, a scrub that takes a minute has it all.
    scene.reload("jobs: {concurrency: 1}\nscrub: {rate: 10KB}\n", &["jobs.concurrency", "scrub.rate"]);
    let jobs = |kind: &str| {
        let listed = scene.server.run(Some(&scene.service), &["job", "list", "--kind", kind, "--json"]).ok();
        json(&listed)[0]["status"].as_str().unwrap_or("none").to_owned()
    };
    let until = |kind: &str, status: &str| {
        let began = Instant::now();
        while jobs(kind) != status {
            assert!(began.elapsed() < PATIENCE, "{kind} is {}", jobs(kind));
        }
    };
    assert_eq!(scene.send(&scene.service, "POST", "/api/v1/storage/scrub", "{}"), "202");
    until("scrub", "running");
    let folder = r#"{"bucket": "mine", "prefix": "nothing"}"#;
    assert_eq!(scene.send(&scene.service, "POST", "/api/v1/storage/folders/delete", folder), "202");
    let settings = "jobs: {concurrency: 2}\nscrub: {rate: 10KB}\n";
    scene.changes(settings, &["jobs.concurrency"], || jobs("delete_folder"), "pending", "completed");
    let settings = "scrub: {rate: 0}\n";
    scene.changes(settings, &["scrub.rate"], || jobs("scrub"), "running", "completed");
}

#[test]
fn what_is_logged_and_kept_in_memory_changes() {
    let scene = Scene::new();
    let list = || {
        let body = r#"{"prefix": ""}"#;
        assert_eq!(scene.send(&scene.user, "POST", "/storage/v1/object/list/mine", body), "200");
        let text = scene.ask(&scene.service, "GET", "/metrics", &[]);
        let kept = text.lines().find_map(|line| line.strip_prefix("storage_cache_entries "));
        if kept.is_none_or(|entries| entries == "0") { "nothing" } else { "lists" }.to_owned()
    };
    scene.reload("cache: {enabled: false}\n", &["cache.enabled"]);
    scene.changes("", &["cache.enabled"], list, "nothing", "lists");
    scene.changes("cache: {enabled: false}\n", &["cache.enabled"], list, "lists", "nothing");

    // What can't change is warned of, which is how one knows that it was read.
    let quiet = "log: {level: warn}\nrest: {dialect: supabase}\n";
    scene.server.reload(quiet, "wait for a restart");
    assert_eq!(scene.put("mine/unseen"), "200");
    std::fs::write(&scene.server.settings, "").unwrap();
    let process = scene.server.process.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &process]).status().unwrap().success());
    loop {
        let line = scene.server.lines.recv_timeout(PATIENCE).expect("it is told that the level changed");
        assert!(!line.contains("unseen"), "{line}");
        if line.contains("configuration reloaded") {
            assert!(line.contains("log.level"), "{line}");
            break;
        }
    }
    assert_eq!(scene.put("mine/seen"), "200");
    scene.server.wait_for("path=\"seen\"");
}
