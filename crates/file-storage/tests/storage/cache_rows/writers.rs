//! Readers while there are writers, here and in another process.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use file_storage::BucketPolicy;
use file_storage::file::Sha256;
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use futures_util::future::join_all;

use super::scene::{LARGE, another, asked, keeps, put, set_policy, was_kept};
use crate::support::{Fixture, collect, path, service, user};

/// Writers here, readers here and in another process: none ever gets what is older than what was acknowledged before it asked, and
/// none finds its bytes gone, though what was overwritten is deleted all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_object_is_never_behind_what_was_acknowledged() {
    const WRITES: u32 = 150;
    let fixture = Arc::new(Fixture::new().await);
    let (there, executor) = another(&fixture).await;
    let me = user(1);
    let at = fixture.bucket(&me, "busy", BucketPolicy::Private).await;
    let upkeep =
        Upkeep::start(&fixture.storage, UpkeepOptions { interval: None, ..UpkeepOptions::default() });
    put(&fixture, &me, &at, "a", &bytes(0)).await;
    let numbers: Arc<HashMap<Sha256, u32>> =
        Arc::new((0..=WRITES).map(|number| (Sha256::of(&bytes(number)), number)).collect());
    let (acknowledged, seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    // In a process of their own, readers look, and hold no blobs that the deletion would know of.
    let reading = (0..12).map(|reader| {
        let (acknowledged, seen, at, me) = (acknowledged.clone(), seen.clone(), at.clone(), me.clone());
        let (here, there, numbers) = (fixture.storage.clone(), there.clone(), numbers.clone());
        tokio::spawn(async move {
            let mut from_memory = 0;
            loop {
                let least = acknowledged.load(Ordering::SeqCst);
                let own = path("a");
                let object = if reader % 2 == 0 {
                    let download = here.download(&me, &at, &own).await.unwrap();
                    let object = download.object().clone();
                    let found = collect(download.body(None).await.unwrap()).await.unwrap();
                    assert_eq!(object.checksum, Some(Sha256::of(&found)), "reader {reader}");
                    object
                } else {
                    there.info(&me, &at, &own).await.unwrap()
                };
                from_memory += u32::from(was_kept(&object, &own));
                let which = numbers[&object.checksum.unwrap()];
                assert!(which >= least, "reader {reader}: {which} after {least}");
                seen.fetch_add(1, Ordering::SeqCst);
                if least == WRITES {
                    return from_memory;
                }
                // On SQLite nothing else would let others run.
                tokio::task::yield_now().await;
            }
        })
    });
    let reading: Vec<_> = reading.collect();
    for number in 1..=WRITES {
        put(&fixture, &me, &at, "a", &bytes(number)).await;
        acknowledged.store(number, Ordering::SeqCst);
        // Now and then a pause, in which readers find what they left.
        if number % 10 == 0 && number < WRITES {
            let enough = seen.load(Ordering::SeqCst) + 48;
            while seen.load(Ordering::SeqCst) < enough {
                tokio::task::yield_now().await;
            }
        }
    }
    let from_memory: u32 = join_all(reading).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(from_memory > 0, keeps(&fixture), "{from_memory} came from memory");
    // What was set of the bucket is heard of as well, and policies where servers share them.
    set_policy(&fixture, &at, BucketPolicy::Public).await;
    for _ in 0..3 {
        asked((&there, &*executor), &user(2), &at, "a").await;
    }
    set_policy(&fixture, &at, BucketPolicy::Private).await;
    assert!(!asked((&there, &*executor), &user(2), &at, "a").await);
    if keeps(&fixture) {
        asked((&there, &*executor), &me, &at, "a").await;
        let hide = "CREATE POLICY hidden ON storage_objects AS RESTRICTIVE FOR SELECT TO authenticated USING (false)";
        fixture.storage.change_policies(&service(), hide).await.unwrap();
        assert!(!asked((&there, &*executor), &me, &at, "a").await);
        assert!(there.info(&me, &at, &path("a")).await.is_err());
    }
    upkeep.stop().await;
    there.close().await;
}

/// A body that says which one it is, and is a blob.
fn bytes(number: u32) -> Vec<u8> {
    [&number.to_be_bytes()[..], LARGE].concat()
}
