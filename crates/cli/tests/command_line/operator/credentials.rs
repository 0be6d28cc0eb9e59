//! `aerostore credential`: keys that S3's clients can use, until they can't.

use std::process::Command;

use super::{USER, for_operators_alone, row};
use crate::json;
use crate::server::Server;

/// What S3 answers whoever has this key, asked for the object `box/a`.
fn status(server: &Server, key: &str) -> String {
    let url = format!("{}/storage/v1/s3/box/a", server.url);
    let signs = ["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", key];
    // Whose payload is empty is signed so.
    let empty = "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let asked = Command::new("curl")
        .args(["-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H", empty])
        .args(signs)
        .arg(url)
        .output()
        .unwrap();
    String::from_utf8(asked.stdout).unwrap()
}

#[test]
fn a_key_is_made_closed_opened_and_deleted() {
    let server = Server::start();
    server.run(&["bucket", "create", "box"]).ok();
    server.pipe(b"hello", &["cp", "-", "aero://box/a"]).ok();
    let made = server.run(&["credential", "create", "--role", "service_role", "--name", "nightly"]).ok();
    assert!(made.ends_with("The secret is shown this once.\n"), "{made}");
    let (id, secret) = (row(&made, "access key id"), row(&made, "secret access key"));
    let (id, secret) = (id.rsplit(' ').next().unwrap(), secret.rsplit(' ').next().unwrap());
    let key = format!("{id}:{secret}");
    assert_eq!(status(&server, &key), "200");
    assert_eq!(status(&server, &format!("{id}:another")), "403");

    let listed = server.run(&["credential", "list"]).ok();
    assert!(row(&listed, id).starts_with(&format!("{id} enabled service_role ")), "{listed}");
    assert!(row(&listed, id).ends_with(" nightly") && !listed.contains(secret), "{listed}");
    assert_eq!(server.run(&["credential", "disable", id]).ok(), format!("{id} is disabled\n"));
    assert_eq!(status(&server, &key), "403");
    assert!(row(&server.run(&["credential", "list"]).ok(), id).starts_with(&format!("{id} disabled ")));
    assert_eq!(server.run(&["credential", "enable", id]).ok(), format!("{id} is enabled\n"));
    assert_eq!(status(&server, &key), "200");

    // One of a user, as JSON: that user may not read what is another's.
    let users = json(&server.run(&["credential", "create", "--user", USER, "--json"]).ok());
    let field = |name: &str| users[name].as_str().unwrap();
    assert_eq!((field("user_id"), field("role")), (USER, "authenticated"));
    let refused = status(&server, &format!("{}:{}", field("access_key_id"), field("secret_access_key")));
    assert!(["403", "404"].contains(&&*refused), "{refused}");
    let listed = server.run(&["credential", "list", "--json"]).ok();
    assert!(listed.contains(field("access_key_id")) && listed.contains(id), "{listed}");
    assert!(!listed.contains(field("secret_access_key")), "{listed}");

    assert_eq!(server.run(&["credential", "delete", id]).ok(), format!("{id} is gone\n"));
    assert_eq!(status(&server, &key), "403");
    assert!(!server.run(&["credential", "ls"]).ok().contains(id));
    for action in ["delete", "rm", "disable", "enable"] {
        server.run(&["credential", action, id]).fails(3, "CREDENTIAL_NOT_FOUND");
    }
}

#[test]
fn keys_are_an_operators_to_give() {
    let server = Server::start();
    server.run(&["credential", "create"]).fails(2, "--user");
    server.run(&["credential", "create", "--user", "nobody"]).fails(2, "nobody");
    server.run(&["credential", "create", "--role", "king"]).fails(1, "INVALID_REQUEST");
    let made = json(&server.run(&["credential", "create", "--role", "service_role", "--json"]).ok());
    let id = made["access_key_id"].as_str().unwrap();
    for asked in [
        &["credential", "list"][..],
        &["credential", "create", "--user", USER],
        &["credential", "create", "--role", "service_role"],
        &["credential", "disable", id],
        &["credential", "enable", id],
        &["credential", "delete", id],
    ] {
        for_operators_alone(&server, asked);
    }
    let listed = json(&server.run(&["credential", "list", "--json"]).ok());
    let of_ours: Vec<_> =
        listed.as_array().unwrap().iter().filter(|key| key["access_key_id"] == id).collect();
    assert_eq!(of_ours.len(), 1, "{listed}");
    assert_eq!(of_ours[0]["enabled"], true, "{listed}");
}
