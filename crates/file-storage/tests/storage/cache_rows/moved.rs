//! Blobs that are elsewhere by now.

use file_storage::BucketPolicy;
use file_storage::file::Place;
use futures_util::future::join_all;
use uuid::Uuid;

use super::scene::{LARGE, TOGETHER, asked, is_kept, paths, put, told, was_kept};
use crate::support::{Fixture, collect, path, user};

/// A blob that was carried elsewhere: its row is no other, and its old blob is gone.
#[tokio::test]
async fn a_blob_that_was_moved_is_read_where_it_is() {
    let fixture = Fixture::new().await;
    let Some(database) = &fixture.database else { return };
    let admin = database.admin().await;
    let me = user(1);
    let at = fixture.bucket(&me, "moved", BucketPolicy::Private).await;
    put(&fixture, &me, &at, "a", LARGE).await;
    let carry = async || {
        let stored = told(&*fixture.executor, &me, &at, &path("a")).await.unwrap();
        let Place::Blob { key, .. } = &stored.segments[0].place else { panic!("{stored:?}") };
        let file = |key: &str| fixture.dir.path().join("local/blobs").join(key);
        let new = format!("{}/00/{}", key.as_str().split('/').next().unwrap(), Uuid::now_v7());
        std::fs::create_dir_all(file(&new).parent().unwrap()).unwrap();
        std::fs::rename(file(key.as_str()), file(&new)).unwrap();
        let moved = "UPDATE aerostore.storage_segments SET blob_key = $2 WHERE blob_key = $1";
        assert_eq!(admin.execute(moved, &[&key.as_str(), &new]).await.unwrap(), 1);
    };
    assert!(is_kept(&fixture, &me, &at, "a").await);
    let own = paths("a");
    let before =
        join_all(own.iter().map(|own| fixture.storage.download(&me, &at, own))).await.pop().unwrap().unwrap();
    assert!(was_kept(before.object(), &own[TOGETHER - 1]), "it comes from memory");
    carry().await;
    // Who was given it already follows the blob, past what is kept.
    assert_eq!(collect(before.body(None).await.unwrap()).await.unwrap(), LARGE);
    // Who asks now is told where it is.
    assert!(!asked((&fixture.storage, &*fixture.executor), &me, &at, "a").await);
    assert!(is_kept(&fixture, &me, &at, "a").await);
}
