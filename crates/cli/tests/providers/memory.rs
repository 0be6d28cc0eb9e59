//! A large file through each provider: whole, and in flat memory. 200 MB by default; `AEROSTORE_LARGE=5GB` for what is measured.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use futures_util::stream;
use server::config::{ByteSize, RawValue, Setting};

use crate::cloud::Cloud;
use crate::support::{OWNER, Server, Who};

const ME: Who = Who::User(OWNER);

/// Bytes of a piece that the client sends.
const PIECE: u64 = 256 << 10;

/// What a server may have more after a large file than after one of a hundredth of it: what an allocator does, and no leak.
const SLACK: u64 = 48 << 20;

fn volume() -> u64 {
    let asked = std::env::var("AEROSTORE_LARGE").unwrap_or_else(|_| "200MB".to_owned());
    ByteSize::parse(&RawValue::One(asked)).unwrap().0
}

/// The piece at an offset: no two are alike, so that one in the wrong place shows.
fn piece(offset: u64, size: u64) -> Bytes {
    let length = usize::try_from((size - offset).min(PIECE)).unwrap();
    Bytes::from_iter(offset.to_le_bytes().into_iter().cycle().take(length))
}

fn offsets(size: u64) -> impl Iterator<Item = u64> + Send + Sync + 'static {
    (0..size).step_by(usize::try_from(PIECE).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_azure_in_flat_memory() {
    flat(&Cloud::azurite().serve()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_google_in_flat_memory() {
    flat(&Cloud::gcs().await.serve()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_aerostore_in_flat_memory() {
    let store = Server::start();
    store.bucket(Who::Service, "aerostore", "private").await;
    flat(&Cloud::aerostore(&store).serve()).await;
}

async fn flat(server: &Server) {
    server.bucket(ME, "box", "private").await;
    up_and_down(server, volume() / 100).await;
    let small = server.most_memory();
    up_and_down(server, volume()).await;
    let large = server.most_memory();
    eprintln!("{} MiB at most by {} bytes, {} MiB before", large >> 20, volume(), small >> 20);
    assert!(large < small + SLACK, "{large} bytes of memory at the peak, {small} before");
}

async fn up_and_down(server: &Server, size: u64) {
    let body = stream::iter(offsets(size).map(move |offset| Ok::<_, std::io::Error>(piece(offset, size))));
    let call = server.call(ME, "PUT", "/object/box/large").header("content-length", &size.to_string());
    call.streamed(reqwest::Body::wrap_stream(body)).send().await.expect_status(200);
    let mut expected = Context::new(&SHA256);
    offsets(size).for_each(|offset| expected.update(&piece(offset, size)));

    let mut answer = server.call(ME, "GET", "/object/box/large").start().await;
    assert_eq!(answer.status(), 200);
    let mut received = Context::new(&SHA256);
    while let Some(bytes) = answer.chunk().await.unwrap() {
        received.update(&bytes);
    }
    assert_eq!(received.finish().as_ref(), expected.finish().as_ref(), "what came back is not what was sent");
}
