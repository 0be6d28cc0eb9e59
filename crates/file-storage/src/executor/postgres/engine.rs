//! The trait's methods, each with the time that it may take, and with another try where it lost a race.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::errors::Fault;
use super::session::retried;
use super::{
    PostgresExecutor, buckets, credentials, decide, delete, events, explain, extra, listing, multipart,
    policies, put, query, read, relocate, upkeep, usage, versions,
};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::executor::{
    Admission, Announced, Backlog, BucketListing, Event, Executor, Explanation, Listing, Page, Question,
    QueuedBlob, Relocation, SegmentBlob, Turn, UsageDifference, UserUsage, Written,
};
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{BlobKey, NewObject, PutMode, StorageObject, StoredObject};
use crate::multipart::{
    Append, Claimed, Completion, MultipartUpload, NewMultipart, NewPart, Part, UploadAt, UploadListing,
};
use crate::path::ObjectPath;
use crate::permissions::{Access, AnonGrants, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::{Deletion, ObjectVersion, VersionId, VersionScan};

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
    ) -> Result<u64, StorageError> {
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

    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError> {
        let create = async { retried!(Box::pin(multipart::create(&self.pool, access, &upload, mode))) };
        self.run("create_multipart", create).await
    }

    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError> {
        self.run("multipart", multipart::show(&self.pool, access, at)).await
    }

    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError> {
        self.run("list_multipart", multipart::list(&self.pool, access, bucket, listing)).await
    }

    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError> {
        let put =
            async { retried!(Box::pin(multipart::put(&self.pool, access, at, number, &part, expires_at))) };
        self.run("put_part", put).await
    }

    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        self.run("parts", multipart::parts(&self.pool, access, at, after, limit)).await
    }

    async fn claim_resumable(&self, access: &Access, at: &UploadAt) -> Result<Claimed, StorageError> {
        let claim = async { retried!(multipart::claim(&self.pool, access, at)) };
        self.run("claim_resumable", claim).await
    }

    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError> {
        let announce = async { retried!(multipart::announce_length(&self.pool, access, at, length)) };
        self.run("announce_length", announce).await
    }

    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError> {
        let append =
            async { retried!(Box::pin(multipart::append(&self.pool, access, at, &run, expires_at))) };
        self.run("append", append).await
    }

    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let complete = async { retried!(Box::pin(multipart::complete(&self.pool, access, at, &completion))) };
        self.run("complete_multipart", complete).await
    }

    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError> {
        let abort = async { retried!(multipart::abort(&self.pool, access, at)) };
        self.run("abort_multipart", abort).await
    }

    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<u64, StorageError> {
        let expire = async { retried!(multipart::expire(&self.pool, access, limit)) };
        self.run("expire_uploads", expire).await
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

    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError> {
        self.run("open_version", versions::open(&self.pool, access, (bucket, path), version)).await
    }

    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError> {
        self.run("scan_versions", versions::scan(&self.pool, access, bucket, scan)).await
    }

    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let delete = async { retried!(versions::delete(&self.pool, access, (bucket, path), version)) };
        self.run("delete_version", Box::pin(delete)).await
    }

    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Deletion, StorageError> {
        let delete = async { retried!(delete::one(&self.pool, access, bucket, path)) };
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
        let relocate = async { retried!(relocate::relocate(&self.pool, access, from, to, mode)) };
        self.run("move_object", Box::pin(relocate)).await
    }

    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let copied = async { retried!(relocate::copied(&self.pool, access, (from, version), &object, mode)) };
        self.run("move_object", Box::pin(copied)).await
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

    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let tag = versions::tag(&self.pool, access, (bucket, path), version, tags);
        self.run("tag_version", Box::pin(tag)).await
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

    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError> {
        let create = async { retried!(credentials::create(&self.pool, access, credential, sealed_secret)) };
        self.run("create_credential", create).await
    }

    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError> {
        self.run("credentials", credentials::all(&self.pool, access)).await
    }

    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError> {
        self.run("credential", credentials::find(&self.pool, access, access_key_id)).await
    }

    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError> {
        let enable = async { retried!(credentials::enable(&self.pool, access, access_key_id, enabled)) };
        self.run("enable_credential", enable).await
    }

    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError> {
        let delete = async { retried!(credentials::delete(&self.pool, access, access_key_id)) };
        self.run("delete_credential", delete).await
    }

    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let used = async { retried!(credentials::used(&self.pool, access, access_key_id, at)) };
        self.run("credential_used", used).await
    }

    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError> {
        self.run("consume_nonce", upkeep::consume_nonce(&self.pool, nonce, expires_at)).await
    }

    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError> {
        self.run("is_nonce_used", upkeep::is_nonce_used(&self.pool, nonce)).await
    }

    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError> {
        self.run("own_usage", usage::own(&self.pool, access)).await
    }

    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        self.run("all_usage", usage::all(&self.pool, access, limit)).await
    }

    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        let recount = async {
            let differences = usage::differences(&self.pool, access).await?;
            if !repair || differences.is_empty() {
                return Ok(differences);
            }
            // Counted once more, while nobody writes: only then may counters be set.
            retried!(usage::repair(&self.pool, access))
        };
        self.run("recount_usage", recount).await
    }

    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError> {
        let due = async { retried!(upkeep::due(&self.pool, self.instance, access, older_than, limit)) };
        self.run("due_deletions", due).await
    }

    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError> {
        let finish = async { retried!(upkeep::finish(&self.pool, access, deleted, failed)) };
        self.run("finish_deletions", finish).await
    }

    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        let known = async { retried!(upkeep::known(&self.pool, access, keys)) };
        self.run("known_blobs", known).await
    }

    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError> {
        self.run("segment_blobs", upkeep::segment_blobs(&self.pool, access, provider, after, limit)).await
    }

    async fn delete_lost_object(&self, access: &Access, version: Uuid) -> Result<bool, StorageError> {
        let delete = async { retried!(upkeep::delete_lost(&self.pool, access, version)) };
        self.run("delete_lost_object", delete).await
    }

    async fn orphan_job_turn(&self, access: &Access) -> Result<Option<Turn>, StorageError> {
        self.run("orphan_job_turn", upkeep::orphan_job_turn(&self.pool, access)).await
    }

    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError> {
        self.run("events", events::after(&self.pool, access, after, limit)).await
    }

    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError> {
        self.run("backlog", upkeep::backlog(&self.pool, access)).await
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
        self.run("ping", upkeep::ping(&self.pool)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
