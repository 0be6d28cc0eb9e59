//! An executor under test, and short words for what tests ask of it.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Map;
use uuid::Uuid;

use crate::bucket::{Bucket, BucketConfig, BucketName, BucketPolicy};
use crate::errors::StorageError;
use crate::executor::{
    Copies, Executor, Listing, ObjectSort, Page, PageStart, Relocation, SegmentBlob, SortOrder, Written,
};
use crate::file::{BlobKey, NewObject, ObjectAttributes, Place, PutMode, Segment, Sha256, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, AccessRules, Operation, RlsContext};
use crate::storage::{CacheOptions, ListCache};

/// An executor with an empty database, and what must live as long.
pub(crate) struct Subject {
    pub(crate) executor: Arc<dyn Executor>,
    /// Lists and objects are asked for through it, too.
    kept: ListCache,
    _keep: Box<dyn Any + Send + Sync>,
}

impl Subject {
    pub(crate) fn new(executor: Arc<dyn Executor>, keep: impl Any + Send + Sync) -> Self {
        Self { executor, kept: ListCache::new(CacheOptions::default()), _keep: Box::new(keep) }
    }

    /// Creates a bucket; the caller owns it.
    pub(crate) async fn bucket(&self, caller: &RlsContext, name: &str, policy: BucketPolicy) -> Bucket {
        let config = BucketConfig { policy, ..BucketConfig::default() };
        self.bucket_with(caller, name, config).await
    }

    pub(crate) async fn bucket_with(&self, caller: &RlsContext, name: &str, config: BucketConfig) -> Bucket {
        let access = allow(caller, Operation::CreateBucket);
        self.executor.create_bucket(&access, &bucket(name), &config).await.unwrap()
    }

    /// A bucket as the service role sees it.
    pub(crate) async fn shown(&self, name: &str) -> Bucket {
        self.executor.bucket(&allow(&service(), Operation::ShowBucket), &bucket(name)).await.unwrap()
    }

    /// Writes an object of `bytes`, kept inline.
    pub(crate) async fn put(
        &self,
        caller: &RlsContext,
        at: (&Bucket, &str),
        bytes: &[u8],
        mode: PutMode,
    ) -> Result<Written, StorageError> {
        self.put_object(caller, new_object(at.0, at.1, bytes), &mode).await
    }

    pub(crate) async fn put_object(
        &self,
        caller: &RlsContext,
        object: NewObject,
        mode: &PutMode,
    ) -> Result<Written, StorageError> {
        let access =
            Access::check(caller, Operation::Upload(mode), Some(&object.bucket), AccessRules::default())?;
        self.executor.put_object(&access, object, mode).await
    }

    pub(crate) async fn get(
        &self,
        caller: &RlsContext,
        name: &str,
        at: &str,
    ) -> Result<StorageObject, StorageError> {
        let (access, name, at) = (allow(caller, Operation::Info), bucket(name), path(at));
        let read = async || self.executor.object(&access, &name, &at).await;
        let right = read().await;
        // As with lists. Refusals are never kept.
        for _ in 0..3 {
            let kept = self.kept.object(&*self.executor, &access, &name, &at).await;
            assert!(
                alike(&kept, &right) || !alike(&read().await, &right),
                "{at} in {name}: {kept:?} is not {right:?}"
            );
        }
        right
    }

    pub(crate) async fn delete(
        &self,
        caller: &RlsContext,
        name: &str,
        at: &str,
    ) -> Result<Option<StorageObject>, StorageError> {
        let access = Access::check(caller, Operation::Delete, Some(&bucket(name)), AccessRules::default())?;
        Ok(self.executor.delete_object(&access, &bucket(name), &path(at), None).await?.object)
    }

    pub(crate) async fn rename(
        &self,
        caller: &RlsContext,
        from: (&str, &str),
        to: (&str, &str),
        mode: PutMode,
    ) -> Result<StorageObject, StorageError> {
        let access =
            Access::check(caller, Operation::Move(&mode), Some(&bucket(from.0)), AccessRules::default())?;
        let (from, to) = ((bucket(from.0), path(from.1)), (bucket(to.0), path(to.1)));
        match self.executor.move_object(&access, (&from.0, &from.1), (&to.0, &to.1), &mode).await? {
            Relocation::Moved(moved) => Ok(*moved),
            Relocation::KeepsVersions => panic!("the bucket keeps versions"),
        }
    }

    pub(crate) async fn list(&self, caller: &RlsContext, name: &str, listing: &Listing) -> Page {
        let (access, name) = (allow(caller, Operation::List), bucket(name));
        let read = async || self.executor.list_objects(&access, &name, listing).await.unwrap();
        let page = read().await;
        // The first is noted, the second kept, the third from memory: all are what the database says, unless somebody writes.
        for _ in 0..3 {
            let kept = self.kept.list(&*self.executor, &access, &name, listing).await.unwrap().page();
            assert!(
                **kept == page || read().await != page,
                "{listing:?} in {name}: {kept:?} is not {page:?}"
            );
        }
        page
    }

    /// Asserts that counters are what a recount finds.
    #[track_caller]
    pub(crate) fn recount(&self) -> impl Future<Output = ()> + use<'_> {
        let here = std::panic::Location::caller();
        async move {
            let found = self.executor.recount_usage(&maintain(), false).await.unwrap();
            assert!(found.is_empty(), "counters are wrong at {here}: {found:?}");
        }
    }
}

/// The access to an operation that a caller's role may do.
#[track_caller]
pub(crate) fn allow(caller: &RlsContext, operation: Operation<'_>) -> Access {
    Access::check(caller, operation, None, AccessRules::default()).unwrap()
}

pub(crate) fn maintain() -> Access {
    allow(&service(), Operation::Maintain)
}

pub(crate) fn anon() -> RlsContext {
    RlsContext::anon("test")
}

pub(crate) fn user() -> RlsContext {
    RlsContext::user(Uuid::new_v4(), Map::new(), "test")
}

pub(crate) fn service() -> RlsContext {
    RlsContext::service(None, Map::new(), "test")
}

/// Whether two answers are the same, also where they are refusals.
fn alike(one: &Result<StorageObject, StorageError>, other: &Result<StorageObject, StorageError>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => one.to_string() == other.to_string(),
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// A blob that is said to be lost, and of this version, or of this upload.
pub(crate) fn lost_bytes(version: Uuid, key: &BlobKey) -> SegmentBlob {
    SegmentBlob { key: key.clone(), size: 1, version, bucket: bucket("lost"), path: path("lost") }
}

/// The name of a blob that nothing is made of.
pub(crate) fn strange() -> BlobKey {
    BlobKey::new(Uuid::nil())
}

pub(crate) fn bucket(name: &str) -> BucketName {
    BucketName::parse(name).unwrap()
}

pub(crate) fn path(path: &str) -> ObjectPath {
    ObjectPath::parse(path).unwrap()
}

/// An object to be written, kept inline.
pub(crate) fn new_object(bucket: &Bucket, at: &str, bytes: &[u8]) -> NewObject {
    let place = Place::Inline(Bytes::copy_from_slice(bytes));
    with_segments(bucket, at, bytes, [(bytes, place)])
}

/// An object to be written, kept as a blob; and the blob's name.
pub(crate) fn new_blob(bucket: &Bucket, at: &str, bytes: &[u8]) -> (NewObject, BlobKey) {
    let key = BlobKey::new(bucket.uuid);
    let place = Place::Blob { provider: "local".into(), key: key.clone() };
    (with_segments(bucket, at, bytes, [(bytes, place)]), key)
}

/// An object to be written, made of segments.
pub(crate) fn with_segments<'b>(
    bucket: &Bucket,
    at: &str,
    bytes: &[u8],
    parts: impl IntoIterator<Item = (&'b [u8], Place)>,
) -> NewObject {
    let mut offset = 0;
    let segments = parts
        .into_iter()
        .map(|(part, place)| {
            let size = part.len() as u64;
            offset += size;
            Segment { offset: offset - size, size, sha256: Sha256::of(part), place, belongs: None }
        })
        .collect();
    let checksum = Sha256::of(bytes);
    NewObject {
        bucket_uuid: bucket.uuid,
        bucket: bucket.name.clone(),
        path: path(at),
        attributes: ObjectAttributes { content_type: "text/plain".to_owned(), ..Default::default() },
        size: bytes.len() as u64,
        checksum: Some(checksum),
        etag: checksum.to_hex(),
        version: Uuid::now_v7(),
        segments,
        copies: Copies::default(),
    }
}

/// A list of everything below a prefix, or of one level, by name.
pub(crate) fn listing(prefix: &str, delimiter: bool) -> Listing {
    Listing {
        prefix: prefix.to_owned(),
        delimiter: delimiter.then_some(crate::executor::Delimiter::SLASH),
        search: String::new(),
        collation: crate::executor::Collation::Bytes,
        sort: (ObjectSort::Name, SortOrder::Ascending),
        limit: 1000,
        start: PageStart::First,
    }
}

/// The paths of a page's entries.
pub(crate) fn paths(page: &Page) -> Vec<&str> {
    page.entries.iter().map(crate::executor::Entry::path).collect()
}
