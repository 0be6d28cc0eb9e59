//! Webhooks: complete, in order, signed, and never to where they must not go.

mod faults;
mod networks;
mod receiver;

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::{OWNER, Reply, Server, Who};
use receiver::Receiver;

const ROUTE: &str = "/api/v1/storage/webhooks";

/// Receivers of tests are on this machine.
const HERE: (&str, &str) = ("AEROSTORE_WEBHOOKS_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8");

/// Waits that tests have time for: thirty of them.
const SOON: (&str, &str) = (
    "AEROSTORE_WEBHOOKS_RETRIES",
    "5ms,10ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,20ms,\
     20ms,20ms,20ms,20ms,20ms,20ms,20ms",
);

async fn manage(server: &Server, method: &str, path: &str, body: Option<Value>) -> Reply {
    let call = server.request(Who::Service, method, &format!("{ROUTE}{path}"));
    match body {
        Some(body) => call.json(&body).send().await,
        None => call.send().await,
    }
}

/// Makes a webhook; gives its id and its secret.
async fn hook(server: &Server, body: Value) -> (String, String) {
    let made = manage(server, "POST", "", Some(body)).await.expect_status(201).json();
    (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
}

async fn shown(server: &Server, id: &str) -> Value {
    manage(server, "GET", &format!("/{id}"), None).await.expect_status(200).json()
}

/// The webhook as soon as it is so.
async fn until(server: &Server, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..3000 {
        let shown = shown(server, id).await;
        if is_so(&shown) {
            return shown;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the webhook never is as it should be: {}", shown(server, id).await);
}

#[tokio::test]
async fn receivers_are_told_what_they_want_in_order_and_can_verify_it() {
    let server = Server::start_with(&[HERE]);
    server.bucket(Who::User(OWNER), "private", "private").await;
    server.bucket(Who::User(OWNER), "public", "public").await;
    let (all, narrow) = (Receiver::start().await, Receiver::start().await);
    let (id, secret) = hook(&server, json!({ "url": all.url() })).await;
    let wanted = json!({
        "url": narrow.url(), "bucket": "private", "prefix": "a/",
        "events": ["storage.object.created", "storage.object.moved"],
    });
    let (narrow_id, _) = hook(&server, wanted).await;
    for place in ["private/a/1", "private/b/1", "public/a/1"] {
        server.put(Who::User(OWNER), place, "1").await;
    }
    server.put(Who::User(OWNER), "private/a/1", "22").await;
    server.call(Who::User(OWNER), "DELETE", "/object/private/b/1").send().await.expect_status(204);
    let moved = json!({ "bucketId": "private", "sourceKey": "a/1", "destinationKey": "c" });
    server.call(Who::User(OWNER), "POST", "/object/move").json(&moved).send().await.expect_status(200);
    server.put(Who::User(OWNER), "private/a/end", "1").await;

    let told = all.up_to("a/end").await;
    let everything = [
        "object.created a/1",
        "object.created b/1",
        "object.created a/1",
        "object.updated a/1",
        "object.deleted b/1",
        "object.moved c",
    ];
    assert_eq!(told, everything, "what was before the webhook is not told");
    assert_eq!(narrow.up_to("a/end").await, ["object.created a/1", "object.moved c"]);

    let messages = all.messages();
    let now = chrono::Utc::now().timestamp();
    for message in &messages {
        assert!(message.is_signed_by(&secret), "{message:?}");
        assert!((now - message.timestamp.parse::<i64>().unwrap()).abs() < 60);
        assert!(message.head.starts_with("POST /hook?key=5ecret-in-the-url HTTP/1.1"), "{}", message.head);
        assert!(message.head.to_lowercase().contains("content-type: application/json"), "{}", message.head);
        assert_eq!(message.json["data"]["kind"], message.json["type"]);
        assert_eq!(message.json["data"]["created_at"], message.json["timestamp"]);
    }
    let ids: HashSet<_> = messages.iter().map(|message| message.id.clone()).collect();
    assert_eq!(ids.len(), messages.len());
    let first = &messages[0].json["data"];
    assert_eq!((&first["bucket"], &first["payload"]["size"]), (&json!("private"), &json!(1)));
    let is_idle = |hook: &Value| hook["backlog"] == 0 && !hook["last_success_at"].is_null();
    until(&server, &id, is_idle).await;
    until(&server, &narrow_id, is_idle).await;

    // From the start: what was before is told, too.
    let late = Receiver::start().await;
    hook(&server, json!({ "url": late.url(), "from": 0, "events": ["storage.bucket.created"] })).await;
    assert_eq!(late.until(|messages| messages.len() == 2).await[0].json["data"]["bucket"], "private");
    let beyond = json!({ "url": late.url(), "from": 100_000 });
    manage(&server, "POST", "", Some(beyond)).await.expect_error(400, "INVALID_REQUEST");
    for field in ["secret", "sealed", "whsec_"] {
        let list = manage(&server, "GET", "", None).await.expect_status(200).text();
        assert!(!list.replace("previous_secret_until", "").replace("5ecret", "").contains(field), "{list}");
    }
    let log = server.log();
    assert!(!log.contains("whsec_") && !log.contains(&secret[6..]) && !log.contains("5ecret"), "{log}");
}

#[tokio::test]
async fn a_secret_is_exchanged_without_a_gap() {
    let server = Server::start_with(&[HERE]);
    let receiver = Receiver::start().await;
    let (id, first) = hook(&server, json!({ "url": receiver.url() })).await;
    let test = async || manage(&server, "POST", &format!("/{id}/test"), None).await.expect_status(200).json();
    let told = test().await;
    assert_eq!(
        (&told["delivered"], &told["status"], &told["answer"]),
        (&json!(true), &json!(200), &json!("hello"))
    );
    let message = receiver.messages().pop().unwrap();
    assert_eq!(message.kind(), "storage.test");
    assert!(message.is_signed_by(&first));
    assert_eq!(message.signature.split(' ').count(), 1);

    let rotate = async || {
        let rotated = manage(&server, "POST", &format!("/{id}/rotate"), None).await.expect_status(200).json();
        assert!(rotated["previous_secret_until"].is_string());
        rotated["secret"].as_str().unwrap().to_owned()
    };
    let second = rotate().await;
    test().await;
    let message = receiver.messages().pop().unwrap();
    assert!(message.is_signed_by(&first) && message.is_signed_by(&second));
    let third = rotate().await;
    server.bucket(Who::Service, "made", "public").await;
    let messages = receiver.until(|messages| messages.len() == 3).await;
    let message = &messages[2];
    assert!(message.is_signed_by(&second) && message.is_signed_by(&third) && !message.is_signed_by(&first));
    let log = server.log();
    for secret in [first, second, third] {
        assert!(!log.contains(&secret[6..]));
    }
}

#[tokio::test]
async fn webhooks_are_changed_and_deleted() {
    let server = Server::start_with(&[HERE]);
    let receiver = Receiver::start().await;
    server.bucket(Who::Service, "one", "public").await;
    let wanted = json!({ "url": receiver.url(), "bucket": "one", "enabled": false, "from": 0 });
    let (id, _) = hook(&server, wanted).await;
    let first = shown(&server, &id).await;
    assert_eq!(
        (&first["status"], &first["enabled"], &first["bucket"]),
        (&json!("disabled"), &json!(false), &json!("one"))
    );
    server.bucket(Who::Service, "two", "public").await;
    let change = async |body: Value| manage(&server, "PATCH", &format!("/{id}"), Some(body)).await;
    assert_eq!(shown(&server, &id).await["backlog"], 2);
    let changed = change(json!({ "bucket": null, "enabled": true })).await.expect_status(200).json();
    assert_eq!((&changed["bucket"], &changed["status"]), (&Value::Null, &json!("active")));
    let messages = receiver.until(|messages| messages.len() == 2).await;
    assert_eq!(messages[1].json["data"]["bucket"], "two", "what waited is told, as it is wanted now");
    for bad in [
        json!({ "url": "ftp://example.org" }),
        json!({ "events": ["storage.test"] }),
        json!({ "events": "all" }),
        json!({ "bucket": "../x" }),
        json!({ "prefix": "\u{0}" }),
        json!({ "enabled": 1 }),
        json!({ "bucket": "nowhere" }),
        json!({ "buckte": "two" }),
    ] {
        assert_eq!(change(bad.clone()).await.status, 400, "{bad}");
    }
    // A name that was mistyped would never be told of anything.
    for (more, words) in [
        (json!({ "bucket": "nowhere" }), "there is no bucket 'nowhere'"),
        (json!({ "filter": {} }), "filter"),
    ] {
        let mut wanted = json!({ "url": receiver.url() });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = manage(&server, "POST", "", Some(wanted)).await;
        assert!(refused.status == 400 && refused.json().to_string().contains(words), "{words}");
    }
    manage(&server, "DELETE", &format!("/{id}"), None).await.expect_status(200);
    for (method, rest) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate"), ("POST", "/test")]
    {
        let body = (method == "PATCH").then(|| json!({}));
        let gone = manage(&server, method, &format!("/{id}{rest}"), body).await;
        gone.expect_error(404, "WEBHOOK_NOT_FOUND");
    }
    server.bucket(Who::Service, "three", "public").await;
    assert_eq!(manage(&server, "GET", "", None).await.json(), json!([]));
    assert_eq!(receiver.messages().len(), 2);
}

/// Prints how many messages a second a webhook is told, of a receiver on the same machine.
#[tokio::test]
#[ignore = "prints figures and judges none (issue 6)"]
async fn figures_of_one_receiver() {
    let server = Server::start_with(&[HERE]);
    let receiver = Receiver::start().await;
    server.bucket(Who::Service, "box", "public").await;
    for number in 0..2000 {
        server.put(Who::Service, &format!("box/{number}"), "1").await;
    }
    let started = std::time::Instant::now();
    hook(&server, json!({ "url": receiver.url(), "from": 0 })).await;
    receiver.until(|messages| messages.len() > 2000).await;
    eprintln!("{:.0} messages a second", 2000.0 / started.elapsed().as_secs_f64());
}
