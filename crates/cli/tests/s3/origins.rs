//! Where S3 is: on a listener of its own, in the host's name, behind a proxy; and which pages may call.

use crate::signer::{Ask, sha256};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn a_proxy_may_change_host_and_prefix_if_it_is_trusted_or_known() {
    for settings in [
        [("AEROSTORE_SERVER_PUBLIC_URL", "https://files.example.org")],
        [("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1")],
    ] {
        let server = Server::start_with(&settings);
        let (s3, key) = (client(&server), signer(&server, Who::Service));
        let list = Ask::new("GET", "/");
        let (ask, _) = key.by_header(list, "files.example.org", &sha256(b""));
        let ask = ask.header("x-forwarded-host", "files.example.org");
        expect(&s3.send(ask).await, 200, "");
    }
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let (ask, _) = key.by_header(Ask::new("GET", "/"), "files.example.org", &sha256(b""));
    let reply = s3.send(ask.header("x-forwarded-host", "files.example.org")).await;
    expect(&reply, 403, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_buckets_own_rules_decide_which_pages_may_call() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "web", "public").await;
    server.put(Who::Service, "web/x", "1").await;
    let preflight = async |origin: &str, method: &str| {
        let ask = Ask::new("OPTIONS", "/web/x").header("origin", origin);
        s3.send(
            ask.header("access-control-request-method", method)
                .header("access-control-request-headers", "x-a"),
        )
        .await
    };
    // Without rules of its own, the server's hold: any page.
    let any = preflight("https://any.example", "PUT").await;
    assert_eq!((any.status, any.header("access-control-allow-origin")), (200, "*"));
    let rules = "<CORSConfiguration><CORSRule><AllowedOrigin>https://*.good.example</AllowedOrigin>\
        <AllowedMethod>GET</AllowedMethod><AllowedHeader>x-*</AllowedHeader><ExposeHeader>etag</ExposeHeader>\
        <MaxAgeSeconds>77</MaxAgeSeconds></CORSRule></CORSConfiguration>";
    expect(&s3.signed(&key, Ask::new("PUT", "/web").query("cors", "").body(rules)).await, 200, "");
    let good = preflight("https://app.good.example", "GET").await;
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(good.header("access-control-allow-origin"), "https://app.good.example");
    assert_eq!(good.header("access-control-max-age"), "77");
    for (origin, method) in [("https://any.example", "GET"), ("https://app.good.example", "PUT")] {
        expect(&preflight(origin, method).await, 403, "AccessForbidden");
    }
    let get = |origin: &str| s3.send(Ask::new("GET", "/web/x").header("origin", origin));
    assert_eq!(
        get("https://app.good.example").await.header("access-control-allow-origin"),
        "https://app.good.example"
    );
    let bad = get("https://any.example").await;
    assert_eq!((bad.status, bad.header("access-control-allow-origin")), (200, ""));
}

#[tokio::test]
async fn a_bucket_may_stand_in_the_hosts_name_on_a_listener_of_its_own() {
    let settings = [("AEROSTORE_S3_LISTEN", "127.0.0.1:0"), ("AEROSTORE_S3_DOMAIN", "s3.example.org")];
    let server = Server::start_with(&settings);
    server.bucket(Who::Service, "web", "public").await;
    server.put(Who::Service, "web/a/x", "1").await;
    let address = server.s3_address.expect("the listener is announced");
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, host: &str| {
        let answer = http.get(format!("http://{address}{path}")).header("host", host).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    assert_eq!(get("/a/x", "web.s3.example.org").await, (200, "1".to_owned()));
    assert_eq!(get("/web/a/x", "s3.example.org:80").await, (200, "1".to_owned()));
    assert_eq!(get("/web/a/x", "anything").await, (200, "1".to_owned()));
    assert_eq!(get("/healthz", "anything").await.0, 403, "nothing but S3 is there");
}
