//! SQL policies, and why somebody may do something or not.

use std::sync::Arc;

use super::FileStorage;
use crate::errors::StorageError;
use crate::executor::{Explanation, Question};
use crate::permissions::{Operation, Policy, PolicySet, PolicyStatement, RlsContext, Role, bucket_missing};

/// What a statement did.
#[derive(Debug, Clone, PartialEq)]
pub enum PolicyChange {
    /// The policy is in force.
    Created(Box<Policy>),
    /// The policy of this name is gone; `false` where there was none, and none was no fault.
    Dropped(Arc<str>, bool),
}

impl FileStorage {
    /// Runs `CREATE POLICY` or `DROP POLICY`. What it changes is in force when this answers.
    ///
    /// # Errors
    /// [`StorageError::InvalidSql`], [`StorageError::PolicyExists`], [`StorageError::PolicyNotFound`], or a denial:
    /// policies are the service role's.
    pub async fn change_policies(
        &self,
        context: &RlsContext,
        sql: &str,
    ) -> Result<PolicyChange, StorageError> {
        let access = self.access(context, Operation::ManagePolicies, None).await?;
        match PolicyStatement::parse(sql).map_err(StorageError::InvalidSql)? {
            PolicyStatement::Create(policy) => {
                self.executor().create_policy(&access, &policy).await?;
                tracing::info!(policy = %policy.name, request_id = context.request_id(), "created a policy");
                Ok(PolicyChange::Created(policy))
            }
            PolicyStatement::Drop { name, if_exists } => {
                let gone = self.drop_policy(context, &name).await?;
                match (gone, if_exists) {
                    (false, false) => Err(StorageError::PolicyNotFound { name }),
                    (gone, _) => Ok(PolicyChange::Dropped(name, gone)),
                }
            }
        }
    }

    /// Drops a policy; `false` where there is none of this name.
    ///
    /// # Errors
    /// A denial: policies are the service role's.
    pub async fn drop_policy(&self, context: &RlsContext, name: &str) -> Result<bool, StorageError> {
        let access = self.access(context, Operation::ManagePolicies, None).await?;
        let gone = self.executor().drop_policy(&access, name).await?;
        tracing::info!(policy = name, gone, request_id = context.request_id(), "dropped a policy");
        Ok(gone)
    }

    /// The policies in force, in the order of their names.
    ///
    /// # Errors
    /// A denial: policies are the service role's.
    pub async fn policies(&self, context: &RlsContext) -> Result<PolicySet, StorageError> {
        let access = self.access(context, Operation::ManagePolicies, None).await?;
        self.executor().policies(&access).await
    }

    /// Which rules let a caller do something or not, by asking them. Everybody may ask about themselves: then
    /// `question.caller` is the caller. About others, the service role alone.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial: also for a bucket that a caller without a token can't see.
    pub async fn explain(
        &self,
        context: &RlsContext,
        question: Question,
    ) -> Result<Explanation, StorageError> {
        let oneself = question.caller.role() == context.role()
            && question.caller.user_id() == context.user_id()
            && question.caller.claims() == context.claims();
        if !oneself {
            // Whoever may do everything may also ask as whom they like.
            self.access(context, Operation::Maintain, Some(&question.bucket)).await?;
        }
        let access = self.access(context, Operation::Explain, Some(&question.bucket)).await?;
        let (permission, bucket) = (question.permission, question.bucket.clone());
        let explained = self.executor().explain(&access, &question).await?;
        // Of a bucket that they can't see, and in which they may not do this, callers without a token are told what they are
        // told of none.
        if !explained.allowed && context.role() == Role::Anon && self.bucket(context, &bucket).await.is_err()
        {
            return Err(bucket_missing(context, permission, &bucket));
        }
        Ok(explained)
    }
}
