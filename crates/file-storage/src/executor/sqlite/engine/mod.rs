//! The trait's methods, each sent to where it runs: in place, on the blocking pool, or through the writer.

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

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::errors::{Fault, full, unavailable};
use super::{
    SqliteExecutor, buckets, decide, delete, explain, extra, listing, policies, put, put_many, read,
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
use crate::permissions::{Access, AnonGrants, Permission, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::Deletion;

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
    ) -> Result<Vec<Emptied>, StorageError> {
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

    async fn admit_puts(
        &self,
        access: &Access,
        bucket: &BucketName,
        wanted: &[(ObjectPath, Announced)],
        mode: &PutMode,
    ) -> Result<Vec<Result<Admission, StorageError>>, StorageError> {
        let rules = self.rules.load();
        self.read("admit_puts", |conn| {
            // One view, and one lock, for all of them.
            let view = conn.unchecked_transaction()?;
            let admit = |(path, announced): &(ObjectPath, Announced)| {
                let admitted = decide::admit(&view, &rules, access, (bucket, path), mode, announced);
                admitted.map_err(|fault| fault.into_storage("admit_puts"))
            };
            Ok(wanted.iter().map(admit).collect())
        })
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

    async fn put_objects(
        &self,
        access: &Access,
        objects: Vec<NewObject>,
        mode: &PutMode,
    ) -> Result<Vec<Result<Written, StorageError>>, StorageError> {
        let (access, mode, rules) = (access.clone(), mode.clone(), self.rules.load_full());
        let put = move |conn: &Connection| put_many::put_many(conn, &rules, &access, &objects, &mode);
        self.writer.run("put_objects", put).await
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

    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        condition: Option<&ETags>,
    ) -> Result<Deletion, StorageError> {
        let access = access.clone();
        let (bucket, path, condition) = (bucket.clone(), path.clone(), condition.cloned());
        let rules = self.rules.load_full();
        let delete =
            move |conn: &Connection| delete::one(conn, &rules, &access, (&bucket, &path), condition.as_ref());
        self.writer.free("delete_object", delete).await
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
                let (from, to) = ((&from.0, &from.1), (&to.0, &to.1));
                relocate::relocate(conn, &rules, &access, (from, None), to, &mode)
            })
            .await
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

    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError> {
        self.writer
            .keep("consume_nonce", move |conn| super::upkeep::consume_nonce(conn, nonce, expires_at))
            .await
    }

    async fn give_back_nonce(&self, nonce: Uuid) -> Result<(), StorageError> {
        self.writer.keep("give_back_nonce", move |conn| super::upkeep::give_back_nonce(conn, nonce)).await
    }

    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError> {
        self.read("is_nonce_used", |conn| super::upkeep::is_nonce_used(conn, nonce))
    }

    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError> {
        self.read("own_usage", |conn| usage::own(conn, access))
    }

    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        let access = access.clone();
        self.scan("all_usage", move |conn| usage::all(conn, &access, limit)).await
    }

    async fn usage_by(
        &self,
        access: &Access,
        by: &UsageBy,
        limit: u32,
    ) -> Result<Vec<UsageGroup>, StorageError> {
        let (access, by) = (access.clone(), by.clone());
        self.scan_within_bounds("usage_by", move |conn| usage_by::groups(conn, &access, &by, limit)).await
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
