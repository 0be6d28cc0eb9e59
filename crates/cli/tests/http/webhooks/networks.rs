//! Where messages must not go: names and addresses of private networks, redirects, and what is not TLS.

use serde_json::json;

use super::receiver::Receiver;
use super::{HERE, hook, manage, shown};
use crate::support::{Server, Who};

#[tokio::test]
async fn private_networks_are_reached_by_no_address_and_no_name() {
    let server = Server::start();
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        format!("https://127.1:{port}/"),
        format!("https://0x7f000001:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        format!("https://[64:ff9b::127.0.0.1]:{port}/"),
        format!("https://0.0.0.0:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://user:word@example.org/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "no url".to_owned(),
    ] {
        let refused = manage(&server, "POST", "", Some(json!({ "url": url }))).await;
        assert_eq!(refused.status, 400, "{url}: {}", refused.text());
        refused.expect_error(400, "INVALID_REQUEST");
    }
    // Where a name leads is seen when it is sent to.
    for host in ["localhost", "LOCALHOST", "localhost."] {
        let (id, _) = hook(&server, json!({ "url": format!("https://{host}:{port}/") })).await;
        let told = manage(&server, "POST", &format!("/{id}/test"), None).await.expect_status(200).json();
        assert_eq!(told["delivered"], false, "{host}: {told}");
        let error = told["error"].as_str().unwrap();
        assert!(
            error.contains("allow_private_networks") || error.starts_with("no connection"),
            "{host}: {error}"
        );
    }
    assert_eq!(receiver.connections(), 0);
    // The way is not taken by proxies either, which would resolve names for themselves.
    let proxied = Server::start_with(&[
        ("HTTPS_PROXY", &format!("http://127.0.0.1:{port}")),
        ("ALL_PROXY", &format!("http://127.0.0.1:{port}")),
    ]);
    let (id, _) = hook(&proxied, json!({ "url": "https://localhost/" })).await;
    let told = manage(&proxied, "POST", &format!("/{id}/test"), None).await.expect_status(200).json();
    assert_eq!((&told["delivered"], receiver.connections()), (&json!(false), 0), "{told}");
}

#[tokio::test]
async fn a_redirect_is_no_delivery_and_leads_nowhere() {
    let server = Server::start_with(&[HERE]);
    let target = Receiver::start().await;
    for status in [301, 302, 303, 307, 308] {
        let to = target.url();
        let receiver = Receiver::that(move |_, _| (status, format!("location: {to}\r\n"))).await;
        let (id, _) = hook(&server, json!({ "url": receiver.url() })).await;
        let told = manage(&server, "POST", &format!("/{id}/test"), None).await.expect_status(200).json();
        assert_eq!((&told["delivered"], &told["status"]), (&json!(false), &json!(status)));
        server.bucket(Who::Service, &format!("of-{status}"), "public").await;
        receiver.until(|messages| messages.len() == 2).await;
        let failed = super::until(&server, &id, |hook| hook["attempts"] == 1).await;
        assert_eq!(failed["last_error"], format!("the receiver answered {status}"));
        manage(&server, "DELETE", &format!("/{id}"), None).await.expect_status(200);
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn what_is_allowed_is_all_that_is_allowed() {
    // Loopback is 127.0.0.0/8; of it, one address.
    let server = Server::start_with(&[("AEROSTORE_WEBHOOKS_ALLOW_PRIVATE_NETWORKS", "127.0.0.1")]);
    let receiver = Receiver::start().await;
    let port = receiver.address.port();
    for url in
        [format!("http://127.0.0.2:{port}/"), "http://8.8.8.8/".to_owned(), "https://10.0.0.1/".to_owned()]
    {
        manage(&server, "POST", "", Some(json!({ "url": url }))).await.expect_error(400, "INVALID_REQUEST");
    }
    let (id, _) = hook(&server, json!({ "url": format!("http://127.0.0.1:{port}/") })).await;
    let told = manage(&server, "POST", &format!("/{id}/test"), None).await.expect_status(200).json();
    assert_eq!(told["delivered"], true, "{told}");
    let (id, _) = hook(&server, json!({ "url": "https://1.1.1.1/", "enabled": false })).await;
    assert_eq!(shown(&server, &id).await["status"], "disabled");
}
