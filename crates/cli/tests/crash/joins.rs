//! Uploads in parts that are joined while the server dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::{Client, RequestBuilder, StatusCode};

use crate::uploads::{metadata, offset, place, tus};
use crate::{Expectation, Random, Server, State, body, verify};

/// One part of what is to be joined.
#[derive(Clone)]
struct Part {
    bytes: Vec<u8>,
    place: String,
    acknowledged: usize,
}

/// Parts on their way to be one object.
#[derive(Clone)]
struct Join {
    key: String,
    bytes: Vec<u8>,
    /// Those that the server has, in their order.
    parts: Vec<Part>,
    /// What the others hold, the last one first.
    missing: Vec<Vec<u8>>,
}

/// What one joiner has: the parts that are on their way, and the objects that others became.
#[derive(Clone, Default)]
pub(crate) struct Joined {
    join: Option<Join>,
    pub(crate) state: State,
}

/// Uploads its own keys in parts and joins them, until the server is gone. Gives back what it knows.
pub(crate) async fn join(
    server: Arc<(String, String)>,
    joiner: u64,
    mut joined: Joined,
    seed: u64,
    counter: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Joined {
    let client = Client::new();
    let mut random = Random(seed | 1);
    while !stop.load(Ordering::Relaxed) {
        let join = joined.join.get_or_insert_with(|| begin(joiner, &counter, &mut random));
        if !send(&client, &server, join).await {
            return joined;
        }
        let expectation = joined.state.entry(join.key.clone()).or_default();
        expectation.under_way = Some(Some(join.bytes.clone()));
        let Ok(answer) = finish(&client, &server, join).send().await else { return joined };
        assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
        *expectation = Expectation { acknowledged: Some(join.bytes.clone()), under_way: None };
        joined.join = None;
    }
    joined
}

fn begin(joiner: u64, counter: &AtomicU64, random: &mut Random) -> Join {
    let key = format!("j{joiner}/k{}", random.below(2));
    let bytes = body(&key, counter.fetch_add(1, Ordering::Relaxed), random);
    let size = bytes.len().div_ceil(1 + random.below(3) as usize);
    let mut missing: Vec<_> = bytes.chunks(size).map(<[u8]>::to_vec).collect();
    missing.reverse();
    Join { key, bytes, parts: Vec::new(), missing }
}

/// Sends what the parts lack; whether all of it came.
async fn send(client: &Client, server: &(String, String), join: &mut Join) -> bool {
    loop {
        for part in join.parts.iter_mut().filter(|part| part.acknowledged < part.bytes.len()) {
            let request = tus(client, server, "PATCH", &part.place)
                .header("content-type", "application/offset+octet-stream")
                .header("upload-offset", part.acknowledged)
                .body(part.bytes[part.acknowledged..].to_vec());
            let Ok(answer) = request.send().await else { return false };
            assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{:?}", answer.text().await);
            part.acknowledged = part.bytes.len();
        }
        let Some(bytes) = join.missing.last() else { return true };
        let request = tus(client, server, "POST", "/upload/resumable")
            .header("upload-metadata", metadata(&join.key))
            .header("upload-length", bytes.len())
            .header("upload-concat", "partial")
            .header("x-upsert", "true");
        let Ok(answer) = request.send().await else { return false };
        assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
        let bytes = join.missing.pop().unwrap();
        join.parts.push(Part { bytes, place: place(&answer), acknowledged: 0 });
    }
}

/// Asks for all parts to be one object.
fn finish(client: &Client, server: &(String, String), join: &Join) -> RequestBuilder {
    let parts: Vec<_> =
        join.parts.iter().map(|part| format!("{}/storage/v1{}", server.0, part.place)).collect();
    tus(client, server, "POST", "/upload/resumable")
        .header("upload-metadata", metadata(&join.key))
        .header("upload-concat", format!("final;{}", parts.join(" ")))
        .header("x-upsert", "true")
}

/// The object is the old one or the joined one; while it is the old one, no byte of a part that was acknowledged is lost,
/// and the parts can still be joined. When it is the joined one, there are no parts any more.
pub(crate) async fn verify_joined(server: &Server, joined: &mut Joined) {
    verify(server, &mut joined.state).await;
    let Some(mut join) = joined.join.take() else { return };
    let (client, to) = (Client::new(), (server.url.clone(), server.token.clone()));
    let expectation = joined.state.entry(join.key.clone()).or_default();
    let is_joined = expectation.acknowledged.as_ref() == Some(&join.bytes);
    for part in &mut join.parts {
        let answer = tus(&client, &to, "HEAD", &part.place).send().await.unwrap();
        let expected = if is_joined { StatusCode::NOT_FOUND } else { StatusCode::OK };
        assert_eq!(answer.status(), expected, "{}: {} of it", join.key, part.place);
        if !is_joined {
            let at = offset(&answer);
            let (least, most) = (part.acknowledged, part.bytes.len());
            assert!((least..=most).contains(&at), "{}: at {at}, acknowledged {least}", join.key);
            part.acknowledged = at;
        }
    }
    if is_joined {
        return;
    }
    assert!(send(&client, &to, &mut join).await, "{}", join.key);
    let answer = finish(&client, &to, &join).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
    *expectation = Expectation { acknowledged: None, under_way: Some(Some(join.bytes)) };
    // It is there in full, and nothing else.
    verify(server, &mut joined.state).await;
}
