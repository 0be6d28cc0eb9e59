//! Copies of blobs on the providers that keep them (`backup_providers`): which there are, and which are lacking. They are made by
//! the upload queue, and read where a blob's own place does not answer.

use super::FileStorage;
use super::queue::{MigrationTotals, PAGE};
use crate::errors::StorageError;
use crate::executor::{BlobCopy, CopiesQueued, CopyPlan};
use crate::file::BlobKey;
use crate::permissions::{Access, Operation, RlsContext};

impl FileStorage {
    /// The copies of a blob, for whoever may read the blob.
    pub(super) async fn copies_of(&self, blob: &BlobKey) -> Result<Vec<BlobCopy>, StorageError> {
        let access = self.maintain("read a copy")?;
        self.executor().copies_of(&access, blob).await
    }

    /// Says that copies of what was written are queued, where any are kept.
    pub(super) fn copies_were_queued(&self) {
        if !self.providers().backups().is_empty() {
            self.ring_queue();
        }
    }

    /// Queues the copies that blobs lack: of what was there before copies were kept, and of what lost them. With `retries_failed`, also
    /// those that were given up. Upkeep does the same by itself. The service role's to do.
    ///
    /// # Errors
    /// A denial, and those of the database.
    pub async fn queue_copies(
        &self,
        context: &RlsContext,
        retries_failed: bool,
    ) -> Result<MigrationTotals, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let plan = CopyPlan { retries_failed, ..self.copy_plan(false) };
        let (mut totals, mut after) = (MigrationTotals::default(), None);
        loop {
            let page = self.copy_page(&access, &plan, after.as_ref()).await?;
            totals.entries += page.entries;
            totals.bytes += page.bytes;
            after = page.next;
            if after.is_none() {
                return Ok(totals);
            }
        }
    }

    /// What copies are to be; with `ends`, those that are on other providers of ours are not to be any more. The active provider's
    /// stay: it may be active because the one before is gone, and its copies may be all that is left.
    pub(crate) fn copy_plan(&self, ends: bool) -> CopyPlan {
        let active = self.providers().active().name();
        let others = self.providers().all().map(|provider| provider.name());
        let others = others.filter(|name| ends && *name != active && !self.providers().is_backup(name));
        let well = self.providers().all().filter(|provider| provider.is_healthy());
        CopyPlan {
            copies: self.copies(),
            ended: others.cloned().collect(),
            well: well.map(|provider| provider.name().clone()).collect(),
            retries_failed: false,
        }
    }

    /// Looks at a page of blobs for their copies.
    pub(crate) async fn copy_page(
        &self,
        access: &Access,
        plan: &CopyPlan,
        after: Option<&BlobKey>,
    ) -> Result<CopiesQueued, StorageError> {
        let page = self.executor().queue_copies(access, plan, after, PAGE).await?;
        if page.entries > 0 {
            self.ring_queue();
        }
        if page.dropped > 0 {
            self.ring_deletions();
        }
        Ok(page)
    }

    /// Says that copies were found to be lacking.
    pub(crate) fn ring_copies(&self) {
        self.inner.copies_lacking.notify_one();
    }

    /// Waits until copies are found to be lacking.
    pub(crate) async fn copies_lacking(&self) {
        self.inner.copies_lacking.notified().await;
    }
}
