//! Rows of objects, kept where the database tells marks of them: on PostgreSQL, where one statement tells those of all who read at
//! a time, while each row is a transaction of its caller's own.
//!
//! They are kept as lists are, with these differences. While only a few read at a time, rows are read: a mark that is told to one alone costs
//! as much. What is not there is not kept, and not noted either: an object that comes
//! is a first one. A row comes with the way to its bytes, so that it holds only for whoever leases its blobs at once: the mark is told
//! within the lookup that the leases know of ([`super::super::leases`]), as if the row were read there. Who finds a blob gone all the same
//! asks the database, past this ([`super::super::follow`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::question::{Question, Reading};
use super::{Kept, ListCache, count_hit, count_invalidation, count_miss, weight};
use crate::audit::{Action, Entry};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Executor, Mark};
use crate::file::{StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};
use crate::storage::FileStorage;

/// So many read rows at a time, and more ask for marks.
const FEW: usize = 3;

/// How many are after rows now.
#[derive(Debug, Default)]
pub(super) struct Readers(AtomicUsize);

/// One of them, until it is dropped.
struct Reader<'a> {
    among: &'a Readers,
    /// With how many others, and itself.
    count: usize,
}

impl Readers {
    fn enter(&self) -> Reader<'_> {
        Reader { among: self, count: self.0.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.among.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A row, and where it was.
struct Found {
    row: StoredObject,
    was_kept: bool,
}

impl Found {
    fn in_database(row: StoredObject) -> Self {
        Self { row, was_kept: false }
    }
}

/// An object that somebody reads.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    executor: &'a dyn Executor,
    access: &'a Access,
    at: (&'a BucketName, &'a ObjectPath),
    reading: Reading,
}

impl Wanted<'_> {
    async fn mark(&self) -> Result<Option<Mark>, StorageError> {
        self.executor.object_mark(self.access, self.at.0, self.at.1).await
    }

    async fn read(&self) -> Result<StoredObject, StorageError> {
        let (bucket, path) = self.at;
        match self.reading {
            Reading::Info => {
                let object = self.executor.object(self.access, bucket, path).await?;
                Ok(StoredObject { object, segments: Vec::new() })
            }
            Reading::Download => self.executor.open_object(self.access, bucket, path).await,
        }
    }
}

impl ListCache {
    /// An object, from memory where that is as good as from the database, and costs less.
    async fn row(&self, wanted: Wanted<'_>) -> Result<Found, StorageError> {
        let reader = self.readers.enter();
        self.row_among(wanted, reader.count).await
    }

    /// The same, while so many read.
    async fn row_among(&self, wanted: Wanted<'_>, readers: usize) -> Result<Found, StorageError> {
        let context = wanted.access.on_object(Permission::ObjectRead, wanted.at.0, wanted.at.1)?;
        let question = Question::row(context, wanted.at, wanted.reading);
        let kept = match self.kept.get(&question) {
            None => {
                count_miss(&question);
                let found = wanted.read().await?;
                self.keep(question, Kept::Asked);
                return Ok(Found::in_database(found));
            }
            Some(kept) if readers > FEW && !matches!(kept, Kept::Never) => kept,
            Some(_) => {
                count_miss(&question);
                return wanted.read().await.map(Found::in_database);
            }
        };
        // IMPORTANT: before the row is read. What is written from here on has another mark.
        let mark = wanted.mark().await;
        // Who has waited so long for a database is not told after as long again.
        if let Err(error @ StorageError::OperationTimeout { .. }) = mark {
            return Err(error);
        }
        if let (Ok(Some(mark)), Kept::Row { mark: known, row, .. }) = (&mark, kept) {
            if *mark == known {
                count_hit(&question);
                return Ok(Found { row: StoredObject::clone(&row), was_kept: true });
            }
            count_invalidation(&question);
        }
        count_miss(&question);
        let read = wanted.read().await;
        match (mark, &read) {
            (Ok(Some(mark)), Ok(found)) => {
                let bytes = weight::of_row(found);
                self.keep(question, Kept::Row { mark, row: Arc::new(found.clone()), bytes });
                self.kept.run_pending_tasks();
                self.measure();
            }
            (Ok(None), Ok(_)) => self.keep(question, Kept::Never),
            // A database that does not answer says so itself.
            (Err(_), Ok(_)) => {}
            (_, Err(_)) => self.kept.invalidate(&question),
        }
        read.map(Found::in_database)
    }
}

#[cfg(test)]
impl ListCache {
    /// An object's row, wherever it was, as among many who read.
    pub(crate) async fn object(
        &self,
        executor: &dyn Executor,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        let wanted = Wanted { executor, access, at: (bucket, path), reading: Reading::Info };
        Ok(self.row_among(wanted, usize::MAX).await?.row.object)
    }
}

impl FileStorage {
    /// An object and the way to its bytes under an access to it, from the cache where there is one. To be called within a lookup.
    pub(in crate::storage) async fn cached_download(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StoredObject, StorageError> {
        let Found { row, was_kept } = self.cached_row(access, (bucket, path), Reading::Download).await?;
        if was_kept {
            let read = || Entry::of(access, Action::Read).object(bucket, path);
            let StorageObject { version, size, .. } = row.object;
            self.tell_of_read(access, || read().version(version).bytes(size)).await;
        }
        Ok(row)
    }

    /// An object's row under an access to it, from the cache where there is one.
    pub(in crate::storage) async fn cached_info(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        let Found { row, was_kept } = self.cached_row(access, (bucket, path), Reading::Info).await?;
        if was_kept {
            let read = || Entry::of(access, Action::Read).object(bucket, path);
            self.tell_of_read(access, || read().version(row.object.version)).await;
        }
        Ok(row.object)
    }

    async fn cached_row(
        &self,
        access: &Access,
        at: (&BucketName, &ObjectPath),
        reading: Reading,
    ) -> Result<Found, StorageError> {
        let wanted = Wanted { executor: &**self.executor(), access, at, reading };
        let cache = match wanted.executor.marks_objects() {
            true => self.inner.lists.load_full(),
            false => None,
        };
        match cache {
            Some(cache) => cache.row(wanted).await,
            None => wanted.read().await.map(Found::in_database),
        }
    }
}
