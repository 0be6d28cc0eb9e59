//! Each change is seen at once, and drops nothing else.

use file_storage::extra::Tag;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::CopyOptions;
use file_storage::{BucketConfig, BucketName, BucketPolicy, BucketUpdate, VersionId, Versioning};
use serde_json::{Map, json};

use super::scene::{LARGE, asked, is_kept, keeps, put, set_policy, told};
use crate::support::{Fixture, anon, bucket, chunked, path, service, user};

#[tokio::test]
async fn what_has_changed_is_read_at_once() {
    let fixture = Fixture::new().await;
    let (storage, me, other) = (&fixture.storage, user(1), user(2));
    let config = BucketConfig { versioning: Versioning::Enabled, ..BucketConfig::default() };
    let (at, beside, old) = (bucket("changing"), bucket("beside"), bucket("with-versions"));
    for name in [&at, &beside] {
        storage.create_bucket(&me, name, &BucketConfig::default()).await.unwrap();
        put(&fixture, &me, name, "a", b"1").await;
        put(&fixture, &me, name, "stays", LARGE).await;
    }
    storage.create_bucket(&me, &old, &config).await.unwrap();
    let first = fixture.put(&me, (&old, &path("a")), PutMode::Create, b"1").await.unwrap().object.version;
    let all = [
        (&at, "a"),
        (&at, "b"),
        (&at, "c"),
        (&at, "copy"),
        (&at, "stays"),
        (&beside, "a"),
        (&beside, "c"),
        (&old, "a"),
    ];
    let check = async |what: &str, changed: &[(&BucketName, &str)]| {
        for (name, file) in all {
            for caller in [&me, &other, &service()] {
                let sees = told(&*fixture.executor, caller, name, &path(file)).await.is_ok();
                let kept = asked((storage, &*fixture.executor), caller, name, file).await;
                // Whatever else is written, also in the same bucket, what has not changed stays.
                let stays = sees && keeps(&fixture) && !changed.contains(&(name, file));
                assert_eq!(kept, stays, "{file} in {name} for {caller:?} after {what}");
                let kept = is_kept(&fixture, caller, name, file).await;
                assert_eq!(kept, sees && keeps(&fixture), "{file} in {name} for {caller:?} after {what}");
            }
        }
    };
    check("nothing", &all).await;
    put(&fixture, &me, &at, "b", b"1").await;
    check("a new object", &[(&at, "b")]).await;
    put(&fixture, &me, &at, "b", b"2").await;
    check("an overwrite of the same size", &[(&at, "b")]).await;
    put(&fixture, &me, &at, "b", LARGE).await;
    check("an overwrite by a blob", &[(&at, "b")]).await;
    let pending = storage.admit_upload(&me, &at, &path("b"), PutMode::Upsert).await.unwrap();
    let metadata = Map::from_iter([("k".to_owned(), json!("v"))]);
    let attributes = ObjectAttributes { content_type: "text/html".into(), metadata, ..Default::default() };
    pending.store(attributes, Some(LARGE.len() as u64), chunked(LARGE)).await.unwrap();
    check("metadata and a content type with the same bytes", &[(&at, "b")]).await;
    let tags: Vec<Tag> = vec![("k".to_owned(), "v".to_owned())];
    storage.tag(&me, &at, &path("b"), tags).await.unwrap();
    check("tags", &[(&at, "b")]).await;
    storage.move_object(&me, (&at, &path("b")), (&at, &path("c")), PutMode::Create).await.unwrap();
    check("a move", &[(&at, "b"), (&at, "c")]).await;
    storage.move_object(&me, (&at, &path("c")), (&beside, &path("c")), PutMode::Create).await.unwrap();
    check("a move between buckets", &[(&at, "c"), (&beside, "c")]).await;
    let to = (&at, &path("copy"));
    storage.copy(&me, (&beside, &path("c")), to, PutMode::Create, CopyOptions::default()).await.unwrap();
    check("a copy", &[(&at, "copy")]).await;
    storage.copy(&me, (&beside, &path("a")), to, PutMode::Upsert, CopyOptions::default()).await.unwrap();
    check("a copy over it", &[(&at, "copy")]).await;
    storage.delete(&me, &at, &path("copy"), None).await.unwrap();
    check("a deletion", &[(&at, "copy")]).await;
    put(&fixture, &me, &at, "copy", b"1").await;
    check("one that came again", &[(&at, "copy")]).await;
    storage.delete_many(&me, &at, &[path("copy"), path("a")]).await.unwrap();
    check("deletions", &[(&at, "copy"), (&at, "a")]).await;
    put(&fixture, &me, &old, "a", b"2").await;
    check("a version", &[(&old, "a")]).await;
    storage.delete(&me, &old, &path("a"), None).await.unwrap();
    check("a delete marker", &[(&old, "a")]).await;
    storage.restore_version(&me, &old, &path("a"), VersionId::Id(first)).await.unwrap();
    check("a version that came back", &[(&old, "a")]).await;
    let suspended = BucketUpdate { versioning: Some(Versioning::Suspended), ..BucketUpdate::default() };
    storage.update_bucket(&me, &old, &suspended).await.unwrap();
    check("versions that are kept no more", &[(&old, "a")]).await;
    let of_beside = [(&beside, "a"), (&beside, "c")];
    set_policy(&fixture, &beside, BucketPolicy::Public).await;
    check("a bucket that opened", &of_beside).await;
    assert_eq!(is_kept(&fixture, &anon(), &beside, "a").await, keeps(&fixture));
    set_policy(&fixture, &beside, BucketPolicy::Private).await;
    check("a bucket that closed", &of_beside).await;
    assert!(!is_kept(&fixture, &anon(), &beside, "a").await);
    storage.empty_bucket(&me, &beside).await.unwrap();
    check("a bucket that was emptied", &of_beside).await;
    put(&fixture, &me, &beside, "a", b"1").await;
    check("an object in it", &of_beside).await;
    storage.delete_bucket(&me, &beside, true).await.unwrap();
    check("a bucket that went", &of_beside).await;
    storage.create_bucket(&other, &beside, &BucketConfig::default()).await.unwrap();
    put(&fixture, &other, &beside, "a", b"1").await;
    check("another bucket of its name", &of_beside).await;
    fixture.audit().await;
}
