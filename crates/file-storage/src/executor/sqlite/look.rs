//! A look at a database that changes nothing, not even the files beside it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::errors::Fault;
use super::lock::Lock;
use super::rows::count;
use super::{SqliteExecutor, functions, lifecycle, migrations, queue, upkeep, usage};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::look::{Books, COUNTED, Look};
use crate::file::BlobKey;
use crate::identities::{Known, SAMPLES, Sampling};
use crate::permissions::Access;

/// How long a lock of another process is waited for.
const BUSY: Duration = Duration::from_secs(2);

const TROUBLES: &str = "SELECT (SELECT count(*) FROM upload_queue WHERE status = 'failed'), \
     (SELECT count(*) FROM storage_webhooks WHERE status IN ('disabled', 'paused')), \
     (SELECT coalesce(sum(file_count), 0) FROM storage_buckets), (SELECT held_until FROM lifecycle_state)";

impl SqliteExecutor {
    /// See [`crate::executor::look::look`]. Blocks.
    pub(in crate::executor) fn look(
        path: &Path,
        access: &Access,
        providers: &[Arc<str>],
        buckets: &[BucketName],
    ) -> Result<Look, StorageError> {
        Lock::refuse_moved(path)?;
        if !path.is_file() {
            return Ok(Look::Nothing);
        }
        books(path, access, providers, buckets).map_err(|fault| fault.into_storage("look"))
    }
}

fn books(
    path: &Path,
    access: &Access,
    providers: &[Arc<str>],
    buckets: &[BucketName],
) -> Result<Look, Fault> {
    let conn = open(path)?;
    match migrations::refuse_newer(&conn)? {
        0 => return Ok(Look::Nothing),
        found if found < migrations::newest() => return Ok(Look::Older),
        _ => {}
    }
    // One view of all tables, whatever a server beside us writes.
    conn.execute_batch("BEGIN")?;
    let mut books = Books::default();
    for provider in providers {
        let known = Known {
            identity: queue::identity(&conn, access, provider)?,
            is_named: queue::is_named(&conn, access, provider)?,
            samples: samples(&conn, access, provider)?,
        };
        books.providers.insert(provider.clone(), known);
    }
    let (failed, silent, files, held): (_, _, _, Option<i64>) =
        conn.query_row(TROUBLES, [], |row| Ok((count(row, 0), count(row, 1), count(row, 2), row.get(3)?)))?;
    (books.failed_entries, books.silent_webhooks) = (failed?, silent?);
    books.lifecycle_held_until = held.and_then(chrono::DateTime::from_timestamp_micros);
    if files? <= COUNTED {
        books.wrong_counters = Some(usage::differences(&conn, access)?);
    }
    books.lifecycle_rules = lifecycle::all(&conn, access, None)?;
    let mut is_there = conn.prepare("SELECT 1 FROM storage_buckets WHERE id = ?1")?;
    for bucket in buckets {
        if !is_there.exists([bucket.as_str()])? {
            books.missing_buckets.push(bucket.clone());
        }
    }
    Ok(Look::Books(books))
}

/// Without a log beside it nobody has the database open, and it may be read as it lies: else SQLite would make files to share it by.
fn open(path: &Path) -> Result<Connection, Fault> {
    let log = path.with_file_name(format!("{}-wal", path.file_name().unwrap_or_default().to_string_lossy()));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = if log.exists() {
        Connection::open_with_flags(path, flags)?
    } else {
        let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Connection::open_with_flags(format!("file:{name}?immutable=1"), flags | OpenFlags::SQLITE_OPEN_URI)?
    };
    conn.busy_timeout(BUSY)?;
    functions::register(&conn)?;
    Ok(conn)
}

/// The blobs that a start would look for.
fn samples(conn: &Connection, access: &Access, provider: &str) -> Result<Vec<BlobKey>, Fault> {
    let (mut blobs, mut copies) = (Sampling::new(), Sampling::new());
    while blobs.goes_on() {
        let page = upkeep::segment_blobs(conn, access, provider, blobs.after(), SAMPLES)?;
        blobs.take(page.into_iter().map(|blob| blob.key));
    }
    while copies.goes_on() {
        let page = queue::blob_copies(conn, access, provider, copies.after(), SAMPLES)?;
        copies.take(page.into_iter().map(|copy| copy.key));
    }
    Ok([blobs.into_samples(), copies.into_samples()].concat())
}
