//! `aerostore job`: long work that is under way, or was.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{USER, row};
use crate::server::Server;
use crate::{json, text};

fn jobs(server: &Server, more: &[&str]) -> Vec<Value> {
    let listed = json(&server.run(&[&["job", "list", "--json"], more].concat()).ok());
    listed.as_array().unwrap().clone()
}

#[test]
fn jobs_that_ended_are_listed_shown_and_not_waited_for() {
    let server = Server::start();
    let token = server.token(USER);
    let file = server.folder().join("file");
    std::fs::write(&file, "12345").unwrap();
    assert!(server.run(&["job", "list"]).ok().is_empty());
    server.run(&["bucket", "create", "box", "--policy", "authenticated"]).ok();
    server.run_as(&token, &["cp", text(&file), "aero://box/in/mine"]).ok();
    server.pipe(b"theirs", &["cp", "-", "aero://box/in/theirs"]).ok();
    server.run_as(&token, &["rm", "-r", "box/in", "--yes"]).fails(4, "in/theirs");

    let id = jobs(&server, &[])[0]["id"].as_str().unwrap().to_owned();
    let listed = server.run(&["job", "list"]).ok();
    assert!(
        listed.starts_with("ID ")
            && row(&listed, &id).starts_with(&format!("{id} delete_folder completed 1/2 1 ")),
        "{listed}"
    );
    let shown = server.run(&["job", "show", &id]).ok();
    assert_eq!(row(&shown, "of"), "of bucket=box prefix=in/", "{shown}");
    assert_eq!(row(&shown, "user"), format!("user {USER}"), "{shown}");
    assert!(shown.lines().any(|line| line.starts_with("in/theirs: ")), "{shown}");
    assert_eq!(json(&server.run(&["job", "show", &id, "--json"]).ok())["failures"], 1);
    // Not all of it was done, and it is no more to be ended.
    let waited = server.run(&["job", "wait", &id]);
    assert!(waited.out.contains("in/theirs: "), "{waited:?}");
    waited.fails(1, "1 of 2 failed");
    server.run(&["job", "cancel", &id]).fails(1, "JOB_ENDED");

    server.run(&["rm", "-r", "box/in", "--yes"]).ok();
    assert_eq!(jobs(&server, &[]).len(), 2);
    let [last] = &jobs(&server, &["--limit", "1"])[..] else { panic!("one was asked for") };
    assert!(server.run(&["job", "wait", last["id"].as_str().unwrap()]).ok().contains("completed"));
    assert!(server.run(&["job", "list", "--limit", "1"]).err.contains("--limit"));
    for (only, found) in [
        (&["--kind", "delete_folder"][..], 2),
        (&["--kind", "scrub"], 0),
        (&["--status", "completed"], 2),
        (&["--status", "running"], 0),
    ] {
        assert_eq!(jobs(&server, only).len(), found, "{only:?}");
    }

    // A user's are that user's to see.
    let own = json(&server.run_as(&token, &["job", "list", "--json"]).ok());
    assert_eq!((own.as_array().unwrap().len(), &own[0]["id"]), (1, &id.as_str().into()), "{own}");
    let theirs = last["id"].as_str().unwrap();
    for asked in ["show", "wait", "cancel"] {
        server.run_as(&token, &["job", asked, theirs]).fails(3, "JOB_NOT_FOUND");
        server.run_as_nobody(&["job", asked, &id]).fails(4, "AUTH_REQUIRED");
        server.run(&["job", asked, "nonsense"]).fails(2, "nonsense");
    }
    server.run_as_nobody(&["job", "list"]).fails(4, "AUTH_REQUIRED");
    server.run(&["job", "list", "--status", "odd"]).fails(1, "INVALID_REQUEST");
}

#[test]
fn a_job_that_is_cancelled_ends_and_who_waits_is_told() {
    // What there is takes a minute; nobody waits for that.
    let server = Server::start_with(&[("AEROSTORE_SCRUB_RATE", "10KB")]);
    let file = server.folder().join("file");
    std::fs::write(&file, vec![7; 50_000]).unwrap();
    server.run(&["bucket", "create", "box"]).ok();
    for number in 0..12 {
        server.run(&["cp", text(&file), &format!("aero://box/{number}")]).ok();
    }
    let run = |arguments: &[&str]| {
        let mut command = server.command(&server.url);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let scrub = run(&["scrub"]);
    let began = Instant::now();
    let id = loop {
        if let [job] = &jobs(&server, &["--kind", "scrub", "--status", "running"])[..] {
            break job["id"].as_str().unwrap().to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", jobs(&server, &[]));
    };
    assert_eq!(row(&server.run(&["job", "show", &id]).ok(), "status"), "status running");
    let wait = run(&["job", "wait", &id]);
    let said = server.run(&["job", "cancel", &id]).ok();
    assert!(
        said == format!("{id} ends after the step that it is at\n") || said == format!("{id} is cancelled\n"),
        "{said}"
    );
    for waiting in [scrub, wait] {
        let ended = waiting.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.code() == Some(1) && err.contains("the job is cancelled"), "{ended:?}");
    }
    assert_eq!(jobs(&server, &["--status", "cancelled"])[0]["id"], id.as_str());
    assert_eq!(server.run(&["job", "cancel", &id]).ok(), format!("{id} is cancelled\n"), "once more");
}
