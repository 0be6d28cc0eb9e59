//! What uploads must not get around: limits, policies, tokens, and what was said of them before.

use serde_json::json;

use super::{PIECE, append, begin, metadata, offset, place, tus};
use crate::support::{Call, OTHER, OWNER, Reply, Server, Who};

const ME: Who = Who::User(OWNER);
const YOU: Who = Who::User(OTHER);

async fn add_policy(server: &Server, sql: &str) {
    let call = server.request(Who::Service, "POST", "/api/v1/storage/policies");
    call.json(&json!({ "sql": sql })).send().await.expect_status(200);
}

#[tokio::test]
async fn uploads_of_anonymous_callers_are_not_listed() {
    let server = Server::start();
    server.bucket(Who::Service, "drop", "private").await;
    add_policy(
        &server,
        "CREATE POLICY drop_box ON storage.objects FOR INSERT TO anon WITH CHECK (bucket_id = 'drop')",
    )
    .await;
    let s3 =
        |method: &str, rest: &str| server.request(Who::Anon, method, &format!("/storage/v1/s3/drop{rest}"));
    let begun = s3("POST", "/a?uploads").send().await.expect_status(200).text();
    let (_, rest) = begun.split_once("<UploadId>").unwrap();
    let (upload, _) = rest.split_once("</UploadId>").unwrap();
    let listed = s3("GET", "?uploads").send().await.text();
    assert!(!listed.contains(upload), "{listed}");
    // Who was told its name goes on with it.
    let part = s3("PUT", &format!("/a?partNumber=1&uploadId={upload}")).body("bytes");
    part.send().await.expect_status(200);
}

#[tokio::test]
async fn a_user_has_a_number_of_unfinished_uploads() {
    let server = Server::start_with(&[("AEROSTORE_UPLOADS_MAX_UNFINISHED", "2")]);
    server.bucket(ME, "box", "authenticated").await;
    let first = place(begin(&server, ME, "a", 5).send().await);
    begin(&server, ME, "b", 5).send().await.expect_status(201);
    begin(&server, ME, "c", 5).send().await.expect_error(429, "TOO_MANY_UPLOADS");
    begin(&server, YOU, "c", 5).send().await.expect_status(201);
    // One that became an object is remembered, and counts no more.
    append(&server, ME, &first, 0, b"12345").send().await.expect_status(204);
    begin(&server, ME, "d", 5).send().await.expect_status(201);
    for name in ["e", "f", "g"] {
        begin(&server, Who::Service, name, 5).send().await.expect_status(201);
    }
    let long = metadata("box", "h", &[("junk", &"x".repeat(7_000))]);
    let long = tus(&server, YOU, "POST", "").header("upload-metadata", &long).header("upload-length", "5");
    long.send().await.expect_error(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn what_was_refused_says_nothing_of_the_length() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let deferred = async |object: &str| {
        let call = tus(&server, ME, "POST", "").header("upload-defer-length", "1");
        place(call.header("upload-metadata", &metadata("box", object, &[])).send().await)
    };
    let upload = deferred("a").await;
    append(&server, ME, &upload, 0, b"hello").send().await.expect_status(204);
    let wrong = append(&server, ME, &upload, 0, b"").header("upload-length", "5");
    wrong.send().await.expect_error(409, "OFFSET_MISMATCH");
    let head = tus(&server, ME, "HEAD", &upload).send().await.expect_status(200);
    assert_eq!((head.header("upload-offset"), head.header("upload-defer-length")), ("5", "1"));
    assert_eq!(server.content("box/a").await, None);
    let right = append(&server, ME, &upload, 5, b" world").header("upload-length", "11");
    right.send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), b"hello world");

    add_policy(
        &server,
        "CREATE POLICY small ON storage.objects AS RESTRICTIVE FOR INSERT TO authenticated \
         WITH CHECK ((metadata->>'size')::bigint < 10)",
    )
    .await;
    let upload = deferred("b").await;
    append(&server, ME, &upload, 0, b"hello").send().await.expect_status(204);
    let large = append(&server, ME, &upload, 5, b"").header("upload-length", "20");
    large.send().await.expect_status(403);
    assert_eq!(offset(&server, ME, &upload).await, 5);
    let small = append(&server, ME, &upload, 5, b"1").header("upload-length", "6");
    small.send().await.expect_status(204);
    assert_eq!(server.content("box/b").await.unwrap(), b"hello1");
}

#[tokio::test]
async fn a_body_longer_than_was_said_is_refused_however_it_comes() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let upload = place(begin(&server, ME, "a", 5).send().await);
    let pieces = [&b"12345"[..], b"678"].map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let body =
        reqwest::Body::wrap_stream(futures_util::stream::unfold(pieces.into_iter(), |mut left| async {
            let piece = left.next()?;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            Some((piece, left))
        }));
    let url = format!("http://{}/storage/v1/upload/resumable{upload}", server.address);
    let sent =
        reqwest::Client::builder().no_proxy().build().unwrap().patch(url).bearer_auth(server.token(ME));
    let sent = sent.header("tus-resumable", "1.0.0").header("upload-offset", "0").header(PIECE.0, PIECE.1);
    assert_eq!(sent.body(body).send().await.unwrap().status(), 413);
}

#[tokio::test]
async fn content_is_looked_at_in_one_piece_however_it_came() {
    let server = Server::start_with(&[("AEROSTORE_STORAGE_VERIFY_CONTENT", "true")]);
    let bucket = json!({ "name": "box", "policy": "private", "allowed_mime_types": ["image/*"] });
    server.bucket_with(ME, bucket).await;
    let told = |object: &str| metadata("box", object, &[("contentType", "image/png")]);
    let begin = |object: &str, length: usize| {
        let call = tus(&server, ME, "POST", "").header("upload-metadata", &told(object));
        call.header("upload-length", &length.to_string())
    };
    let (pdf, png) = (b"%PDF-1.4 and more", b"\x89PNG\r\n\x1a\n and more");
    let upload = place(begin("a", pdf.len()).send().await);
    append(&server, ME, &upload, 0, &pdf[..2]).send().await.expect_status(204);
    let rest = append(&server, ME, &upload, 2, &pdf[2..]);
    rest.send().await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
    let upload = place(begin("b", png.len()).send().await);
    append(&server, ME, &upload, 0, &png[..2]).send().await.expect_status(204);
    append(&server, ME, &upload, 2, &png[2..]).send().await.expect_status(204);

    // A part of a picture may look like anything.
    let partial = async |object: &str, bytes: &[u8]| {
        let part = place(begin(object, bytes.len()).header("upload-concat", "partial").send().await);
        append(&server, ME, &part, 0, bytes).send().await.expect_status(204);
        part
    };
    let whole = async |object: &str, parts: [&str; 2]| {
        let root = format!("http://{}/storage/v1/upload/resumable", server.address);
        let call = tus(&server, ME, "POST", "").header("upload-metadata", &told(object));
        let parts = parts.map(|part| format!("{root}{part}")).join(" ");
        call.header("upload-concat", &format!("final;{parts}")).send().await
    };
    let (one, two) = (partial("c", png).await, partial("c", pdf).await);
    whole("c", [&one, &two]).await.expect_status(201);
    let (one, two) = (partial("d", pdf).await, partial("d", png).await);
    whole("d", [&one, &two]).await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
}

#[tokio::test]
async fn a_bucket_is_not_rid_of_what_others_upload_past_the_policies() {
    let server = Server::start();
    server.bucket(ME, "box", "authenticated").await;
    let theirs = place(begin(&server, YOU, "theirs", 10).send().await);
    append(&server, YOU, &theirs, 0, b"123").send().await.expect_status(204);
    server.call(ME, "DELETE", "/bucket/box").send().await.expect_error(409, "BUCKET_NOT_EMPTY");
    add_policy(
        &server,
        "CREATE POLICY own ON storage.objects AS RESTRICTIVE FOR DELETE TO authenticated \
         USING (owner_id = auth.uid())",
    )
    .await;
    let mine = place(begin(&server, ME, "mine", 10).send().await);
    server.call(ME, "POST", "/bucket/box/empty").send().await.expect_status(200);
    assert_eq!(offset(&server, YOU, &theirs).await, 3);
    tus(&server, ME, "HEAD", &mine).send().await.expect_status(404);
    let drop = server.request(Who::Service, "DELETE", "/api/v1/storage/policies/own");
    drop.send().await.expect_status(200);
    server.call(ME, "POST", "/bucket/box/empty").send().await.expect_status(200);
    tus(&server, YOU, "HEAD", &theirs).send().await.expect_status(404);
    server.call(ME, "DELETE", "/bucket/box").send().await.expect_status(200);
}

#[tokio::test]
async fn an_upload_is_known_to_have_come_as_long_as_the_object_is_there() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let upload = place(begin(&server, ME, "a", 5).send().await);
    append(&server, ME, &upload, 0, b"12345").send().await.expect_status(204);
    assert_eq!(offset(&server, ME, &upload).await, 5);
    server.call(ME, "DELETE", "/object/box/a").send().await.expect_status(204);
    tus(&server, ME, "HEAD", &upload).send().await.expect_status(404);
    append(&server, ME, &upload, 5, b"").send().await.expect_status(404);
}

#[tokio::test]
async fn what_cannot_be_replaced_within_the_quota_is_not_begun() {
    let server = Server::start();
    let bucket = json!({ "name": "box", "policy": "private", "quota_bytes": 1000 });
    server.bucket_with(ME, bucket).await;
    server.put(ME, "box/a", vec![1; 600]).await;
    let replacing = |length: usize| begin(&server, ME, "a", length).header("x-upsert", "true");
    replacing(600).send().await.expect_error(507, "QUOTA_EXCEEDED");
    let upload = place(replacing(400).send().await);
    append(&server, ME, &upload, 0, &[2; 400]).send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), vec![2; 400]);
    server.expect_clean().await;
}

/// A token for `box/a`.
async fn token(server: &Server, options: &str, upsert: bool) -> String {
    let call = server.call(ME, "POST", &format!("/object/upload/sign/box/a{options}"));
    let call = if upsert { call.header("x-upsert", "true") } else { call };
    call.send().await.expect_status(200).json()["token"].as_str().unwrap().to_owned()
}

fn by_token(server: &Server, method: &str, rest: &str, token: &str) -> Call {
    let call = server.call(Who::Anon, method, &format!("/upload/resumable{rest}"));
    call.header("tus-resumable", "1.0.0").header("x-signature", token)
}

async fn begun_by(server: &Server, token: &str, more: &[(&str, &str)], body: &'static str) -> Reply {
    let call = by_token(server, "POST", "/sign", token).header("upload-length", "5");
    let call = call.header("upload-metadata", &metadata("box", "a", &[]));
    call.headers(more).body(body).send().await
}

#[tokio::test]
async fn a_token_goes_on_with_what_it_was_made_for_alone() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let (plain, upsert) = (token(&server, "", false).await, token(&server, "", true).await);
    server.put(ME, "box/a", "old").await;
    let replacing = place(begin(&server, ME, "a", 5).header("x-upsert", "true").send().await);
    let by = format!("/sign{replacing}");
    by_token(&server, "HEAD", &by, &plain).send().await.expect_status(404);
    let patch = by_token(&server, "PATCH", &by, &plain).headers(&[PIECE, ("upload-offset", "0")]);
    patch.body("stole").send().await.expect_status(404);
    by_token(&server, "DELETE", &by, &plain).send().await.expect_status(404);
    by_token(&server, "HEAD", &by, &upsert).send().await.expect_status(200);
    assert_eq!(server.content("box/a").await.unwrap(), b"old");

    server.call(ME, "DELETE", "/object/box/a").send().await.expect_status(204);
    let (one, two) =
        (token(&server, "?single_use=true", false).await, token(&server, "?single_use=true", false).await);
    let upload = place(begun_by(&server, &one, &[], "").await);
    for other in [&two, &plain] {
        by_token(&server, "HEAD", &upload, other).send().await.expect_status(404);
    }
    by_token(&server, "HEAD", &upload, &one).send().await.expect_status(200);
    begun_by(&server, &one, &[], "").await.expect_error(410, "URL_EXPIRED");
}

#[tokio::test]
async fn a_single_use_token_is_good_again_where_nothing_was_begun() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let once = token(&server, "?single_use=true", false).await;
    // Of other bytes than come.
    let wrong = ("upload-checksum", "sha1 AAAAAAAAAAAAAAAAAAAAAAAAAAA=");
    begun_by(&server, &once, &[PIECE, wrong], "12345").await.expect_status(460);
    begun_by(&server, &once, &[PIECE], "12345").await.expect_status(201);
    assert_eq!(server.content("box/a").await.unwrap(), b"12345");
    server.call(ME, "DELETE", "/object/box/a").send().await.expect_status(204);
    begun_by(&server, &once, &[PIECE], "12345").await.expect_error(410, "URL_EXPIRED");
}
