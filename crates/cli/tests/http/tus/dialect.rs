//! The `supabase` dialect: what is announced, and errors as text with their true status.

use super::{append, begin, metadata, place, tus};
use crate::support::{OTHER, OWNER, Server, Who};

const ME: Who = Who::User(OWNER);

#[tokio::test]
async fn errors_are_text_with_their_true_status() {
    let server = Server::start_with(&[("AEROSTORE_REST_DIALECT", "supabase")]);
    let limits =
        serde_json::json!({ "name": "box", "file_size_limit": 20, "allowed_mime_types": ["text/plain"] });
    server.call(ME, "POST", "/bucket").json(&limits).send().await.expect_status(200);
    let options = server.call(Who::Anon, "OPTIONS", "/upload/resumable").send().await.expect_status(204);
    let wanted = "creation,creation-with-upload,creation-defer-length,termination,expiration";
    assert_eq!(options.header("tus-extension"), wanted);
    let begun = begin(&server, ME, "a", 10).send().await;
    assert!(begun.header("content-type").starts_with("text/plain"));
    let upload = place(begun);
    append(&server, ME, &upload, 0, b"hello").send().await.expect_status(204);
    let image = || metadata("box", "x", &[("contentType", "image/png")]);
    let no_version = server.call(ME, "HEAD", &format!("/upload/resumable{upload}"));
    assert_eq!(no_version.send().await.status, 412);
    let post = |told: &str, length: &str| {
        tus(&server, ME, "POST", "").header("upload-metadata", told).header("upload-length", length)
    };
    let mine = metadata("box", "x", &[("contentType", "text/plain")]);
    for (call, status, words) in [
        (post(&metadata("none", "x", &[]), "1"), 404, "Bucket not found"),
        (post(&mine, "21"), 413, "Maximum size exceeded\n"),
        (post(&image(), "1"), 415, "mime type image/png is not supported"),
        (begin(&server, Who::User(OTHER), "x", 1), 403, "new row violates row-level security policy"),
        (append(&server, ME, &upload, 3, b"x"), 409, "Upload-Offset conflict\n"),
        (append(&server, Who::User(OTHER), &upload, 5, b"x"), 404, "The file for this url was not found\n"),
        (begin(&server, Who::Anon, "x", 1), 400, "headers must have required property 'authorization'"),
        (
            tus(&server, ME, "POST", "").header("upload-metadata", &mine),
            400,
            "Upload-Length or Upload-Defer-Length header required\n",
        ),
    ] {
        let reply = call.send().await;
        assert_eq!((reply.status, reply.text().as_str()), (status, words), "{}", reply.what);
        assert!(reply.header("content-type").starts_with("text/plain"), "{}", reply.header("content-type"));
        assert_eq!(reply.header("tus-resumable"), "1.0.0");
    }
    let done = append(&server, ME, &upload, 5, b"world").send().await.expect_status(204);
    assert_eq!((done.header("upload-offset"), done.header("tus-complete")), ("10", "1"));
    let taken = begin(&server, ME, "a", 1).send().await;
    assert_eq!((taken.status, taken.text().as_str()), (409, "The resource already exists"));
    assert_eq!(server.content("box/a").await.unwrap(), b"helloworld");
    server.expect_clean().await;
}

#[tokio::test]
async fn locations_are_where_clients_see_the_server() {
    for (settings, headers, wanted) in [
        (
            vec![("AEROSTORE_SERVER_PUBLIC_URL", "https://files.example.org/x")],
            vec![],
            "https://files.example.org/x/storage/v1/",
        ),
        (
            vec![("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1/32")],
            vec![
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "api.example.org"),
                ("x-forwarded-prefix", "/tenant/storage/v1"),
            ],
            "https://api.example.org/tenant/storage/v1/",
        ),
    ] {
        let server = Server::start_with(&settings);
        server.bucket(ME, "box", "private").await;
        let begun = begin(&server, ME, "a", 10).headers(&headers).send().await.expect_status(201);
        let location = begun.header("location");
        assert!(location.starts_with(&format!("{wanted}upload/resumable/")), "{location}");
    }
}
