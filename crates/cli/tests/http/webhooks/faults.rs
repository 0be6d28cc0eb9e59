//! What goes wrong: receivers that fail, servers that are killed, several servers at once, events that are not kept.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::receiver::{Message, Receiver};
use super::{HERE, SOON, hook, manage, until};
use crate::support::{OWNER, Server, Who};

const WRITERS: usize = 8;

/// Eight writers, each of which overwrites an object of its own by a longer one, some times.
async fn write(server: &Server, sizes: std::ops::Range<usize>) {
    let writers = (0..WRITERS).map(|writer| {
        let sizes = sizes.clone();
        async move {
            for size in sizes {
                server.put(Who::User(OWNER), &format!("shared/{writer}"), vec![0; size]).await;
            }
        }
    });
    join_all(writers).await;
}

/// What was taken, each message once, by object: the sizes in the order in which they were told first.
fn sizes(taken: &[Message]) -> HashMap<String, Vec<u64>> {
    let (mut ids, mut sizes) = (HashSet::new(), HashMap::<_, Vec<_>>::new());
    for message in taken.iter().filter(|message| message.kind().starts_with("storage.object")) {
        if ids.insert(message.id.clone()) {
            let size = message.json["data"]["payload"]["size"].as_u64().unwrap();
            sizes.entry(message.path().to_owned()).or_default().push(size);
        }
    }
    sizes
}

#[track_caller]
fn assert_complete(taken: &[Message], sizes_wanted: std::ops::Range<u64>) {
    let found = sizes(taken);
    for writer in 0..WRITERS {
        let wanted: Vec<u64> = sizes_wanted.clone().collect();
        assert_eq!(found[&writer.to_string()], wanted, "all of them, in order: {writer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_and_a_server_that_is_killed_lose_nothing() {
    let mut server = Server::start_with(&[HERE, SOON]);
    server.bucket(Who::Service, "shared", "authenticated").await;
    // Two of five attempts fail, by turns that have nothing to do with the messages.
    let receiver = Receiver::that(|_, before| match (before * 7919) % 10 {
        0 => (500, String::new()),
        1 => (503, "retry-after: 0\r\n".to_owned()),
        2 => (0, String::new()),
        3 => (404, String::new()),
        _ => (204, String::new()),
    })
    .await;
    let (id, secret) = hook(&server, json!({ "url": receiver.url() })).await;
    for round in 0..3 {
        write(&server, round * 10..(round + 1) * 10).await;
        // By SIGKILL, amid a delivery.
        server = Server::start_in(server.stop(), &[HERE, SOON]);
    }
    server.put(Who::User(OWNER), "shared/end", "1").await;
    let idle = until(&server, &id, |hook| hook["backlog"] == 0).await;
    assert_eq!(idle["status"], "active", "{idle}");
    let all = receiver.messages();
    assert!(all.iter().all(|message| message.is_signed_by(&secret)));
    assert!(all.len() > WRITERS * 30 + 1, "some came twice");
    assert_complete(&all, 0..30);
    // The same message is the same message, whenever it comes.
    let mut bodies: HashMap<&str, &[u8]> = HashMap::new();
    for message in &all {
        assert_eq!(*bodies.entry(&message.id).or_insert(&message.body), &message.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_deliver_each_event_about_once() {
    if std::env::var("AEROSTORE_TEST_ENGINE").as_deref() != Ok("postgres") {
        // SQLite is one server's own.
        return;
    }
    let first = Server::start_with(&[HERE, SOON]);
    let second = first.beside(&[HERE, SOON]);
    first.bucket(Who::Service, "shared", "authenticated").await;
    let receiver = Receiver::start().await;
    let (id, _) = hook(&first, json!({ "url": receiver.url() })).await;
    tokio::join!(write(&first, 0..20), async {
        for number in 0..100 {
            second.put(Who::User(OWNER), &format!("shared/second-{number}"), "1").await;
        }
    });
    receiver.until(|messages| messages.len() >= WRITERS * 20 + 100).await;
    until(&first, &id, |hook| hook["backlog"] == 0).await;
    let all = receiver.messages();
    assert_complete(&all, 0..20);
    assert_eq!(all.len(), WRITERS * 20 + 100, "nothing twice where nobody fails");
    // Where the one that delivers is killed, the other one goes on when its claim has ended.
    first.kill();
    let claim_ends = Instant::now() + Duration::from_secs(90);
    second.put(Who::User(OWNER), "shared/end", "1").await;
    while !receiver.messages().iter().any(|message| message.path() == "end") {
        assert!(Instant::now() < claim_ends, "nobody goes on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_webhook_is_paused_after_its_last_attempt_and_goes_on_when_enabled() {
    let server = Server::start_with(&[HERE, ("AEROSTORE_WEBHOOKS_RETRIES", "1ms,1ms")]);
    let receiver = Receiver::that(|_, _| (500, String::new())).await;
    let (id, _) = hook(&server, json!({ "url": receiver.url() })).await;
    server.bucket(Who::Service, "one", "public").await;
    server.bucket(Who::Service, "two", "public").await;
    let paused = until(&server, &id, |hook| hook["status"] == "paused").await;
    assert_eq!(
        (&paused["attempts"], &paused["enabled"], &paused["backlog"]),
        (&json!(3), &json!(false), &json!(2))
    );
    assert_eq!(paused["last_error"], "the receiver answered 500");
    let messages = receiver.messages();
    assert_eq!(messages.len(), 3, "one at a time: the second one waits");
    assert!(messages.iter().all(|message| message.id == messages[0].id));
    server.log_until("a webhook is paused after its last attempt").await;
    let figures = server.request(Who::Service, "GET", "/metrics").send().await.text();
    assert!(figures.contains("storage_webhook_deliveries_total{outcome=\"paused\"} 1"), "{figures}");
    let backlog = format!("storage_webhook_backlog{{webhook=\"{id}\"}}");
    server.until_figure(&backlog, |events| events == 2.0).await;
    server.until_figure("storage_webhooks_stopped", |webhooks| webhooks == 1.0).await;
    receiver.answer(|_, _| (200, String::new()));
    manage(&server, "PATCH", &format!("/{id}"), Some(json!({ "enabled": true }))).await.expect_status(200);
    let messages = receiver.until(|messages| messages.len() == 5).await;
    server.until_figure("storage_webhooks_stopped", |webhooks| webhooks == 0.0).await;
    server.until_figure(&backlog, |events| events == 0.0).await;
    assert_eq!((&messages[3].id, &messages[4].json["data"]["bucket"]), (&messages[0].id, &json!("two")));
}

#[tokio::test]
async fn a_receiver_says_when_to_come_again_and_that_it_is_gone() {
    let server = Server::start_with(&[HERE, SOON]);
    let receiver = Receiver::that(|_, _| (429, "retry-after: 3600\r\n".to_owned())).await;
    let (id, _) = hook(&server, json!({ "url": receiver.url() })).await;
    server.bucket(Who::Service, "one", "public").await;
    let waits = until(&server, &id, |hook| hook["attempts"] == 1).await;
    let at = chrono::DateTime::parse_from_rfc3339(waits["next_attempt_at"].as_str().unwrap()).unwrap();
    let wait = at.timestamp() - chrono::Utc::now().timestamp();
    assert!((3500..=3600).contains(&wait), "{wait}");
    receiver.answer(|_, _| (410, String::new()));
    manage(&server, "PATCH", &format!("/{id}"), Some(json!({ "enabled": true }))).await.expect_status(200);
    until(&server, &id, |hook| hook["status"] == "gone").await;
    server.bucket(Who::Service, "two", "public").await;
    let gone = until(&server, &id, |hook| hook["backlog"] == 2).await;
    assert_eq!((&gone["enabled"], receiver.messages().len()), (&json!(false), 2), "{gone}");
}

#[tokio::test]
async fn one_receiver_that_hangs_holds_no_other_up() {
    let server = Server::start_with(&[HERE, SOON]);
    // Takes connections and says nothing.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", deaf.local_addr().unwrap());
    let (id, _) = hook(&server, json!({ "url": url })).await;
    let receiver = Receiver::start().await;
    hook(&server, json!({ "url": receiver.url() })).await;
    server.bucket(Who::Service, "one", "public").await;
    receiver.until(|messages| messages.len() == 1).await;
    server.bucket(Who::Service, "two", "public").await;
    receiver.until(|messages| messages.len() == 2).await;
    let failed = until(&server, &id, |hook| hook["attempts"].as_u64() > Some(0)).await;
    assert_eq!(failed["last_error"], "no answer within 15 s");
}

#[tokio::test]
async fn a_receiver_that_speaks_no_tls_is_called_so() {
    let server = Server::start_with(&[HERE]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut hello = [0; 16_384];
            let _ = stream.read(&mut hello).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let (id, _) = hook(&server, json!({ "url": url, "enabled": false })).await;
    let tested = manage(&server, "POST", &format!("/{id}/test"), None).await.json();
    let error = tested["error"].as_str().unwrap_or_default();
    assert!(error.contains("there is no TLS there"), "{tested}");
}

#[tokio::test]
async fn what_is_not_kept_any_more_is_told_as_lost() {
    let settings = [HERE, SOON, ("AEROSTORE_EVENTS_MAX_KEPT", "2")];
    let server = Server::start_with(&settings);
    let receiver = Receiver::start().await;
    let (id, secret) = hook(&server, json!({ "url": receiver.url(), "enabled": false })).await;
    for name in ["one", "two", "three", "four"] {
        server.bucket(Who::Service, name, "public").await;
    }
    // Upkeep looks when it starts.
    let server = Server::start_in(server.stop(), &settings);
    for _ in 0..2000 {
        let mut stream = server.call(Who::Service, "GET", "/events?last_event_id=0").start().await;
        let mut told = String::new();
        while !told.contains("event: ") {
            told.push_str(&String::from_utf8_lossy(&stream.chunk().await.unwrap().unwrap()));
        }
        if told.contains("event: reset") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // The first attempt at telling it fails, and the next one tells it again.
    let attempts = AtomicUsize::new(0);
    receiver.answer(move |_, _| match attempts.fetch_add(1, Ordering::Relaxed) {
        0 => (500, String::new()),
        _ => (200, String::new()),
    });
    manage(&server, "PATCH", &format!("/{id}"), Some(json!({ "enabled": true }))).await.expect_status(200);
    let messages = receiver.until(|messages| messages.len() == 4).await;
    let kinds: Vec<_> = messages.iter().map(Message::kind).collect();
    let created = "storage.bucket.created";
    assert_eq!(kinds, ["storage.events.lost", "storage.events.lost", created, created]);
    assert_eq!(messages[0].id, messages[1].id);
    assert!(messages.iter().all(|message| message.is_signed_by(&secret)));
    assert_eq!(messages[0].json["data"], json!({ "after": 0, "resume_after": 2 }));
    assert_eq!(messages[3].json["data"]["bucket"], Value::from("four"));
}
