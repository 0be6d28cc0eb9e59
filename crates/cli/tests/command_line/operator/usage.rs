//! `aerostore usage`: what is looked for, what is counted, and what is wrong with the counters.

use super::{USER, for_operators_alone, row};
use crate::server::Server;
use crate::{json, text};

/// Three objects: two by a user, one by the operator; two of them in a folder, one as a blob.
fn filled() -> Server {
    let server = Server::start();
    let token = server.token(USER);
    let blob = server.folder().join("blob");
    std::fs::write(&blob, vec![7; 50_000]).unwrap();
    server.run_as(&token, &["bucket", "create", "mine"]).ok();
    for path in ["in/a", "b"] {
        server.run_as(&token, &["cp", text(&blob), &format!("aero://mine/{path}")]).ok();
    }
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"12345", &["cp", "-", "aero://box/five"]).ok();
    server
}

#[test]
fn usage_is_told_by_user_bucket_provider_and_folder() {
    let server = filled();
    let by = |what: &str| server.run(&["usage", "--by", what]).ok();
    let buckets = by("bucket");
    assert!(buckets.starts_with("BUCKET  FILES"), "{buckets}");
    assert!(row(&buckets, "mine").starts_with("mine 2 100 kB 50.0 kB "), "{buckets}");
    assert!(row(&buckets, "box").starts_with("box 1 5 B 5 B "), "{buckets}");
    assert!(row(&by("user"), USER).starts_with(&format!("{USER} 2 100 kB 50.0 kB ")));
    assert!(row(&by("provider"), "local").starts_with("local 2 100 kB "), "{}", by("provider"));
    let folder = server.run(&["usage", "--folder", "mine/in"]).ok();
    assert!(row(&folder, "mine/in").starts_with("mine/in 1 50.0 kB "), "{folder}");
    assert!(row(&server.run(&["usage", "--folder", "mine"]).ok(), "mine").starts_with("mine 2 100 kB "));

    // It is remembered for a while, unless somebody wants it anew.
    server.run(&["rm", "mine/in/a"]).ok();
    let files = |arguments: &[&str]| {
        let said = json(&server.run(&[&["usage", "--json"], arguments].concat()).ok());
        let entries = said["entries"].as_array().cloned().unwrap_or_else(|| vec![said.clone()]);
        let mine = entries.into_iter().find(|entry| entry["name"].as_str().unwrap().starts_with("mine"));
        mine.unwrap_or_else(|| panic!("{said}"))["file_count"].as_u64().unwrap()
    };
    for (asked, then, now) in [(&["--by", "bucket"][..], 2, 1), (&["--folder", "mine/in"], 1, 0)] {
        assert_eq!(files(asked), then, "{asked:?}");
        assert_eq!(files(&[asked, &["--refresh"]].concat()), now, "{asked:?}");
        assert_eq!(files(asked), now, "{asked:?}");
    }
    server.run(&["usage", "--folder", "nothing"]).fails(3, "BUCKET_NOT_FOUND");
    server.run(&["usage", "--by", "moon"]).fails(2, "moon");
    server.run(&["usage", "--by", "user", "--folder", "mine"]).fails(2, "cannot be used with");
}

#[test]
fn counters_that_differ_are_told_and_set_right_where_that_is_asked_for() {
    let server = filled();
    server.metadata().execute("UPDATE storage_buckets SET total_bytes = 7 WHERE id = 'box'", []).unwrap();
    for _ in 0..2 {
        let wrong = server.run(&["usage", "--recalculate"]);
        assert!(wrong.out.contains("SCOPE") && wrong.err.contains("usage --repair"), "{wrong:?}");
        assert_eq!(wrong.code, 1, "a look repairs nothing");
        assert_eq!(row(&wrong.out, "bucket box"), "bucket box 1 1 7 5");
    }
    let repaired = json(&server.run(&["usage", "--repair", "--json"]).ok());
    assert_eq!(repaired["differences"][0]["counted_bytes"], 7, "{repaired}");
    assert!(server.run(&["usage", "--recalculate"]).ok().contains("no difference"));
    assert_eq!(row(&server.run(&["usage"]).ok(), "box"), "box 1 5 B -");
}

#[test]
fn a_user_is_told_of_what_is_theirs() {
    let server = filled();
    let token = server.token(USER);
    let own = server.run_as(&token, &["usage"]).ok();
    assert_eq!(row(&own, USER), format!("{USER} 2 100 kB -"));
    assert!(!own.contains("BUCKET"), "{own}");
    let buckets = server.run_as(&token, &["usage", "--by", "bucket"]).ok();
    assert!(row(&buckets, "mine").starts_with("mine 2 ") && !buckets.contains("box"), "{buckets}");
    server.run_as_nobody(&["usage"]).fails(4, "AUTH_REQUIRED");
    for asked in [&["usage", "--by", "provider"][..], &["usage", "--recalculate"], &["usage", "--repair"]] {
        for_operators_alone(&server, asked);
    }
}
