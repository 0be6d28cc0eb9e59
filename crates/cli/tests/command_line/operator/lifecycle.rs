//! `aerostore lifecycle`: rules, what they would do, and what they do.

use serde_json::Value;

use super::{for_operators_alone, row};
use crate::json;
use crate::server::Server;

/// A bucket with a young object, and with two that were written a hundred days ago.
fn with_old_files() -> Server {
    let server = Server::start();
    server.run(&["bucket", "create", "logs"]).ok();
    for path in ["old/a", "old/b", "young"] {
        server.pipe(b"12345", &["cp", "-", &format!("aero://logs/{path}")]).ok();
    }
    let age =
        "UPDATE storage_objects SET updated_at = updated_at - 100 * 86400 * 1000000 WHERE path LIKE 'old/%'";
    assert_eq!(server.metadata().execute(age, []).unwrap(), 2);
    server
}

/// How a command tells a number.
fn told(said: &str, what: &str) -> u64 {
    let line = row(said, what);
    line.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn rules_are_made_looked_at_followed_and_removed() {
    let server = with_old_files();
    let rules = || json(&server.run(&["lifecycle", "list", "--json"]).ok());
    let made = server
        .run(&["lifecycle", "set", "logs", "--prefix", "old/", "--name", "tidy", "--max-age-days", "30"])
        .ok();
    assert!(made.contains("BUCKET") && made.contains("tidy") && made.contains("delete after 30d"), "{made}");
    let id = rules()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        row(&server.run(&["lifecycle", "list"]).ok(), &id),
        format!("{id} logs old/ tidy api delete after 30d")
    );

    // A look changes nothing.
    let looked = server.run(&["lifecycle", "--check"]).ok();
    assert_eq!(told(&looked, "objects deleted"), 2, "{looked}");
    assert!(looked.lines().any(|line| line == "delete logs/old/a"), "{looked}");
    let looked = json(&server.run(&["lifecycle", "--check", "--json"]).ok());
    assert_eq!((&looked["status"], &looked["dry_run"]), (&"completed".into(), &true.into()), "{looked}");
    assert_eq!(server.run(&["ls", "-r", "logs"]).ok(), "old/a\nold/b\nyoung\n");

    // Another rule in its place, which is about one of them; a rule that is not followed.
    let set =
        |more: &[&str]| json(&server.run(&[&["lifecycle", "set", "logs", "--json"], more].concat()).ok());
    let set_again = set(&["--id", &id, "--prefix", "old/a", "--max-age-days", "30"]);
    assert_eq!((&set_again["id"], &set_again["name"]), (&id.as_str().into(), &Value::Null), "{set_again}");
    set(&["--prefix", "old/b", "--max-age-days", "30", "--disabled"]);
    let done = json(&server.run(&["lifecycle", "--apply", "--json"]).ok());
    assert_eq!(
        (&done["report"]["totals"]["deleted"], &done["dry_run"]),
        (&1.into(), &false.into()),
        "{done}"
    );
    assert_eq!(server.run(&["ls", "-r", "logs"]).ok(), "old/b\nyoung\n");
    assert_eq!(told(&server.run(&["lifecycle", "--apply"]).ok(), "objects deleted"), 0);
    let figures = server.run(&["metrics", "storage_lifecycle_total"]).ok();
    assert!(figures.contains("storage_lifecycle_total{action=\"delete\"} 1\n"), "{figures}");

    assert_eq!(server.run(&["lifecycle", "remove", &id]).ok(), format!("{id} is removed\n"));
    assert_eq!(rules().as_array().unwrap().len(), 1);
    server.run(&["lifecycle", "rm", &id]).fails(3, "LIFECYCLE_RULE_NOT_FOUND");
    server.run(&["bucket", "create", "other"]).ok();
    assert_eq!(
        json(&server.run(&["lifecycle", "list", "--bucket", "other", "--json"]).ok()),
        Value::Array(Vec::new())
    );
}

#[test]
fn what_could_not_be_done_is_named_and_told_by_the_exit_code() {
    let server = with_old_files();
    server.run(&["bucket", "create", "attic"]).ok();
    server.pipe(b"taken", &["cp", "-", "aero://attic/in/old/a"]).ok();
    let archive = ["--max-age-days", "30", "--action", "archive", "--archive-to", "attic/in"];
    server.run(&[&["lifecycle", "set", "logs"], &archive[..]].concat()).ok();
    let ended = server.run(&["lifecycle", "--apply"]);
    assert!(ended.err.contains("1 of 2 failed"), "{ended:?}");
    assert_eq!(
        (ended.code, told(&ended.out, "objects moved to an archive"), told(&ended.out, "failed")),
        (1, 1, 1)
    );
    assert!(ended.out.contains("\nmove logs/old/a to attic/in/old/a: OBJECT_EXISTS"), "{ended:?}");
    assert_eq!(server.run(&["ls", "-r", "logs"]).ok(), "old/a\nyoung\n");
    assert_eq!(server.run(&["cp", "aero://attic/in/old/a", "-"]).ok(), "taken");
    assert_eq!(server.run(&["cp", "aero://attic/in/old/b", "-"]).ok(), "12345");
}

#[test]
fn rules_are_an_operators_and_say_what_they_mean() {
    let server = with_old_files();
    server.run(&["lifecycle"]).fails(2, "--apply");
    server.run(&["lifecycle", "--check", "--apply"]).fails(2, "cannot be used with");
    server.run(&["lifecycle", "--check", "--force"]).fails(2, "--apply");
    server.run(&["lifecycle", "set", "logs", "--action", "delete"]).fails(2, "--max-age-days");
    server.run(&["lifecycle", "set", "logs", "--tag", "x", "--max-age-days", "3"]).fails(2, "KEY=VALUE");
    server
        .run(&["lifecycle", "set", "logs", "--max-age-days", "3", "--action", "burn"])
        .fails(1, "INVALID_REQUEST");
    server.run(&["lifecycle", "set", "nowhere", "--max-age-days", "3"]).fails(3, "BUCKET_NOT_FOUND");
    let rule = json(&server.run(&["lifecycle", "set", "logs", "--max-age-days", "30", "--json"]).ok());
    for asked in [
        &["lifecycle", "list"][..],
        &["lifecycle", "set", "logs", "--max-age-days", "1"],
        &["lifecycle", "remove", rule["id"].as_str().unwrap()],
        &["lifecycle", "--check"],
        &["lifecycle", "--apply"],
    ] {
        for_operators_alone(&server, asked);
    }
    assert_eq!(json(&server.run(&["lifecycle", "list", "--json"]).ok())[0], rule);
    assert_eq!(server.run(&["ls", "-r", "logs"]).ok(), "old/a\nold/b\nyoung\n");
}

#[test]
fn that_rules_wait_is_told_by_who_looks() {
    let server = with_old_files();
    server.run(&["lifecycle", "set", "logs", "--max-age-days", "30"]).ok();
    let well = server.run(&["lifecycle", "--check"]).ok();
    assert!(!well.contains("rules wait") && !server.run(&["doctor"]).out.contains("rules wait"), "{well}");
    let longer_ago = "UPDATE lifecycle_state SET seen_at = seen_at - 2 * 86400 * 1000000";
    assert_eq!(server.metadata().execute(longer_ago, []).unwrap(), 1);
    let held = server.run(&["lifecycle", "--check"]).ok();
    assert!(held.contains("rules wait until 2") && held.contains("--apply --force"), "{held}");
    assert_eq!(told(&held, "objects deleted"), 2, "{held}");
    let doctor = server.run(&["doctor"]).out;
    assert!(doctor.contains("rules wait until 2") && doctor.contains("--force"), "{doctor}");
    server.run(&["lifecycle", "--apply"]).fails(1, "LIFECYCLE_HELD");
    let forced = server.run(&["lifecycle", "--apply", "--force"]).ok();
    assert!(!forced.contains("rules wait") && told(&forced, "objects deleted") == 2, "{forced}");
}
