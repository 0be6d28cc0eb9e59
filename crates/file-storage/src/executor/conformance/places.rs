//! Which place a provider is, told by the blobs that the database knows there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use super::copies::{copies, make};
use super::subject::{Subject, new_blob, user};
use crate::backend::BackendError;
use crate::backend::place::Place;
use crate::bucket::BucketPolicy;
use crate::file::{BlobKey, NewObject, PutMode};
use crate::identities::{IdentityError, NamedPlace, settle};

/// A place that says nothing of itself, and has these blobs; and those that it was asked for.
struct Kept {
    blobs: BTreeSet<BlobKey>,
    asked: Mutex<Vec<BlobKey>>,
}

#[async_trait]
impl Place for Kept {
    fn shown(&self) -> String {
        "in a directory".to_owned()
    }

    fn word(&self) -> String {
        "its word".to_owned()
    }

    fn is_remote(&self) -> bool {
        false
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

    async fn has_any(&self, keys: &[BlobKey]) -> Result<bool, BackendError> {
        self.asked.lock().unwrap().extend_from_slice(keys);
        Ok(keys.iter().any(|key| self.blobs.contains(key)))
    }
}

/// What a start makes of a place with these blobs; and which it was asked for.
async fn start(
    subject: &Subject,
    provider: &str,
    blobs: &[BlobKey],
) -> (Result<bool, IdentityError>, Vec<BlobKey>) {
    let place = Arc::new(Kept { blobs: blobs.iter().cloned().collect(), asked: Mutex::default() });
    let named = NamedPlace { provider: provider.into(), place: place.clone(), takes_bytes: true };
    let settled = settle(&*subject.executor, &named, true).await;
    let asked = place.asked.lock().unwrap().clone();
    (settled, asked)
}

/// Seventeen buckets of six blobs each, in the order of their names: one is more than are looked at, and six more than are looked for.
async fn filled(subject: &Subject) -> Vec<Vec<BlobKey>> {
    let owner = user();
    let mut buckets = Vec::new();
    for bucket in 0..17 {
        let made = subject.bucket(&owner, &format!("bucket-{bucket}"), BucketPolicy::Private).await;
        let mut keys = Vec::new();
        for blob in 0..6 {
            let (object, key) = new_blob(&made, &format!("{blob}"), b"bytes");
            let object = NewObject { copies: copies(&["tape"]), ..object };
            subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
            keys.push(key);
        }
        keys.sort();
        buckets.push(keys);
    }
    buckets.sort();
    buckets
}

pub(crate) async fn a_place_is_told_by_the_blobs_of_any_of_sixteen_buckets(subject: &Subject) {
    let buckets = filled(subject).await;
    let refused = async |blobs: &[BlobKey], what: &str| {
        let (settled, asked) = start(subject, "local", blobs).await;
        assert!(matches!(settled, Err(IdentityError::Empty { .. })), "{what}: {settled:?}");
        let wanted: Vec<_> = buckets[..16].iter().flat_map(|keys| keys[..4].to_vec()).collect();
        assert_eq!(asked, wanted, "{what}: four of each of sixteen buckets");
    };
    refused(&[], "it is empty").await;
    refused(&buckets[16], "it has what nobody looks for").await;
    let unasked: Vec<_> = buckets.iter().flat_map(|keys| keys[4..].to_vec()).collect();
    refused(&unasked, "it has others alone").await;
    refused(&[BlobKey::new(Uuid::new_v4())], "it has another database's").await;
    // One bucket is there, and all others are lost, whichever it is: nobody has said which place it is, and then, that nothing there does.
    for bucket in [15, 0, 7] {
        let (settled, _) = start(subject, "local", &buckets[bucket]).await;
        assert!(settled.unwrap(), "bucket {bucket}");
    }
    let (settled, _) = start(subject, "local", &buckets[16]).await;
    assert!(matches!(settled, Err(IdentityError::Elsewhere(_))), "{settled:?}");
    // One blob of those that are looked for is enough.
    assert!(start(subject, "local", &buckets[9][3..4]).await.0.unwrap());
}

pub(crate) async fn a_place_of_copies_is_told_by_them(subject: &Subject) {
    let owner = user();
    let mut copied = Vec::new();
    for bucket in ["photos", "papers"] {
        let made = subject.bucket(&owner, bucket, BucketPolicy::Private).await;
        for blob in 0..5 {
            let (object, _) = new_blob(&made, &format!("{blob}"), b"bytes");
            let object = NewObject { copies: copies(&["tape"]), ..object };
            subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
        }
        let mut keys = make(subject, &made, &["tape"]).await;
        keys.sort();
        copied.push(keys);
    }
    copied.sort();
    let (settled, asked) = start(subject, "tape", &[]).await;
    assert!(matches!(settled, Err(IdentityError::Empty { .. })), "{settled:?}");
    assert_eq!(asked, [&copied[0][..4], &copied[1][..4]].concat());
    assert!(start(subject, "tape", &copied[1]).await.0.unwrap());
    // What the database knows nothing of is a new one, whatever it has.
    let (settled, asked) = start(subject, "disk", &[]).await;
    assert!(settled.unwrap() && asked.is_empty());
}
