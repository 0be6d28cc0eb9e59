//! Batches of files that are under way when the server dies: each is there wholly, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::{Random, Server};

/// Files of each batch: those in the database, and those on the disk.
const FILES: usize = 20;

/// What one sender has: the number of the batch that was acknowledged last, and of the one that was under way.
#[derive(Clone, Default)]
pub(crate) struct Batched {
    acknowledged: Option<u64>,
    under_way: Option<u64>,
    pub(crate) seen: Seen,
}

/// What happened to a sender's batches so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) acknowledged: u64,
    /// Those that a kill met, and those of them that are there all the same.
    met: u64,
    came: u64,
}

/// Where a batch's file goes, below the bucket.
pub(crate) fn key(sender: u64, file: usize) -> String {
    format!("b{sender}/{file:02}")
}

/// What a file holds by a batch of this number.
fn content(sender: u64, file: usize, number: u64) -> Vec<u8> {
    let size = if file.is_multiple_of(10) { 40_000 } else { 500 };
    let text = format!("{} of batch {number:08};", key(sender, file));
    text.into_bytes().into_iter().cycle().take(size).collect()
}

/// The form of a whole batch.
fn form(sender: u64, number: u64) -> Vec<u8> {
    let mut body = Vec::new();
    let field = |name: &str, value: &str| {
        format!("--XB\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
    };
    body.extend(field("bucket", "crash"));
    body.extend(field("upsert", "true"));
    for file in 0..FILES {
        let filename = key(sender, file);
        let head = "--XB\r\nContent-Disposition: form-data; name=\"file\"";
        body.extend(format!("{head}; filename=\"{filename}\"\r\n\r\n").into_bytes());
        body.extend(content(sender, file, number));
        body.extend(b"\r\n");
    }
    body.extend(b"--XB--\r\n");
    body
}

/// Overwrites its own files, all of them in each batch, until the server is gone. Gives back what it knows.
pub(crate) async fn send(
    server: Arc<(String, String)>,
    sender: u64,
    mut batched: Batched,
    seed: u64,
    counter: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Batched {
    let client = Client::new();
    let mut random = Random(seed | 1);
    while !stop.load(Ordering::Relaxed) {
        let number = counter.fetch_add(1, Ordering::Relaxed);
        batched.under_way = Some(number);
        // Cut off now and then: of such a one nothing is ever there.
        let mut body = form(sender, number);
        let is_whole = random.below(5) > 0;
        if !is_whole {
            body.truncate(body.len() - 30_000);
        }
        let request = client
            .post(format!("{}/api/v1/storage/files/batch", server.0))
            .bearer_auth(&server.1)
            .header("content-type", "multipart/form-data; boundary=XB")
            .body(body);
        let Ok(answer) = request.send().await else { return batched };
        let status = answer.status();
        let Ok(said) = answer.text().await else { return batched };
        if !is_whole {
            assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
            batched.under_way = None;
            continue;
        }
        assert_eq!(status, StatusCode::OK, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["success_count"], FILES, "{said}");
        (batched.acknowledged, batched.under_way) = (Some(number), None);
        batched.seen.acknowledged += 1;
    }
    batched
}

/// All files are of one batch: the acknowledged one, or the one that was under way.
pub(crate) async fn verify(server: &Server, sender: u64, batched: &mut Batched) {
    let (client, mut found) = (Client::new(), Vec::new());
    for file in 0..FILES {
        let path = format!("{}/storage/v1/object/crash/{}", server.url, key(sender, file));
        let answer = client.get(&path).bearer_auth(&server.token).send().await.unwrap();
        found.push(match answer.status() {
            StatusCode::OK => Some(answer.bytes().await.unwrap().to_vec()),
            StatusCode::NOT_FOUND => None,
            status => panic!("{path}: {status}"),
        });
    }
    let is_of = |number: Option<u64>| {
        let wanted = |file| number.map(|number| content(sender, file, number));
        found.iter().enumerate().all(|(file, found)| *found == wanted(file))
    };
    let allowed = [Some(batched.acknowledged), batched.under_way.map(Some)];
    let there = allowed.into_iter().flatten().find(|number| is_of(*number));
    let Some(acknowledged) = there else {
        let heads = found.iter().map(|bytes| {
            let bytes = bytes.as_deref().unwrap_or_default();
            String::from_utf8_lossy(&bytes[..bytes.len().min(24)]).into_owned()
        });
        panic!(
            "acknowledged {:?}, under way {:?}, found {:#?}",
            batched.acknowledged,
            batched.under_way,
            heads.collect::<Vec<_>>()
        );
    };
    if batched.under_way.take().is_some() {
        batched.seen.met += 1;
        batched.seen.came += u64::from(acknowledged != batched.acknowledged);
    }
    batched.acknowledged = acknowledged;
}

/// The files of all senders.
pub(crate) fn keys(senders: u64) -> impl Iterator<Item = String> {
    (0..senders).flat_map(|sender| (0..FILES).map(move |file| key(sender, file)))
}
