//! Whose a place is, where nobody has said so, or there is no room to.

use async_trait::async_trait;

use super::*;
use crate::backend::local::Directory;
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};
use crate::failpoint::{self, Action};

/// A place on another machine, which has the blobs, or not, or never says.
struct Bucket {
    has_blobs: Option<bool>,
}

#[async_trait]
impl Place for Bucket {
    fn shown(&self) -> String {
        "in a bucket".to_owned()
    }

    fn word(&self) -> String {
        "its word".to_owned()
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn identity(&self) -> Result<Option<Uuid>, BackendError> {
        Ok(None)
    }

    async fn identify(&self, identity: Uuid) -> Result<Uuid, BackendError> {
        Ok(identity)
    }

    async fn identify_anew(&self, _: Uuid) -> Result<(), BackendError> {
        Ok(())
    }

    async fn withdraw(&self, _: Uuid) -> Result<(), BackendError> {
        Ok(())
    }

    async fn has_any(&self, _: &[BlobKey]) -> Result<bool, BackendError> {
        match self.has_blobs {
            Some(has_blobs) => Ok(has_blobs),
            None => std::future::pending().await,
        }
    }
}

/// What a database that knows a blob there and has no row makes of it.
async fn upgraded(has_blobs: Option<bool>, found: Option<Uuid>) -> Result<Verdict, IdentityError> {
    let place = Arc::new(Bucket { has_blobs });
    let named = NamedPlace { provider: "cloud".into(), place, takes_bytes: true };
    let known = Known { identity: None, is_named: true, samples: vec![BlobKey::new(Uuid::now_v7())] };
    judge(&named, &known, found, true).await
}

#[tokio::test]
async fn a_word_without_a_row_counts_where_the_blobs_are() {
    let word = Uuid::now_v7();
    assert_eq!(upgraded(Some(true), Some(word)).await.unwrap(), Verdict::Said(word));
    assert_eq!(upgraded(Some(true), None).await.unwrap(), Verdict::New);
    for found in [Some(word), None] {
        let refused = upgraded(Some(false), found).await.unwrap_err();
        assert!(matches!(refused, IdentityError::Empty { .. }), "{refused}");
        let said = refused.to_string();
        assert!(said.contains("aerostore take-over cloud") && !said.contains("UUID"), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_too_slow_to_be_told_is_not_an_absent_one() {
    let refused = upgraded(None, None).await.unwrap_err();
    assert!(matches!(refused, IdentityError::Slow { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_word_stays_without_its_row() {
    let folder = tempfile::tempdir().unwrap();
    let executor = SqliteExecutor::open(SqliteOptions::new(folder.path().join("test.db"))).unwrap();
    for (name, sole) in [("one", true), ("two", false)] {
        let directory = Directory::new(folder.path().join(name));
        let place = Arc::new(directory.clone());
        let named = NamedPlace { provider: name.into(), place, takes_bytes: true };
        let full = failpoint::arm(folder.path(), "sqlite.commit", Action::DiskFull);
        assert!(settle(&executor, &named, sole).await.unwrap(), "{name}: a full disk stops no start");
        assert_eq!(directory.identity().unwrap(), None, "{name}");
        drop(full);
        assert!(settle(&executor, &named, sole).await.unwrap(), "{name}");
        assert!(directory.identity().unwrap().is_some(), "{name}");
        assert!(settle(&executor, &named, sole).await.unwrap(), "{name}: it is the one that is meant");
    }
}
