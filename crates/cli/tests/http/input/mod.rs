//! Nonsense and malice: refused with the right error, before a byte of it is kept.

mod connections;
mod json;
mod limits;
mod paths;

use serde_json::json;

use super::support::{Server, Who};

/// The head of a request, with a good token; what follows it is the body.
fn head(server: &Server, who: Who, method: &str, target: &str, lines: &str) -> String {
    let token = server.token(who);
    format!("{method} {target} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{lines}\r\n")
}

/// Nothing was kept: no object, no file, no difference.
async fn expect_nothing(server: &Server, bucket: &str) {
    let listed =
        server.call(Who::Service, "POST", &format!("/object/list-v2/{bucket}")).json(&json!({})).send().await;
    assert_eq!(listed.json()["objects"], json!([]), "{bucket}: {}", listed.text());
    expect_files(server, 0).await;
    server.expect_clean().await;
}

/// As many files on the disk. What a client abandons is removed soon after it, and nothing tells when.
async fn expect_files(server: &Server, wanted: usize) {
    for _ in 0..2000 {
        if server.files_on_disk() == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert_eq!(server.files_on_disk(), wanted, "files on the disk");
}
