//! What a backup says of itself.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::BackupError;
use crate::Timestamp;
use crate::executor::snapshot::{NamedBlob, TableName, TableSum};

/// The format that this program writes.
pub(super) const FORMAT: u32 = 1;

/// Losses that are named.
const NAMED: usize = 100;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// How to read the rest.
    pub format: u32,
    /// The backup's own name.
    pub id: Uuid,
    /// The instant of the metadata: what was acknowledged before is there.
    pub created_at: Timestamp,
    /// The version that made it.
    pub made_by: String,
    /// The engine that the metadata was read from: it can be restored to either.
    pub engine: String,
    /// The tables, in the order in which they are restored.
    pub tables: Vec<TableEntry>,
    /// Blobs that the metadata names.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 of the secrets, in hexadecimal.
    pub secrets_sha256: String,
    /// Blobs that were lost already when it was made, and are not part of it.
    #[serde(default)]
    pub lost: Losses,
}

/// The rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// The table's name; with `.jsonl`, its file's.
    pub name: String,
    /// The names and types of its columns: a line has a value for each, in this order.
    pub columns: Vec<String>,
    /// Its rows: as many lines.
    pub rows: u64,
    /// What identifies the rows in whatever order, in hexadecimal.
    pub digest: String,
    /// The number that its next row has, where rows are numbered.
    pub next: Option<i64>,
    /// Bytes of its file.
    pub bytes: u64,
    /// SHA-256 of its file, in hexadecimal.
    pub sha256: String,
}

/// Blobs that are missing, or not what was stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// How many.
    pub count: u64,
    /// The first ones, as `PROVIDER/KEY`.
    pub named: Vec<String>,
}

impl Losses {
    /// Whether a blob that is missing is one of them: it is named; or it may be one of those that are not, of which no more may be
    /// `missing` than there were.
    pub(super) fn has(&self, blob: &NamedBlob, missing: &AtomicU64) -> bool {
        let name = format!("{}/{}", blob.provider, blob.key);
        let unnamed = self.count.saturating_sub(self.named.len() as u64);
        self.named.contains(&name) || missing.fetch_add(1, Ordering::Relaxed) < unnamed
    }

    pub(super) fn add(&mut self, name: String) {
        self.count = self.count.saturating_add(1);
        if self.named.len() < NAMED {
            self.named.push(name);
        }
    }

    /// One of them.
    pub(super) fn first(&self) -> &str {
        self.named.first().map_or("", String::as_str)
    }
}

impl TableEntry {
    pub(super) fn new(table: TableName, sum: TableSum, (bytes, sha256): (u64, String)) -> Self {
        Self {
            name: table.name().to_owned(),
            columns: table.columns(),
            rows: sum.rows,
            digest: sum.digest,
            next: sum.next,
            bytes,
            sha256,
        }
    }
}

impl Manifest {
    /// The tables, each with what this program knows of it.
    pub(super) fn tables(&self) -> Result<Vec<(TableName, TableEntry)>, BackupError> {
        let other = |table: &str| BackupError::OtherVersion {
            made_by: self.made_by.clone(),
            table: table.to_owned(),
        };
        if self.tables.len() > TableName::all().count() {
            let unknown = self.tables.iter().find(|entry| TableName::all().all(|it| it.name() != entry.name));
            return Err(other(unknown.map_or("", |entry| &entry.name)));
        }
        TableName::all()
            .map(|table| {
                let entry = self.tables.iter().find(|entry| entry.name == table.name());
                let entry = entry.filter(|entry| entry.columns == table.columns());
                entry.map(|entry| (table, entry.clone())).ok_or_else(|| other(table.name()))
            })
            .collect()
    }
}
