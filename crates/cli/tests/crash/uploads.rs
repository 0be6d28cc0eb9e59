//! Resumable uploads that are under way when the server dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use base64::Engine;
use reqwest::{Client, Method, Response, StatusCode};

use crate::{Expectation, Random, Server, State, body};

/// A resumable upload on its way, and what is known of it.
#[derive(Clone)]
pub(crate) struct Upload {
    key: String,
    bytes: Vec<u8>,
    /// Below the API's base, once it is known.
    pub(crate) place: String,
    /// The offset that was answered last: never to be gone back behind.
    acknowledged: usize,
}

/// What one sender has: the upload that is on its way, and the objects that its uploads became.
#[derive(Clone, Default)]
pub(crate) struct Sent {
    pub(crate) upload: Option<Upload>,
    pub(crate) state: State,
}

/// A request of TUS, as the service role.
pub(crate) fn tus(
    client: &Client,
    server: &(String, String),
    method: &str,
    path: &str,
) -> reqwest::RequestBuilder {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let url = format!("{}/storage/v1{path}", server.0);
    client.request(method, url).bearer_auth(&server.1).header("tus-resumable", "1.0.0")
}

/// Where an upload is to become an object.
pub(crate) fn metadata(key: &str) -> String {
    let told = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!("bucketName {},objectName {}", told("crash"), told(key))
}

/// Where an upload that was made is, below the API's base.
pub(crate) fn place(answer: &Response) -> String {
    let location = answer.headers()["location"].to_str().unwrap();
    location.split_once("/storage/v1").unwrap().1.to_owned()
}

/// How far an upload is.
pub(crate) fn offset(answer: &Response) -> usize {
    answer.headers()["upload-offset"].to_str().unwrap().parse().unwrap()
}

/// Uploads its own keys by TUS, piece by piece, until the server is gone. Gives back what it knows.
pub(crate) async fn resume(
    server: Arc<(String, String)>,
    sender: u64,
    mut sent: Sent,
    seed: u64,
    counter: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
) -> Sent {
    let client = Client::new();
    let mut random = Random(seed | 1);
    while !stop.load(Ordering::Relaxed) {
        let Some(upload) = &mut sent.upload else {
            let key = format!("t{sender}/k{}", random.below(3));
            let bytes = body(&key, counter.fetch_add(1, Ordering::Relaxed), &mut random);
            let request = tus(&client, &server, "POST", "/upload/resumable")
                .header("upload-metadata", metadata(&key))
                .header("upload-length", bytes.len())
                .header("x-upsert", "true");
            let Ok(answer) = request.send().await else { return sent };
            assert_eq!(answer.status(), StatusCode::CREATED, "{:?}", answer.text().await);
            let place = place(&answer);
            sent.upload = Some(Upload { key, bytes, place, acknowledged: 0 });
            continue;
        };
        let from = upload.acknowledged;
        let size = [1, 5_000, 90_000, 400_000, 2_000_000][random.below(5) as usize];
        let to = (from + size).min(upload.bytes.len());
        if to == upload.bytes.len() {
            sent.state.entry(upload.key.clone()).or_default().under_way = Some(Some(upload.bytes.clone()));
        }
        let request = tus(&client, &server, "PATCH", &upload.place)
            .header("content-type", "application/offset+octet-stream")
            .header("upload-offset", from)
            .body(upload.bytes[from..to].to_vec());
        let Ok(answer) = request.send().await else { return sent };
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{:?}", answer.text().await);
        upload.acknowledged = to;
        if to == upload.bytes.len() {
            let acknowledged = Some(upload.bytes.clone());
            sent.state.insert(upload.key.clone(), Expectation { acknowledged, under_way: None });
            sent.upload = None;
        }
    }
    sent
}

/// Every offset that was answered is there; what came after it is there or not.
pub(crate) async fn verify_upload(server: &Server, sent: &mut Sent) {
    let Some(upload) = &mut sent.upload else { return };
    let to = (server.url.clone(), server.token.clone());
    let answer = tus(&Client::new(), &to, "HEAD", &upload.place).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{}", upload.key);
    let offset = offset(&answer);
    let (least, most) = (upload.acknowledged, upload.bytes.len());
    assert!((least..=most).contains(&offset), "{}: at {offset}, acknowledged {least}", upload.key);
    upload.acknowledged = offset;
    if offset == most && answer.headers().contains_key("tus-complete") {
        // It came, and nobody was told.
        let acknowledged = Some(upload.bytes.clone());
        sent.state.insert(upload.key.clone(), Expectation { acknowledged, under_way: None });
        sent.upload = None;
    }
}
