//! Who uses how much.

use super::FileStorage;
use crate::errors::StorageError;
use crate::executor::{UsageDifference, UserUsage};
use crate::permissions::{Operation, RlsContext};

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
}
