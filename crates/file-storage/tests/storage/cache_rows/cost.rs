//! What a row costs, printed and not judged.

use std::time::Instant;

use file_storage::BucketPolicy;
use file_storage::file::PutMode;
use file_storage::storage::{CacheOptions, StorageOptions};
use futures_util::future::join_all;
use tempfile::TempDir;

use crate::support::{Fixture, keys, options, path, user};

/// `AEROSTORE_TEST_ENGINE=postgres` prints those of PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures and judges none (issue 6)"]
async fn what_rows_cost_from_memory_and_from_the_database() {
    let dir = TempDir::new().unwrap();
    let off = StorageOptions { cache: None, ..options(dir.path()) };
    let on = StorageOptions { cache: Some(CacheOptions::default()), ..off.clone() };
    let fixture = Fixture::open_with(dir, off.clone(), |backend| backend).await;
    let (storage, me) = (&fixture.storage, user(1));
    let at = fixture.bucket(&me, "large", BucketPolicy::Private).await;
    let places: Vec<_> = (0..1000).map(|number| path(&format!("folder/{number:06}"))).collect();
    for places in places.chunks(50) {
        join_all(places.iter().map(|place| fixture.put(&me, (&at, place), PutMode::Upsert, b"1"))).await;
    }
    for round in 0..3 {
        for (kept, options) in [("no", &off), ("a", &on)] {
            storage.reconfigure(options.clone(), keys());
            for clients in [1_usize, 64] {
                for (what, objects) in [("one object", 1), ("64 objects", 64)] {
                    let read = async |each: usize| {
                        let time = Instant::now();
                        let work = (0..clients).map(async |client| {
                            for number in 0..each {
                                let place = &places[(client + number) % objects];
                                drop(storage.download(&me, &at, place).await.unwrap());
                            }
                        });
                        join_all(work).await;
                        time.elapsed() / u32::try_from(each * clients).unwrap()
                    };
                    // Noted, and kept; connections are there.
                    read(200 / clients + 4).await;
                    let took = read(6400 / clients).await;
                    println!("round {round}, {clients} clients, {what}, {kept} cache: {took:?} a download");
                }
            }
        }
    }
}
