//! Lines of tables, to files and from them.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::sync::mpsc;

use super::place::Place;
use super::{BackupError, TableEntry};
use crate::errors::StorageError;
use crate::executor::snapshot::{NamedBlob, NamedCopy, TableName};
use crate::file::{BlobKey, Sha256};

/// Lines that go together.
const LINES: usize = 512;

/// Batches that are read ahead.
const AHEAD: usize = 4;

/// Writes a table's file as its lines come; gives its length and SHA-256. Blocks.
pub(super) fn write(
    path: &Path,
    mut lines: mpsc::Receiver<Vec<String>>,
    watch: &(dyn Fn(u64) + Send + Sync),
) -> Result<(u64, String), BackupError> {
    let mut write = || {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let (mut out, mut digest, mut bytes) = (BufWriter::new(file), Context::new(&SHA256), 0_u64);
        while let Some(batch) = lines.blocking_recv() {
            for line in &batch {
                for part in [line.as_bytes(), b"\n"] {
                    out.write_all(part)?;
                    digest.update(part);
                    bytes = bytes.saturating_add(part.len() as u64);
                }
            }
            watch(batch.len() as u64);
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok((bytes, Sha256::from_digest(&digest.finish()).to_hex()))
    };
    write().map_err(BackupError::of(path))
}

/// Reads the lines of a table; in the end they must be what was written.
pub(super) fn read(
    place: &Arc<Place>,
    id: uuid::Uuid,
    entry: &TableEntry,
) -> mpsc::Receiver<Result<Vec<String>, BackupError>> {
    let (send, lines) = mpsc::channel(AHEAD);
    let (place, entry) = (Arc::clone(place), entry.clone());
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send_lines(&place.table(id, &entry.name), &entry, &send) {
            // Whoever takes none any more does not ask.
            let _ = send.blocking_send(Err(error));
        }
    });
    lines
}

/// The same for a database, whose errors are others.
pub(super) fn read_for_database(
    place: &Arc<Place>,
    id: uuid::Uuid,
    entry: &TableEntry,
) -> mpsc::Receiver<Result<Vec<String>, StorageError>> {
    let mut lines = read(place, id, entry);
    let (send, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(batch) = lines.recv().await {
            let batch = batch.map_err(|error| match error {
                BackupError::Storage(error) => error,
                error => StorageError::Internal {
                    context: "the backup can't be read".to_owned(),
                    source: Some(Arc::new(error)),
                },
            });
            if send.send(batch).await.is_err() {
                return;
            }
        }
    });
    told
}

/// Reads the blobs that a table names.
pub(super) fn read_blobs(
    place: &Arc<Place>,
    id: uuid::Uuid,
    table: TableName,
    entry: &TableEntry,
) -> mpsc::Receiver<Result<NamedBlob, BackupError>> {
    let mut lines = read(place, id, entry);
    let (send, blobs) = mpsc::channel(LINES);
    tokio::spawn(async move {
        while let Some(batch) = lines.recv().await {
            let blobs: Vec<Result<NamedBlob, BackupError>> = match batch {
                Ok(batch) => {
                    let named = batch.iter().filter_map(|line| table.blob(line).transpose());
                    named.map(|blob| blob.map_err(BackupError::from)).collect()
                }
                Err(error) => vec![Err(error)],
            };
            for blob in blobs {
                if send.send(blob).await.is_err() {
                    return;
                }
            }
        }
    });
    blobs
}

/// Reads the copies that a table names, by the blobs that they are copies of.
pub(super) async fn read_copies(
    place: &Arc<Place>,
    id: uuid::Uuid,
    table: TableName,
    entry: &TableEntry,
) -> Result<HashMap<BlobKey, Vec<NamedCopy>>, BackupError> {
    let (mut lines, mut copies) = (read(place, id, entry), HashMap::<BlobKey, Vec<NamedCopy>>::new());
    while let Some(batch) = lines.recv().await {
        for line in batch? {
            if let Some((blob, copy)) = table.copy(&line)? {
                copies.entry(blob).or_default().push(copy);
            }
        }
    }
    Ok(copies)
}

/// Reads all of a table's file, and says whether it is what was written.
pub(super) async fn check(place: &Arc<Place>, id: uuid::Uuid, entry: &TableEntry) -> Result<(), BackupError> {
    let mut lines = read(place, id, entry);
    let mut rows = 0_u64;
    while let Some(batch) = lines.recv().await {
        rows = rows.saturating_add(batch?.len() as u64);
    }
    match rows == entry.rows {
        true => Ok(()),
        false => Err(damaged(entry, "has another number of rows")),
    }
}

fn send_lines(
    path: &Path,
    entry: &TableEntry,
    lines: &mpsc::Sender<Result<Vec<String>, BackupError>>,
) -> Result<(), BackupError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged(entry, "is missing")),
        file => file.map_err(BackupError::of(path))?,
    };
    let (mut file, mut digest, mut bytes) = (BufReader::new(file), Context::new(&SHA256), 0_u64);
    loop {
        let mut batch = Vec::new();
        while batch.len() < LINES {
            let mut line = Vec::new();
            if file.read_until(b'\n', &mut line).map_err(BackupError::of(path))? == 0 {
                break;
            }
            digest.update(&line);
            bytes = bytes.saturating_add(line.len() as u64);
            line.pop_if(|end| *end == b'\n');
            batch.push(String::from_utf8(line).map_err(|_| damaged(entry, "is not what was written"))?);
        }
        if batch.is_empty() {
            break;
        }
        if lines.blocking_send(Ok(batch)).is_err() {
            return Ok(());
        }
    }
    let found = (bytes, Sha256::from_digest(&digest.finish()).to_hex());
    match found == (entry.bytes, entry.sha256.clone()) {
        true => Ok(()),
        false => Err(damaged(entry, "is not what was written")),
    }
}

fn damaged(entry: &TableEntry, what: &str) -> BackupError {
    BackupError::Damaged(format!("{}.jsonl {what}", entry.name))
}
