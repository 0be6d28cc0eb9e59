//! Blobs that came to a provider which stands by before there was a queue that brings them home.

use std::sync::Arc;

use super::FileStorage;
use super::queue::{MigrationTotals, PAGE};
use crate::errors::StorageError;
use crate::executor::{Migration, QueueReason};
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// Queues what lies with providers that stand by for the active one, or on the spool, and has no entry: where the active one is
    /// remote, as what is on a disk besides is meant to be elsewhere. Gives what that is, by provider. The service role's to do.
    ///
    /// # Errors
    /// A denial, and those of the database.
    pub async fn queue_displaced(
        &self,
        context: &RlsContext,
    ) -> Result<Vec<(Arc<str>, MigrationTotals)>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let active = self.providers().active();
        if !active.is_remote() {
            return Ok(Vec::new());
        }
        let usage = self.executor().provider_usage(&access).await?;
        let depths = self.executor().queue_depths(&access).await?;
        let mut queued = Vec::new();
        for from in self.stand_ins() {
            let blobs = usage.iter().find(|usage| usage.provider == from).map_or(0, |usage| usage.blobs);
            let entries: u64 =
                depths.iter().filter(|depth| depth.source == from).map(|depth| depth.entries).sum();
            // All of them are queued, or were given up: which an operator may have meant.
            if blobs <= entries {
                continue;
            }
            let migration = Migration {
                from: from.clone(),
                to: active.name().clone(),
                bucket: None,
                reason: QueueReason::Failover,
                max_attempts: self.inner.options.load().queue.max_attempts,
            };
            let (mut totals, mut after) = (MigrationTotals::default(), None);
            loop {
                let page = self.executor().queue_migration(&access, &migration, after.as_ref(), PAGE).await?;
                totals.entries += page.entries;
                totals.bytes += page.bytes;
                self.ring_queue();
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            queued.push((from, totals));
        }
        Ok(queued)
    }

    /// Providers whose bytes belong to the active one.
    fn stand_ins(&self) -> Vec<Arc<str>> {
        let active = self.providers().active().name();
        let options = self.options();
        let spool = options.queue.spool.as_deref().and_then(|spool| self.providers().get(spool));
        let mut names: Vec<_> =
            self.providers().for_new_blobs().chain(spool).map(|provider| provider.name().clone()).collect();
        names.retain(|name| name != active);
        names.sort();
        names.dedup();
        names
    }
}
