//! Events over server-sent events: complete, in order, and no more than rows show.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Call, OTHER, OWNER, Server, Who};

/// Nothing takes as long, on the slowest machine.
const LONG: Duration = Duration::from_secs(60);

/// What a stream says at a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    id: String,
    event: String,
    pub(crate) data: Value,
}

/// A stream, read as a browser would.
pub(crate) struct Stream {
    answer: reqwest::Response,
    buffer: String,
    last_id: String,
}

impl Stream {
    async fn open(call: Call) -> Self {
        let answer = call.start().await;
        assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Self { answer, buffer: String::new(), last_id: String::new() }
    }

    pub(crate) async fn of(server: &Server, who: Who, query: &str) -> Self {
        let mut stream = Self::open(server.call(who, "GET", &format!("/events{query}"))).await;
        // It stands where it stands once it says so.
        while stream.last_id.is_empty() {
            assert!(stream.more().await);
            stream.take_block();
        }
        stream
    }

    async fn more(&mut self) -> bool {
        let chunk = tokio::time::timeout(LONG, self.answer.chunk()).await.expect("the stream says nothing");
        match chunk {
            Ok(Some(bytes)) => {
                self.buffer.push_str(std::str::from_utf8(&bytes).unwrap());
                true
            }
            Ok(None) | Err(_) => false,
        }
    }

    /// One block, as far as a whole one is there; with data, a message.
    fn take_block(&mut self) -> Option<Option<Message>> {
        let (block, rest) = self.buffer.split_once("\n\n")?;
        let mut message = Message { id: self.last_id.clone(), ..Message::default() };
        let mut has_data = false;
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => message.id = id.to_owned(),
                Some(("event", event)) => message.event = event.to_owned(),
                Some(("data", data)) => {
                    message.data = serde_json::from_str(data).unwrap();
                    has_data = true;
                }
                _ => {}
            }
        }
        self.buffer = rest.to_owned();
        self.last_id.clone_from(&message.id);
        Some(has_data.then_some(message))
    }

    /// The next message; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            match self.take_block() {
                Some(Some(message)) => return Some(message),
                Some(None) => {}
                None if !self.more().await => return None,
                None => {}
            }
        }
    }

    /// Kinds and paths up to the event of the object `last`.
    async fn up_to(&mut self, last: &str) -> Vec<(String, String)> {
        let mut told = Vec::new();
        while let Some(message) = self.next().await {
            let path = message.data["path"].as_str().unwrap_or("-").to_owned();
            let kind = message.event.trim_start_matches("storage.").to_owned();
            assert_eq!(message.data["kind"], message.event);
            if path == last {
                return told;
            }
            told.push((kind, path));
        }
        panic!("the stream ended before {last}: {told:?}");
    }
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    wanted.iter().map(|(kind, path)| (kind.to_string(), path.to_string())).collect()
}

#[tokio::test]
async fn events_come_as_they_happen_to_those_who_see_what_they_are_about() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "private", "private").await;
    server.bucket(Who::User(OWNER), "public", "public").await;
    let mut owner = Stream::of(&server, Who::User(OWNER), "").await;
    let mut other = Stream::of(&server, Who::User(OTHER), "").await;
    let mut anon = Stream::of(&server, Who::Anon, "").await;
    let mut service = Stream::of(&server, Who::Service, "").await;
    let mut narrow =
        Stream::of(&server, Who::User(OWNER), "?bucket=private&prefix=a%2F&type=storage.object.created")
            .await;
    for (bucket, path) in [("private", "a/1"), ("private", "b/1"), ("public", "a/1")] {
        server.put(Who::User(OWNER), &format!("{bucket}/{path}"), "1").await;
    }
    server.put(Who::User(OWNER), "private/a/1", "22").await;
    server.call(Who::User(OWNER), "DELETE", "/object/private/b/1").send().await.expect_status(204);
    let moved = json!({ "bucketId": "private", "sourceKey": "a/1", "destinationKey": "a/2" });
    server.call(Who::User(OWNER), "POST", "/object/move").json(&moved).send().await.expect_status(200);
    server.put(Who::User(OWNER), "public/end", "1").await;
    server.put(Who::User(OWNER), "private/a/end", "1").await;

    let all = pairs(&[
        ("object.created", "a/1"),
        ("object.created", "b/1"),
        ("object.created", "a/1"),
        ("object.updated", "a/1"),
        ("object.deleted", "b/1"),
        ("object.moved", "a/2"),
    ]);
    assert_eq!(owner.up_to("end").await, all);
    assert_eq!(service.up_to("end").await, all);
    for stream in [&mut other, &mut anon] {
        assert_eq!(stream.up_to("end").await, pairs(&[("object.created", "a/1")]));
    }
    assert_eq!(narrow.up_to("a/end").await, pairs(&[("object.created", "a/1")]));
}

#[tokio::test]
async fn a_stream_resumes_after_the_last_id_and_says_what_it_missed() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "photos", "private").await;
    let mut stream = Stream::of(&server, Who::User(OWNER), "").await;
    server.put(Who::User(OWNER), "photos/first", "1").await;
    let first = stream.next().await.unwrap();
    drop(stream);
    server.put(Who::User(OWNER), "photos/second", "1").await;
    server.put(Who::User(OWNER), "photos/end", "1").await;
    let resumed = server.call(Who::User(OWNER), "GET", "/events?last_event_id=0");
    let second = pairs(&[("object.created", "second")]);
    let mut by_header = Stream::open(resumed.header("last-event-id", &first.id)).await;
    assert_eq!(by_header.up_to("end").await, second, "the header counts");
    let mut by_query = Stream::of(&server, Who::User(OWNER), &format!("?last_event_id={}", first.id)).await;
    assert_eq!(by_query.up_to("end").await, second);
    let mut from_the_start = Stream::of(&server, Who::User(OWNER), "?last_event_id=0").await;
    assert_eq!(from_the_start.up_to("first").await, pairs(&[("bucket.created", "-")]));
    // One that no event ever had.
    let mut lost = Stream::of(&server, Who::User(OWNER), "?last_event_id=999999").await;
    let reset = lost.next().await.unwrap();
    assert_eq!((reset.event.as_str(), reset.data["resume_after"].to_string()), ("reset", reset.id.clone()));
    server.put(Who::User(OWNER), "photos/after", "1").await;
    assert!(lost.up_to("after").await.is_empty());
    for bad in ["?last_event_id=x", "?type=storage.object.gone", "?bucket=..%2F"] {
        let reply = server.call(Who::User(OWNER), "GET", &format!("/events{bad}")).send().await;
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
    let bad = server.call(Who::Anon, "GET", "/events").bearer("no.good.token").send().await;
    bad.expect_error(401, "INVALID_TOKEN");
}

/// What retention took is told of.
#[tokio::test]
async fn what_is_not_kept_any_more_is_a_reset() {
    let server = Server::start_with(&[("AEROSTORE_EVENTS_MAX_KEPT", "2")]);
    server.bucket(Who::User(OWNER), "photos", "private").await;
    for at in ["a", "b", "c"] {
        server.put(Who::User(OWNER), &format!("photos/{at}"), "1").await;
    }
    // Upkeep looks when it starts.
    let server = Server::start_in(server.stop(), &[("AEROSTORE_EVENTS_MAX_KEPT", "2")]);
    for _ in 0..1000 {
        let mut stream = Stream::of(&server, Who::User(OWNER), "?last_event_id=1").await;
        let first = stream.next().await.unwrap();
        if first.event == "reset" {
            assert_eq!(first.id, "2");
            assert_eq!(stream.up_to("c").await, pairs(&[("object.created", "b")]));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("old events are never deleted");
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_token_and_server() {
    let limits = [("AEROSTORE_EVENTS_PER_CALLER", "2"), ("AEROSTORE_EVENTS_MAX_SUBSCRIBERS", "3")];
    let server = Server::start_with(&limits);
    let first = Stream::of(&server, Who::User(OWNER), "").await;
    let _second = Stream::of(&server, Who::User(OWNER), "").await;
    let third = server.call(Who::User(OWNER), "GET", "/events").send().await;
    assert!(!third.header("retry-after").is_empty());
    third.expect_error(429, "RATE_LIMITED");
    let other = Stream::of(&server, Who::User(OTHER), "").await;
    server.call(Who::User(OTHER), "GET", "/events").send().await.expect_error(503, "OVERLOADED");
    assert_eq!(server.figure("storage_event_subscribers").await, Some(3.0));
    drop((first, other));
    server.until_figure("storage_event_subscribers", |streams| streams == 1.0).await;

    let exp = chrono::Utc::now().timestamp() + 2;
    let token = server.mint(&json!({ "sub": OTHER, "role": "authenticated", "exp": exp }));
    let mut short = loop {
        // The place of the one before is free when the server has noticed.
        let answer = server.request(Who::Anon, "GET", "/storage/v1/events").bearer(&token).start().await;
        if answer.status() == 200 {
            break Stream { answer, buffer: String::new(), last_id: String::new() };
        }
    };
    assert!(short.next().await.is_none(), "it ends with its token");
    let mut last = Stream::of(&server, Who::User(OTHER), "").await;
    let ended = tokio::spawn(async move { last.next().await.is_none() });
    tokio::task::spawn_blocking(move || server.terminate()).await.unwrap();
    assert!(ended.await.unwrap(), "it ends with the server");
}

/// Loses its connection a hundred times while eight writers write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_lost_connections_lose_no_event_and_show_no_hidden_one() {
    const WRITERS: usize = 8;
    const WRITES: usize = 40;
    let server = Server::start();
    server.bucket(Who::Service, "shared", "private").await;
    server.bucket(Who::User(OTHER), "closed", "private").await;
    let begin = Stream::of(&server, Who::User(OWNER), "").await;
    let mut last = begin.last_id.clone();
    drop(begin);
    let write = async {
        let writers = (0..WRITERS).map(|writer| {
            let server = &server;
            async move {
                for write in 0..WRITES {
                    // Half of them are somebody else's.
                    server.put(Who::User(OWNER), &format!("shared/own-{writer}"), vec![0; write]).await;
                    server.put(Who::User(OTHER), &format!("shared/hidden-{writer}"), vec![0; write]).await;
                    server.put(Who::User(OTHER), &format!("closed/hidden-{writer}"), vec![0; write]).await;
                }
            }
        });
        join_all(writers).await;
        server.put(Who::User(OWNER), "shared/end", "1").await;
    };
    let read = async {
        let (mut ids, mut sizes, mut lost, mut is_over) = (HashSet::new(), HashMap::new(), 0, false);
        while !is_over || lost < 100 {
            let resumed = server.call(Who::User(OWNER), "GET", "/events").header("last-event-id", &last);
            let mut stream = Stream::open(resumed).await;
            // More and more, and sometimes not one.
            for _ in 0..lost % 7 {
                if is_over {
                    break;
                }
                let Some(message) = stream.next().await else { break };
                let data = &message.data;
                let path = data["path"].as_str().unwrap().to_owned();
                assert!(path.starts_with("own-") || path == "end", "{path} is hidden");
                assert_eq!(data["bucket"], "shared");
                if ids.insert(data["id"].to_string()) {
                    let sizes: &mut Vec<u64> = sizes.entry(path.clone()).or_default();
                    sizes.push(data["payload"]["size"].as_u64().unwrap());
                }
                last = message.id;
                is_over |= path == "end";
            }
            lost += 1;
        }
        sizes
    };
    let ((), sizes) = tokio::join!(write, read);
    assert_eq!(sizes.len(), WRITERS + 1);
    for writer in 0..WRITERS {
        let wanted: Vec<u64> = (0..WRITES as u64).collect();
        assert_eq!(sizes[&format!("own-{writer}")], wanted, "all of them, in order: {writer}");
    }
}
