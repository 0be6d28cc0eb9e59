//! Partial uploads, and the object that they make together.

use super::{append, metadata, place, tus};
use crate::support::{Call, OTHER, OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

fn partial(server: &Server, who: Who, object: &str, length: usize) -> Call {
    tus(server, who, "POST", "")
        .header("upload-metadata", &metadata("box", object, &[]))
        .header("upload-length", &length.to_string())
        .header("upload-concat", "partial")
}

fn whole(server: &Server, who: Who, object: &str, parts: &[&str]) -> Call {
    let urls: Vec<String> = parts
        .iter()
        .map(|part| format!("http://{}/storage/v1/upload/resumable{part}", server.address))
        .collect();
    tus(server, who, "POST", "")
        .header("upload-metadata", &metadata("box", object, &[("contentType", "text/plain")]))
        .header("upload-concat", &format!("final;{}", urls.join(" ")))
}

#[tokio::test]
async fn partial_uploads_become_one_object() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let bytes = pattern(500_010);
    let cuts = [0, 10, 300_000, bytes.len()];
    let mut parts = Vec::new();
    for pair in cuts.windows(2) {
        let part = place(partial(&server, ME, "a", pair[1] - pair[0]).send().await);
        append(&server, ME, &part, 0, &bytes[pair[0]..pair[1]]).send().await.expect_status(204);
        let head = tus(&server, ME, "HEAD", &part).send().await;
        assert_eq!(head.header("upload-concat"), "partial");
        parts.push(part);
    }
    assert_eq!(server.content("box/a").await, None, "partial uploads are no objects");
    let files = server.files_on_disk();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let unfinished = place(partial(&server, ME, "a", 5).send().await);
    whole(&server, ME, "a", &[parts[0], &unfinished]).send().await.expect_error(400, "INVALID_REQUEST");
    whole(&server, ME, "a", &[parts[0], parts[0]]).send().await.expect_error(400, "INVALID_REQUEST");
    whole(&server, Who::User(OTHER), "a", &parts).send().await.expect_status(404);
    server.bucket(Who::User(OTHER), "theirs", "private").await;
    let stolen = tus(&server, Who::User(OTHER), "POST", "")
        .header("upload-metadata", &metadata("theirs", "a", &[]))
        .header("upload-concat", &format!("final;{}", parts[0]));
    stolen.send().await.expect_status(404);

    let made = whole(&server, ME, "a", &parts).send().await.expect_status(201);
    assert_eq!(made.header("tus-complete"), "1");
    assert_eq!(server.content("box/a").await.unwrap(), bytes);
    assert_eq!(server.files_on_disk(), files, "no byte was copied");
    for (from, to) in [(5, 15), (299_990, 300_009)] {
        let range = server.call(ME, "GET", "/object/box/a").header("range", &format!("bytes={from}-{to}"));
        assert_eq!(range.send().await.expect_status(206).body, &bytes[from..=to]);
    }
    let of_whole = place(made);
    let head = tus(&server, ME, "HEAD", &of_whole).send().await.expect_status(200);
    assert!(head.header("upload-concat").starts_with("final;"), "{}", head.header("upload-concat"));
    assert_eq!(head.header("upload-length"), bytes.len().to_string());
    append(&server, ME, &of_whole, bytes.len(), b"x").send().await.expect_error(409, "OFFSET_MISMATCH");
    tus(&server, ME, "HEAD", parts[0]).send().await.expect_status(404);
    // A copy is made of all segments, and a move takes them along.
    let copy = r#"{"bucketId":"box","sourceKey":"a","destinationKey":"b"}"#;
    let json = [("content-type", "application/json")];
    server.call(ME, "POST", "/object/copy").headers(&json).body(copy).send().await.expect_status(200);
    let moved = r#"{"bucketId":"box","sourceKey":"a","destinationKey":"c"}"#;
    server.call(ME, "POST", "/object/move").headers(&json).body(moved).send().await.expect_status(200);
    for at in ["box/b", "box/c"] {
        assert_eq!(server.content(at).await.unwrap(), bytes, "{at}");
    }
    tus(&server, ME, "DELETE", &unfinished).send().await.expect_status(204);
    server.expect_clean().await;
}
