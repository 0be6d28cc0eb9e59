//! The commands as a user runs them: the real binary, a real server, exit codes and all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod batches;
mod cutting_proxy;
mod doctor;
mod drain;
mod folders;
mod operator;
mod reload;
mod server;
mod starts;
mod users;

use std::path::Path;
use std::process::{Command, Stdio};

use cutting_proxy::{Cut, CuttingProxy};
use serde_json::Value;
use server::{Server, alone};

/// Bytes that repeat nowhere near, so that a misplaced part shows.
fn content(size: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(size).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_bucket_lives_and_dies() {
    let server = Server::start();
    server.run(&["bucket", "create", "photos", "--policy", "public", "--max-file-size", "5MB"]).ok();
    server.run(&["bucket", "create", "photos"]).fails(1, "BUCKET_EXISTS");
    server.run(&["bucket", "create", "photos", "--if-not-exists"]).ok();
    server.run(&["bucket", "create", "-"]).fails(1, "INVALID_BUCKET_NAME");
    let shown = json(&server.run(&["bucket", "show", "photos", "--json"]).ok());
    assert_eq!(
        (&shown["policy"], &shown["file_size_limit"]),
        (&"public".into(), &5_000_000.into()),
        "{shown}"
    );

    server.run(&["bucket", "update", "photos", "--policy", "private", "--max-file-size", "none"]).ok();
    let shown = server.run(&["bucket", "show", "photos"]).ok();
    assert!(shown.contains("private") && shown.contains("no limit"), "{shown}");
    assert!(server.run(&["bucket", "list"]).ok().contains("photos"));

    server.pipe(b"x", &["cp", "-", "aero://photos/x"]).ok();
    server.run(&["bucket", "delete", "photos"]).fails(1, "BUCKET_NOT_EMPTY");
    server.run(&["bucket", "empty", "photos"]).fails(2, "--yes");
    server.run(&["bucket", "empty", "photos", "--yes"]).ok();
    server.run(&["bucket", "delete", "photos"]).ok();
    server.run(&["bucket", "show", "photos"]).fails(3, "BUCKET_NOT_FOUND");
}

#[test]
fn a_tree_goes_up_across_and_down_unchanged() {
    let server = Server::start();
    let folder = server.folder();
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("sub/ü ß")).unwrap();
    let files = [("a.txt", 3), ("empty", 0), ("sub/small.bin", 70_000), ("sub/ü ß/50%?#.html", 2_000_000)];
    for (name, size) in files {
        std::fs::write(tree.join(name), content(size)).unwrap();
    }
    server.run(&["bucket", "create", "one"]).ok();
    server.run(&["bucket", "create", "two"]).ok();
    let up = json(&server.run(&["--json", "cp", "-r", text(&tree), "aero://one/in"]).ok());
    assert_eq!((&up["copied"], &up["bytes"]), (&4.into(), &2_070_003.into()), "{up}");
    server.run(&["cp", "-r", "aero://one/in", "aero://two"]).ok();
    let back = folder.join("back");
    server.run(&["cp", "-r", "aero://two", text(&back)]).ok();
    for (name, size) in files {
        assert_eq!(std::fs::read(back.join(name)).unwrap(), content(size), "{name}");
    }

    let again = json(&server.run(&["--json", "cp", "-rn", text(&tree), "aero://one/in"]).ok());
    assert_eq!((&again["copied"], &again["skipped"]), (&0.into(), &4.into()), "{again}");
    assert_eq!(server.run(&["ls", "one"]).ok(), "in/\n");
    assert_eq!(server.run(&["ls", "one/in"]).ok(), "a.txt\nempty\nsub/\n");
    assert_eq!(server.run(&["ls", "one/in/a.txt"]).ok(), "in/a.txt\n");
    assert_eq!(server.run(&["ls", "-r", "one/in/sub"]).ok(), "in/sub/small.bin\nin/sub/ü ß/50%?#.html\n");
    let listed = json(&server.run(&["ls", "--json", "one/in/sub/ü ß/"]).ok());
    assert_eq!((&listed[0]["size"], &listed[0]["content_type"]), (&2_000_000.into(), &"text/html".into()));
    server.run(&["ls", "one/nothing"]).fails(3, "");
    server.run(&["ls", "nothing"]).fails(3, "");
}

#[test]
fn what_is_seen_and_not_ones_own_is_said_to_stay() {
    let server = Server::start();
    for (bucket, policy) in [("box", "public"), ("shared", "authenticated")] {
        server.run(&["bucket", "create", bucket, "--policy", policy]).ok();
        server.pipe(b"hello", &["cp", "-", &format!("aero://{bucket}/theirs")]).ok();
    }
    let token = json(
        &server.run(&["token", "create", "--user", "11111111-1111-4111-8111-111111111111", "--json"]).ok(),
    );
    let token = token["token"].as_str().unwrap();
    let as_user = |arguments: &[&str]| {
        let ended =
            server.command(&server.url).env("AEROSTORE_TOKEN", token).args(arguments).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for place in ["box/theirs", "shared/theirs"] {
        let (code, said) = as_user(&["rm", place]);
        assert!(code == Some(4) && said.contains("delete") && !said.contains("no such"), "{code:?} {said}");
    }
    let (code, said) = as_user(&["rm", "box/nothing"]);
    assert!(code == Some(3) && said.contains("none that you may see"), "{code:?} {said}");
    assert_eq!(server.run(&["ls", "box"]).ok(), "theirs\n");
}

#[test]
fn one_file_through_pipes_moved_and_deleted() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"hello", &["cp", "-", "aero://box/a/hello.txt"]).ok();
    assert_eq!(server.run(&["cp", "aero://box/a/hello.txt", "-"]).ok(), "hello");
    server.run(&["mv", "box/a/hello.txt", "box/b/"]).ok();
    assert_eq!(server.run(&["ls", "-r", "box"]).ok(), "b/hello.txt\n");

    server
        .run(&["rm", "box/b/hello.txt", "box/b/missing"])
        .fails(3, "no such object, or none that you may see");
    server.run(&["rm", "box/b/missing", "--force"]).ok();
    for name in ["x/1", "x/2", "y"] {
        server.pipe(b"", &["cp", "-", &format!("aero://box/{name}")]).ok();
    }
    server.run(&["rm", "-r", "box/x"]).fails(2, "--yes");
    let removed = json(&server.run(&["rm", "-r", "box/x", "--yes", "--json"]).ok());
    assert_eq!(removed["deleted"], 2);
    assert_eq!(server.run(&["ls", "-r", "box"]).ok(), "y\n");
}

#[test]
fn versions_come_down_come_back_and_go() {
    let server = Server::start();
    let folder = server.folder();
    server.run(&["bucket", "create", "box", "--versioning", "enabled"]).ok();
    for text in ["one", "two", "three"] {
        server.pipe(text.as_bytes(), &["cp", "-", "aero://box/plan.txt"]).ok();
    }
    let listed = json(&server.run(&["ls", "--versions", "--json", "box/plan.txt"]).ok());
    let ids: Vec<&str> = (0..3).map(|at| listed[at]["version"].as_str().unwrap()).collect();
    let first = ids[2];

    assert_eq!(server.run(&["cp", "--version-id", first, "aero://box/plan.txt", "-"]).ok(), "one");
    server.run(&["cp", "--version-id", ids[1], "aero://box/plan.txt", text(&folder.join("old.txt"))]).ok();
    assert_eq!(std::fs::read(folder.join("old.txt")).unwrap(), b"two");
    server.run(&["cp", "--version-id", first, "aero://box/plan.txt", "aero://box/b"]).fails(2, "restore");
    server.run(&["cp", "--version-id", first, "-r", "aero://box", "."]).fails(2, "--version-id");
    let missing = "01890000-0000-7000-8000-000000000000";
    server.run(&["cp", "--version-id", missing, "aero://box/plan.txt", "-"]).fails(3, "");

    server.run(&["rm", "box/plan.txt"]).ok();
    let restored = json(&server.run(&["restore", "box/plan.txt", "--version-id", first, "--json"]).ok());
    assert_eq!(server.run(&["cp", "aero://box/plan.txt", "-"]).ok(), "one");
    let current = restored["version"].as_str().unwrap();
    assert_ne!(current, first);

    server.run(&["rm", "box/plan.txt", "box/b", "--version-id", current]).fails(2, "one object");
    server.run(&["rm", "box/plan.txt", "--version-id", missing]).fails(3, "");
    server.run(&["rm", "box/plan.txt", "--version-id", missing, "--force"]).ok();
    let removed = json(&server.run(&["rm", "box/plan.txt", "--version-id", current, "--json"]).ok());
    assert_eq!((&removed["deleted"], &removed["failed"]), (&1.into(), &0.into()));
    server.run(&["cp", "aero://box/plan.txt", "-"]).fails(3, "");
    let listed = json(&server.run(&["ls", "--versions", "--json", "box/plan.txt"]).ok());
    assert_eq!(listed[0]["is_delete_marker"], true);
    server.run(&["rm", "box/plan.txt", "--version-id", listed[0]["version"].as_str().unwrap()]).ok();
    assert_eq!(server.run(&["cp", "aero://box/plan.txt", "-"]).ok(), "three");
}

#[test]
fn a_download_broken_half_way_goes_on_where_it_stopped() {
    let server = Server::start();
    let folder = server.folder();
    let (source, target) = (folder.join("big.bin"), folder.join("back.bin"));
    let partial = folder.join(".back.bin.aerostore-part");
    std::fs::write(&source, content(12_000_000)).unwrap();
    server.run(&["bucket", "create", "box"]).ok();
    server.run(&["cp", text(&source), "aero://box/big.bin"]).ok();

    // The same address both times: a partial file belongs to the URL it came from.
    let proxy = CuttingProxy::start(&server.url, Cut::After(5_000_000));
    let copy = ["cp", "--retries", "0", "aero://box/big.bin", text(&target)];
    server.run_through(&proxy.url, &copy).fails(5, "");
    assert!(!target.exists(), "half a file has no name");
    let half = std::fs::metadata(&partial).unwrap().len();
    assert!((1..=5_000_000).contains(&half), "{half} bytes were kept");

    proxy.set(Cut::Never);
    server.run_through(&proxy.url, &copy).ok();
    assert!(proxy.heard().contains(&format!("range: bytes={half}-")), "only the rest is asked for");
    assert_eq!(std::fs::read(&target).unwrap(), content(12_000_000));
    assert!(!partial.exists());

    // Another version of the object, and a damaged partial file: neither may be mixed with the new bytes.
    proxy.set(Cut::After(5_000_000));
    server.run_through(&proxy.url, &copy).fails(5, "");
    let mut changed = content(12_000_000);
    changed.reverse();
    std::fs::write(&source, &changed).unwrap();
    server.run(&["cp", text(&source), "aero://box/big.bin"]).ok();
    proxy.set(Cut::Never);
    server.run_through(&proxy.url, &copy).ok();
    assert!(std::fs::read(&target).unwrap() == changed, "the new version is whole");

    proxy.set(Cut::After(5_000_000));
    server.run_through(&proxy.url, &copy).fails(5, "");
    let length = std::fs::metadata(&partial).unwrap().len();
    std::fs::write(&partial, vec![0; usize::try_from(length).unwrap()]).unwrap();
    proxy.set(Cut::Never);
    let patient = ["cp", "aero://box/big.bin", text(&target)];
    server.run_through(&proxy.url, &patient).ok();
    assert!(std::fs::read(&target).unwrap() == changed, "damage is found and mended");
}

#[test]
fn only_a_recursive_copy_makes_directories() {
    let server = Server::start();
    let folder = server.folder();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"hello", &["cp", "-", "aero://box/in/a.txt"]).ok();
    for missing in ["missing/", "missing/b.txt"] {
        let to = folder.join(missing);
        server.run(&["cp", "aero://box/in/a.txt", text(&to)]).fails(3, "no such directory");
    }
    server
        .run(&["cp", "aero://box/in/a.txt", "aero://box/in/a.txt", text(&folder.join("missing"))])
        .fails(3, "no such");
    assert!(!folder.join("missing").exists());
    server.run(&["cp", "aero://box/in/a.txt", text(&folder.join("b.txt"))]).ok();
    server.run(&["cp", "-r", "aero://box/in", text(&folder.join("made/here"))]).ok();
    assert_eq!(std::fs::read(folder.join("made/here/a.txt")).unwrap(), b"hello");
}

#[test]
fn signed_urls_need_no_token() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"hello", &["cp", "-", "aero://box/a b.txt"]).ok();
    let url = server.run(&["sign", "box/a b.txt", "--expires-in", "10m", "--download", "c.txt"]).ok();
    assert!(url.starts_with(&server.url) && url.trim_end().ends_with("&download=c.txt"), "{url}");
    server.run(&["sign", "box/missing"]).fails(3, "OBJECT_NOT_FOUND");
    let once = server.run(&["sign", "box/a b.txt", "--single-use"]).ok();
    let get =
        |url: &str| Command::new("curl").args(["-sS", "-w", "%{http_code}", url]).output().unwrap().stdout;
    assert_eq!(get(once.trim()), b"hello200");
    assert!(get(once.trim()).ends_with(b"410"), "a single use is one");
    let put = server.run(&["sign", "box/once.txt", "--upload", "--overwrite", "--single-use"]).ok();
    let upload = |url: &str| {
        Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-d", "x", url])
            .output()
            .unwrap()
            .stdout
    };
    assert_eq!(upload(put.trim()), b"200");
    assert_eq!(upload(put.trim()), b"410");
    let upload = json(&server.run(&["sign", "box/new.txt", "--upload", "--json"]).ok());
    assert!(upload["url"].as_str().unwrap().contains("token="), "{upload}");
}

#[test]
fn a_query_shows_rows_as_a_table_or_as_json() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"12345", &["cp", "-", "aero://box/five"]).ok();
    server.pipe(b"1", &["cp", "-", "aero://box/it's one"]).ok();
    let table = server.run(&["query", "SELECT path, size FROM objects ORDER BY size"]).ok();
    assert_eq!(table, "path      size\nit's one     1\nfive         5\n");
    let sql = "SELECT path FROM objects WHERE path = $1 OR size > $2";
    let found = json(&server.run(&["query", sql, "-p", "it's one", "-p", "100", "--json"]).ok());
    assert_eq!((&found["rows"][0]["path"], &found["row_count"]), (&"it's one".into(), &1.into()), "{found}");
    let few = json(&server.run(&["query", "SELECT path FROM objects", "--max-rows", "1", "--json"]).ok());
    assert_eq!(few["truncated"], Value::Bool(true));
    server.run(&["query", "DELETE FROM objects"]).fails(1, "INVALID_SQL");
}

#[test]
fn an_operator_sees_usage_health_metrics_and_leftovers() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"12345", &["cp", "-", "aero://box/five"]).ok();
    assert!(server.run(&["usage", "--json"]).ok().contains("box"));
    assert!(server.run(&["usage"]).ok().contains("\nbox         1   5 B      -"));
    for option in ["--recalculate", "--repair"] {
        assert!(server.run(&["usage", option]).ok().contains("no difference"), "{option}");
        let report = json(&server.run(&["usage", option, "--json"]).ok());
        assert_eq!(report["differences"], Value::Array(Vec::new()), "{option}");
    }
    assert!(server.run(&["health"]).ok().starts_with("status    ok\n"));
    assert_eq!(json(&server.run(&["health", "--json"]).ok())["status"], "ok");
    assert!(server.run(&["metrics", "storage_"]).ok().contains("storage_upload_total"));
    let summary = json(&server.run(&["metrics", "--json"]).ok());
    assert!(summary["uploads"]["count"].as_u64().unwrap() > 0, "{summary}");
    assert!(server.run(&["metrics"]).ok().contains("p99 ms"));
    server.run(&["metrics", "--reset"]).ok();
    assert_eq!(json(&server.run(&["metrics", "--json"]).ok())["uploads"]["count"], 0);
    server.run_as_nobody(&["metrics"]).fails(4, "Authentication required");
    server.run_as_nobody(&["health", "--ready"]).ok();
    server.run_through("http://127.0.0.1:1", &["health", "--ready"]).fails(5, "");
    for mode in ["--dry-run", "--apply"] {
        let report = json(&server.run(&["cleanup", mode, "--json"]).ok());
        assert_eq!((&report["orphan_blobs"], &report["halted"]), (&0.into(), &Value::Null), "{mode}");
    }
}

#[test]
fn bench_measures_verifies_and_leaves_nothing() {
    let server = Server::start();
    let arguments = [
        "bench",
        "--json",
        "--sizes",
        "4KiB,100KB",
        "-c",
        "8",
        "-d",
        "1s",
        "--warmup",
        "100ms",
        "--objects",
        "50",
    ];
    let report = json(&server.run(&arguments).ok());
    let results = report["results"].as_array().unwrap();
    let operations: Vec<_> = results.iter().map(|result| result["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["put", "get", "list", "put", "get"]);
    for result in results {
        assert_eq!(result["errors"], 0, "{result}");
        assert!(result["ops_per_second"].as_f64().unwrap() > 0.0, "{result}");
        assert!(result["p50_ms"].as_f64() <= result["p99_ms"].as_f64(), "{result}");
    }
    assert!(results[1]["verified"].as_u64().unwrap() > 0, "{}", results[1]);
    assert_eq!(server.run(&["bucket", "list", "--json"]).ok().trim(), "[]");
}

#[test]
fn bench_reads_what_it_left() {
    let server = Server::start();
    let bench = |more: &[&str]| {
        let common =
            ["bench", "--json", "--sizes", "16B", "-d", "200ms", "--warmup", "0s", "--objects", "20"];
        server.run(&[&common[..], more].concat())
    };
    bench(&["--ops", "list", "--keep"]).ok();
    let buckets = json(&server.run(&["bucket", "list", "--json"]).ok());
    let left = buckets[0]["name"].as_str().unwrap();
    let report = json(&bench(&["--ops", "get,list", "--bucket", left]).ok());
    for result in report["results"].as_array().unwrap() {
        assert_eq!(result["errors"], 0, "{result}");
        assert!(result["requests"].as_u64() > Some(0), "{result}");
    }
    bench(&["--bucket", left]).fails(2, "only read");
    assert_eq!(json(&server.run(&["bucket", "list", "--json"]).ok()), buckets);
}

#[test]
fn exit_codes_tell_what_happened() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.run(&["cp"]).fails(2, "Usage");
    server.run(&["cp", "a", "b"]).fails(2, "aero://");
    server.run(&["cp", "aero://box/missing", "x"]).fails(3, "OBJECT_NOT_FOUND");
    server.run(&["bench", "--duration", "0s"]).fails(2, "more than 0s");
    server.run_as_nobody(&["bucket", "show", "box"]).fails(4, "AUTH_REQUIRED");
    server.run_as_nobody(&["--token", "not.a.jwt", "ls"]).fails(4, "INVALID_TOKEN");
    server.run_through("http://127.0.0.1:1", &["ls"]).fails(5, "127.0.0.1:1");
    let silent =
        server.command(&server.url).args(["ls", "--quiet", "box"]).stdin(Stdio::null()).output().unwrap();
    assert!(silent.stderr.is_empty());
}

#[test]
fn tokens_and_keys_come_from_the_data_directory() {
    let server = Server::start();
    let keys = json(&server.run(&["keys", "--json"]).ok());
    for key in ["anon_key", "service_key", "jwt_secret", "s3_access_key_id", "s3_secret_access_key"] {
        assert!(keys[key].as_str().is_some_and(|key| key.len() >= 20), "{key}");
    }
    let user = "11111111-1111-4111-8111-111111111111";
    let token = server.run(&["token", "create", "--user", user, "--claims", r#"{"team":"red"}"#]).ok();
    server.run_as_nobody(&["--token", token.trim(), "bucket", "create", "mine"]).ok();
    let shown = json(&server.run(&["bucket", "show", "mine", "--json"]).ok());
    assert_eq!(shown["owner_id"], user);
    server.run(&["token", "create"]).fails(2, "needs a user");
    server
        .run(&["token", "create", "--user", user, "--claims", r#"{"role":"service_role"}"#])
        .fails(2, "role");
    let nowhere = tempfile::tempdir().unwrap();
    alone(&["keys"], nowhere.path()).fails(3, "aerostore serve");
}

#[test]
fn policies_are_added_tried_out_and_removed() {
    let server = Server::start();
    server.run(&["bucket", "create", "docs"]).ok();
    server.pipe(b"x", &["cp", "-", "aero://docs/pub/a.txt"]).ok();
    let sql = "CREATE POLICY pub ON storage.objects FOR SELECT TO anon USING (starts_with(name, 'pub/'))";
    let refused = server.run(&["policy", "test", "read", "docs/pub/a.txt", "--role", "anon"]);
    assert!(
        refused.code == 6 && refused.out.starts_with("refused\n") && refused.err.is_empty(),
        "{refused:?}"
    );
    let refused = server.run(&["--json", "explain", "read", "docs/pub/a.txt", "--role", "anon"]);
    assert!(
        refused.code == 6 && json(&refused.out)["allowed"] == false && refused.err.is_empty(),
        "{refused:?}"
    );
    server.pipe(sql.as_bytes(), &["policy", "add", "-"]).ok();
    assert_eq!(server.run(&["policy", "list"]).ok(), format!("{sql};\n"));
    let allowed = server.run(&["explain", "read", "docs/pub/a.txt", "--role", "anon"]).ok();
    assert!(allowed.starts_with("allowed\n") && allowed.contains("policy pub"), "{allowed}");
    server.run(&["policy", "add", "CREATE POLICY p ON objects USING (pg_sleep(1))"]).fails(1, "pg_sleep");
    server.run(&["policy", "add", sql]).fails(1, "already exists");
    server.run(&["policy", "remove", "pub"]).ok();
    server.run(&["policy", "remove", "pub"]).fails(3, "does not exist");

    // Several at once: none, where one is none; and up to the one that fails.
    let [one, two] = ["one", "two"].map(|name| sql.replace("pub ON", &format!("{name} ON")));
    let wrong = format!("{one};\n{}", two.replace("starts_with", "pg_sleep"));
    server.pipe(wrong.as_bytes(), &["policy", "add", "-"]).fails(2, "line 2, column");
    assert_eq!(server.run(&["policy", "list"]).ok(), "");
    let said =
        server.pipe(format!("-- all of them;\n{one};\n{two};").as_bytes(), &["policy", "add", "-"]).ok();
    assert_eq!(said, "policy one is in force\npolicy two is in force\n");
    let again = format!("DROP POLICY one ON storage.objects; {two}; {one}");
    server
        .pipe(again.as_bytes(), &["policy", "add", "-"])
        .fails(1, "statement 2 of 3, policy two (1 before it");
    assert_eq!(server.run(&["policy", "list"]).ok(), format!("{two};\n"));
}
