//! The trait's methods, each with the time that it may take, and with another try where it lost a race.

mod copies;
mod credentials;
mod events;
mod jobs;
mod lifecycle;
mod marks;
mod multipart;
mod queue;
mod quotas;
mod scrub;
mod upkeep;
mod versions;
mod webhooks;

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::errors::Fault;
use super::put_many::Held;
use super::session::retried;
use super::{
    PostgresExecutor, buckets, decide, delete, explain, extra, listing, policies, put, put_many, query, read,
    relocate, usage, usage_by,
};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::{
    Admission, Announced, BucketListing, Emptied, Executor, Explanation, Listing, Page, Question, Relocation,
    UsageBy, UsageGroup, UserUsage, Written,
};
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, AnonGrants, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::Deletion;

impl PostgresExecutor {
    async fn run<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StorageError> {
        match tokio::time::timeout(self.pool.operation_timeout(), work).await {
            Ok(outcome) => outcome.map_err(|fault| fault.into_storage(operation)),
            Err(_) => Err(StorageError::OperationTimeout { operation }),
        }
    }
}

#[async_trait]
impl Executor for PostgresExecutor {
    async fn create_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        config: &BucketConfig,
    ) -> Result<Bucket, StorageError> {
        let create = async { retried!(buckets::create(&self.pool, access, name, config)) };
        self.run("create_bucket", create).await
    }

    async fn bucket(&self, access: &Access, name: &BucketName) -> Result<Bucket, StorageError> {
        self.run("bucket", buckets::show(&self.pool, access, name)).await
    }

    async fn list_buckets(
        &self,
        access: &Access,
        listing: &BucketListing,
    ) -> Result<Vec<Bucket>, StorageError> {
        self.run("list_buckets", buckets::list(&self.pool, access, listing)).await
    }

    async fn update_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketUpdate,
    ) -> Result<Bucket, StorageError> {
        let update = async { retried!(buckets::update(&self.pool, access, name, update)) };
        self.run("update_bucket", update).await
    }

    async fn empty_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        limit: u32,
    ) -> Result<Vec<Emptied>, StorageError> {
        let empty = async { retried!(buckets::empty(&self.pool, access, name, limit)) };
        self.run("empty_bucket", empty).await
    }

    async fn delete_bucket(&self, access: &Access, name: &BucketName) -> Result<(), StorageError> {
        let delete = async { retried!(buckets::delete(&self.pool, access, name)) };
        self.run("delete_bucket", delete).await
    }

    async fn admit_put(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
        announced: &Announced,
    ) -> Result<Admission, StorageError> {
        self.run("admit_put", decide::admit(&self.pool, access, bucket, path, mode, announced)).await
    }

    async fn admit_puts(
        &self,
        access: &Access,
        bucket: &BucketName,
        wanted: &[(ObjectPath, Announced)],
        mode: &PutMode,
    ) -> Result<Vec<Result<Admission, StorageError>>, StorageError> {
        self.run("admit_puts", decide::admit_many(&self.pool, access, bucket, wanted, mode)).await
    }

    async fn admit_signing(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
    ) -> Result<(), StorageError> {
        self.run("admit_signing", decide::sign(&self.pool, access, bucket, path, mode)).await
    }

    async fn anon_grants(&self) -> Result<AnonGrants, StorageError> {
        self.run("anon_grants", policies::anon_grants(&self.pool)).await
    }

    async fn create_policy(&self, access: &Access, policy: &Policy) -> Result<(), StorageError> {
        self.run("create_policy", policies::create(&self.pool, access, policy)).await
    }

    async fn drop_policy(&self, access: &Access, name: &str) -> Result<bool, StorageError> {
        self.run("drop_policy", policies::drop_one(&self.pool, access, name)).await
    }

    async fn policies(&self, access: &Access) -> Result<PolicySet, StorageError> {
        self.run("policies", policies::all(&self.pool, access)).await
    }

    async fn explain(&self, access: &Access, question: &Question) -> Result<Explanation, StorageError> {
        self.run("explain", explain::explain(&self.pool, access, question)).await
    }

    async fn put_object(
        &self,
        access: &Access,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        // Large, as it goes a long way: on the heap, and not in the futures of all who call it.
        let put = async { retried!(Box::pin(put::put(&self.pool, access, &object, mode))) };
        self.run("put_object", put).await
    }

    async fn put_objects(
        &self,
        access: &Access,
        objects: Vec<NewObject>,
        mode: &PutMode,
    ) -> Result<Vec<Result<Written, StorageError>>, StorageError> {
        // No longer than an operation: meanwhile blobs are there that others do not know.
        let turn = tokio::time::timeout(self.pool.operation_timeout(), self.batches.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            return Err(StorageError::Overloaded { retry_after: Duration::from_secs(1) });
        };
        let put = |held| put_many::put_many(&self.pool, access, &objects, mode, held);
        let together = async {
            match retried!(Box::pin(put(Held::AtTheEnd))) {
                Err(fault) if fault.is_over_quota() => Ok(None),
                outcome => outcome.map(Some),
            }
        };
        if let Some(outcomes) = self.run("put_objects", together).await? {
            return Ok(outcomes);
        }
        // Some of them are too much, and the database does not say which. Another try, with time of its own.
        let each = async { retried!(Box::pin(put(Held::ToEach))) };
        self.run("put_objects", each).await
    }

    async fn open_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StoredObject, StorageError> {
        self.run("open_object", read::open(&self.pool, access, bucket, path)).await
    }

    async fn object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        self.run("object", read::show(&self.pool, access, bucket, path)).await
    }

    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        condition: Option<&ETags>,
    ) -> Result<Deletion, StorageError> {
        let delete = async { retried!(delete::one(&self.pool, access, (bucket, path), condition)) };
        self.run("delete_object", delete).await
    }

    async fn delete_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Deletion>, StorageError> {
        let delete = async { retried!(delete::many(&self.pool, access, bucket, paths)) };
        self.run("delete_objects", delete).await
    }

    async fn move_object(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let relocate = async { retried!(relocate::relocate(&self.pool, access, (from, None), to, mode)) };
        self.run("move_object", Box::pin(relocate)).await
    }

    async fn list_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Page, StorageError> {
        self.run("list_objects", listing::list(&self.pool, access, bucket, listing)).await
    }

    async fn tag_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let tag = async { retried!(extra::tag(&self.pool, access, (bucket, path), tags)) };
        self.run("tag_object", Box::pin(tag)).await
    }

    async fn bucket_extra(&self, access: &Access, name: &BucketName) -> Result<BucketExtra, StorageError> {
        self.run("bucket_extra", extra::of_bucket(&self.pool, access, name)).await
    }

    async fn update_bucket_extra(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketExtraUpdate,
    ) -> Result<(), StorageError> {
        let change = async { retried!(extra::update_bucket(&self.pool, access, name, update)) };
        self.run("update_bucket_extra", change).await
    }

    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError> {
        self.run("consume_nonce", super::upkeep::consume_nonce(&self.pool, nonce, expires_at)).await
    }

    async fn give_back_nonce(&self, nonce: Uuid) -> Result<(), StorageError> {
        self.run("give_back_nonce", super::upkeep::give_back_nonce(&self.pool, nonce)).await
    }

    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError> {
        self.run("is_nonce_used", super::upkeep::is_nonce_used(&self.pool, nonce)).await
    }

    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError> {
        self.run("own_usage", usage::own(&self.pool, access)).await
    }

    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        self.run("all_usage", usage::all(&self.pool, access, limit)).await
    }

    async fn usage_by(
        &self,
        access: &Access,
        by: &UsageBy,
        limit: u32,
    ) -> Result<Vec<UsageGroup>, StorageError> {
        self.run("usage_by", usage_by::groups(&self.pool, &self.queries, access, by, limit)).await
    }

    async fn query(
        &self,
        access: &Access,
        query: &Query,
        limits: &QueryLimits,
    ) -> Result<Answer, StorageError> {
        self.run("query", query::run(&self.pool, &self.queries, access, query, limits)).await
    }

    async fn ping(&self) -> Result<(), StorageError> {
        self.run("ping", super::upkeep::ping(&self.pool)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
