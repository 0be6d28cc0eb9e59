//! Who reads at length, and how many at once: looks at everything leave places to lists.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::errors::StorageError;
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looks_at_everything_leave_places_to_lists() {
    let dir = tempfile::tempdir().unwrap();
    let options = SqliteOptions { long_readers: 4, ..SqliteOptions::new(dir.path().join("test.db")) };
    let executor = Arc::new(SqliteExecutor::open(options).unwrap());
    let (begun, running) = mpsc::channel::<()>();
    let mut looks = Vec::new();
    for _ in 0..2 {
        let (executor, begun, (go, wait)) = (executor.clone(), begun.clone(), mpsc::channel::<()>());
        let look = async move {
            let looked = executor.scan_within_bounds("look", move |_| {
                begun.send(()).unwrap();
                wait.recv().unwrap();
                Ok(())
            });
            looked.await
        };
        looks.push((go, tokio::spawn(look)));
    }
    for _ in 0..2 {
        running.recv_timeout(Duration::from_secs(60)).unwrap();
    }
    // Further ones are told to come again.
    let refused = executor.scan_within_bounds("look", |_| Ok(())).await;
    assert!(matches!(refused, Err(StorageError::Overloaded { .. })), "{refused:?}");
    // Lists go on, two of them at once.
    let both = Arc::new(std::sync::Barrier::new(2));
    let list = || {
        let both = both.clone();
        executor.scan("list", move |_| {
            both.wait();
            Ok(())
        })
    };
    let lists = async { tokio::join!(list(), list()) };
    let (one, other) = tokio::time::timeout(Duration::from_secs(60), lists).await.unwrap();
    one.and(other).unwrap();
    for (go, look) in looks {
        go.send(()).unwrap();
        look.await.unwrap().unwrap();
    }
    executor.scan_within_bounds("look", |_| Ok(())).await.unwrap();
}
