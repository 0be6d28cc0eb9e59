//! The schema's versions: embedded scripts, applied forward when a database is opened, each in a transaction.
//! `PRAGMA user_version` says how far a database has come. A script that was released is never changed.

use std::sync::Arc;

use rusqlite::Connection;

use super::errors::Fault;
use crate::errors::StorageError;

/// One step of the schema.
struct Migration {
    version: i64,
    name: &'static str,
    forward: &'static str,
    back: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "buckets_and_objects",
        forward: include_str!("migrations/0001_buckets_and_objects.sql"),
        back: include_str!("migrations/0001_buckets_and_objects.rollback.sql"),
    },
    Migration {
        version: 2,
        name: "events_and_nonces",
        forward: include_str!("migrations/0002_events_and_nonces.sql"),
        back: include_str!("migrations/0002_events_and_nonces.rollback.sql"),
    },
    Migration {
        version: 3,
        name: "upload_queue",
        forward: include_str!("migrations/0003_upload_queue.sql"),
        back: include_str!("migrations/0003_upload_queue.rollback.sql"),
    },
    Migration {
        version: 4,
        name: "policies",
        forward: include_str!("migrations/0004_policies.sql"),
        back: include_str!("migrations/0004_policies.rollback.sql"),
    },
    Migration {
        version: 5,
        name: "multipart_uploads",
        forward: include_str!("migrations/0005_multipart_uploads.sql"),
        back: include_str!("migrations/0005_multipart_uploads.rollback.sql"),
    },
    Migration {
        version: 6,
        name: "s3",
        forward: include_str!("migrations/0006_s3.sql"),
        back: include_str!("migrations/0006_s3.rollback.sql"),
    },
    Migration {
        version: 7,
        name: "versions",
        forward: include_str!("migrations/0007_versions.sql"),
        back: include_str!("migrations/0007_versions.rollback.sql"),
    },
    Migration {
        version: 8,
        name: "unfinished_uploads",
        forward: include_str!("migrations/0008_unfinished_uploads.sql"),
        back: include_str!("migrations/0008_unfinished_uploads.rollback.sql"),
    },
    Migration {
        version: 9,
        name: "owned_versions",
        forward: include_str!("migrations/0009_owned_versions.sql"),
        back: include_str!("migrations/0009_owned_versions.rollback.sql"),
    },
    Migration {
        version: 10,
        name: "quotas",
        forward: include_str!("migrations/0010_quotas.sql"),
        back: include_str!("migrations/0010_quotas.rollback.sql"),
    },
    Migration {
        version: 11,
        name: "events",
        forward: include_str!("migrations/0011_events.sql"),
        back: include_str!("migrations/0011_events.rollback.sql"),
    },
    Migration {
        version: 12,
        name: "queue_of_blobs",
        forward: include_str!("migrations/0012_queue_of_blobs.sql"),
        back: include_str!("migrations/0012_queue_of_blobs.rollback.sql"),
    },
    Migration {
        version: 13,
        name: "copies",
        forward: include_str!("migrations/0013_copies.sql"),
        back: include_str!("migrations/0013_copies.rollback.sql"),
    },
    Migration {
        version: 14,
        name: "jobs",
        forward: include_str!("migrations/0014_jobs.sql"),
        back: include_str!("migrations/0014_jobs.rollback.sql"),
    },
    Migration {
        version: 15,
        name: "lifecycle",
        forward: include_str!("migrations/0015_lifecycle.sql"),
        back: include_str!("migrations/0015_lifecycle.rollback.sql"),
    },
    Migration {
        version: 16,
        name: "webhooks",
        forward: include_str!("migrations/0016_webhooks.sql"),
        back: include_str!("migrations/0016_webhooks.rollback.sql"),
    },
    Migration {
        version: 17,
        name: "provider_events",
        forward: include_str!("migrations/0017_provider_events.sql"),
        back: include_str!("migrations/0017_provider_events.rollback.sql"),
    },
    Migration {
        version: 18,
        name: "marks",
        forward: include_str!("migrations/0018_marks.sql"),
        back: include_str!("migrations/0018_marks.rollback.sql"),
    },
    Migration {
        version: 19,
        name: "adopt",
        forward: include_str!("migrations/0019_adopt.sql"),
        back: include_str!("migrations/0019_adopt.rollback.sql"),
    },
    Migration {
        version: 20,
        name: "actions_of_warnings",
        forward: include_str!("migrations/0020_actions_of_warnings.sql"),
        back: include_str!("migrations/0020_actions_of_warnings.rollback.sql"),
    },
];

/// A database that this build must not touch.
#[derive(Debug, thiserror::Error)]
#[error(
    "the database has schema version {found}, made by a newer Aerostore; this one knows versions up to {known}"
)]
struct NewerSchema {
    found: i64,
    known: i64,
}

/// The schema that this build works with.
pub(super) fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// All schemas that there have been, the empty one first.
#[cfg(test)]
pub(super) fn versions() -> impl Iterator<Item = i64> {
    std::iter::once(0).chain(MIGRATIONS.iter().map(|migration| migration.version))
}

/// The schema that a database has; 0 for an empty one.
pub(super) fn current(conn: &Connection) -> Result<i64, Fault> {
    Ok(conn.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Brings a database forward to `version`.
pub(super) fn migrate(conn: &Connection, version: i64) -> Result<(), Fault> {
    let found = refuse_newer(conn)?;
    for step in MIGRATIONS.iter().filter(|step| step.version > found && step.version <= version) {
        tracing::info!(version = step.version, name = step.name, "migrating the database");
        run(conn, step.forward, step.version)?;
    }
    Ok(())
}

/// The schema that a database has, unless this build must not touch it.
pub(super) fn refuse_newer(conn: &Connection) -> Result<i64, Fault> {
    match current(conn)? {
        found if found > newest() => Err(Fault::Refused(StorageError::Internal {
            context: "the database can't be opened".to_owned(),
            source: Some(Arc::new(NewerSchema { found, known: newest() })),
        })),
        found => Ok(found),
    }
}

/// Takes a database back to `version`. What the later versions kept is lost.
pub(super) fn roll_back(conn: &Connection, version: i64) -> Result<(), Fault> {
    let found = current(conn)?;
    for step in MIGRATIONS.iter().rev().filter(|step| step.version <= found && step.version > version) {
        tracing::warn!(version = step.version, name = step.name, "rolling the database back");
        let before =
            MIGRATIONS.iter().map(|step| step.version).filter(|version| *version < step.version).max();
        run(conn, step.back, before.unwrap_or(0))?;
    }
    Ok(())
}

/// Runs a script and records the version it leads to, as one transaction. Dropping an unfinished one undoes it.
fn run(conn: &Connection, script: &str, version: i64) -> Result<(), Fault> {
    let transaction = conn.unchecked_transaction()?;
    transaction.execute_batch(script)?;
    transaction.pragma_update(None, "user_version", version)?;
    Ok(transaction.commit()?)
}
