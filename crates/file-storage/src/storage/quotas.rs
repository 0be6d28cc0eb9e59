//! Quotas: shown to whom they are held to, and set by the service role.

use super::FileStorage;
use crate::errors::StorageError;
use crate::permissions::{Operation, RlsContext};
use crate::quota::{Quota, QuotaScope};

impl FileStorage {
    /// A quota and what is in use of it, also where none is set: a user's own, those of a bucket and its folders for who may
    /// change the bucket, and all for the service role.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial.
    pub async fn quota(&self, context: &RlsContext, scope: &QuotaScope) -> Result<Quota, StorageError> {
        let (operation, bucket) = match scope {
            QuotaScope::Bucket(bucket) | QuotaScope::Folder(bucket, _) => {
                (Operation::ReadQuota, Some(bucket))
            }
            QuotaScope::User(user) if context.user_id() == Some(*user) => (Operation::ReadQuota, None),
            QuotaScope::User(_) | QuotaScope::Global => (Operation::ManageQuotas, None),
        };
        let access = self.access(context, operation, bucket).await?;
        self.executor().quota(&access, scope).await
    }

    /// The quotas that are set, and of which the caller is told: global, users', buckets', folders', each by name.
    ///
    /// # Errors
    /// A denial for anon.
    pub async fn quotas(&self, context: &RlsContext, limit: u32) -> Result<Vec<Quota>, StorageError> {
        let access = self.access(context, Operation::ReadQuota, None).await?;
        self.executor().quotas(&access, limit).await
    }

    /// Sets a quota, in bytes, or takes it off, and gives it back as it then is: the service role's to do. It may be less
    /// than what is in use: nothing new is let in until there is room again.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`]; [`StorageError::InvalidRequest`] where too many folders of the bucket have one; or a
    /// denial.
    pub async fn set_quota(
        &self,
        context: &RlsContext,
        scope: &QuotaScope,
        limit: Option<u64>,
    ) -> Result<Quota, StorageError> {
        let access = self.access(context, Operation::ManageQuotas, None).await?;
        if limit.is_some_and(|limit| i64::try_from(limit).is_err()) {
            let message = format!("a quota is at most {} bytes", i64::MAX);
            return Err(StorageError::InvalidRequest { message });
        }
        let set = self.executor().set_quota(&access, scope, limit).await?;
        self.ring_events();
        tracing::info!(scope = scope.word(), name = %scope, limit, "a quota was set");
        Ok(set)
    }
}
