//! Copies that are not there: they are made anew.

use std::sync::Arc;

use super::listing::Listing;
use super::{BATCH, Orphans, of};
use crate::backend::StorageBackend;
use crate::errors::StorageError;
use crate::permissions::Access;
use crate::upkeep::report::CleanupReport;

impl Orphans {
    /// Finds copies that are not there, as long as the provider is healthy. They are forgotten, so that they are made anew: no
    /// row of an object is touched.
    pub(super) async fn check_copies(
        &self,
        provider: &Arc<dyn StorageBackend>,
        access: &Access,
        apply: bool,
        report: &mut CleanupReport,
    ) -> Result<(), StorageError> {
        let (executor, name) = (self.storage.executor(), provider.provider());
        let most = self.options.borrow().max_per_run as usize;
        let (mut missing, mut after) = (Vec::new(), None);
        let mut listing = provider.lists_in_order().then(|| Listing::of(provider));
        while missing.len() < most {
            let page = executor.blob_copies(access, name, after.as_ref(), BATCH as u32).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for copy in page {
                let is_listed = match &mut listing {
                    Some(listing) => listing.has(&copy.key, copy.size).await.map_err(of(provider))?,
                    None => false,
                };
                if !is_listed && provider.size(&copy.key).await.map_err(of(provider))? != Some(copy.size) {
                    missing.push(copy);
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        provider.probe().await.map_err(of(provider))?;
        for copy in missing {
            // IMPORTANT: what was deleted since the page was read is no row any more, and was not missing.
            let is_missing = match apply {
                true => executor.drop_copy(access, &copy).await?,
                false => executor.copies_of(access, &copy.blob).await?.contains(&copy),
            };
            if is_missing {
                tracing::error!(blob = %copy.blob, provider = %name, "a copy is missing; it is made anew");
                report.missing_copies += 1;
            }
        }
        if apply {
            self.storage.ring_copies();
            self.storage.ring_deletions();
        }
        Ok(())
    }
}
