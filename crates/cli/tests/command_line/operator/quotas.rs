//! `aerostore quota`.

use serde_json::Value;

use super::{USER, for_operators_alone, row};
use crate::server::{Said, Server};
use crate::{json, text};

/// A user's bucket with five bytes in a folder, and how that user uploads nine more there.
fn with_five_bytes() -> (Server, impl Fn(&Server) -> Said) {
    let server = Server::start();
    let token = server.token(USER);
    let (five, nine) = (server.folder().join("five"), server.folder().join("nine"));
    std::fs::write(&five, "12345").unwrap();
    std::fs::write(&nine, "123456789").unwrap();
    server.run_as(&token, &["bucket", "create", "mine"]).ok();
    server.run_as(&token, &["cp", text(&five), "aero://mine/in/five"]).ok();
    let upload = move |server: &Server| server.run_as(&token, &["cp", text(&nine), "aero://mine/in/nine"]);
    (server, upload)
}

#[test]
fn quotas_of_all_kinds_are_set_kept_to_and_taken_off() {
    let (server, upload) = with_five_bytes();
    let of_user = format!("user {USER}");
    for (of, name) in [
        (&["--user", USER][..], &*of_user),
        (&["--bucket", "mine"], "bucket mine"),
        (&["--folder", "aero://mine/in"], "folder mine/in"),
        (&["--global"], "global -"),
    ] {
        let run = |words: &[&str]| server.run(&[&["quota"], words].concat());
        let quota = |action: &str, more: &[&str]| run(&[&[action], of, more].concat());
        assert_eq!(row(&quota("get", &[]).ok(), name), format!("{name} 5 B - -"));

        // Less than what comes.
        assert_eq!(row(&quota("set", &["10"]).ok(), name), format!("{name} 5 B 10 B 50"));
        let shown = json(&quota("get", &["--json"]).ok());
        assert_eq!((&shown["used_bytes"], &shown["quota_bytes"]), (&5.into(), &10.into()), "{shown}");
        let listed = json(&run(&["list", "--json"]).ok());
        assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
        assert_eq!((&listed[0]["scope"], &listed[0]["quota_bytes"]), (&shown["scope"], &10.into()));
        assert_eq!(row(&run(&["list"]).ok(), name), format!("{name} 5 B 10 B 50"));
        upload(&server).fails(1, "QUOTA_EXCEEDED");

        // Enough.
        let set = json(&quota("set", &["1KB", "--json"]).ok());
        assert_eq!((&set["used_bytes"], &set["quota_bytes"]), (&5.into(), &1000.into()), "{set}");
        upload(&server).ok();
        server.run(&["rm", "mine/in/nine"]).ok();

        // None.
        quota("set", &["10"]).ok();
        let removed = if name == "bucket mine" { "remove" } else { "rm" };
        assert_eq!(row(&quota(removed, &[]).ok(), name), format!("{name} 5 B - -"));
        assert_eq!(json(&run(&["list", "--json"]).ok()), Value::Array(Vec::new()));
        upload(&server).ok();
        server.run(&["rm", "mine/in/nine"]).ok();
    }
}

#[test]
fn a_quota_is_of_one_thing_that_is_there_and_an_operators_to_set() {
    let (server, upload) = with_five_bytes();
    server.run(&["quota", "set", "10"]).fails(2, "--user");
    server.run(&["quota", "get", "--global", "--bucket", "mine"]).fails(2, "cannot be used with");
    server.run(&["quota", "set", "--global", "ten"]).fails(2, "ten");
    server.run(&["quota", "set", "--bucket", "mine/in", "10"]).fails(2, "--folder");
    server.run(&["quota", "set", "--folder", "mine", "10"]).fails(2, "--bucket");
    server.run(&["quota", "set", "--bucket", "nothing", "10"]).fails(3, "BUCKET_NOT_FOUND");
    for set in [
        &["quota", "set", "--global", "1"][..],
        &["quota", "set", "--user", USER, "1"],
        &["quota", "set", "--folder", "mine/in", "1"],
        &["quota", "rm", "--global"],
    ] {
        for_operators_alone(&server, set);
    }
    assert_eq!(json(&server.run(&["quota", "list", "--json"]).ok()), Value::Array(Vec::new()));
    upload(&server).ok();
}

#[test]
fn a_user_sees_the_quotas_of_what_is_theirs() {
    let (server, _) = with_five_bytes();
    let token = server.token(USER);
    server.run(&["bucket", "create", "box"]).ok();
    for of in [&["--global"][..], &["--user", USER], &["--bucket", "mine"], &["--bucket", "box"]] {
        server.run(&[&["quota", "set", "1KB"], of].concat()).ok();
    }
    let listed = server.run_as(&token, &["quota", "list"]).ok();
    assert_eq!(row(&listed, "user"), format!("user {USER} 5 B 1.00 kB 0"));
    assert_eq!(row(&listed, "bucket"), "bucket mine 5 B 1.00 kB 0");
    assert_eq!(listed.lines().count(), 3, "{listed}");
    server.run_as(&token, &["quota", "get", "--user", USER]).ok();
    for of in [&["--global"][..], &["--user", "22222222-2222-4222-8222-222222222222"], &["--bucket", "box"]] {
        server.run_as(&token, &[&["quota", "get"], of].concat()).fails(4, "(403 ");
    }
    server.run_as_nobody(&["quota", "list"]).fails(4, "AUTH_REQUIRED");
}
