//! What comes by S3 has lines in the audit log as what comes by any other door, with the name of the key that signed.

use serde_json::Value;

use crate::signer::{Ask, Signer};
use crate::support::{OWNER, Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn what_s3s_clients_do_has_lines_with_the_name_of_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start_with(&[
        ("AEROSTORE_AUDIT_DIRECTORY", directory.path().to_str().unwrap()),
        ("AEROSTORE_AUDIT_OPERATIONS", "all"),
    ]);
    let text = || -> String {
        let entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.map(|path| std::fs::read_to_string(path).unwrap()).collect()
    };
    server.bucket(Who::User(OWNER), "box", "private").await;
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let forged = Signer::new(&key.id, "not the secret");
    for (key, ask, wanted) in [
        (&key, Ask::new("PUT", "/box/a").body("1"), ("upload", "write", "ok")),
        (&key, Ask::new("GET", "/box/a"), ("download", "read", "ok")),
        (&key, Ask::new("GET", "/box").query("list-type", "2"), ("list", "list", "ok")),
        (&key, Ask::new("POST", "/box/m").query("uploads", ""), ("create_multipart", "create", "ok")),
        (&key, Ask::new("DELETE", "/box/a"), ("delete", "delete", "ok")),
        (&key, Ask::new("GET", "/box/nothing"), ("download", "read", "refused")),
        (&forged, Ask::new("GET", "/box/a"), ("authenticate", "", "refused")),
    ] {
        let reply = s3.signed(key, ask).await;
        let id = reply.header("x-request-id").to_owned();
        let of_request = || -> Vec<Value> {
            let lines: Vec<Value> = text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            lines.into_iter().filter(|line| line["request_id"] == *id).collect()
        };
        let mut lines = of_request();
        for _ in 0..1000 {
            if !lines.is_empty() {
                break;
            }
            // Of what changed nothing, lines come a moment later.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            lines = of_request();
        }
        let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let fits = |line: &Value| {
            (&*word(line, "operation"), &*word(line, "action"), &*word(line, "outcome")) == wanted
                && (wanted.0 == "authenticate" || word(line, "credential") == key.id)
        };
        assert!(lines.iter().any(fits), "{}: {lines:?}", reply.what);
    }
    expect(&s3.signed(&key, Ask::new("GET", "/box/a")).await, 404, "NoSuchKey");
    assert!(!text().contains(&key.secret), "a line names a key, and is none");
}
