//! Uploads by a signed token: in the name of who signed it, to the one object that it was made for.

use super::{PIECE, metadata, place};
use crate::support::{Call, OTHER, OWNER, Server, Who};

const ME: Who = Who::User(OWNER);

async fn token(server: &Server, object: &str) -> String {
    let signed = server.call(ME, "POST", &format!("/object/upload/sign/box/{object}")).send().await;
    signed.expect_status(200).json()["token"].as_str().unwrap().to_owned()
}

fn by_token(server: &Server, method: &str, rest: &str, token: &str) -> Call {
    let call = server.call(Who::Anon, method, &format!("/upload/resumable{rest}"));
    call.header("tus-resumable", "1.0.0").header("x-signature", token)
}

#[tokio::test]
async fn a_signed_token_uploads_one_object() {
    let server = Server::start();
    server.bucket(ME, "box", "private").await;
    let mine = token(&server, "a").await;
    let begin = |object: &str, token: &str| {
        let call = by_token(&server, "POST", "/sign", token).header("upload-length", "10");
        call.header("upload-metadata", &metadata("box", object, &[]))
    };
    begin("b", &mine).send().await.expect_error(403, "INVALID_SIGNATURE");
    begin("a", "nonsense").send().await.expect_error(403, "INVALID_SIGNATURE");
    let none = server.call(Who::Anon, "POST", "/upload/resumable/sign").header("tus-resumable", "1.0.0");
    let none = none.header("upload-length", "1").header("upload-metadata", &metadata("box", "a", &[]));
    none.send().await.expect_error(400, "INVALID_REQUEST");
    // It is no token of a caller, and a caller's token does not replace it.
    let bearer =
        server.call(Who::Anon, "POST", "/upload/resumable").bearer(&mine).header("tus-resumable", "1.0.0");
    let bearer = bearer.header("upload-length", "1").header("upload-metadata", &metadata("box", "a", &[]));
    bearer.send().await.expect_status(401);

    let begun = begin("a", &mine).send().await;
    assert!(begun.header("location").contains("/upload/resumable/sign/"), "{}", begun.header("location"));
    let upload = place(begun);
    let patch = |token: &str, offset: &str| {
        by_token(&server, "PATCH", &upload, token).headers(&[PIECE, ("upload-offset", offset)])
    };
    patch(&mine, "0").body("hello").send().await.expect_status(204);
    let other = token(&server, "other").await;
    patch(&other, "5").body("world").send().await.expect_error(403, "INVALID_SIGNATURE");
    let stranger =
        server.call(Who::User(OTHER), "HEAD", &format!("/upload/resumable{}", upload.replace("/sign", "")));
    stranger.header("tus-resumable", "1.0.0").send().await.expect_status(404);
    let head = by_token(&server, "HEAD", &upload, &mine).send().await.expect_status(200);
    assert_eq!(head.header("upload-offset"), "5");
    patch(&mine, "5").body("world").send().await.expect_status(204);
    assert_eq!(server.content("box/a").await.unwrap(), b"helloworld");
    let info = server.call(ME, "GET", "/object/info/box/a").send().await.json();
    assert_eq!(info["owner_id"], OWNER.to_string());
    begin("a", &mine).send().await.expect_error(409, "OBJECT_EXISTS");
    server.expect_clean().await;
}
