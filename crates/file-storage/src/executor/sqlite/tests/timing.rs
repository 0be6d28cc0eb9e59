//! Figures, printed and not judged: `cargo nextest run --release --run-ignored only timing --no-capture`.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::join_all;

use super::open_at;
use crate::bucket::BucketPolicy;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{allow, bucket, listing, path, user};
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};
use crate::executor::{Listing, PageStart};
use crate::file::PutMode;
use crate::permissions::Operation;

const ROWS: usize = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures and judges none; takes a minute (issue 2)"]
async fn a_million_objects() {
    let dir = tempfile::tempdir().unwrap();
    let executor = Arc::new(open_at(dir.path()));
    let subject = Subject::new(executor.clone(), ());
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "seed"), &[7; 4096], PutMode::Create).await.unwrap();
    let fill = |conn: &rusqlite::Connection| {
        conn.execute_batch(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS} - 1) \
             INSERT INTO storage_objects SELECT printf('00000000-0000-0000-0001-%012d', i), 'photos', \
             printf('d%04d/f%07d', i / 1000, i), size, content_type, cache_control, checksum, etag, owner_id, \
             metadata, printf('00000000-0000-0000-0000-%012d', i), created_at, updated_at FROM n, \
             (SELECT * FROM storage_objects WHERE path = 'seed')"
        ))?;
        Ok(())
    };
    let time = Instant::now();
    executor.writer.run("fill", fill).await.unwrap();
    println!("filled {ROWS} rows in {:?}", time.elapsed());

    let read = allow(&owner, Operation::Download);
    for (what, names) in [
        ("one 4 KiB object", vec![path("seed")]),
        (
            "any of the rows",
            (0..ROWS).step_by(97).map(|i| path(&format!("d{:04}/f{i:07}", i / 1000))).collect(),
        ),
    ] {
        let rounds = 200_000 / names.len();
        let time = Instant::now();
        for _ in 0..rounds {
            for at in &names {
                subject.executor.open_object(&read, &made.name, at).await.unwrap();
            }
        }
        let each = time.elapsed() / u32::try_from(rounds * names.len()).unwrap();
        println!("open_object, {what}: {each:?} each");
    }

    let list = allow(&owner, Operation::List);
    for (what, asked) in [
        ("1000 folders of 1001", listing("", true)),
        ("1000 objects of a folder", listing("d0500/", true)),
        (
            "1000 objects, flat, from the middle",
            Listing {
                start: PageStart::After(crate::executor::Cursor { path: "d0500/f".to_owned(), time: None }),
                ..listing("", false)
            },
        ),
    ] {
        let mut took: Vec<_> = Vec::new();
        for _ in 0..100 {
            let time = Instant::now();
            let page = subject.executor.list_objects(&list, &bucket("photos"), &asked).await.unwrap();
            took.push(time.elapsed());
            assert_eq!(page.entries.len(), 1000);
        }
        took.sort();
        println!("list {what}: p50 {:?}, p99 {:?}", took[50], took[98]);
    }

    for size in [4096_usize, 0] {
        let body = vec![7; size];
        let time = Instant::now();
        let clients = (0..64).map(async |client| {
            for n in 0..500 {
                let at = format!("put/{size}/{client}/{n}");
                subject.put(&owner, (&made, &at), &body, PutMode::Create).await.unwrap();
            }
        });
        join_all(clients).await;
        println!(
            "put_object, {size} bytes inline, 64 clients: {:.0}/s",
            32_000.0 / time.elapsed().as_secs_f64()
        );
    }
    let wal = std::fs::metadata(dir.path().join("test.db-wal")).unwrap().len();
    println!("the log has {} MiB", wal >> 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures and judges none; takes a minute (issue 2)"]
async fn page_sizes() {
    let owner = user();
    for page_size in [16384, 8192, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions { page_size, ..SqliteOptions::new(dir.path().join("test.db")) };
        let subject = Subject::new(Arc::new(SqliteExecutor::open(options).unwrap()), ());
        let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
        for size in [0, 4096, 16384] {
            let body = vec![7; size];
            let time = Instant::now();
            let clients = (0..64).map(async |client| {
                for n in 0..400 {
                    let at = format!("{client}/{size}/{n}");
                    subject.put(&owner, (&made, &at), &body, PutMode::Create).await.unwrap();
                }
            });
            join_all(clients).await;
            let puts = 64.0 * 400.0 / time.elapsed().as_secs_f64();
            let read = allow(&owner, Operation::Download);
            let at = path(&format!("7/{size}/7"));
            let time = Instant::now();
            for _ in 0..50_000 {
                subject.executor.open_object(&read, &made.name, &at).await.unwrap();
            }
            let open = time.elapsed() / 50_000;
            println!("pages of {page_size}, bodies of {size}: {puts:.0} puts/s, open {open:?}");
        }
        let mib = |name| std::fs::metadata(dir.path().join(name)).unwrap().len() >> 20;
        println!("pages of {page_size}: database {} MiB, log {} MiB", mib("test.db"), mib("test.db-wal"));
    }
}
