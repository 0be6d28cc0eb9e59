//! Figures of the local disk: `cargo test --release -p aerostore-file-storage local_disk_figures -- --ignored --nocapture`.
//!
//! `AEROSTORE_BENCH_DIR` says on which file system; a fresh one, please: on an ext4 without a journal, creating
//! files is slow for minutes after many were deleted.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use futures_util::StreamExt;

use crate::backend::StorageBackend;
use crate::backend::conformance::{bytes, chunked, key, put};
use crate::backend::local::{LocalBackend, LocalOptions};

#[test]
#[ignore = "prints figures and judges none, on a disk of its own (issue 2)"]
fn local_disk_figures() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let root = std::env::var_os("AEROSTORE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let backend = LocalBackend::open(LocalOptions::new(root.join("bench"))).unwrap();
    println!("{:28} {:>10} {:>10} {:>10}", "work", "ops/s", "MB/s", "CPU ms/op");
    for (name, size, tasks) in
        [("128 KiB × 16", 131_072, 16), ("1 MiB × 16", 1_048_576, 16), ("100 MB × 1", 100_000_000, 1)]
    {
        let (backend, content) = (backend.clone(), bytes(size, 1));
        let writer = backend.clone();
        figure(&runtime, &format!("write {name}"), size, tasks, move || {
            let backend = writer.clone();
            let content = content.clone();
            async move {
                let key = key();
                backend.write(&key, chunked(&content, 65_536), Some(content.len() as u64)).await.unwrap();
                backend.settle(&key, true).await;
            }
        });
        runtime.block_on(backend.drain());
    }
    for (name, size, tasks) in [
        ("4 KiB × 1", 4096, 1),
        ("128 KiB × 1", 131_072, 1),
        ("1 MiB × 1", 1_048_576, 1),
        ("1 MiB × 16", 1_048_576, 16),
        ("100 MB × 1", 100_000_000, 1),
    ] {
        let key = runtime.block_on(put(&backend, &bytes(size, 1)));
        let backend = backend.clone();
        figure(&runtime, &format!("read {name}, cached"), size, tasks, move || {
            let (backend, key) = (backend.clone(), key.clone());
            async move {
                let mut read = backend.read(&key, None).await.unwrap();
                let mut seen = 0;
                while let Some(chunk) = read.next().await {
                    seen += chunk.unwrap().len();
                }
                assert_eq!(seen, size);
            }
        });
    }
}

/// Runs one kind of work for a while, in so many tasks, and prints what came of it.
fn figure<F: Future<Output = ()> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    name: &str,
    size: usize,
    tasks: usize,
    work: impl Fn() -> F + Clone + Send + Sync + 'static,
) {
    let (time, done) = (Duration::from_secs(2), Arc::new(AtomicU64::new(0)));
    let (cpu, start) = (cpu_ms(), Instant::now());
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let (work, done) = (work.clone(), done.clone());
            runtime.spawn(async move {
                while start.elapsed() < time {
                    work().await;
                    done.fetch_add(1, Relaxed);
                }
            })
        })
        .collect();
    runtime.block_on(futures_util::future::try_join_all(tasks)).unwrap();
    let (seconds, ops) = (start.elapsed().as_secs_f64(), done.load(Relaxed) as f64);
    let cpu = (cpu_ms() - cpu) / ops;
    println!("{name:28} {:>10.1} {:>10.0} {cpu:>10.3}", ops / seconds, ops * size as f64 / seconds / 1e6);
}

/// Processor time of this process so far, by `/proc` in ticks of 10 ms.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = [11, 12].into_iter().map(|field: usize| fields[field].parse::<f64>().unwrap()).sum();
    ticks * 10.0
}
