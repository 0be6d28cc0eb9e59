//! The trait's methods, each sent to where it runs: in place, on the blocking pool, or through the writer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::errors::{Fault, full, unavailable};
use super::{
    SqliteExecutor, buckets, credentials, decide, delete, events, explain, extra, listing, multipart,
    policies, put, read, relocate, upkeep, usage, versions,
};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::credentials::Credential;
use crate::errors::StorageError;
use crate::executor::{
    Admission, Announced, Backlog, BucketListing, Event, Executor, Explanation, Listing, Page, Question,
    QueuedBlob, Relocation, SegmentBlob, UsageDifference, UserUsage, Written,
};
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{BlobKey, NewObject, PutMode, StorageObject, StoredObject};
use crate::multipart::{
    Append, Claimed, Completion, MultipartUpload, NewMultipart, NewPart, Part, UploadAt, UploadListing,
};
use crate::path::ObjectPath;
use crate::permissions::{Access, AnonGrants, Permission, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::{Deletion, ObjectVersion, VersionId, VersionScan};

#[async_trait]
impl Executor for SqliteExecutor {
    async fn create_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        config: &BucketConfig,
    ) -> Result<Bucket, StorageError> {
        let access = access.clone();
        let (name, config) = (name.clone(), config.clone());
        self.writer.run("create_bucket", move |conn| buckets::create(conn, &access, &name, &config)).await
    }

    async fn bucket(&self, access: &Access, name: &BucketName) -> Result<Bucket, StorageError> {
        self.read("bucket", |conn| buckets::show(conn, access, name))
    }

    async fn list_buckets(
        &self,
        access: &Access,
        listing: &BucketListing,
    ) -> Result<Vec<Bucket>, StorageError> {
        let access = access.clone();
        let listing = listing.clone();
        self.scan("list_buckets", move |conn| buckets::list(conn, &access, &listing)).await
    }

    async fn update_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketUpdate,
    ) -> Result<Bucket, StorageError> {
        let access = access.clone();
        let (name, update) = (name.clone(), update.clone());
        self.writer.run("update_bucket", move |conn| buckets::update(conn, &access, &name, &update)).await
    }

    async fn empty_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        limit: u32,
    ) -> Result<u64, StorageError> {
        let access = access.clone();
        let name = name.clone();
        let rules = self.rules.load_full();
        self.writer
            .free("empty_bucket", move |conn| buckets::empty(conn, &rules, &access, &name, limit))
            .await
    }

    async fn delete_bucket(&self, access: &Access, name: &BucketName) -> Result<(), StorageError> {
        let access = access.clone();
        let name = name.clone();
        self.writer.free("delete_bucket", move |conn| buckets::delete(conn, &access, &name)).await
    }

    async fn admit_put(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
        announced: &Announced,
    ) -> Result<Admission, StorageError> {
        let rules = self.rules.load();
        self.read("admit_put", |conn| decide::admit(conn, &rules, access, (bucket, path), mode, announced))
    }

    async fn admit_signing(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
    ) -> Result<(), StorageError> {
        let rules = self.rules.load();
        self.read("admit_signing", |conn| decide::sign(conn, &rules, access, (bucket, path), mode))
    }

    async fn put_object(
        &self,
        access: &Access,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let access = access.clone();
        let mode = mode.clone();
        let rules = self.rules.load_full();
        self.writer.run("put_object", move |conn| put::put(conn, &rules, &access, object, &mode)).await
    }

    async fn create_multipart(
        &self,
        access: &Access,
        upload: NewMultipart,
        mode: &PutMode,
    ) -> Result<MultipartUpload, StorageError> {
        let (access, mode, rules) = (access.clone(), mode.clone(), self.rules.load_full());
        let create = move |conn: &Connection| multipart::create(conn, &rules, &access, upload, &mode);
        self.writer.run("create_multipart", create).await
    }

    async fn multipart(&self, access: &Access, at: &UploadAt) -> Result<MultipartUpload, StorageError> {
        self.read("multipart", |conn| multipart::show(conn, access, at))
    }

    async fn list_multipart(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &UploadListing,
    ) -> Result<Vec<MultipartUpload>, StorageError> {
        let (access, bucket, listing) = (access.clone(), bucket.clone(), listing.clone());
        self.scan("list_multipart", move |conn| multipart::list(conn, &access, &bucket, &listing)).await
    }

    async fn put_part(
        &self,
        access: &Access,
        at: &UploadAt,
        number: u32,
        part: NewPart,
        expires_at: Timestamp,
    ) -> Result<Part, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let put = move |conn: &Connection| multipart::put(conn, &access, &at, number, part, expires_at);
        self.writer.run("put_part", put).await
    }

    async fn parts(
        &self,
        access: &Access,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        self.scan("parts", move |conn| multipart::parts(conn, &access, &at, after, limit)).await
    }

    async fn claim_resumable(&self, access: &Access, at: &UploadAt) -> Result<Claimed, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        self.writer.keep("claim_resumable", move |conn| multipart::claim(conn, &access, &at)).await
    }

    async fn announce_length(&self, access: &Access, at: &UploadAt, length: u64) -> Result<(), StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let announce = move |conn: &Connection| multipart::announce_length(conn, &access, &at, length);
        self.writer.keep("announce_length", announce).await
    }

    async fn append(
        &self,
        access: &Access,
        at: &UploadAt,
        run: Append,
        expires_at: Timestamp,
    ) -> Result<MultipartUpload, StorageError> {
        let (access, at) = (access.clone(), at.clone());
        let append = move |conn: &Connection| multipart::append(conn, &access, &at, &run, expires_at);
        self.writer.run("append", append).await
    }

    async fn complete_multipart(
        &self,
        access: &Access,
        at: &UploadAt,
        completion: Completion,
    ) -> Result<Written, StorageError> {
        let (access, at, rules) = (access.clone(), at.clone(), self.rules.load_full());
        let complete = move |conn: &Connection| multipart::complete(conn, &rules, &access, &at, &completion);
        self.writer.run("complete_multipart", complete).await
    }

    async fn abort_multipart(&self, access: &Access, at: &UploadAt) -> Result<(), StorageError> {
        let (access, at) = (access.clone(), at.clone());
        self.writer.free("abort_multipart", move |conn| multipart::abort(conn, &access, &at)).await
    }

    async fn expire_uploads(&self, access: &Access, limit: u32) -> Result<u64, StorageError> {
        let access = access.clone();
        self.writer.free("expire_uploads", move |conn| multipart::expire(conn, &access, limit)).await
    }

    async fn open_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StoredObject, StorageError> {
        let rules = self.rules.load();
        self.read("open_object", |conn| read::open(conn, &rules, access, bucket, path))
    }

    async fn object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        let rules = self.rules.load();
        self.read("object", |conn| read::show(conn, &rules, access, bucket, path))
    }

    async fn open_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StoredObject, StorageError> {
        let rules = self.rules.load();
        self.read("open_version", |conn| versions::open(conn, &rules, access, (bucket, path), version))
    }

    async fn scan_versions(
        &self,
        access: &Access,
        bucket: &BucketName,
        scan: &VersionScan,
    ) -> Result<Vec<ObjectVersion>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let (bucket, scan) = (bucket.clone(), scan.clone());
        self.scan("scan_versions", move |conn| versions::scan(conn, &rules, &access, &bucket, &scan)).await
    }

    async fn delete_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let (bucket, path) = (bucket.clone(), path.clone());
        let delete =
            move |conn: &Connection| versions::delete(conn, &rules, &access, (&bucket, &path), version);
        self.writer.free("delete_version", delete).await
    }

    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Deletion, StorageError> {
        let access = access.clone();
        let (bucket, path) = (bucket.clone(), path.clone());
        let rules = self.rules.load_full();
        self.writer
            .free("delete_object", move |conn| delete::one(conn, &rules, &access, &bucket, &path))
            .await
    }

    async fn delete_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Deletion>, StorageError> {
        let access = access.clone();
        let (bucket, paths) = (bucket.clone(), paths.to_vec());
        let rules = self.rules.load_full();
        self.writer
            .free("delete_objects", move |conn| delete::many(conn, &rules, &access, &bucket, &paths))
            .await
    }

    async fn move_object(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let access = access.clone();
        let from = (from.0.clone(), from.1.clone());
        let to = (to.0.clone(), to.1.clone());
        let (mode, rules) = (mode.clone(), self.rules.load_full());
        self.writer
            .run("move_object", move |conn| {
                relocate::relocate(conn, &rules, &access, (&from.0, &from.1), (&to.0, &to.1), &mode)
            })
            .await
    }

    async fn move_copied(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        version: Uuid,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let (access, rules, mode) = (access.clone(), self.rules.load_full(), mode.clone());
        let from = (from.0.clone(), from.1.clone());
        let copied = move |conn: &Connection| {
            relocate::copied(conn, &rules, &access, ((&from.0, &from.1), version), object, &mode)
        };
        self.writer.run("move_object", copied).await
    }

    async fn list_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Page, StorageError> {
        let access = access.clone();
        let (bucket, listing, rules) = (bucket.clone(), listing.clone(), self.rules.load_full());
        self.scan("list_objects", move |conn| listing::list(conn, &rules, &access, &bucket, &listing)).await
    }

    async fn anon_grants(&self) -> Result<AnonGrants, StorageError> {
        Ok(AnonGrants::of(self.rules.load().policies()))
    }

    async fn create_policy(&self, access: &Access, policy: &Policy) -> Result<(), StorageError> {
        let (access, policy) = (access.clone(), policy.clone());
        let rules = Arc::clone(&self.rules);
        let create = move |conn: &Connection| policies::create(conn, &access, &policy);
        self.writer.run_then("create_policy", create, move |made| rules.store(Arc::clone(made))).await?;
        Ok(())
    }

    async fn drop_policy(&self, access: &Access, name: &str) -> Result<bool, StorageError> {
        let (access, name) = (access.clone(), name.to_owned());
        let rules = Arc::clone(&self.rules);
        let drop_one = move |conn: &Connection| policies::drop_one(conn, &access, &name);
        let dropped =
            self.writer.run_then("drop_policy", drop_one, move |(_, left)| rules.store(Arc::clone(left)));
        Ok(dropped.await?.0)
    }

    async fn policies(&self, access: &Access) -> Result<PolicySet, StorageError> {
        policies::all(&self.rules.load(), access).map_err(|fault| fault.into_storage("policies"))
    }

    async fn explain(&self, access: &Access, question: &Question) -> Result<Explanation, StorageError> {
        let rules = self.rules.load();
        self.read("explain", |conn| explain::explain(conn, &rules, access, question))
    }

    async fn tag_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let (access, rules) = (access.clone(), self.rules.load_full());
        let (bucket, path, tags) = (bucket.clone(), path.clone(), tags.to_vec());
        let tag = move |conn: &Connection| extra::tag(conn, &rules, &access, (&bucket, &path), &tags);
        self.writer.run("tag_object", tag).await
    }

    async fn tag_version(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let (access, rules, tags) = (access.clone(), self.rules.load_full(), tags.to_vec());
        let (bucket, path) = (bucket.clone(), path.clone());
        let tag =
            move |conn: &Connection| versions::tag(conn, &rules, &access, (&bucket, &path), version, &tags);
        self.writer.run("tag_version", tag).await
    }

    async fn bucket_extra(&self, access: &Access, name: &BucketName) -> Result<BucketExtra, StorageError> {
        self.read("bucket_extra", |conn| extra::of_bucket(conn, access, name))
    }

    async fn update_bucket_extra(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketExtraUpdate,
    ) -> Result<(), StorageError> {
        let (access, name, update) = (access.clone(), name.clone(), update.clone());
        let change = move |conn: &Connection| extra::update_bucket(conn, &access, &name, &update);
        self.writer.run("update_bucket_extra", change).await
    }

    async fn create_credential(
        &self,
        access: &Access,
        credential: &Credential,
        sealed_secret: &str,
    ) -> Result<Credential, StorageError> {
        let (access, credential, sealed) = (access.clone(), credential.clone(), sealed_secret.to_owned());
        let create = move |conn: &Connection| credentials::create(conn, &access, &credential, &sealed);
        self.writer.run("create_credential", create).await
    }

    async fn credentials(&self, access: &Access) -> Result<Vec<Credential>, StorageError> {
        let access = access.clone();
        self.scan("credentials", move |conn| credentials::all(conn, &access)).await
    }

    async fn credential(
        &self,
        access: &Access,
        access_key_id: &str,
    ) -> Result<Option<(Credential, String)>, StorageError> {
        self.read("credential", |conn| credentials::find(conn, access, access_key_id))
    }

    async fn enable_credential(
        &self,
        access: &Access,
        access_key_id: &str,
        enabled: bool,
    ) -> Result<Option<Credential>, StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let enable = move |conn: &Connection| credentials::enable(conn, &access, &id, enabled);
        self.writer.keep("enable_credential", enable).await
    }

    async fn delete_credential(&self, access: &Access, access_key_id: &str) -> Result<bool, StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let delete = move |conn: &Connection| credentials::delete(conn, &access, &id);
        self.writer.free("delete_credential", delete).await
    }

    async fn credential_used(
        &self,
        access: &Access,
        access_key_id: &str,
        at: Timestamp,
    ) -> Result<(), StorageError> {
        let (access, id) = (access.clone(), access_key_id.to_owned());
        let used = move |conn: &Connection| credentials::used(conn, &access, &id, at);
        self.writer.run("credential_used", used).await
    }

    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError> {
        self.writer.keep("consume_nonce", move |conn| upkeep::consume_nonce(conn, nonce, expires_at)).await
    }

    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError> {
        self.read("is_nonce_used", |conn| upkeep::is_nonce_used(conn, nonce))
    }

    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError> {
        self.read("own_usage", |conn| usage::own(conn, access))
    }

    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        let access = access.clone();
        self.scan("all_usage", move |conn| usage::all(conn, &access, limit)).await
    }

    async fn recount_usage(
        &self,
        access: &Access,
        repair: bool,
    ) -> Result<Vec<UsageDifference>, StorageError> {
        let access = Arc::new(access.clone());
        let reader = Arc::clone(&access);
        let differences = self.scan("recount_usage", move |conn| usage::differences(conn, &reader)).await?;
        if !repair || differences.is_empty() {
            return Ok(differences);
        }
        // Counted once more, between writes: only then may counters be set.
        self.writer.keep("recount_usage", move |conn| usage::repair(conn, &access)).await
    }

    async fn due_deletions(
        &self,
        access: &Access,
        older_than: Duration,
        limit: u32,
    ) -> Result<Vec<QueuedBlob>, StorageError> {
        let access = access.clone();
        self.scan("due_deletions", move |conn| upkeep::due(conn, &access, older_than, limit)).await
    }

    async fn finish_deletions(
        &self,
        access: &Access,
        deleted: &[BlobKey],
        failed: &[BlobKey],
    ) -> Result<(), StorageError> {
        let access = access.clone();
        let (deleted, failed) = (deleted.to_vec(), failed.to_vec());
        self.writer
            .free("finish_deletions", move |conn| upkeep::finish(conn, &access, &deleted, &failed))
            .await
    }

    async fn known_blobs(&self, access: &Access, keys: &[BlobKey]) -> Result<Vec<BlobKey>, StorageError> {
        let access = access.clone();
        let keys = keys.to_vec();
        self.scan("known_blobs", move |conn| upkeep::known(conn, &access, &keys)).await
    }

    async fn segment_blobs(
        &self,
        access: &Access,
        provider: &str,
        after: Option<&BlobKey>,
        limit: u32,
    ) -> Result<Vec<SegmentBlob>, StorageError> {
        let access = access.clone();
        let (provider, after) = (provider.to_owned(), after.cloned());
        self.scan("segment_blobs", move |conn| {
            upkeep::segment_blobs(conn, &access, &provider, after.as_ref(), limit)
        })
        .await
    }

    async fn delete_lost_object(&self, access: &Access, version: Uuid) -> Result<bool, StorageError> {
        let access = access.clone();
        self.writer.free("delete_lost_object", move |conn| upkeep::delete_lost(conn, &access, version)).await
    }

    async fn events(&self, access: &Access, after: u64, limit: u32) -> Result<Vec<Event>, StorageError> {
        let access = access.clone();
        self.scan("events", move |conn| events::after(conn, &access, after, limit)).await
    }

    async fn backlog(&self, access: &Access) -> Result<Backlog, StorageError> {
        let access = access.clone();
        self.scan("backlog", move |conn| upkeep::backlog(conn, &access)).await
    }

    async fn query(
        &self,
        access: &Access,
        query: &Query,
        limits: &QueryLimits,
    ) -> Result<Answer, StorageError> {
        // Tables of one's own rows say in their predicates who those are.
        access.on_rows(Permission::BucketRead, None)?;
        let context = access.on_rows(Permission::ObjectRead, None)?;
        self.queries.run(&self.rules.load(), context, query, limits).await
    }

    fn check_room(&self) -> Result<(), StorageError> {
        if self.room.lets_in() { Ok(()) } else { Err(full()) }
    }

    async fn ping(&self) -> Result<(), StorageError> {
        if !self.writer.is_open() {
            return Err(unavailable("ping"));
        }
        self.read("ping", |conn| {
            conn.prepare_cached("SELECT count(*) FROM storage_buckets WHERE id = ''")?
                .query_row([], |_| Ok(()))
                .map_err(Fault::from)
        })
    }

    async fn close(&self) {
        self.queries.close().await;
        // Readers first: the last connection to close moves what is left of the log, and that is the writer's.
        let (readers, long_readers) = (Arc::clone(&self.readers), Arc::clone(&self.long_readers));
        let closed = tokio::task::spawn_blocking(move || {
            readers.close();
            long_readers.close();
        });
        if closed.await.is_err() {
            tracing::error!("the database's readers could not be closed");
        }
        self.writer.close().await;
    }
}
