//! A whole life of objects on each provider: every way in, ranges out, copies, overwrites, deletion, and nothing left.

use crate::cloud::{Cloud, SECRET};
use crate::signer::{Ask, Client, Signer};
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// The least that a part of S3's may have.
const PART: usize = 5 << 20;

#[tokio::test]
async fn on_s3() {
    let cloud = Cloud::moto();
    let server = cloud.serve();
    live(&server).await;
    assert_eq!(cloud.kept().await, [""; 0], "nothing is left in the bucket");
    assert_eq!(cloud.unfinished().await, [""; 0]);
    assert!(!server.log().contains(SECRET));
}

#[tokio::test]
async fn on_azure() {
    live(&Cloud::azurite().serve()).await;
}

#[tokio::test]
async fn on_another_aerostore() {
    let store = Server::start();
    store.bucket(Who::Service, "aerostore", "private").await;
    live(&Cloud::aerostore(&store).serve()).await;
    let listed = store.call(Who::Service, "POST", "/object/list-v2/aerostore").json(&serde_json::json!({}));
    let listed = listed.send().await.expect_status(200).json();
    // What says which place it is stays.
    let names: Vec<_> =
        listed["objects"].as_array().unwrap().iter().map(|object| object["name"].as_str().unwrap()).collect();
    assert!(matches!(names.as_slice(), [name] if name.ends_with("/provider-id")), "{listed}");
    store.expect_clean().await;
}

async fn live(server: &Server) {
    server.bucket(ME, "box", "private").await;
    let large = pattern(12_345_678);
    server.put(ME, "box/large", large.clone()).await;
    server.put(ME, "box/small", pattern(100_000)).await;
    server.put(ME, "box/empty", Vec::new()).await;
    assert_eq!(server.content("box/large").await.unwrap(), large);
    assert_eq!(server.content("box/small").await.unwrap(), pattern(100_000));
    assert_eq!(server.content("box/empty").await.unwrap(), b"");
    for (range, expected) in [
        ("bytes=0-0", 0..1),
        ("bytes=5242870-5242899", 5_242_870..5_242_900),
        ("bytes=-10", large.len() - 10..large.len()),
    ] {
        let part = server.call(ME, "GET", "/object/box/large").header("range", range).send().await;
        assert_eq!(part.expect_status(206).body, large[expected], "{range}");
    }

    by_s3(server).await;
    by_tus(server).await;

    // A copy, an overwrite, and a move.
    let to = serde_json::json!({ "bucketId": "box", "sourceKey": "large", "destinationKey": "copy" });
    server.call(ME, "POST", "/object/copy").json(&to).send().await.expect_status(200);
    server.put(ME, "box/large", pattern(2_000_000)).await;
    assert_eq!(server.content("box/copy").await.unwrap(), large);
    assert_eq!(server.content("box/large").await.unwrap(), pattern(2_000_000));
    let to = serde_json::json!({ "bucketId": "box", "sourceKey": "copy", "destinationKey": "moved" });
    server.call(ME, "POST", "/object/move").json(&to).send().await.expect_status(200);
    assert_eq!(server.content("box/moved").await.unwrap(), large);

    assert_eq!(server.files_on_disk(), 0, "no byte went to the disk");
    server.expect_clean().await;
    server.call(ME, "POST", "/bucket/box/empty").send().await.expect_status(200);
    emptied(server).await;
}

/// Waits until the deletion worker is done.
pub(crate) async fn emptied(server: &Server) {
    for _ in 0..1000 {
        let report = server.request(Who::Service, "GET", "/api/v1/storage/cleanup").send().await;
        if report.expect_status(200).json()["pending_deletions"] == 0 {
            return server.expect_clean().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("what was deleted is there still");
}

/// An upload in numbered parts.
async fn by_s3(server: &Server) {
    let key = Signer { token: Some(server.token(ME)), ..Signer::new("any-project", &server.key("anon_key")) };
    let s3 = Client::new(server.address);
    let begun =
        s3.signed(&key, Ask::new("POST", "/box/parts").query("uploads", "")).await.expect_status(200).text();
    let upload = begun.split_once("<UploadId>").unwrap().1.split('<').next().unwrap().to_owned();
    let bodies = [pattern(PART), pattern(PART + 1000), pattern(2000)];
    let mut document = String::new();
    for (number, body) in (1..).zip(&bodies) {
        let part = Ask::new("PUT", "/box/parts").query("uploadId", &upload);
        let part = part.query("partNumber", &format!("{number}")).body(body.clone());
        let part = s3.signed(&key, part).await.expect_status(200);
        let etag = part.header("etag");
        document += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    }
    let document = format!("<CompleteMultipartUpload>{document}</CompleteMultipartUpload>");
    let complete = Ask::new("POST", "/box/parts").query("uploadId", &upload).body(document);
    s3.signed(&key, complete).await.expect_status(200);
    let got = s3.signed(&key, Ask::new("GET", "/box/parts")).await.expect_status(200);
    assert!(got.body == bodies.concat());
    // Across the border of two parts.
    let some = Ask::new("GET", "/box/parts").header("range", "bytes=5242000-5243999");
    assert!(s3.signed(&key, some).await.expect_status(206).body == bodies.concat()[5_242_000..5_244_000]);
}

/// A resumable upload, in pieces.
async fn by_tus(server: &Server) {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let content = pattern(3_000_000);
    let tus = |method: &str, rest: &str| {
        server.call(ME, method, &format!("/upload/resumable{rest}")).header("tus-resumable", "1.0.0")
    };
    let metadata = format!("bucketName {},objectName {}", encode("box"), encode("pieces"));
    let begun = tus("POST", "").header("upload-metadata", &metadata).header("upload-length", "3000000");
    let begun = begun.send().await.expect_status(201);
    let place = begun.header("location").split_once("/upload/resumable").unwrap().1.to_owned();
    for (from, to) in [(0, 10), (10, 1_500_000), (1_500_000, 3_000_000)] {
        let piece = tus("PATCH", &place).header("content-type", "application/offset+octet-stream");
        let piece = piece.header("upload-offset", &from.to_string()).body(&content[from..to]);
        piece.send().await.expect_status(204);
    }
    assert!(server.content("box/pieces").await.unwrap() == content);
}
