//! Who uses how much: by the counters, by a recount, and by a look at all objects, which is kept for a while.

mod kept;

use std::sync::Arc;

use chrono::SubsecRound as _;

use super::FileStorage;
use super::turns::Party;
use crate::audit::{Action, Entry};
use crate::errors::StorageError;
use crate::executor::{UsageBy, UsageDifference, UsageGroup, UserUsage};
use crate::permissions::{Operation, RlsContext};

pub(super) use kept::KeptUsage;
pub use kept::UsageTold;

/// Most users, buckets or providers of one answer.
const MOST: u32 = 10_000;

impl FileStorage {
    /// Usage of the caller's own user.
    ///
    /// # Errors
    /// A denial for anon.
    pub async fn own_usage(&self, context: &RlsContext) -> Result<UserUsage, StorageError> {
        let access = self.access(context, Operation::ReadUsage, None).await?;
        self.executor().own_usage(&access).await
    }

    /// Usage of all users, those that use most first: the service role's to see.
    ///
    /// # Errors
    /// A denial.
    pub async fn all_usage(&self, context: &RlsContext, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        self.executor().all_usage(&access, limit).await
    }

    /// Counts all usage anew; gives the differences, which `repair` sets right: the service role's to do.
    ///
    /// # Errors
    /// A denial.
    pub async fn recount_usage(
        &self,
        context: &RlsContext,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        let access = self.access(context, Operation::Maintain, None).await?;
        self.executor().recount_usage(&access, repair).await
    }

    /// What objects take, how many they are and how old, by a look at all of the caller's own, or of everybody's for the service role. An
    /// answer is kept for five minutes, for the same caller, unless a fresh one is asked for.
    ///
    /// # Errors
    /// A denial for anon, and for whoever asks by provider and is not the service role; [`StorageError::BucketNotFound`] for the service
    /// role; [`StorageError::OperationTimeout`] where there are too many objects to look at all of them;
    /// [`StorageError::RateLimited`] where the caller's other looks and queries don't end; [`StorageError::Overloaded`] where too many
    /// others look.
    pub async fn usage_by(
        &self,
        context: &RlsContext,
        by: &UsageBy,
        refresh: bool,
    ) -> Result<Arc<UsageTold>, StorageError> {
        let operation = match by {
            UsageBy::Provider => Operation::Maintain,
            UsageBy::User | UsageBy::Bucket | UsageBy::Folder(..) => Operation::ReadUsage,
        };
        let access = self.access(context, operation, None).await?;
        // To users a bucket that is missing is one in which they have nothing.
        if let (UsageBy::Folder(bucket, _), true) = (by, context.is_service()) {
            self.bucket(context, bucket).await?;
        }
        let user = if context.is_service() { None } else { context.user_id() };
        let kept = &self.inner.usage;
        if let Some(told) = kept.get(user, by).filter(|_| !refresh) {
            self.tell_of_read(&access, || Entry::of(&access, Action::List).subject("usage")).await;
            return Ok(told);
        }
        let longest = self.inner.options.load().query.timeout;
        let _turn = self.inner.query_turns.take(Party::of(context, None), longest).await?;
        let as_of = chrono::Utc::now().trunc_subsecs(6);
        let mut groups = self.executor().usage_by(&access, by, MOST + 1).await?;
        let truncated = groups.len() > MOST as usize;
        groups.truncate(MOST as usize);
        if let UsageBy::Folder(bucket, folder) = by {
            let folder = folder.as_ref().map(|folder| format!("/{}", folder.bare())).unwrap_or_default();
            let found = groups.pop().unwrap_or_default();
            groups = vec![UsageGroup { name: Some(format!("{bucket}{folder}")), ..found }];
        }
        Ok(kept.keep(user, by, UsageTold { groups, as_of, truncated }))
    }
}
