//! Uploads that are appended to: at their end, by whoever took them over last; and what they become.

use super::multipart::{begin, blob, complete, due, inline, later, new_upload};
use super::subject::{Subject, allow, bucket, maintain, path, user};
use crate::bucket::{Bucket, BucketPolicy};
use crate::errors::StorageError;
use crate::file::{PutMode, Sha256, StoredObject};
use crate::multipart::{
    Append, Chosen, Claimed, MultipartUpload, NewMultipart, NewPart, NewResumable, UploadAt,
};
use crate::permissions::{Operation, RlsContext};

fn resumable(made: &Bucket, at: &str, length: Option<u64>, is_partial: bool) -> NewMultipart {
    let told = "filename eA==".to_owned();
    NewMultipart { resumable: Some(NewResumable { length, is_partial, told }), ..new_upload(made, at) }
}

async fn claim(subject: &Subject, caller: &RlsContext, at: &UploadAt) -> Result<Claimed, StorageError> {
    subject.executor.claim_resumable(&allow(caller, Operation::FindUpload), at, later()).await
}

async fn append(
    subject: &Subject,
    caller: &RlsContext,
    upload: &MultipartUpload,
    (offset, takes_in): (u64, u32),
    part: NewPart,
) -> Result<MultipartUpload, StorageError> {
    let access = allow(caller, Operation::UploadPart(&PutMode::Create));
    let epoch = upload.resumable().unwrap().epoch;
    let run = Append { epoch, offset, takes_in, part };
    subject.executor.append(&access, &upload.at, run, later()).await
}

async fn open(subject: &Subject, caller: &RlsContext) -> StoredObject {
    let access = allow(caller, Operation::Download);
    subject.executor.open_object(&access, &bucket("photos"), &path("a")).await.unwrap()
}

pub(crate) async fn runs_are_appended_at_the_end_and_nowhere_else(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, resumable(&made, "a", Some(17), false)).await;
    assert_eq!(upload.resumable().unwrap().told, "filename eA==");
    let (first, key) = blob(&made, b"first ");
    let at_six = append(subject, &owner, &upload, (0, 0), first).await.unwrap();
    assert_eq!((at_six.held_bytes, at_six.resumable().unwrap().offset), (6, 6));
    for wrong in [0, 5, 7] {
        let refused = append(subject, &owner, &upload, (wrong, 0), inline(b"x")).await;
        assert!(matches!(refused, Err(StorageError::OffsetMismatch { offset: 6 })), "{refused:?}");
    }
    append(subject, &owner, &upload, (6, 0), inline(b"sec")).await.unwrap();
    let tail = claim(subject, &owner, &upload.at).await.unwrap();
    assert_eq!(tail.tail.iter().map(|piece| (piece.offset, piece.size)).collect::<Vec<_>>(), [(6, 3)]);
    // Together with what comes next.
    let (second, _) = blob(&made, b"second");
    let upload = append(subject, &owner, &tail.upload, (6, 1), second).await.unwrap();
    let too_long = append(subject, &owner, &upload, (12, 0), inline(b"third!")).await;
    assert!(matches!(too_long, Err(StorageError::PayloadTooLarge { limit: 17 })), "{too_long:?}");
    let epoch = upload.resumable().unwrap().epoch;
    let chosen = || Chosen::Appended { epoch };
    let early = complete(subject, &owner, &upload.at, chosen(), PutMode::Create).await;
    assert!(matches!(early, Err(StorageError::OffsetMismatch { offset: 12 })), "{early:?}");
    append(subject, &owner, &upload, (12, 0), inline(b"third")).await.unwrap();
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 17);
    subject.recount().await;
    let written = complete(subject, &owner, &upload.at, chosen(), PutMode::Create).await.unwrap();
    assert_eq!((written.object.size, written.object.checksum), (17, None));
    let shas = [&b"first "[..], b"second", b"third"].map(|run| Sha256::of(run).0);
    assert_eq!(written.object.etag, Sha256::of(&shas.concat()).to_hex());
    assert_eq!(open(subject, &owner).await.segments[0].blob_key(), Some(&key));
    // It is known for a while that it came, and nothing more happens to it.
    let found = subject.executor.multipart(&allow(&owner, Operation::FindUpload), &upload.at).await.unwrap();
    let end = found.resumable().unwrap();
    assert!(end.completed_at.is_some());
    assert_eq!((end.offset, end.length, found.held_bytes), (17, Some(17), 0));
    assert!(append(subject, &owner, &found, (17, 0), inline(b"x")).await.is_err());
    assert!(complete(subject, &owner, &upload.at, chosen(), PutMode::Upsert).await.is_err());
    let gone = subject.executor.abort_multipart(&allow(&owner, Operation::AbortMultipart), &upload.at).await;
    assert!(matches!(gone, Err(StorageError::UploadNotFound { .. })), "{gone:?}");
    assert!(due(subject).await.is_empty());
    subject.recount().await;
}

pub(crate) async fn who_took_an_upload_over_last_appends(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let upload = begin(subject, &owner, resumable(&made, "a", None, false)).await;
    let old = claim(subject, &owner, &upload.at).await.unwrap().upload;
    let new = claim(subject, &owner, &upload.at).await.unwrap().upload;
    let fenced = append(subject, &owner, &old, (0, 0), inline(b"old")).await;
    assert!(matches!(fenced, Err(StorageError::UploadTakenOver { .. })), "{fenced:?}");
    append(subject, &owner, &new, (0, 0), inline(b"new")).await.unwrap();
    let stranger = claim(subject, &other, &upload.at).await;
    assert!(matches!(stranger, Err(StorageError::UploadNotFound { .. })), "{stranger:?}");
    let announce = async |length| {
        let access = allow(&owner, Operation::FindUpload);
        subject.executor.announce_length(&access, &upload.at, length).await
    };
    assert!(matches!(announce(2).await, Err(StorageError::InvalidRequest { .. })));
    announce(3).await.unwrap();
    announce(3).await.unwrap();
    assert!(matches!(announce(4).await, Err(StorageError::InvalidRequest { .. })));
    let epoch = old.resumable().unwrap().epoch;
    let fenced = complete(subject, &owner, &upload.at, Chosen::Appended { epoch }, PutMode::Create).await;
    assert!(matches!(fenced, Err(StorageError::UploadTakenOver { .. })), "{fenced:?}");
    // Many at once: one of them has it.
    let claims = futures_util::future::join_all((0..8).map(|_| claim(subject, &owner, &upload.at))).await;
    let mut epochs: Vec<u64> =
        claims.into_iter().map(|one| one.unwrap().upload.resumable().unwrap().epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    assert_eq!(epochs.len(), 8);
    subject.recount().await;
}

pub(crate) async fn partial_uploads_become_one_object(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let mut parts = Vec::new();
    for bytes in [&b"one "[..], b"two ", b"three"] {
        let new = resumable(&made, "part", Some(bytes.len() as u64), true);
        let upload = begin(subject, &owner, new).await;
        append(subject, &owner, &upload, (0, 0), blob(&made, bytes).0).await.unwrap();
        parts.push(upload.at);
    }
    let whole = begin(subject, &owner, resumable(&made, "a", None, false)).await;
    let unfinished = begin(subject, &owner, resumable(&made, "part", Some(9), true)).await;
    let wrong = Chosen::Concatenated(vec![parts[0].clone(), unfinished.at.clone()]);
    let refused = complete(subject, &owner, &whole.at, wrong, PutMode::Create).await;
    assert!(matches!(refused, Err(StorageError::InvalidRequest { .. })), "{refused:?}");
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 13);
    let chosen = Chosen::Concatenated(parts.clone());
    let written = complete(subject, &owner, &whole.at, chosen, PutMode::Create).await.unwrap();
    assert_eq!(written.object.size, 13);
    let opened = open(subject, &owner).await;
    assert_eq!(
        opened.segments.iter().map(|one| (one.offset, one.size)).collect::<Vec<_>>(),
        [(0, 4), (4, 4), (8, 5)]
    );
    for part in &parts {
        let gone = claim(subject, &owner, part).await;
        assert!(matches!(gone, Err(StorageError::UploadNotFound { .. })), "{gone:?}");
    }
    let shown = subject.shown("photos").await;
    assert_eq!((shown.total_bytes, shown.unfinished_bytes), (13, 0));
    assert!(
        subject.executor.due_deletions(&maintain(), std::time::Duration::ZERO, 9).await.unwrap().is_empty()
    );
    subject.recount().await;
}
