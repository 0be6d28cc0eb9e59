//! What a scrub is told: every blob and every inline segment, once, as rows have them.

use bytes::Bytes;

use super::multipart::{begin, blob, complete, due, listed, new_upload, put};
use super::queue::{claim_one, write};
use super::subject::{Subject, allow, maintain, new_blob, path, service, user, with_segments};
use crate::bucket::{BucketName, BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::{InlineSegment, ReferredBlob, ScrubScope, SegmentRow};
use crate::file::{BlobKey, Place, PutMode, Sha256};
use crate::permissions::Operation;
use crate::versions::Versioning;

/// All blobs of a scope, in pages of this size.
async fn blobs(subject: &Subject, scope: &ScrubScope, limit: u32) -> Vec<ReferredBlob> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = subject.executor.scrub_page(&maintain(), scope, after.as_ref(), limit).await.unwrap();
        assert!(page.blobs.len() <= limit as usize);
        found.extend(page.blobs);
        match page.next {
            Some(next) => {
                assert!(after.as_ref().is_none_or(|after| *after < next), "pages go on");
                after = Some(next);
            }
            None => break,
        }
    }
    assert!(found.is_sorted_by(|one, next| one.key < next.key), "{found:?}");
    found
}

async fn inline(subject: &Subject, bucket: Option<&BucketName>, limit: u32) -> Vec<InlineSegment> {
    let (mut found, mut after) = (Vec::new(), None::<SegmentRow>);
    loop {
        let page = subject.executor.inline_page(&maintain(), bucket, after, limit).await.unwrap();
        found.extend(page.segments);
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

/// An object of this blob on another provider.
async fn write_elsewhere(subject: &Subject, name: &str, at: &str) -> BlobKey {
    let made = subject.shown(name).await;
    let key = BlobKey::new(made.uuid);
    let place = Place::Blob { provider: "cloud".into(), key: key.clone() };
    let object = with_segments(&made, at, b"elsewhere", [(b"elsewhere" as &[u8], place)]);
    subject.put_object(&service(), object, &PutMode::Upsert).await.unwrap();
    key
}

pub(crate) async fn every_blob_is_told_once_as_rows_have_it(subject: &Subject) {
    let (owner, on) = (user(), &subject.executor);
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let other = subject.bucket(&owner, "films", BucketPolicy::Private).await;
    let update = BucketUpdate { versioning: Some(Versioning::Enabled), ..BucketUpdate::default() };
    on.update_bucket(&allow(&owner, Operation::UpdateBucket), &other.name, &update).await.unwrap();
    // An object, an old version and the one over it, parts that wait and such that are an object now, one elsewhere.
    let mut expected = Vec::new();
    let mut expect = |key: BlobKey, provider: &str, bytes: &[u8], bucket: &str, at: &str| {
        expected.push(ReferredBlob {
            key,
            provider: provider.into(),
            size: bytes.len() as u64,
            sha256: Sha256::of(bytes),
            bucket: BucketName::parse(bucket).unwrap(),
            path: path(at),
            copy_of: None,
        });
    };
    for (bucket, at, bytes) in [
        (&made, "a", b"first" as &[u8]),
        (&other, "b", b"old"),
        (&other, "b", b"newer"),
        (&made, "gone", b"x"),
    ] {
        let (object, key) = new_blob(bucket, at, bytes);
        subject.put_object(&owner, object, &PutMode::Upsert).await.unwrap();
        if at != "gone" {
            expect(key, "local", bytes, bucket.name.as_str(), at);
        }
    }
    subject.delete(&owner, "photos", "gone").await.unwrap();
    for (at, completes) in [("waits", false), ("whole", true)] {
        let upload = begin(subject, &owner, new_upload(&made, at)).await;
        let mut parts = Vec::new();
        for number in [1, 2] {
            let (part, key) = blob(&made, format!("part {number}").as_bytes());
            expect(key, "local", format!("part {number}").as_bytes(), "photos", at);
            parts.push(put(subject, &owner, &upload.at, number, part).await.unwrap());
        }
        if completes {
            complete(subject, &owner, &upload.at, listed(&parts), PutMode::Create).await.unwrap();
        }
    }
    expect(write_elsewhere(subject, "films", "c").await, "cloud", b"elsewhere", "films", "c");
    subject.put(&owner, (&made, "inline"), b"inline", PutMode::Create).await.unwrap();
    // What is moved keeps its blob, and has another place.
    let moved = expected[0].key.clone();
    subject.rename(&owner, ("photos", "a"), ("films", "moved"), PutMode::Create).await.unwrap();
    (expected[0].bucket, expected[0].path) = (other.name.clone(), path("moved"));
    expected.sort_by(|one, next| one.key.cmp(&next.key));

    let scope = |provider: Option<&str>, bucket: Option<&BucketName>| ScrubScope {
        provider: provider.map(Into::into),
        bucket: bucket.cloned(),
    };
    for limit in [1, 3, 1000] {
        let check = async |scope: ScrubScope| {
            let is_asked_for = |blob: &&ReferredBlob| {
                scope.provider.as_ref().is_none_or(|provider| *provider == blob.provider)
                    && scope.bucket.as_ref().is_none_or(|bucket| *bucket == blob.bucket)
            };
            let wanted: Vec<_> = expected.iter().filter(is_asked_for).cloned().collect();
            assert_eq!(blobs(subject, &scope, limit).await, wanted, "{scope:?} by {limit}");
        };
        for provider in [None, Some("local"), Some("cloud"), Some("nowhere")] {
            for bucket in [None, Some(&made.name), Some(&other.name)] {
                check(scope(provider, bucket)).await;
            }
        }
    }
    for blob in &expected {
        assert_eq!(on.referred_blob(&maintain(), &blob.key).await.unwrap().as_ref(), Some(blob));
    }
    subject.delete(&owner, "films", "moved").await.unwrap();
    // The bucket keeps versions: it is still somebody's.
    assert!(on.referred_blob(&maintain(), &moved).await.unwrap().is_some());
    assert_eq!(on.referred_blob(&maintain(), &BlobKey::new(made.uuid)).await.unwrap(), None);
}

pub(crate) async fn inline_segments_are_told_with_their_bytes(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let other = subject.bucket(&owner, "films", BucketPolicy::Private).await;
    let mut expected = Vec::new();
    for (bucket, at, bytes) in [(&made, "a", "one"), (&other, "b", "two"), (&made, "c", "three")] {
        let written = subject.put(&owner, (bucket, at), bytes.as_bytes(), PutMode::Create).await.unwrap();
        expected.push((written.object.version, 0, bytes.to_owned(), bucket.name.clone(), path(at)));
    }
    // Of one in three segments, the second is a blob.
    let key = BlobKey::new(made.uuid);
    let of = |text: &'static str| Place::Inline(Bytes::from_static(text.as_bytes()));
    let parts: [(&[u8], Place); 3] =
        [(b"x", of("x")), (b"blob", Place::Blob { provider: "local".into(), key }), (b"yz", of("yz"))];
    let written = subject
        .put_object(&owner, with_segments(&made, "mixed", b"xblobyz", parts), &PutMode::Create)
        .await
        .unwrap();
    for (ordinal, bytes) in [(0, "x"), (2, "yz")] {
        expected.push((written.object.version, ordinal, bytes.to_owned(), made.name.clone(), path("mixed")));
    }
    expected.sort_by_key(|segment| (segment.0, segment.1));
    for limit in [1, 2, 1000] {
        for bucket in [None, Some(&made.name), Some(&other.name)] {
            let told: Vec<_> = inline(subject, bucket, limit)
                .await
                .into_iter()
                .map(|segment| {
                    assert_eq!(segment.sha256, Sha256::of(&segment.bytes));
                    let text = String::from_utf8(segment.bytes.to_vec()).unwrap();
                    (segment.row.version, segment.row.ordinal, text, segment.bucket, segment.path)
                })
                .collect();
            let is_of =
                |segment: &&(_, _, _, BucketName, _)| bucket.is_none_or(|bucket| *bucket == segment.3);
            let wanted: Vec<_> = expected.iter().filter(is_of).cloned().collect();
            assert_eq!(told, wanted, "{bucket:?} by {limit}");
        }
    }
}

pub(crate) async fn a_bad_blob_makes_way_for_a_good_one(subject: &Subject) {
    let (owner, on) = (user(), &subject.executor);
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (_, bad) = write(subject, &owner, &made, "a").await;
    let was = on.referred_blob(&maintain(), &bad).await.unwrap().unwrap();
    let good = BlobKey::new(made.uuid);
    assert!(on.replace_blob(&maintain(), &was, &good).await.unwrap());
    assert!(!on.replace_blob(&maintain(), &was, &BlobKey::new(made.uuid)).await.unwrap());
    assert_eq!(on.referred_blob(&maintain(), &bad).await.unwrap(), None);
    let now = ReferredBlob { key: good.clone(), ..was };
    assert_eq!(on.referred_blob(&maintain(), &good).await.unwrap(), Some(now));
    assert_eq!(due(subject).await, [bad]);
    // Where it was on its way to another provider, it still is.
    let (_, claimed) = claim_one(subject).await;
    assert_eq!(claimed.key, good);
    // A part of an unfinished upload, too.
    let upload = begin(subject, &owner, new_upload(&made, "parts")).await;
    let (part, bad) = blob(&made, b"part");
    put(subject, &owner, &upload.at, 1, part).await.unwrap();
    let was = on.referred_blob(&maintain(), &bad).await.unwrap().unwrap();
    let good = BlobKey::new(made.uuid);
    assert!(on.replace_blob(&maintain(), &was, &good).await.unwrap());
    assert_eq!(on.referred_blob(&maintain(), &good).await.unwrap().unwrap().path, path("parts"));
    assert!(due(subject).await.contains(&bad));
    subject.recount().await;
}

pub(crate) async fn scrubbing_is_the_service_roles(subject: &Subject) {
    let access = allow(&user(), Operation::Info);
    let on = &subject.executor;
    let key = BlobKey::new(uuid::Uuid::nil());
    let refused = [
        on.scrub_page(&access, &ScrubScope::default(), None, 1).await.unwrap_err(),
        on.referred_blob(&access, &key).await.unwrap_err(),
        on.inline_page(&access, None, None, 1).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, StorageError::Internal { .. } | StorageError::Unauthorized(_)), "{error:?}");
    }
}
