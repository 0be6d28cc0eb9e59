//! By which name a client called the server: what absolute URLs in answers begin with, and what never gets there.

use serde_json::Value;

use super::support::{OWNER, RawReply, Server, Who, exchange};

async fn server_with_a_file(settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(settings);
    server.bucket(Who::User(OWNER), "box", "private").await;
    server.put(Who::User(OWNER), "box/file", "x").await;
    server
}

/// Asks for a signed URL by hand, with these lines for headers.
async fn sign_with(server: &Server, lines: &str) -> RawReply {
    let token = server.token(Who::User(OWNER));
    let request = format!(
        "POST /storage/v1/object/sign/box/file?expires_in=60 HTTP/1.1\r\n{lines}authorization: Bearer {token}\r\n\
         content-length: 0\r\nconnection: close\r\n\r\n"
    );
    exchange(server.address, request).await
}

fn absolute(reply: &RawReply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["url"].as_str().unwrap_or_else(|| panic!("{body}")).split('?').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_malformed_host_reaches_no_url() {
    let server = server_with_a_file(&[]).await;
    for (lines, wanted) in [
        ("host: files.example.org\r\n", "http://files.example.org/storage/v1/object/sign/box/file"),
        ("host: [::1]:8000\r\n", "http://[::1]:8000/storage/v1/object/sign/box/file"),
        // From nobody in particular, forwarded headers do not count.
        (
            "host: a.example\r\nx-forwarded-host: evil.example\r\nx-forwarded-prefix: /evil\r\nx-forwarded-proto: https\r\n",
            "http://a.example/storage/v1/object/sign/box/file",
        ),
    ] {
        let reply = sign_with(&server, lines).await;
        assert_eq!((reply.status, absolute(&reply)), (200, wanted.to_owned()), "{lines:?}");
    }
    for lines in [
        "",
        "host:\r\n",
        "host: a.example/evil\r\n",
        "host: user@evil.example\r\n",
        "host: a.example?x\r\n",
        "host: a.example#x\r\n",
        "host: a.example:port\r\n",
        "host: a.example:1:2\r\n",
        "host: a b\r\n",
        "host: \"><script>\r\n",
        "host: [nonsense]\r\n",
        "host: \u{fc}.example\r\n",
        "host: a.example\r\nhost: b.example\r\n",
        "host: a.example\r\nhost: a.example\r\n",
    ] {
        let reply = sign_with(&server, lines).await;
        assert_eq!((reply.status, &*reply.code()), (400, "INVALID_REQUEST"), "{lines:?}");
        assert!(!String::from_utf8_lossy(&reply.body).contains("token="), "{lines:?}");
    }
    // Nothing else is done with such a request either.
    let reply =
        exchange(server.address, "GET /healthz HTTP/1.1\r\nhost: a/b\r\nconnection: close\r\n\r\n").await;
    assert_eq!((reply.status, &*reply.code()), (400, "INVALID_REQUEST"));
}

#[tokio::test]
async fn a_trusted_proxy_says_how_clients_see_the_server() {
    let server = server_with_a_file(&[("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1")]).await;
    for (lines, wanted) in [
        ("x-forwarded-host: files.example.org\r\n", "http://files.example.org/storage/v1"),
        (
            "x-forwarded-proto: https\r\nx-forwarded-host: files.example.org:8443\r\nx-forwarded-prefix: /files/\r\n",
            "https://files.example.org:8443/files/storage/v1",
        ),
        // A gateway that strips the base and puts it back.
        ("x-forwarded-prefix: /storage/v1\r\n", "http://inner/storage/v1"),
        ("x-forwarded-prefix: /eu/storage/v1/\r\n", "http://inner/eu/storage/v1"),
        // Nonsense is passed over.
        ("x-forwarded-host: a/b\r\nx-forwarded-prefix: //evil.example\r\n", "http://inner/storage/v1"),
        ("x-forwarded-prefix: /../x\r\n", "http://inner/storage/v1"),
    ] {
        let reply = sign_with(&server, &format!("host: inner\r\n{lines}")).await;
        assert_eq!(reply.status, 200, "{lines:?}");
        assert_eq!(absolute(&reply), format!("{wanted}/object/sign/box/file"), "{lines:?}");
    }
    // What is configured counts before everything that is sent.
    let public = ("AEROSTORE_SERVER_PUBLIC_URL", "https://cdn.example.org/x");
    let server =
        Server::start_in(server.stop(), &[("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1"), public]);
    let reply = sign_with(&server, "host: inner\r\nx-forwarded-host: b\r\nx-forwarded-prefix: /y\r\n").await;
    assert_eq!(absolute(&reply), "https://cdn.example.org/x/storage/v1/object/sign/box/file");
}
