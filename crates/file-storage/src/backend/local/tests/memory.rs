//! However many read at once, what is held for them stays bounded.

use futures_util::{StreamExt, TryStreamExt};

use super::LocalPlace;
use crate::backend::conformance::{Place, bytes, get, put};

/// How many downloads stand still: more than there are buffers.
const WAITING: usize = 200;

#[tokio::test]
async fn downloads_that_wait_hold_little_and_get_everything() {
    let place = LocalPlace::new();
    let (backend, content) = (place.backend(), bytes(1_000_000, 1));
    let key = put(&*backend, &content).await;
    let mut waiting = Vec::new();
    for _ in 0..WAITING {
        let mut body = backend.read(&key, None).await.unwrap();
        let chunk = body.next().await.unwrap().unwrap();
        waiting.push((body, chunk));
    }
    let held: usize = waiting.iter().map(|(_, chunk)| chunk.len()).sum();
    assert!(held <= 40 << 20, "{WAITING} downloads hold {held} bytes");
    assert_eq!(get(&*backend, &key, None).await, content, "another one");
    for (body, first) in waiting {
        let rest: Vec<_> = body.try_collect().await.unwrap();
        assert!([vec![first], rest].concat().concat() == content, "one that waited");
    }
}
