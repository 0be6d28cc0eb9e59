//! What lies below a folder is moved and copied by the server, and told of as if each object had gone alone.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::server::Server;
use crate::{json, text};

const USER: &str = "11111111-1111-4111-8111-111111111111";

/// More than a report names where all of them fail, which a page of a list shows nonetheless.
const FILES: usize = 130;

/// A server with a bucket for everybody who has a token, in which these are, each as what its path is.
fn with(paths: &[&str]) -> Server {
    let server = Server::start();
    for bucket in ["box", "other"] {
        server.run(&["bucket", "create", bucket, "--policy", "authenticated"]).ok();
    }
    for path in paths {
        server.pipe(path.as_bytes(), &["cp", "-", &format!("aero://{path}")]).ok();
    }
    server
}

/// The token of a user whose jobs wait: one of them runs at a time, and another server has had one for as long as this test takes.
fn busy_user(server: &Server) -> String {
    let token = server.token(USER);
    server.run_as(&token, &["rm", "-r", "box/nothing/", "--yes"]).fails(3, "nothing lies below");
    let running = "BEGIN IMMEDIATE; INSERT INTO jobs (id, kind, caller, user_id, params, dry_run, created_at, updated_at) \
                   SELECT user_id, kind, caller, user_id, params, 0, created_at, created_at FROM jobs; \
                   UPDATE jobs SET status = 'running', started_at = created_at, leased_by = id, leased_until = 9000000000000000 \
                   WHERE id = user_id; COMMIT";
    server.metadata().execute_batch(running).unwrap();
    token
}

#[track_caller]
fn holds(server: &Server, bucket: &str, paths: &[&str]) {
    let listed = server.run(&["ls", "-r", bucket]).ok();
    assert_eq!(listed.lines().collect::<Vec<_>>(), paths, "{bucket}");
}

fn content(server: &Server, place: &str) -> String {
    server.run(&["cp", &format!("aero://{place}"), "-"]).ok()
}

/// The jobs that there were, each by kind and status.
fn jobs(server: &Server) -> Vec<String> {
    let listed = json(&server.run(&["job", "list", "--json"]).ok());
    let text = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
    let jobs = listed.as_array().unwrap().iter().rev();
    jobs.map(|job| format!("{} {}", text(job, "kind"), text(job, "status"))).collect()
}

#[test]
fn a_folder_is_moved_by_the_server() {
    let server = with(&["box/in/a", "box/in/sub/b", "box/inner", "other/there/a"]);
    let looked = json(&server.run(&["mv", "-r", "box/in", "other/new", "--dry-run", "--json"]).ok());
    assert_eq!((&looked["would_move"], &looked["bytes"]), (&2.into(), &20.into()), "{looked}");
    assert_eq!(server.run(&["mv", "-r", "box/in/", "other/new", "--dry-run"]).ok().lines().count(), 1);
    holds(&server, "box", &["in/a", "in/sub/b", "inner"]);

    let said = server.run(&["mv", "-r", "box/in", "other/new"]).ok();
    assert_eq!(said, "moved 2 objects, 20 B: aero://box/in/ -> aero://other/new/\n");
    holds(&server, "box", &["inner"]);
    holds(&server, "other", &["new/a", "new/sub/b", "there/a"]);
    assert_eq!(content(&server, "other/new/sub/b"), "box/in/sub/b");

    // What is there stays, and so does what would take its place, unless that is asked for.
    let said = server.run(&["mv", "-r", "other/new", "other/there"]);
    assert!(said.out.starts_with("moved 1 object, "), "{said:?}");
    assert!(said.err.contains("aero://other/new/a: ") && said.err.contains("OBJECT_EXISTS"), "{said:?}");
    said.fails(1, "1 of 2 failed");
    holds(&server, "other", &["new/a", "there/a", "there/sub/b"]);
    assert_eq!(content(&server, "other/there/a"), "other/there/a");
    server.run(&["mv", "-r", "other/new", "other/there", "--overwrite"]).ok();
    holds(&server, "other", &["there/a", "there/sub/b"]);
    assert_eq!(content(&server, "other/there/a"), "box/in/a");
    let moves = jobs(&server);
    assert!(moves.iter().all(|job| job == "move_folder completed") && moves.len() == 5, "{moves:?}");
}

#[test]
fn an_object_goes_without_r_and_a_folder_with_it() {
    let server = with(&["box/a", "box/in/b"]);
    server.run(&["mv", "box/in/", "box/new/"]).fails(2, "say -r");
    server.run(&["mv", "box", "other"]).fails(2, "say -r");
    for only_with_folders in ["--dry-run", "--overwrite"] {
        server.run(&["mv", "box/a", "box/c", only_with_folders]).fails(2, "--recursive");
    }
    server.run(&["mv", "-r", "box/nothing/", "other"]).fails(3, "nothing lies below");
    for more in [&[][..], &["--dry-run"], &["--overwrite"]] {
        server.run(&[&["mv", "-r", "box/a", "other/"], more].concat()).fails(3, "without -r");
    }
    server.run(&["mv", "-r", "missing/a", "other"]).fails(3, "BUCKET_NOT_FOUND");
    server.run(&["mv", "-r", "box", "box/in"]).fails(1, "lie in it");
    server.run_as_nobody(&["mv", "-r", "box/in", "other"]).fails(4, "AUTH_REQUIRED");
    // All of a bucket.
    server.run(&["mv", "-r", "box", "other/box"]).ok();
    holds(&server, "box", &[]);
    holds(&server, "other", &["box/a", "box/in/b"]);
}

#[test]
fn what_may_not_go_is_told_and_the_rest_goes() {
    let server = with(&["box/in/theirs"]);
    let token = server.token(USER);
    let file = server.folder().join("file");
    std::fs::write(&file, "12345").unwrap();
    server.run_as(&token, &["cp", text(&file), "aero://box/in/mine"]).ok();
    let said = server.run_as(&token, &["mv", "-r", "box/in", "box/new"]);
    assert!(said.err.contains("aero://box/in/theirs: ") && !said.err.contains("in/mine"), "{said:?}");
    said.fails(4, "1 of 2 failed");
    holds(&server, "box", &["in/theirs", "new/mine"]);
    server.run_as(&token, &["rm", "-r", "box", "--yes"]).fails(4, "in/theirs");
    holds(&server, "box", &["in/theirs"]);
}

#[test]
fn a_folder_is_copied_by_the_server() {
    let server = with(&["box/in/a", "box/in/sub/b", "box/c", "other/there/a"]);
    let file = server.folder().join("file");
    std::fs::write(&file, "12345").unwrap();
    // A folder, an object and a file from here, all into one folder.
    let copy = ["cp", "-r", "aero://box/in", "aero://box/c", text(&file), "aero://other/there", "--json"];
    let done = json(&server.run(&copy).ok());
    assert_eq!(
        (&done["copied"], &done["bytes"], &done["failed"]),
        (&4.into(), &30.into(), &0.into()),
        "{done}"
    );
    holds(&server, "other", &["there/a", "there/c", "there/file", "there/sub/b"]);
    assert_eq!(content(&server, "other/there/a"), "box/in/a");
    holds(&server, "box", &["c", "in/a", "in/sub/b"]);
    assert_eq!(jobs(&server), ["copy_folder completed"], "of what is a folder");
    server.run(&["cp", "-r", "aero://box/nothing/", "aero://other"]).fails(3, "nothing lies below");
    server.run(&["cp", "-r", "aero://box/in", "aero://missing/x"]).fails(3, "BUCKET_NOT_FOUND");
    let said = server.run(&["cp", "-r", "aero://missing", "aero://box/in", "aero://other/more"]);
    assert!(said.err.contains("aero://missing/: "), "{said:?}");
    said.fails(3, "1 of 3 failed");
    holds(&server, "other", &["more/a", "more/sub/b", "there/a", "there/c", "there/file", "there/sub/b"]);

    // No job takes what would meet its own copies.
    let before = jobs(&server);
    server.run(&["cp", "-r", "aero://box/in/sub", "aero://box/in"]).ok();
    server.run(&["cp", "-r", "aero://box/c", "aero://box"]).ok();
    server.run(&["cp", "-r", "aero://box/in", "aero://box/in/again"]).ok();
    holds(&server, "box", &["c", "in/a", "in/again/a", "in/again/b", "in/again/sub/b", "in/b", "in/sub/b"]);
    assert_eq!(jobs(&server), before);
}

/// What other clients leave to have a folder shown has no place in a bucket, and is no failure.
#[test]
fn a_folder_with_a_marker_is_copied() {
    let server = with(&["box/in/a"]);
    server.metadata().execute("UPDATE storage_objects SET path = 'in/' WHERE path = 'in/a'", []).unwrap();
    server.pipe(b"1", &["cp", "-", "aero://box/in/a"]).ok();
    let done = json(&server.run(&["cp", "-r", "aero://box/in", "aero://other", "--json"]).ok());
    assert_eq!((&done["copied"], &done["failed"]), (&1.into(), &0.into()), "{done}");
    holds(&server, "other", &["a"]);
}

#[test]
fn what_is_there_is_left_where_that_is_asked_for_and_is_no_failure() {
    let server = with(&[]);
    let tree = server.folder().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    for n in 0..FILES {
        std::fs::write(tree.join(format!("{n:03}")), format!("file {n}")).unwrap();
    }
    server.run(&["cp", "-r", text(&tree), "aero://box/in"]).ok();
    server.run(&["cp", "-r", "aero://box/in", "aero://other"]).ok();
    server.run(&["rm", "other/007", "other/129"]).ok();
    let copy = ["cp", "-rn", "aero://box/in", "aero://other", "--json"];
    let done = json(&server.run(&copy).ok());
    assert_eq!((&done["copied"], &done["skipped"]), (&2.into(), &(FILES - 2).into()), "{done}");
    // It is not named among the first of what is there.
    server.run(&["bucket", "update", "other", "--max-file-size", "1KB"]).ok();
    server.pipe(&[b'x'; 5000], &["cp", "-", "aero://box/in/zzz"]).ok();
    server.run(&copy).fails(1, "in/zzz");
    server.run(&["rm", "box/in/zzz"]).ok();
    let all = json(&server.run(&copy).ok());
    assert_eq!(
        (&all["copied"], &all["skipped"], &all["failed"]),
        (&0.into(), &FILES.into(), &0.into()),
        "{all}"
    );
    // Of more than a report names, all are counted.
    let said = server.run(&["mv", "-r", "box/in", "other"]);
    assert_eq!(said.err.matches("OBJECT_EXISTS").count(), 100, "{said:?}");
    assert!(said.err.contains("30 more failed"), "{said:?}");
    said.fails(1, "130 of 130 failed");
    // Where all are for one reason, the exit code says it, also of those that are not named.
    let user = server.token(USER);
    server.run_as(&user, &["rm", "-r", "box/in", "--yes"]).fails(4, "130 of 130 failed");
}

/// Whoever interrupts a command is told of the job that goes on, and nothing else is asked for.
#[test]
fn ctrl_c_leaves_the_job_and_begins_nothing_more() {
    let server = with(&["box/in/a", "other/b"]);
    let token = busy_user(&server);
    for command in [
        &["rm", "-r", "box/in", "other", "--yes"][..],
        &["--json", "mv", "-r", "box/in", "other/in"],
        &["--quiet", "cp", "-r", "aero://box/in", "aero://other", "aero://box/new"],
    ] {
        let mut process = server.command(&server.url);
        process.args(command).env("AEROSTORE_TOKEN", &token).stdin(Stdio::null());
        let process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let job = server.pending_job();
        let interrupt = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
        assert!(interrupt.unwrap().success());
        let ended = process.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(130), "{said}");
        assert!(said.contains(&format!("aerostore job wait {job}")), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        server.run(&["job", "cancel", &job]).ok();
        let unfinished = json(&server.run(&["job", "list", "--status", "pending", "--json"]).ok());
        assert_eq!(unfinished, serde_json::json!([]), "{command:?}");
    }
    holds(&server, "box", &["in/a"]);
    holds(&server, "other", &["b"]);
}

/// A job that somebody ends has done what it has done.
#[test]
fn what_was_done_is_told_also_where_the_job_is_cancelled() {
    let server = with(&["box/in/a"]);
    let token = busy_user(&server);
    let mut process = server.command(&server.url);
    process.args(["--json", "mv", "-r", "box/in", "other"]).env("AEROSTORE_TOKEN", &token);
    let process = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let job = server.pending_job();
    let done = format!("UPDATE jobs SET done = 7, bytes = 70 WHERE id = '{job}'");
    assert_eq!(server.metadata().execute(&done, []).unwrap(), 1);
    server.run(&["job", "cancel", &job]).ok();
    let ended = process.wait_with_output().unwrap();
    let told = json(&String::from_utf8(ended.stdout).unwrap());
    assert_eq!(
        (ended.status.code(), &told["moved"], &told["bytes"]),
        (Some(1), &7.into(), &70.into()),
        "{told}"
    );
    assert!(String::from_utf8(ended.stderr).unwrap().contains("the job is cancelled"));
}

/// Who has no token has no jobs: what they may read and write all the same goes object by object.
#[test]
fn nobody_in_particular_copies_what_they_may() {
    let server = Server::start();
    for bucket in ["source", "target"] {
        server.run(&["bucket", "create", bucket, "--policy", "public"]).ok();
    }
    server.pipe(b"1", &["cp", "-", "aero://source/in/a"]).ok();
    let copy = ["cp", "-r", "aero://source/in", "aero://target"];
    let said = server.run_as_nobody(&copy);
    assert!(!said.err.contains("jobs") && said.code != 0, "{said:?}");
    holds(&server, "target", &[]);
    let open = "CREATE POLICY open ON storage.objects FOR INSERT TO anon WITH CHECK (bucket_id = 'target')";
    server.run(&["policy", "add", open]).ok();
    server.run_as_nobody(&copy).ok();
    holds(&server, "target", &["a"]);
    assert!(jobs(&server).is_empty());
}

#[test]
fn how_much_there_is_to_delete_is_told_before() {
    let server = with(&["box/in/a", "box/in/sub/b", "box/c"]);
    assert!(server.run(&["rm", "-r", "box/in", "--dry-run"]).ok().is_empty());
    let said = server.run(&["rm", "-r", "box/in", "box/c", "--dry-run"]);
    assert_eq!(said.err, "would delete 3 objects, 25 B\n");
    let looked = json(&server.run(&["rm", "-r", "box", "--dry-run", "--json"]).ok());
    assert_eq!((&looked["would_delete"], &looked["bytes"]), (&3.into(), &25.into()), "{looked}");
    server.run(&["rm", "-r", "box/nothing/", "--dry-run"]).fails(3, "nothing lies below");
    server.run(&["rm", "box/c", "--dry-run"]).fails(2, "--recursive");
    holds(&server, "box", &["c", "in/a", "in/sub/b"]);
}

#[test]
fn a_token_that_is_not_taken_ends_a_copy_at_once() {
    let server = with(&["box/in/a", "box/in/b"]);
    let tree = server.folder().join("tree");
    std::fs::create_dir_all(&tree).unwrap();
    for n in 0..FILES {
        std::fs::write(tree.join(format!("{n:03}")), "1").unwrap();
    }
    let back = server.folder().join("back");
    for copy in [
        ["cp", "-r", text(&tree), "aero://box/new"],
        ["cp", "-r", "aero://box/in", text(&back)],
        ["cp", "-r", "aero://box/in", "aero://box/new"],
    ] {
        let said = server.run_as("no.such.token", &copy);
        assert_eq!(said.err.lines().count(), 1, "{said:?}");
        said.fails(4, "(401 ");
    }
    holds(&server, "box", &["in/a", "in/b"]);
}
