//! `aerostore webhook`: receivers of events, as an operator makes, changes, tries out and deletes them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use serde_json::Value;

use super::{for_operators_alone, row};
use crate::json;
use crate::server::Server;

/// Longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who is told: takes each message, and answers with a status that a test sets.
struct Receiver {
    url: String,
    answers: Arc<AtomicU16>,
    messages: mpsc::Receiver<Value>,
}

impl Receiver {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let answers = Arc::new(AtomicU16::new(200));
        let (sender, messages) = mpsc::channel();
        let status = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut length = 0;
                for line in stream.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty())
                {
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = value.parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let answer = format!(
                    "HTTP/1.1 {} So\r\nconnection: close\r\ncontent-length: 6\r\n\r\nthanks",
                    status.load(Ordering::SeqCst)
                );
                let _ = stream.get_mut().write_all(answer.as_bytes());
                let _ = sender.send(serde_json::from_slice(&body).unwrap());
            }
        });
        Self { url, answers, messages }
    }

    /// The next message.
    fn next(&self) -> Value {
        self.messages.recv_timeout(PATIENCE).expect("a message comes")
    }
}

/// A server that may send to this machine.
fn server() -> Server {
    Server::start_with(&[("AEROSTORE_WEBHOOKS_ALLOW_PRIVATE_NETWORKS", "127.0.0.0/8")])
}

/// What is said of a webhook that was made or has another secret: its id, and that secret.
fn with_secret(said: &str) -> (String, String) {
    assert!(said.ends_with("The secret is shown this once.\n"), "{said}");
    let word = |start: &str| row(said, start).rsplit(' ').next().unwrap().to_owned();
    (word("webhook"), word("secret"))
}

#[test]
fn a_webhook_is_made_changed_tried_out_and_deleted() {
    let (server, receiver) = (server(), Receiver::start());
    let run = |words: &[&str]| server.run(&[&["webhook"], words].concat());
    for bucket in ["one", "two"] {
        server.run(&["bucket", "create", bucket]).ok();
    }
    let narrow = ["--event", "storage.object.created", "--bucket", "one", "--prefix", "in/"];
    let (id, secret) = with_secret(&run(&[&["create", &receiver.url], &narrow[..]].concat()).ok());
    assert!(secret.starts_with("whsec_"), "{secret}");
    let listed = run(&["list"]).ok();
    assert!(
        row(&listed, &id).starts_with(&format!("{id} active ")) && listed.contains(&receiver.url),
        "{listed}"
    );
    assert!(!listed.contains(&secret) && !run(&["show", &id, "--json"]).ok().contains(&secret));
    let shown = run(&["show", &id]).ok();
    for line in ["events storage.object.created", "bucket one", "prefix in/", "status active"] {
        assert_eq!(row(&shown, line), line, "{shown}");
    }

    // It is told of what it is about.
    for place in ["two/in/a", "one/out", "one/in/a"] {
        server.pipe(b"1", &["cp", "-", &format!("aero://{place}")]).ok();
    }
    let message = receiver.next();
    assert_eq!((&message["data"]["bucket"], &message["data"]["path"]), (&"one".into(), &"in/a".into()));

    // Tried out, and by whom it is not taken.
    let tested = run(&["test", &id]).ok();
    assert!(
        tested.starts_with("the receiver answered 200 within ") && tested.ends_with("thanks\n"),
        "{tested}"
    );
    assert_eq!(receiver.next()["type"], "storage.test");
    receiver.answers.store(500, Ordering::SeqCst);
    run(&["test", &id]).fails(1, "did not take");
    let tested = run(&["test", &id, "--json"]);
    assert_eq!((tested.code, &json(&tested.out)["status"]), (1, &500.into()), "{tested:?}");
    receiver.answers.store(200, Ordering::SeqCst);
    for _ in 0..2 {
        assert_eq!(receiver.next()["type"], "storage.test");
    }

    // Told of less, then of everything; to another place; not at all.
    let set = |more: &[&str]| json(&run(&[&["set", &id, "--json"], more].concat()).ok());
    let other = Receiver::start();
    let wide = set(&["--all-events", "--all-buckets", "--prefix", "", "--receiver", &other.url]);
    assert_eq!((&wide["bucket"], &wide["url"]), (&Value::Null, &other.url.as_str().into()), "{wide}");
    server.run(&["rm", "two/in/a"]).ok();
    assert_eq!(other.next()["type"], "storage.object.deleted");
    assert_eq!(set(&["--disable"])["status"], "disabled");
    server.run(&["rm", "one/out"]).ok();
    assert_eq!(set(&["--event", "storage.object.deleted"])["backlog"], 1, "it waits");
    assert!(run(&["set", &id, "--enable"]).ok().contains("active"));
    assert_eq!(other.next()["data"]["path"], "out");

    let (same, rotated) = with_secret(&run(&["rotate", &id]).ok());
    assert!(same == id && rotated != secret && rotated.starts_with("whsec_"), "{rotated}");
    assert!(run(&["show", &id]).ok().contains("previous secret until"));
    run(&["delete", &id]).fails(2, "--yes");
    assert_eq!(run(&["delete", &id, "--yes"]).ok(), format!("{id} is deleted\n"));
    assert_eq!(json(&run(&["list", "--json"]).ok()), Value::Array(Vec::new()));
    for action in ["show", "rotate", "test"] {
        run(&[action, &id]).fails(3, "WEBHOOK_NOT_FOUND");
    }
    run(&["rm", &id, "--yes"]).fails(3, "WEBHOOK_NOT_FOUND");
}

#[test]
fn a_webhook_begins_where_it_is_told_and_when() {
    let (server, receiver) = (server(), Receiver::start());
    server.run(&["bucket", "create", "before"]).ok();
    let made =
        json(&server.run(&["webhook", "create", &receiver.url, "--from", "0", "--disabled", "--json"]).ok());
    assert_eq!((&made["status"], &made["backlog"]), (&"disabled".into(), &1.into()), "{made}");
    server.run(&["webhook", "set", made["id"].as_str().unwrap(), "--enable"]).ok();
    assert_eq!(receiver.next()["data"]["bucket"], "before");
}

#[test]
fn webhooks_are_an_operators_and_go_where_they_may() {
    let (server, receiver) = (server(), Receiver::start());
    let made = json(&server.run(&["webhook", "create", &receiver.url, "--json"]).ok());
    let id = made["id"].as_str().unwrap();
    server.run(&["webhook", "set", id]).fails(2, "say what is to change");
    server.run(&["webhook", "set", id, "--enable", "--disable"]).fails(2, "cannot be used with");
    server.run(&["webhook", "create", &receiver.url, "--event", "odd"]).fails(1, "INVALID_REQUEST");
    server.run(&["webhook", "create", "not an address"]).fails(1, "INVALID_REQUEST");
    for asked in [
        &["webhook", "list"][..],
        &["webhook", "create", &receiver.url],
        &["webhook", "show", id],
        &["webhook", "set", id, "--disable"],
        &["webhook", "rotate", id],
        &["webhook", "test", id],
        &["webhook", "delete", id, "--yes"],
    ] {
        for_operators_alone(&server, asked);
    }
    let left = json(&server.run(&["webhook", "list", "--json"]).ok());
    assert_eq!((left.as_array().unwrap().len(), &left[0]["status"]), (1, &"active".into()), "{left}");
    assert!(receiver.messages.try_recv().is_err(), "nobody sent anything");
}
