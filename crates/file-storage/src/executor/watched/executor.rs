//! Buckets, objects, policies, questions and usage: what no narrower part of an executor is for.

use async_trait::async_trait;
use uuid::Uuid;

use super::{WatchedExecutor, asked, deleted, moved, settings, written};
use crate::Timestamp;
use crate::audit::{Action, Entry};
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::{
    Admission, Announced, BucketListing, Emptied, Executor, Explanation, Listing, Page, Question, Relocation,
    UsageBy, UsageGroup, UserUsage, Written,
};
use crate::extra::{BucketExtra, BucketExtraUpdate, Tag};
use crate::file::{ETags, NewObject, PutMode, StorageObject, StoredObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, AnonGrants, Operation, Policy, PolicySet};
use crate::sql::query::{Answer, Query, QueryLimits};
use crate::versions::Deletion;

#[async_trait]
impl Executor for WatchedExecutor {
    async fn create_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        config: &BucketConfig,
    ) -> Result<Bucket, StorageError> {
        let entry = Entry::of(access, Action::Create).bucket(name).settings(settings::of_bucket(config));
        self.change(
            entry,
            asked("create_bucket", self.inner.create_bucket(access, name, config)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn bucket(&self, access: &Access, name: &BucketName) -> Result<Bucket, StorageError> {
        let entry = || Entry::of(access, Action::Read).bucket(name);
        self.read(access, entry, asked("bucket", self.inner.bucket(access, name)), |_, entry| Some(entry))
            .await
    }

    async fn list_buckets(
        &self,
        access: &Access,
        listing: &BucketListing,
    ) -> Result<Vec<Bucket>, StorageError> {
        let entry = || Entry::of(access, Action::List);
        self.read(
            access,
            entry,
            asked("list_buckets", self.inner.list_buckets(access, listing)),
            |found, entry| Some(entry.count(found.len() as u64)),
        )
        .await
    }

    async fn update_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketUpdate,
    ) -> Result<Bucket, StorageError> {
        let entry =
            Entry::of(access, Action::Change).bucket(name).settings(settings::of_bucket_update(update));
        self.change(
            entry,
            asked("update_bucket", self.inner.update_bucket(access, name, update)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn empty_bucket(
        &self,
        access: &Access,
        name: &BucketName,
        limit: u32,
    ) -> Result<Vec<Emptied>, StorageError> {
        let entry = Entry::of(access, Action::Delete).bucket(name);
        self.change(
            entry,
            asked("empty_bucket", self.inner.empty_bucket(access, name, limit)),
            |done, entry| {
                let line = |gone: &Emptied| {
                    entry.clone().object(name, &gone.path).version(gone.version).bytes(gone.size)
                };
                done.iter().map(line).collect::<Vec<_>>()
            },
        )
        .await
    }

    async fn delete_bucket(&self, access: &Access, name: &BucketName) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Delete).bucket(name);
        self.change(entry, asked("delete_bucket", self.inner.delete_bucket(access, name)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn admit_put(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
        announced: &Announced,
    ) -> Result<Admission, StorageError> {
        let entry = || Entry::of(access, Action::Ask).object(bucket, path);
        self.ask(
            access,
            entry,
            asked("admit_put", self.inner.admit_put(access, bucket, path, mode, announced)),
        )
        .await
    }

    async fn admit_puts(
        &self,
        access: &Access,
        bucket: &BucketName,
        wanted: &[(ObjectPath, Announced)],
        mode: &PutMode,
    ) -> Result<Vec<Result<Admission, StorageError>>, StorageError> {
        let entry = || Entry::of(access, Action::Ask).bucket(bucket).count(wanted.len() as u64);
        let run = asked("admit_puts", self.inner.admit_puts(access, bucket, wanted, mode));
        self.read(access, entry, run, |found, _| {
            let refused = wanted.iter().zip(found).filter_map(|((path, _), outcome)| {
                let error = outcome.as_ref().err()?;
                Some(Entry::of(access, Action::Ask).object(bucket, path).failed(error))
            });
            refused.collect::<Vec<_>>()
        })
        .await
    }

    async fn admit_signing(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        mode: &PutMode,
    ) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Create).object(bucket, path).subject("upload URL");
        self.change(
            entry,
            asked("admit_signing", self.inner.admit_signing(access, bucket, path, mode)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn put_object(
        &self,
        access: &Access,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let entry = written(Entry::of(access, Action::Write), &object);
        self.change(entry, asked("put_object", self.inner.put_object(access, object, mode)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn put_objects(
        &self,
        access: &Access,
        objects: Vec<NewObject>,
        mode: &PutMode,
    ) -> Result<Vec<Result<Written, StorageError>>, StorageError> {
        let entry = Entry::of(access, Action::Write).count(objects.len() as u64);
        let one = Entry::of(access, Action::Write);
        let each: Vec<_> = objects.iter().map(|object| written(one.clone(), object)).collect();
        let run = asked("put_objects", self.inner.put_objects(access, objects, mode));
        self.change(entry, run, |done, _| {
            let told = each.into_iter().zip(done).filter_map(|(entry, outcome)| match outcome {
                Ok(_) => Some(entry),
                Err(error) => self.of_failure(entry, error),
            });
            told.collect::<Vec<_>>()
        })
        .await
    }

    async fn open_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StoredObject, StorageError> {
        let entry = || Entry::of(access, Action::Read).object(bucket, path);
        self.read(
            access,
            entry,
            asked("open_object", self.inner.open_object(access, bucket, path)),
            |found, entry| Some(entry.version(found.object.version).bytes(found.object.size)),
        )
        .await
    }

    async fn object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<StorageObject, StorageError> {
        let run = asked("object", self.inner.object(access, bucket, path));
        if access.operation() == Operation::SignDownload.name() {
            // Whoever has the URL reads without being asked who they are: it is made as much as any key.
            let entry = Entry::of(access, Action::Create).object(bucket, path).subject("download URL");
            return self.change(entry, run, |found, entry| Some(entry.version(found.version))).await;
        }
        let entry = || Entry::of(access, Action::Read).object(bucket, path);
        self.read(access, entry, run, |found, entry| Some(entry.version(found.version))).await
    }

    async fn delete_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        condition: Option<&ETags>,
    ) -> Result<Deletion, StorageError> {
        let entry = Entry::of(access, Action::Delete).object(bucket, path);
        self.change(
            entry,
            asked("delete_object", self.inner.delete_object(access, bucket, path, condition)),
            |done, entry| deleted(entry, bucket, done),
        )
        .await
    }

    async fn delete_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        paths: &[ObjectPath],
    ) -> Result<Vec<Deletion>, StorageError> {
        let entry = Entry::of(access, Action::Delete).bucket(bucket).count(paths.len() as u64);
        self.change(
            entry,
            asked("delete_objects", self.inner.delete_objects(access, bucket, paths)),
            |done, entry| {
                done.iter().filter_map(|done| deleted(entry.clone(), bucket, done)).collect::<Vec<_>>()
            },
        )
        .await
    }

    async fn move_object(
        &self,
        access: &Access,
        from: (&BucketName, &ObjectPath),
        to: (&BucketName, &ObjectPath),
        mode: &PutMode,
    ) -> Result<Relocation, StorageError> {
        let entry = Entry::of(access, Action::Move).object(to.0, to.1).from(from);
        self.change(
            entry,
            asked("move_object", self.inner.move_object(access, from, to, mode)),
            |done, entry| moved(entry, done),
        )
        .await
    }

    async fn list_objects(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &Listing,
    ) -> Result<Page, StorageError> {
        let entry = || Entry::of(access, Action::List).listed(bucket, &listing.prefix);
        self.read(
            access,
            entry,
            asked("list_objects", self.inner.list_objects(access, bucket, listing)),
            |found, entry| Some(entry.count(found.entries.len() as u64)),
        )
        .await
    }

    async fn anon_grants(&self) -> Result<AnonGrants, StorageError> {
        asked("anon_grants", self.inner.anon_grants()).await
    }

    async fn create_policy(&self, access: &Access, policy: &Policy) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Create)
            .subject(format!("policy {}", policy.name))
            .settings(settings::of_policy(policy));
        self.change(entry, asked("create_policy", self.inner.create_policy(access, policy)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn drop_policy(&self, access: &Access, name: &str) -> Result<bool, StorageError> {
        let entry = Entry::of(access, Action::Delete).subject(format!("policy {name}"));
        self.change(entry, asked("drop_policy", self.inner.drop_policy(access, name)), |done, entry| {
            done.then_some(entry)
        })
        .await
    }

    async fn policies(&self, access: &Access) -> Result<PolicySet, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("policies");
        self.read(access, entry, asked("policies", self.inner.policies(access)), |_, entry| Some(entry)).await
    }

    async fn explain(&self, access: &Access, question: &Question) -> Result<Explanation, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject("rules");
        self.read(access, entry, asked("explain", self.inner.explain(access, question)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn tag_object(
        &self,
        access: &Access,
        bucket: &BucketName,
        path: &ObjectPath,
        tags: &[Tag],
    ) -> Result<StorageObject, StorageError> {
        let entry = Entry::of(access, Action::Change).object(bucket, path).subject("tags");
        self.change(
            entry,
            asked("tag_object", self.inner.tag_object(access, bucket, path, tags)),
            |done, entry| Some(entry.version(done.version)),
        )
        .await
    }

    async fn bucket_extra(&self, access: &Access, name: &BucketName) -> Result<BucketExtra, StorageError> {
        let entry = || Entry::of(access, Action::Read).bucket(name);
        self.read(access, entry, asked("bucket_extra", self.inner.bucket_extra(access, name)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn update_bucket_extra(
        &self,
        access: &Access,
        name: &BucketName,
        update: &BucketExtraUpdate,
    ) -> Result<(), StorageError> {
        let entry = Entry::of(access, Action::Change)
            .bucket(name)
            .subject("S3 settings")
            .settings(serde_json::to_value(update).unwrap_or_default());
        self.change(
            entry,
            asked("update_bucket_extra", self.inner.update_bucket_extra(access, name, update)),
            |_, entry| Some(entry),
        )
        .await
    }

    async fn consume_nonce(&self, nonce: Uuid, expires_at: Timestamp) -> Result<bool, StorageError> {
        asked("consume_nonce", self.inner.consume_nonce(nonce, expires_at)).await
    }

    async fn give_back_nonce(&self, nonce: Uuid) -> Result<(), StorageError> {
        asked("give_back_nonce", self.inner.give_back_nonce(nonce)).await
    }

    async fn is_nonce_used(&self, nonce: Uuid) -> Result<bool, StorageError> {
        asked("is_nonce_used", self.inner.is_nonce_used(nonce)).await
    }

    async fn own_usage(&self, access: &Access) -> Result<UserUsage, StorageError> {
        let entry = || Entry::of(access, Action::Read).subject("usage");
        self.read(access, entry, asked("own_usage", self.inner.own_usage(access)), |_, entry| Some(entry))
            .await
    }

    async fn all_usage(&self, access: &Access, limit: u32) -> Result<Vec<UserUsage>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("usage");
        self.read(access, entry, asked("all_usage", self.inner.all_usage(access, limit)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn usage_by(
        &self,
        access: &Access,
        by: &UsageBy,
        limit: u32,
    ) -> Result<Vec<UsageGroup>, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("usage");
        self.read(access, entry, asked("usage_by", self.inner.usage_by(access, by, limit)), |_, entry| {
            Some(entry)
        })
        .await
    }

    fn check_room(&self) -> Result<(), StorageError> {
        self.inner.check_room()
    }

    async fn query(
        &self,
        access: &Access,
        query: &Query,
        limits: &QueryLimits,
    ) -> Result<Answer, StorageError> {
        let entry = || Entry::of(access, Action::List).subject("query");
        self.read(access, entry, asked("query", self.inner.query(access, query, limits)), |_, entry| {
            Some(entry)
        })
        .await
    }

    async fn ping(&self) -> Result<(), StorageError> {
        asked("ping", self.inner.ping()).await
    }

    async fn close(&self) {
        asked("close", self.inner.close()).await;
    }
}
