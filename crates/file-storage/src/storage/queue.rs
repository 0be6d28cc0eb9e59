//! The upload queue as its users and operators see it. What works it is [`crate::upkeep`]'s.

use uuid::Uuid;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Home, Migration, ProviderUsage, QueueDepth, QueueEntry, QueueListing, QueueReason};
use crate::file::{BlobKey, Segment};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};

/// Entries, and blobs, of one transaction.
pub(super) const PAGE: u32 = 500;

/// Blobs that one call of a migration looks at, unless it asks for less: a moment's work, however many there are.
const MOST_LOOKED_AT: u32 = 10_000;

/// A part of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationRequest<'a> {
    /// The provider that has the blobs.
    pub from: &'a str,
    /// The one that they are for.
    pub to: &'a str,
    /// Only those of this bucket.
    pub bucket: Option<&'a BucketName>,
    /// Where to go on: [`MigrationTotals::next`] of the part before.
    pub after: Option<&'a str>,
    /// Blobs to be looked at, at most; 10 000 of them at most.
    pub limit: Option<u32>,
}

impl<'a> MigrationRequest<'a> {
    /// The first part of a migration of all blobs.
    pub fn new(from: &'a str, to: &'a str) -> Self {
        Self { from, to, bucket: None, after: None, limit: None }
    }
}

/// What a part of a migration has queued.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MigrationTotals {
    /// Blobs that will be moved. Those that were queued before are not counted.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Where the next part goes on; `None` at the end.
    pub next: Option<String>,
}

/// A blob that was queued with the write that made it known.
pub(super) struct Queued {
    user: Option<Uuid>,
    file_name: ObjectPath,
    size: u64,
    home: Home,
}

impl Queued {
    /// A blob of an object or of an upload, if it belongs elsewhere.
    pub(super) fn of(access: &Access, path: &ObjectPath, size: u64, belongs: Option<&Home>) -> Option<Self> {
        let user = access.context().user_id();
        belongs.map(|home| Self { user, file_name: path.clone(), size, home: home.clone() })
    }

    /// Those of an object's segments.
    pub(super) fn among(access: &Access, path: &ObjectPath, segments: &[Segment]) -> Vec<Self> {
        let of = |segment: &Segment| Self::of(access, path, segment.size, segment.belongs.as_ref());
        segments.iter().filter_map(of).collect()
    }
}

impl FileStorage {
    /// Says of blobs that they are queued, now that their write is committed.
    pub(super) fn were_queued<'q>(&self, queued: impl IntoIterator<Item = &'q Queued>) {
        let mut is_any = false;
        for Queued { user, file_name, size, home } in queued {
            is_any = true;
            tracing::info!(
                entry = %home.entry,
                user_id = user.map(tracing::field::display),
                %file_name,
                file_size_bytes = size,
                target_provider = %home.provider,
                reason = home.reason.as_str(),
                "Upload queued"
            );
        }
        if is_any {
            self.ring_queue();
        }
    }
}

impl FileStorage {
    /// Entries of the caller's own uploads, the newest first; of everybody's for the service role.
    ///
    /// # Errors
    /// A denial for anon, and those of the database.
    pub async fn queue_entries(
        &self,
        context: &RlsContext,
        listing: &QueueListing,
    ) -> Result<Vec<QueueEntry>, StorageError> {
        let access = self.access(context, Operation::ReadQueue, None).await?;
        self.executor().queue_entries(&access, listing).await
    }

    /// An entry that the caller may see.
    ///
    /// # Errors
    /// [`StorageError::QueueEntryNotFound`], also where it is somebody else's.
    pub async fn queue_entry(&self, context: &RlsContext, id: Uuid) -> Result<QueueEntry, StorageError> {
        let access = self.access(context, Operation::ReadQueue, None).await?;
        self.executor().queue_entry(&access, id).await
    }

    /// Queues an entry again that was given up; one that waits has its turn now. The service role's to do.
    ///
    /// # Errors
    /// A denial, [`StorageError::QueueEntryNotFound`], [`StorageError::QueueEntryEnded`].
    pub async fn retry_entry(&self, context: &RlsContext, id: Uuid) -> Result<QueueEntry, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let entry = self.executor().retry_entry(&access, id).await?;
        self.ring_queue();
        Ok(entry)
    }

    /// Queues all entries again that were given up; gives their number. The service role's to do.
    ///
    /// # Errors
    /// A denial.
    pub async fn retry_failed(&self, context: &RlsContext) -> Result<u64, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let mut retried = 0;
        loop {
            let page = self.executor().retry_failed(&access, PAGE).await?;
            if page > 0 {
                self.ring_queue();
            }
            retried += page;
            if page < u64::from(PAGE) {
                return Ok(retried);
            }
        }
    }

    /// Gives an entry up: its blob stays where it is. The service role's to do.
    ///
    /// # Errors
    /// A denial, [`StorageError::QueueEntryNotFound`], [`StorageError::QueueEntryEnded`].
    pub async fn cancel_entry(&self, context: &RlsContext, id: Uuid) -> Result<QueueEntry, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        self.executor().cancel_entry(&access, id).await
    }

    /// How much waits, is under way, or was given up, of a bucket or of all: the service role's to see.
    ///
    /// # Errors
    /// A denial.
    pub async fn queue_depths(
        &self,
        context: &RlsContext,
        bucket: Option<&BucketName>,
    ) -> Result<Vec<QueueDepth>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        self.executor().queue_depths(&access, bucket).await
    }

    /// What rows keep on each provider: the service role's to see.
    ///
    /// # Errors
    /// A denial.
    pub async fn provider_usage(&self, context: &RlsContext) -> Result<Vec<ProviderUsage>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        self.executor().provider_usage(&access).await
    }

    /// Queues blobs that one provider has, of one bucket or of all, to be moved to another one: a part of them, after which the
    /// caller goes on. Applications go on meanwhile. Begun again, it queues what is not queued yet. The service role's to do.
    ///
    /// # Errors
    /// A denial; [`StorageError::ProviderNotFound`] where one of the two is not configured; [`StorageError::BucketNotFound`];
    /// [`StorageError::InvalidRequest`] where they are the same, where the spool is to get them, or where it is to go on nowhere.
    pub async fn migrate_provider(
        &self,
        context: &RlsContext,
        request: &MigrationRequest<'_>,
    ) -> Result<MigrationTotals, StorageError> {
        let MigrationRequest { from, to, bucket, after, limit } = *request;
        let access = self.access(context, Operation::Maintain, None).await?;
        let known = |name: &str| {
            let missing = || StorageError::ProviderNotFound { provider: name.into() };
            self.providers().get(name).map(|provider| provider.name().clone()).ok_or_else(missing)
        };
        let (from, to) = (known(from)?, known(to)?);
        if from == to {
            let message = "a migration goes from one provider to another one".to_owned();
            return Err(StorageError::InvalidRequest { message });
        }
        // It has a bound, which a migration does not know, and its files are to leave it.
        if self.inner.options.load().queue.spool.as_deref() == Some(&*to) {
            let message = format!("'{to}' is the spool: files only wait there, and none is moved to it");
            return Err(StorageError::InvalidRequest { message });
        }
        let foreign = || StorageError::InvalidRequest {
            message: "a migration goes on where a part of it said".to_owned(),
        };
        let after = after.map(|name| BlobKey::from_stored(name).ok_or_else(foreign)).transpose()?;
        if let Some(bucket) = bucket {
            self.bucket(context, bucket).await?;
        }
        let migration = Migration {
            from,
            to,
            bucket: bucket.cloned(),
            reason: QueueReason::Migration,
            max_attempts: self.inner.options.load().queue.max_attempts,
        };
        let (mut totals, mut next) = (MigrationTotals::default(), after);
        let mut left = limit.unwrap_or(MOST_LOOKED_AT).clamp(1, MOST_LOOKED_AT);
        loop {
            let page = left.min(PAGE);
            let done = self.executor().queue_migration(&access, &migration, next.as_ref(), page).await?;
            totals.entries = totals.entries.saturating_add(done.entries);
            totals.bytes = totals.bytes.saturating_add(done.bytes);
            self.ring_queue();
            next = done.next;
            left -= page;
            if left == 0 || next.is_none() {
                totals.next = next.map(|key| key.as_str().to_owned());
                return Ok(totals);
            }
        }
    }
}
