//! Files that are there already become objects: which directories, by whom, and what becomes of what can't.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{OTHER, OWNER, Reply, Server, Who};

const ROUTE: &str = "/api/v1/storage/adopt";
const JOBS: &str = "/api/v1/storage/jobs";

/// Files of an application that was there before, beside a server that may have them.
struct Scene {
    folder: TempDir,
    server: Server,
}

impl Scene {
    fn start(more: &[(&str, &str)]) -> Self {
        // On the file system that the server's data are on, where files need not be copied.
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), more);
        Self { folder, server }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// As if nobody had written to it for an hour.
    fn age(&self, name: &str) {
        let hour = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(self.at(name)).unwrap().set_modified(hour).unwrap();
    }

    fn asked(&self, more: &Value) -> Value {
        let mut asked = json!({ "directory": self.folder.path(), "bucket": "box" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    }

    async fn ask(&self, who: Who, asked: &Value) -> Reply {
        self.server.request(who, "POST", ROUTE).json(asked).send().await
    }

    /// The job, as soon as it has ended.
    async fn adopt(&self, more: Value) -> Value {
        let job = self.ask(Who::Service, &self.asked(&more)).await.expect_status(202).json();
        ended(&self.server, job["id"].as_str().unwrap()).await
    }

    async fn info(&self, path: &str) -> Value {
        let path = format!("/object/info/box/{path}");
        self.server.call(Who::Service, "GET", &path).send().await.expect_status(200).json()
    }
}

fn start(folder: &Path, more: &[(&str, &str)]) -> Server {
    let allowed = ("AEROSTORE_ADOPT_DIRECTORIES", folder.to_str().unwrap());
    Server::start_with(&[&[allowed], more].concat())
}

async fn ended(server: &Server, id: &str) -> Value {
    for _ in 0..12_000 {
        let job =
            server.request(Who::Service, "GET", &format!("{JOBS}/{id}")).send().await.expect_status(200);
        let job = job.json();
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job {id} never ends: {}", server.log());
}

#[track_caller]
fn counts(job: &Value) -> (u64, u64, u64) {
    assert_eq!((&job["status"], &job["kind"]), (&json!("completed"), &json!("adopt")), "{job}");
    let of = |value: &Value| value.as_u64().unwrap_or(0);
    (of(&job["done"]), of(&job["report"]["present"]), of(&job["failures"]))
}

#[tokio::test]
async fn files_become_objects_and_stay_where_they_are() {
    let scene = Scene::start(&[]);
    let server = &scene.server;
    server.bucket(Who::Service, "box", "private").await;
    scene.file("a/photo.JPG", b"small");
    scene.file("a/b/film.mp4", vec![7; 3_000_000]);
    scene.file("a b/ü?.txt", vec![8; 40_000]);
    scene.file("nothing", b"");
    for name in ["a/photo.JPG", "a/b/film.mp4", "a b/ü?.txt"] {
        scene.age(name);
    }
    let looked = scene.adopt(json!({ "prefix": "old", "dry_run": true })).await;
    assert_eq!((counts(&looked), &looked["bytes"]), ((4, 0, 0), &json!(3_040_005)), "{looked}");
    assert!(server.content("box/old/nothing").await.is_none(), "it only looked");

    let job = scene.adopt(json!({ "prefix": "old", "owner": OWNER })).await;
    assert_eq!((counts(&job), &job["bytes"], &job["user_id"]), ((4, 0, 0), &json!(3_040_005), &Value::Null));
    assert_eq!(server.content("box/old/a/b/film.mp4").await.unwrap(), vec![7; 3_000_000]);
    assert_eq!(server.content("box/old/a%20b/%C3%BC%3F.txt").await.unwrap(), vec![8; 40_000]);
    assert_eq!(server.content("box/old/nothing").await.unwrap(), b"");
    let info = scene.info("old/a/photo.JPG").await;
    assert_eq!((&info["content_type"], &info["owner_id"]), (&json!("image/jpeg"), &json!(OWNER)), "{info}");
    let modified: f64 = info["metadata"]["mtime"].as_str().unwrap().parse().unwrap();
    let hour = chrono::Utc::now().timestamp() as f64 - 3600.0;
    assert!((modified - hour).abs() < 60.0, "{info}");
    // Its owner reads it; nobody else does.
    let read = async |who| server.call(who, "GET", "/object/box/old/a/photo.JPG").send().await.status;
    assert_eq!(read(Who::User(OWNER)).await, 200);
    assert_ne!(read(Who::User(OTHER)).await, 200);
    assert_eq!(fs::read(scene.at("a/photo.JPG")).unwrap(), b"small");

    // Again: nothing is done twice, and what is something else stays, unless it is to be replaced.
    scene.file("a/photo.JPG", b"other");
    let again = scene.adopt(json!({ "prefix": "old/" })).await;
    assert_eq!(counts(&again), (0, 3, 1), "{again}");
    assert_eq!(again["report"]["errors_by_code"], json!({ "OBJECT_EXISTS": 1 }));
    assert_eq!(server.content("box/old/a/photo.JPG").await.unwrap(), b"small");
    assert_eq!(counts(&scene.adopt(json!({ "prefix": "old", "overwrite": true })).await), (1, 3, 0));
    assert_eq!(server.content("box/old/a/photo.JPG").await.unwrap(), b"other");
    server.expect_clean().await;
}

#[tokio::test]
async fn what_moves_goes_and_its_bytes_stay_where_they_are() {
    let scene = Scene::start(&[]);
    scene.server.bucket(Who::Service, "box", "private").await;
    for name in ["large", "twice", "fresh", "d/small"] {
        scene.file(name, if name == "d/small" { vec![1; 10] } else { vec![2; 200_000] });
        scene.age(name);
    }
    scene.file("fresh", vec![3; 200_000]);
    fs::hard_link(scene.at("twice"), scene.at("zwilling")).unwrap();
    scene.age("large");
    let inode = |name: &str| fs::metadata(scene.at(name)).unwrap().ino();
    let (large, twice, fresh) = (inode("large"), inode("twice"), inode("fresh"));
    // Somebody's elsewhere, too: a name that is left alone when the other has gone may well be moved.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::hard_link(scene.at("twice"), elsewhere.path().join("drilling")).unwrap();
    // An inode whose file is gone would be the next file's.
    let held = fs::File::open(scene.at("fresh")).unwrap();
    assert_eq!(counts(&scene.adopt(json!({ "move": true, "dry_run": true })).await), (5, 0, 0));
    assert!(scene.at("large").exists(), "it only looked");
    let job = scene.adopt(json!({ "move": true })).await;
    assert_eq!((counts(&job), &job["report"]["removed"]), ((5, 0, 0), &json!(5)), "{job}");
    for name in ["large", "twice", "zwilling", "fresh", "d/small"] {
        assert!(!scene.at(name).exists(), "{name}");
        assert!(scene.server.content(&format!("box/{name}")).await.is_some(), "{name}");
    }
    let blobs: Vec<(u64, u64, u32)> = files(&scene.server.data_dir().join("blobs"))
        .iter()
        .map(|path| fs::metadata(path).unwrap())
        .map(|it| (it.ino(), it.nlink(), it.permissions().mode() & 0o777))
        .collect();
    assert_eq!(blobs.len(), 4, "{blobs:?}");
    assert!(blobs.contains(&(large, 1, 0o600)), "its file is the blob, and nobody else's: {blobs:?}");
    // Of these, somebody may have had another hold.
    assert!(blobs.iter().all(|(inode, ..)| ![twice, fresh].contains(inode)), "{blobs:?}");
    drop(held);
    scene.server.expect_clean().await;
}

/// A row is no proof of its bytes: the file may be all that is left of them.
#[tokio::test]
async fn what_is_lost_is_not_removed_where_it_came_from() {
    let scene = Scene::start(&[]);
    let server = &scene.server;
    server.bucket(Who::Service, "box", "private").await;
    for (name, byte) in [("whole", 1), ("lost", 2), ("damaged", 3)] {
        scene.file(name, vec![byte; 200_000]);
    }
    assert_eq!(counts(&scene.adopt(json!({})).await), (3, 0, 0));
    for blob in files(&server.data_dir().join("blobs")) {
        match fs::read(&blob).unwrap()[0] {
            2 => fs::remove_file(blob).unwrap(),
            3 => {
                // Not the file that it came from, should they be one.
                fs::remove_file(&blob).unwrap();
                fs::write(blob, vec![4; 200_000]).unwrap();
            }
            _ => {}
        }
    }
    let job = scene.adopt(json!({ "move": true })).await;
    assert_eq!(counts(&job), (0, 1, 2), "{job}");
    let left = ["whole", "lost", "damaged"].map(|name| scene.at(name).exists());
    assert_eq!(left, [false, true, true]);
    // Who says so has them made anew.
    let job = scene.adopt(json!({ "move": true, "overwrite": true })).await;
    assert_eq!(counts(&job), (2, 0, 0), "{job}");
    assert_eq!(server.content("box/lost").await.unwrap(), [2; 200_000]);
    assert_eq!(server.content("box/damaged").await.unwrap(), [3; 200_000]);
    server.expect_clean().await;
}

#[tokio::test]
async fn what_is_no_file_and_what_may_not_be_stored_is_told_of() {
    let scene = Scene::start(&[]);
    let server = &scene.server;
    let limits = json!({ "name": "box", "policy": "private", "max_file_size": 1000, "allowed_mime_types": ["text/*"] });
    server.bucket_with(Who::Service, limits).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    scene.file("good.txt", "good");
    scene.file("large.txt", vec![1; 1001]);
    scene.file("picture.png", "not text");
    scene.file("unreadable.txt", "x");
    scene.file("closed/x.txt", "x");
    scene.file("bad\u{1}name.txt", "x");
    symlink(outside.path().join("secret.txt"), scene.at("link.txt")).unwrap();
    symlink(outside.path(), scene.at("linked")).unwrap();
    Command::new("mkfifo").arg(scene.at("pipe.txt")).status().unwrap();
    let odd = [scene.folder.path().as_os_str().as_bytes(), b"/odd\xff.txt"].concat();
    fs::write(OsStr::from_bytes(&odd), "x").unwrap();
    for closed in ["unreadable.txt", "closed"] {
        fs::set_permissions(scene.at(closed), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Who is root reads everything.
    let is_root = fs::read(scene.at("unreadable.txt")).is_ok();
    let job = scene.adopt(json!({ "move": true })).await;
    let failures = job["report"]["failures"].as_array().unwrap();
    let told: Vec<(&str, &str)> = failures
        .iter()
        .map(|failure| (failure["path"].as_str().unwrap(), failure["code"].as_str().unwrap()))
        .collect();
    let mut wanted = vec![
        ("bad\u{1}name.txt", "INVALID_PATH"),
        ("large.txt", "PAYLOAD_TOO_LARGE"),
        ("link.txt", "ORIGINAL_UNUSABLE"),
        ("linked", "ORIGINAL_UNUSABLE"),
        ("odd\u{fffd}.txt", "ORIGINAL_UNUSABLE"),
        ("picture.png", "UNSUPPORTED_MEDIA_TYPE"),
        ("pipe.txt", "ORIGINAL_UNUSABLE"),
    ];
    if !is_root {
        wanted.push(("closed/", "ORIGINAL_UNUSABLE"));
        wanted.push(("unreadable.txt", "ORIGINAL_UNUSABLE"));
        wanted.sort_unstable();
    }
    assert_eq!(told, wanted, "{job}");
    for closed in ["unreadable.txt", "closed"] {
        let _ = fs::set_permissions(scene.at(closed), fs::Permissions::from_mode(0o700));
    }
    assert_eq!(server.content("box/good.txt").await.unwrap(), b"good");
    for stays in ["large.txt", "picture.png", "link.txt", "linked"] {
        assert!(fs::symlink_metadata(scene.at(stays)).is_ok(), "{stays} stays");
    }
    assert_eq!(fs::read(outside.path().join("secret.txt")).unwrap(), b"secret");
    // Quotas hold as they do for uploads.
    let quota = json!({ "quota_bytes": 5 });
    let path = format!("/api/v1/storage/user-quotas/{OTHER}");
    server.request(Who::Service, "PUT", &path).json(&quota).send().await.expect_status(200);
    scene.file("sub/12345678.txt", "12345678");
    let sub = json!({ "directory": scene.at("sub"), "owner": OTHER });
    assert_eq!(scene.adopt(sub).await["report"]["errors_by_code"], json!({ "QUOTA_EXCEEDED": 1 }));
    server.expect_clean().await;
}

#[tokio::test]
async fn only_the_service_role_adopts_and_only_from_where_the_server_allows() {
    let scene = Scene::start(&[]);
    scene.server.bucket(Who::User(OWNER), "box", "public").await;
    scene.file("in/x", "x");
    symlink("/etc", scene.at("out")).unwrap();
    let asked = scene.asked(&json!({}));
    scene.ask(Who::Anon, &asked).await.expect_error(401, "AUTH_REQUIRED");
    scene.ask(Who::Anon, &json!({})).await.expect_error(401, "AUTH_REQUIRED");
    scene.ask(Who::User(OWNER), &asked).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    scene.ask(Who::User(OWNER), &json!({})).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    let shown = scene.folder.path().to_str().unwrap();
    for directory in
        ["/etc", "/", "", "in", &format!("{shown}/../"), &format!("{shown}/out"), &format!("{shown}/none")]
    {
        let reply = scene.ask(Who::Service, &json!({ "directory": directory, "bucket": "box" })).await;
        reply.expect_error(400, "INVALID_REQUEST");
    }
    for wrong in [
        json!({}),
        json!({ "bucket": "box" }),
        json!({ "directory": shown, "bucket": "box", "provider": "local" }),
        json!({ "directory": shown, "bucket": "box", "path": "x" }),
        json!({ "directory": shown, "bucket": "box", "owner": "x" }),
        json!({ "directory": shown, "bucket": "box", "unknown": 1 }),
        // A directory is named by its path.
        json!({ "provider": "local", "bucket": "box" }),
    ] {
        scene.ask(Who::Service, &wrong).await.expect_error(400, "INVALID_REQUEST");
    }
    let odd = scene.asked(&json!({ "prefix": "a/../b" }));
    scene.ask(Who::Service, &odd).await.expect_error(400, "INVALID_PATH");
    let none = json!({ "directory": shown, "bucket": "none" });
    scene.ask(Who::Service, &none).await.expect_error(404, "BUCKET_NOT_FOUND");
    let none = json!({ "provider": "none", "bucket": "box" });
    scene.ask(Who::Service, &none).await.expect_error(404, "PROVIDER_NOT_FOUND");
    // A path that goes to a job is not shown to who did not ask for it.
    assert_eq!(counts(&scene.adopt(json!({ "owner": OWNER })).await), (1, 0, 1));
    let jobs = scene.server.request(Who::User(OWNER), "GET", JOBS).send().await.expect_status(200).json();
    assert_eq!(jobs["jobs"], json!([]));

    let closed = Server::start();
    closed.bucket(Who::Service, "box", "public").await;
    let refused = closed.request(Who::Service, "POST", ROUTE).json(&asked).send().await;
    let refused = refused.expect_error(400, "INVALID_REQUEST").text();
    assert!(refused.contains("adopt.directories"), "{refused}");
    // Its own directory holds its secrets.
    let data = closed.data_dir().to_str().unwrap().to_owned();
    let own = Server::start_in(closed.stop(), &[("AEROSTORE_ADOPT_DIRECTORIES", &data)]);
    for directory in [data.clone(), format!("{data}/blobs")] {
        let asked = json!({ "directory": directory, "bucket": "box" });
        let refused = own.request(Who::Service, "POST", ROUTE).json(&asked).send().await;
        assert!(refused.expect_error(400, "INVALID_REQUEST").text().contains("own"));
    }
}

/// A file that is written to while its bytes are read does not become an object, and stays.
#[tokio::test]
async fn a_file_that_changes_meanwhile_stays() {
    let scene = Scene::start(&[("AEROSTORE_FAILPOINTS", "local.publish.folder=delay(1500ms)")]);
    scene.server.bucket(Who::Service, "box", "private").await;
    scene.file("f", vec![1; 3_000_000]);
    scene.file("g", vec![1; 3_000_000]);
    let job = scene.ask(Who::Service, &scene.asked(&json!({ "move": true }))).await.expect_status(202).json();
    // Its blob waits to be published: it is written, and its original not yet removed.
    tokio::time::timeout(Duration::from_secs(60), async {
        while scene.server.files_on_disk() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    scene.file("f", vec![2; 3_000_001]);
    let job = ended(&scene.server, job["id"].as_str().unwrap()).await;
    assert_eq!(job["report"]["errors_by_code"], json!({ "ORIGINAL_UNUSABLE": 1 }), "{job}");
    assert_eq!(fs::read(scene.at("f")).unwrap(), vec![2; 3_000_001]);
    assert!(!scene.at("g").exists());
    if let Some(content) = scene.server.content("box/f").await {
        assert_eq!(content, vec![1; 3_000_000], "what it was before, or nothing");
    }
    scene.server.expect_clean().await;
}

/// Many files, and a server that is killed among them: each becomes one object, and none is lost. `AEROSTORE_ADOPT_FILES=10000` has as many:
/// minutes of work over PostgreSQL on a busy machine.
#[tokio::test]
async fn adopting_outlives_its_server() {
    let files = std::env::var("AEROSTORE_ADOPT_FILES").map_or(2_000, |count| count.parse().unwrap());
    let scene = Scene::start(&[("AEROSTORE_STORAGE_INLINE_THRESHOLD", "100")]);
    for n in 0..files {
        scene.file(&format!("d{:02}/f{n:05}", n % 40), content(n));
        if n % 2 == 0 {
            scene.age(&format!("d{:02}/f{n:05}", n % 40));
        }
    }
    scene.server.bucket(Who::Service, "box", "private").await;
    let job = scene.ask(Who::Service, &scene.asked(&json!({ "move": true }))).await.expect_status(202).json();
    let id = job["id"].as_str().unwrap().to_owned();
    let Scene { folder, mut server } = scene;
    for kill_at in [1, files / 5, files / 2] {
        let left = || self::files(folder.path()).len();
        for _ in 0..6000 {
            if files - left() >= kill_at {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let settings = [("AEROSTORE_ADOPT_DIRECTORIES", folder.path().to_str().unwrap())];
        let more = [("AEROSTORE_STORAGE_INLINE_THRESHOLD", "100")];
        let data = server.stop();
        // That a claim ends by itself, a killed scrub waits to see.
        data.end_claims().await;
        server = Server::start_in(data, &[settings, more].concat());
    }
    let job = ended(&server, &id).await;
    let (done, present, failures) = counts(&job);
    assert_eq!(failures, 0, "{job}");
    assert!(done + present <= files as u64, "none is counted twice: {job}");
    assert!(self::files(folder.path()).is_empty());
    let usage = server.request(Who::Service, "GET", "/api/v1/storage/usage").send().await.expect_status(200);
    let usage = usage.json()["buckets"][0].clone();
    let bytes: usize = (0..files).map(|n| content(n).len()).sum();
    assert_eq!((&usage["file_count"], &usage["total_bytes"]), (&json!(files), &json!(bytes)), "{usage}");
    for n in (0..files).step_by(37) {
        let place = format!("box/d{:02}/f{n:05}", n % 40);
        assert_eq!(server.content(&place).await.unwrap(), content(n), "{place}");
    }
    server.expect_clean().await;
}

/// Some are blobs, and some lie in the database.
fn content(n: usize) -> Vec<u8> {
    n.to_string().repeat(1 + n % 60).into_bytes()
}

#[tokio::test]
async fn the_command_line_waits_for_it_and_tells_what_failed() {
    let scene = Scene::start(&[]);
    scene.server.bucket(Who::Service, "box", "private").await;
    scene.file("a/x", "12345");
    symlink("x", scene.at("a/y")).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AEROSTORE_"))
        {
            command.env_remove(name);
        }
        let url = format!("http://{}", scene.server.address);
        command.args(["adopt", "--bucket", "box", "--prefix", "old", "--url", &url]).args(more);
        command.env("AEROSTORE_TOKEN", scene.server.key("service_key")).stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    let folder = scene.folder.path().to_str().unwrap();
    let (code, said) = run(&[folder, "--dry-run"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("would be adopted  1") && said.contains("a/y: "), "{said}");
    fs::remove_file(scene.at("a/y")).unwrap();
    let (code, said) = run(&[folder]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(scene.server.content("box/old/a/x").await.unwrap(), b"12345");
    let (code, said) = run(&[folder, "--move"]);
    assert!(code == 0 && said.contains("there already") && said.contains("originals removed  1"), "{said}");
    assert!(!scene.at("a/x").exists());
    let (code, said) = run(&["/etc"]);
    assert!(code != 0 && said.contains("adopt.directories"), "{said}");
    let (code, said) = run(&["not/absolute"]);
    assert!(code == 2 && said.contains("absolute path"), "{code} {said}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
