//! Blobs that lie with a provider which only stands by, and that nothing brings to the active one.

use std::sync::Arc;

use super::FileStorage;
use crate::errors::StorageError;
use crate::executor::QueueReason;
use crate::permissions::{Operation, RlsContext};

impl FileStorage {
    /// How many blobs lie with providers that stand by for the active one, or on the spool, without an entry that brings them there,
    /// by provider: they came before there was a queue, or an operator wants them there. Where the active one is remote, as
    /// what is on a disk besides is meant to be elsewhere. The service role's to see.
    ///
    /// # Errors
    /// A denial, and those of the database.
    pub async fn displaced(&self, context: &RlsContext) -> Result<Vec<(Arc<str>, u64)>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        let active = self.providers().active();
        if !active.is_remote() {
            return Ok(Vec::new());
        }
        let usage = self.executor().provider_usage(&access).await?;
        let depths = self.executor().queue_depths(&access, None).await?;
        // A blob stays where it is while copies of it are made.
        let moves = depths.iter().filter(|depth| depth.reason != QueueReason::Copy);
        let unqueued = |name: Arc<str>| {
            let blobs = usage.iter().find(|usage| usage.provider == name).map_or(0, |usage| usage.blobs);
            let queued: u64 =
                moves.clone().filter(|depth| depth.source == name).map(|depth| depth.entries).sum();
            let left = blobs.saturating_sub(queued);
            (left > 0).then_some((name, left))
        };
        Ok(self.stand_ins().into_iter().filter_map(unqueued).collect())
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
