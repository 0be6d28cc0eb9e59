//! Who asks, how, and whether the answer is right and came from memory.

use std::sync::Arc;

use file_storage::errors::StorageError;
use file_storage::executor::Executor;
use file_storage::file::{PutMode, Sha256, StorageObject, StoredObject};
use file_storage::permissions::{Access, AccessRules, Operation};
use file_storage::storage::Download;
use file_storage::{BucketName, BucketPolicy, BucketUpdate, FileStorage, ObjectPath, RlsContext};
use futures_util::future::join_all;

use crate::support::{Fixture, collect, credential_key, keys, options, path, service};

/// What no row holds.
pub(crate) const LARGE: &[u8] = &[7; 1000];

/// What the database says, past every cache.
pub(crate) async fn told(
    on: &dyn Executor,
    caller: &RlsContext,
    at: &BucketName,
    name: &ObjectPath,
) -> Result<StoredObject, StorageError> {
    let rules = AccessRules { anon_by_policy: on.anon_grants().await?, ..AccessRules::default() };
    let access = Access::check(caller, Operation::Download, Some(at), rules)?;
    on.open_object(&access, at, name).await
}

/// Whether an answer is the right one, be it a refusal. A refusal says as much as it says without a cache.
#[track_caller]
pub(crate) fn is_right(
    answer: Result<&StorageObject, &StorageError>,
    right: &Result<StoredObject, StorageError>,
    what: &str,
) {
    match (answer, right) {
        (Ok(object), Ok(right)) => assert_eq!(*object, right.object, "{what}"),
        (Err(error), Err(right)) => assert_eq!(error.to_string(), right.to_string(), "{what}"),
        (answer, right) => panic!("{what}: {answer:?} is not {right:?}"),
    }
}

/// So many ask at a time that marks are asked for: the first ones read.
pub(crate) const TOGETHER: usize = 6;

/// Has some ask at once, for the object and for its bytes, with paths of their own: a row that was read has it, and one from memory
/// another. Whether the last ones of both came from there.
pub(crate) async fn asked(
    on: (&FileStorage, &dyn Executor),
    caller: &RlsContext,
    at: &BucketName,
    name: &str,
) -> bool {
    let (storage, what) = (on.0, format!("{name} in {at} for {caller:?}"));
    let own = paths(name);
    let infos = join_all(own.iter().map(|own| storage.info(caller, at, own))).await;
    let downloads = join_all(own.iter().map(|own| storage.download(caller, at, own))).await;
    let right = told(on.1, caller, at, &own[0]).await;
    let mut kept = [false; 2];
    for ((info, download), own) in infos.into_iter().zip(downloads).zip(&own) {
        is_right(info.as_ref(), &right, &what);
        is_right(download.as_ref().map(Download::object), &right, &what);
        let (Ok(info), Ok(download)) = (info, download) else { continue };
        kept = [was_kept(&info, own), was_kept(download.object(), own)];
        let bytes = collect(download.body(None).await.unwrap()).await.unwrap();
        assert_eq!(Some(Sha256::of(&bytes)), info.checksum, "{what}");
    }
    kept[0] && kept[1]
}

/// A path for each of those who ask at once.
pub(crate) fn paths(name: &str) -> Vec<ObjectPath> {
    (0..TOGETHER).map(|_| path(name)).collect()
}

/// Whether the answer to who asked with this path came from memory.
pub(crate) fn was_kept(object: &StorageObject, own: &ObjectPath) -> bool {
    !std::ptr::eq(object.path.as_str(), own.as_str())
}

/// Asks again and again. Whether the last one came from memory.
pub(crate) async fn is_kept(fixture: &Fixture, caller: &RlsContext, at: &BucketName, name: &str) -> bool {
    let mut kept = false;
    for _ in 0..4 {
        kept = asked((&fixture.storage, &*fixture.executor), caller, at, name).await;
    }
    kept
}

/// Whether objects are kept at all.
pub(crate) fn keeps(fixture: &Fixture) -> bool {
    fixture.database.is_some()
}

/// Another process over the same metadata.
pub(crate) async fn another(fixture: &Fixture) -> (FileStorage, Arc<dyn Executor>) {
    let executor = Fixture::executor(fixture.dir.path(), fixture.database.as_ref()).await;
    let options = options(fixture.dir.path());
    let storage =
        FileStorage::new(executor.clone(), fixture.backend.clone(), keys(), credential_key(), options);
    (storage, executor)
}

pub(crate) async fn put(fixture: &Fixture, caller: &RlsContext, at: &BucketName, name: &str, bytes: &[u8]) {
    fixture.put(caller, (at, &path(name)), PutMode::Upsert, bytes).await.unwrap();
}

pub(crate) async fn set_policy(fixture: &Fixture, at: &BucketName, policy: BucketPolicy) {
    let update = BucketUpdate { policy: Some(policy), ..BucketUpdate::default() };
    fixture.storage.update_bucket(&service(), at, &update).await.unwrap();
}
