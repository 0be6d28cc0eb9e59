//! Uploads in numbered parts: stored, replaced, listed, made an object of, given up; who may go on with them; what counts.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use serde_json::json;
use uuid::Uuid;

use super::subject::{Subject, allow, anon, bucket, lost_bytes, maintain, path, service, strange, user};
use crate::Timestamp;
use crate::bucket::{Bucket, BucketConfig, BucketPolicy};
use crate::digests::{Algorithm, ChecksumType, Checksums, ObjectChecksum};
use crate::errors::StorageError;
use crate::executor::{Copies, Written};
use crate::extra::{ObjectExtra, OfParts};
use crate::file::{BlobKey, ETags, ObjectAttributes, Place, PutMode, Sha256};
use crate::multipart::{
    Chosen, Completion, GoneUpload, ListedPart, MultipartUpload, NewMultipart, NewPart, Part, UploadAt,
    UploadListing,
};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};

const MODE: PutMode = PutMode::Upsert;

const CHECKSUM: ObjectChecksum =
    ObjectChecksum { algorithm: Algorithm::Crc32, checksum_type: ChecksumType::Composite };

pub(super) fn later() -> Timestamp {
    Utc::now() + Duration::from_secs(3600)
}

pub(super) fn new_upload(made: &Bucket, at: &str) -> NewMultipart {
    NewMultipart {
        at: UploadAt { bucket: made.name.clone(), path: path(at), id: Uuid::now_v7() },
        bucket_uuid: made.uuid,
        attributes: ObjectAttributes { content_type: "text/plain".to_owned(), ..Default::default() },
        checksum: Some(CHECKSUM),
        resumable: None,
        nonce: None,
        most_unfinished: 100,
        expires_at: later(),
    }
}

/// A part whose bytes are a blob, and the blob.
pub(super) fn blob(made: &Bucket, bytes: &[u8]) -> (NewPart, BlobKey) {
    let key = BlobKey::new(made.uuid);
    let place = Place::Blob { provider: "local".into(), key: key.clone() };
    (NewPart { place, ..inline(bytes) }, key)
}

pub(super) fn inline(bytes: &[u8]) -> NewPart {
    let sha256 = Sha256::of(bytes);
    NewPart {
        size: bytes.len() as u64,
        sha256,
        etag: sha256.to_hex(),
        checksums: Checksums::new(),
        place: Place::Inline(Bytes::copy_from_slice(bytes)),
        belongs: None,
    }
}

pub(super) async fn begin(subject: &Subject, caller: &RlsContext, upload: NewMultipart) -> MultipartUpload {
    let access = allow(caller, Operation::CreateMultipart(&MODE));
    subject.executor.create_multipart(&access, upload, &MODE).await.unwrap()
}

pub(super) async fn put(
    subject: &Subject,
    caller: &RlsContext,
    at: &UploadAt,
    number: u32,
    part: NewPart,
) -> Result<Part, StorageError> {
    let access = allow(caller, Operation::UploadPart(&MODE));
    subject.executor.put_part(&access, at, number, part, later()).await
}

pub(super) fn listed(parts: &[Part]) -> Chosen {
    let part = |part: &Part| ListedPart {
        number: part.number,
        etag: Some(part.etag.clone()),
        checksums: Checksums::new(),
    };
    Chosen::Listed(parts.iter().map(part).collect())
}

/// What a completion says of its object.
fn known_of(at: &UploadAt) -> ObjectExtra {
    ObjectExtra {
        checksums: [("CRC32".to_owned(), "AAAAAA==-3".to_owned())].into(),
        parts: Some(OfParts { upload: at.id, count: 3, digests: Some("AAAAAAAAAAAAAAAA".to_owned()) }),
        ..ObjectExtra::default()
    }
}

pub(super) async fn complete(
    subject: &Subject,
    caller: &RlsContext,
    at: &UploadAt,
    parts: Chosen,
    mode: PutMode,
) -> Result<Written, StorageError> {
    complete_with(subject, caller, at, (parts, mode), Copies::default()).await
}

/// The same with copies.
pub(super) async fn complete_with(
    subject: &Subject,
    caller: &RlsContext,
    at: &UploadAt,
    (parts, mode): (Chosen, PutMode),
    copies: Copies,
) -> Result<Written, StorageError> {
    let access = Access::check(caller, Operation::CompleteMultipart(&mode), None, AccessRules::default())?;
    let completion = Completion {
        parts,
        mode,
        version: Uuid::now_v7(),
        extra: known_of(at),
        min_part_size: 0,
        max_size: None,
        copies,
    };
    subject.executor.complete_multipart(&access, at, completion).await
}

pub(super) async fn abort(subject: &Subject, caller: &RlsContext, at: &UploadAt) -> Result<(), StorageError> {
    subject.executor.abort_multipart(&allow(caller, Operation::AbortMultipart), at).await
}

pub(super) async fn due(subject: &Subject) -> Vec<BlobKey> {
    let due = subject.executor.due_deletions(&maintain(), Duration::ZERO, 100).await.unwrap();
    let mut keys: Vec<BlobKey> = due.into_iter().map(|blob| blob.key).collect();
    keys.sort();
    keys
}

pub(crate) async fn parts_become_the_segments_of_an_object(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let mut new = new_upload(&made, "a/b");
    new.attributes.metadata.insert("k".to_owned(), json!(1));
    let upload = begin(subject, &owner, new.clone()).await;
    assert_eq!((&upload.at, &upload.attributes, &upload.checksum), (&new.at, &new.attributes, &new.checksum));
    let at = &upload.at;
    let (blob_part, key) = blob(&made, b"second");
    let (lost_part, lost) = blob(&made, b"left out");
    let mut parts = vec![
        put(subject, &owner, at, 7, inline(b"third")).await.unwrap(),
        put(subject, &owner, at, 2, blob_part).await.unwrap(),
        put(subject, &owner, at, 1, inline(b"first ")).await.unwrap(),
    ];
    put(subject, &owner, at, 4, lost_part).await.unwrap();
    put(subject, &owner, at, 9, inline(b"")).await.unwrap();
    parts.reverse();
    let access = allow(&owner, Operation::ListParts);
    let numbers = subject.executor.parts(&access, at, 1, 2).await.unwrap();
    assert_eq!(numbers.iter().map(|part| part.number).collect::<Vec<_>>(), [2, 4]);
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 25);
    subject.recount().await;
    let known = subject.executor.known_blobs(&maintain(), &[key.clone(), lost.clone()]).await.unwrap();
    assert_eq!(known.len(), 2);

    let written = complete(subject, &owner, at, listed(&parts), MODE).await.unwrap();
    assert!(written.created);
    assert_eq!((written.object.size, written.object.checksum), (17, None));
    let shas = [b"first ".as_slice(), b"second", b"third"].map(|part| Sha256::of(part).0);
    assert_eq!(written.object.etag, Sha256::of(&shas.concat()).to_hex());
    let access = allow(&owner, Operation::Download);
    let opened = subject.executor.open_object(&access, &bucket("photos"), &path("a/b")).await.unwrap();
    assert_eq!(opened.object, written.object);
    assert_eq!(opened.object.extra, known_of(at));
    let segments: Vec<(u64, u64)> = opened.segments.iter().map(|one| (one.offset, one.size)).collect();
    assert_eq!(segments, [(0, 6), (6, 6), (12, 5)]);
    assert_eq!(opened.segments[1].blob_key(), Some(&key));
    assert_eq!(due(subject).await, [lost]);
    let shown = subject.shown("photos").await;
    assert_eq!((shown.file_count, shown.total_bytes, shown.unfinished_bytes), (1, 17, 0));
    subject.recount().await;
    let again = complete(subject, &owner, at, listed(&parts), MODE).await;
    assert!(matches!(again, Err(StorageError::UploadNotFound { .. })), "{again:?}");
    // Its blobs go with it.
    subject.delete(&owner, "photos", "a/b").await.unwrap();
    assert!(due(subject).await.contains(&key));
    subject.recount().await;
}

pub(crate) async fn one_part_is_an_object_like_any_other(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.put(&owner, (&made, "a"), b"old", PutMode::Create).await.unwrap();
    let md5 = "0cc175b9c0f1b6a831c399e269772661";
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    let part = NewPart { etag: md5.to_owned(), ..inline(b"a") };
    let part = put(subject, &owner, &upload.at, 1, part).await.unwrap();
    let written = complete(subject, &owner, &upload.at, listed(&[part]), MODE).await.unwrap();
    assert!(!written.created);
    assert_eq!(written.object.checksum, Some(Sha256::of(b"a")));
    assert!(written.object.etag.ends_with("-1") && !written.object.etag.starts_with(md5));
    assert_eq!(subject.get(&owner, "photos", "a").await.unwrap(), written.object);
    subject.recount().await;
}

pub(crate) async fn replaced_and_given_up_parts_are_queued(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    let (first, replaced) = blob(&made, b"12345");
    let (second, kept) = blob(&made, b"123");
    put(subject, &owner, &upload.at, 1, first).await.unwrap();
    put(subject, &owner, &upload.at, 1, second).await.unwrap();
    assert_eq!(due(subject).await, std::slice::from_ref(&replaced));
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 3);
    let page = subject.executor.segment_blobs(&maintain(), "local", None, 10).await.unwrap();
    assert_eq!(page.iter().map(|one| (&one.key, one.version)).collect::<Vec<_>>(), [(&kept, upload.at.id)]);
    abort(subject, &owner, &upload.at).await.unwrap();
    let mut both = vec![replaced, kept];
    both.sort();
    assert_eq!(due(subject).await, both);
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 0);
    let gone = abort(subject, &owner, &upload.at).await;
    assert!(matches!(gone, Err(StorageError::UploadNotFound { .. })), "{gone:?}");
    // One whose bytes are lost is given up, too.
    let upload = begin(subject, &owner, new_upload(&made, "b")).await;
    let (part, key) = blob(&made, b"1");
    put(subject, &owner, &upload.at, 1, part).await.unwrap();
    let give_up = async |key: &BlobKey| {
        subject.executor.delete_lost_object(&maintain(), &lost_bytes(upload.at.id, key)).await.unwrap()
    };
    assert!(!give_up(&strange()).await, "a part that has another blob by now");
    assert!(give_up(&key).await);
    assert!(!give_up(&key).await);
    subject.recount().await;
}

pub(crate) async fn an_upload_is_its_makers_and_the_service_roles(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    let at = &upload.at;
    let part = put(subject, &owner, at, 1, inline(b"1")).await.unwrap();
    let on = &subject.executor;
    let gone = |outcome: Result<(), StorageError>| {
        assert!(matches!(outcome, Err(StorageError::UploadNotFound { .. })), "{outcome:?}");
    };
    gone(on.multipart(&allow(&other, Operation::FindUpload), at).await.map(drop));
    gone(put(subject, &other, at, 1, inline(b"2")).await.map(drop));
    gone(on.parts(&allow(&other, Operation::ListParts), at, 0, 10).await.map(drop));
    gone(complete(subject, &other, at, listed(std::slice::from_ref(&part)), MODE).await.map(drop));
    gone(abort(subject, &other, at).await);
    for wrong in [
        UploadAt { id: Uuid::now_v7(), ..at.clone() },
        UploadAt { path: path("b"), ..at.clone() },
        UploadAt { bucket: bucket("nothing"), ..at.clone() },
    ] {
        gone(put(subject, &owner, &wrong, 1, inline(b"2")).await.map(drop));
        gone(abort(subject, &service(), &wrong).await);
    }
    let nobody = Access::check(&anon(), Operation::FindUpload, None, AccessRules::default());
    assert!(matches!(nobody, Err(StorageError::AuthRequired(_))), "{nobody:?}");
    let listing = UploadListing { limit: 10, ..UploadListing::default() };
    let list = async |caller: &RlsContext| {
        let access = allow(caller, Operation::ListMultipartUploads);
        on.list_multipart(&access, &made.name, &listing).await.unwrap().len()
    };
    assert_eq!((list(&owner).await, list(&other).await, list(&service()).await), (1, 0, 1));
    put(subject, &service(), at, 2, inline(b"2")).await.unwrap();
    let parts = on.parts(&allow(&service(), Operation::ListParts), at, 0, 10).await.unwrap();
    let written = complete(subject, &owner, at, listed(&parts), MODE).await.unwrap();
    assert_eq!(written.object.owner_id, owner.user_id());
    subject.recount().await;
}

pub(crate) async fn writing_is_decided_again_at_the_end(subject: &Subject) {
    let (owner, writer) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let finish = async |at: &str, mode: PutMode| {
        let upload = begin(subject, &writer, new_upload(&made, at)).await;
        let part = put(subject, &writer, &upload.at, 1, inline(b"123")).await.unwrap();
        let outcome = complete(subject, &writer, &upload.at, listed(&[part]), mode).await;
        outcome.map_or_else(|error| error.code(), |written| if written.created { "made" } else { "replaced" })
    };
    assert_eq!(finish("a", PutMode::IfNoneMatch(ETags::Any)).await, "made");
    assert_eq!(finish("a", PutMode::IfNoneMatch(ETags::Any)).await, "PRECONDITION_FAILED");
    assert_eq!(finish("a", PutMode::Create).await, "OBJECT_EXISTS");
    let tag = subject.get(&writer, "photos", "a").await.unwrap().etag;
    assert_eq!(finish("a", PutMode::IfMatch(ETags::These(vec![tag]))).await, "replaced");
    assert_eq!(finish("a", PutMode::IfMatch(ETags::These(vec!["x".into()]))).await, "PRECONDITION_FAILED");
    assert_eq!(finish("b", PutMode::IfMatch(ETags::Any)).await, "PRECONDITION_FAILED");
    // Who lost the right to write meanwhile does not write; what is there stays, and so does the upload.
    let upload = begin(subject, &writer, new_upload(&made, "c")).await;
    let part = put(subject, &writer, &upload.at, 1, inline(b"123")).await.unwrap();
    let closed = crate::bucket::BucketUpdate { policy: Some(BucketPolicy::Private), ..Default::default() };
    let access = allow(&owner, Operation::UpdateBucket);
    subject.executor.update_bucket(&access, &made.name, &closed).await.unwrap();
    let refused = complete(subject, &writer, &upload.at, listed(std::slice::from_ref(&part)), MODE).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    let access = allow(&writer, Operation::CreateMultipart(&MODE));
    let refused = subject.executor.create_multipart(&access, new_upload(&made, "d"), &MODE).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    subject.recount().await;
    abort(subject, &writer, &upload.at).await.unwrap();
    subject.recount().await;
}

pub(crate) async fn quotas_count_what_unfinished_uploads_hold(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(10), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    put(subject, &owner, &upload.at, 1, inline(&[0; 6])).await.unwrap();
    let over = put(subject, &owner, &upload.at, 2, inline(&[0; 5])).await;
    let Err(StorageError::QuotaExceeded { scope, used, limit, requested, .. }) = over else {
        panic!("{over:?}")
    };
    assert_eq!((scope, used, limit, requested), ("bucket", 6, 10, 5));
    let over = subject.put(&owner, (&made, "b"), &[0; 5], PutMode::Create).await;
    assert!(matches!(over, Err(StorageError::QuotaExceeded { used: 6, .. })), "{over:?}");
    subject.put(&owner, (&made, "b"), &[0; 4], PutMode::Create).await.unwrap();
    // A part that replaces one gives back what that held, and so does the object that the parts become.
    let six = put(subject, &owner, &upload.at, 1, inline(&[1; 6])).await.unwrap();
    complete(subject, &owner, &upload.at, listed(&[six]), MODE).await.unwrap();
    let shown = subject.shown("photos").await;
    assert_eq!((shown.total_bytes, shown.unfinished_bytes), (10, 0));
    let own = subject.executor.own_usage(&allow(&owner, Operation::ReadUsage)).await.unwrap();
    assert_eq!((own.total_bytes, own.unfinished_bytes), (10, 0));
    subject.recount().await;
}

pub(crate) async fn folder_quotas_count_parts_and_what_they_become(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    // What is held already is counted when the quota is set.
    let early = begin(subject, &owner, new_upload(&made, "in/early")).await;
    put(subject, &owner, &early.at, 1, inline(&[0; 3])).await.unwrap();
    let access = allow(&service(), Operation::ManageQuotas);
    let folder = crate::quota::QuotaScope::folder("photos/in").unwrap();
    let set = subject.executor.set_quota(&access, &folder, Some(10)).await.unwrap();
    assert_eq!((set.limit, set.used), (Some(10), 3));
    let used = async || subject.executor.quota(&access, &folder).await.unwrap().used;
    let upload = begin(subject, &owner, new_upload(&made, "in/a")).await;
    let six = put(subject, &owner, &upload.at, 1, inline(&[0; 6])).await.unwrap();
    let over = put(subject, &owner, &upload.at, 2, inline(&[0; 2])).await;
    let Err(StorageError::QuotaExceeded { scope, used: held, limit, requested, .. }) = over else {
        panic!("{over:?}")
    };
    assert_eq!((scope, held, limit, requested), ("folder", 9, 10, 2));
    complete(subject, &owner, &upload.at, listed(&[six]), MODE).await.unwrap();
    assert_eq!(used().await, 9);
    subject.recount().await;
    abort(subject, &owner, &early.at).await.unwrap();
    assert_eq!(used().await, 6);
    subject.recount().await;
}

pub(crate) async fn uploads_end_by_themselves_and_with_their_bucket(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let begin_with = async |at: &str, expires_at: Timestamp| {
        let upload = begin(subject, &owner, NewMultipart { expires_at, ..new_upload(&made, at) }).await;
        upload.at
    };
    let old = begin_with("old", Utc::now() - Duration::from_secs(1)).await;
    let (young, key) = (begin_with("young", later()).await, blob(&made, b"123"));
    put(subject, &owner, &young, 1, key.0).await.unwrap();
    let late = put(subject, &owner, &old, 1, inline(b"1")).await;
    assert!(matches!(late, Err(StorageError::UploadExpired { .. })), "{late:?}");
    let mut expired = 0;
    // One that somebody is at is left for the next time; on PostgreSQL, who was refused lets go of it behind the answer.
    for _ in 0..200 {
        for gone in subject.executor.expire_uploads(&maintain(), 10).await.unwrap() {
            assert_eq!((&gone.at, gone.ended), (&old, false));
            expired += 1;
        }
        if expired > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(expired, 1);
    assert_eq!(subject.executor.expire_uploads(&maintain(), 10).await.unwrap(), []);
    let late = put(subject, &owner, &old, 1, inline(b"1")).await;
    assert!(matches!(late, Err(StorageError::UploadNotFound { .. })), "{late:?}");
    subject.executor.delete_bucket(&allow(&owner, Operation::DeleteBucket), &made.name).await.unwrap();
    assert_eq!(due(subject).await, [key.1]);
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let gone = put(subject, &owner, &young, 1, inline(b"1")).await;
    assert!(matches!(gone, Err(StorageError::UploadNotFound { .. })), "{gone:?}");
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    put(subject, &owner, &upload.at, 1, inline(b"1")).await.unwrap();
    let access = allow(&owner, Operation::EmptyBucket);
    let given_up = GoneUpload { at: upload.at, ended: false };
    assert_eq!(subject.executor.discard_uploads(&access, &made.name, 10).await.unwrap(), [given_up]);
    assert_eq!(subject.executor.discard_uploads(&access, &made.name, 10).await.unwrap(), []);
    assert_eq!(subject.shown("photos").await.unfinished_bytes, 0);
    subject.recount().await;
}

pub(crate) async fn what_others_upload_keeps_a_bucket(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let theirs = begin(subject, &other, new_upload(&made, "theirs")).await;
    begin(subject, &owner, new_upload(&made, "mine")).await;
    let delete = allow(&owner, Operation::DeleteBucket);
    let refused = subject.executor.delete_bucket(&delete, &made.name).await;
    assert!(matches!(refused, Err(StorageError::BucketNotEmpty { .. })), "{refused:?}");
    let stranger =
        subject.executor.discard_uploads(&allow(&other, Operation::EmptyBucket), &made.name, 9).await;
    assert!(matches!(stranger, Err(StorageError::Unauthorized(_))), "{stranger:?}");
    put(subject, &other, &theirs.at, 1, inline(b"1")).await.unwrap();
    let empty = allow(&owner, Operation::EmptyBucket);
    assert_eq!(subject.executor.discard_uploads(&empty, &made.name, 1).await.unwrap().len(), 1);
    assert_eq!(subject.executor.discard_uploads(&empty, &made.name, 9).await.unwrap().len(), 1);
    subject.executor.delete_bucket(&delete, &made.name).await.unwrap();
}

pub(crate) async fn a_caller_has_a_number_of_unfinished_uploads(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    let few = |at: &str| NewMultipart { most_unfinished: 2, ..new_upload(&made, at) };
    begin(subject, &owner, few("a")).await;
    let second = begin(subject, &owner, few("b")).await;
    let access = allow(&owner, Operation::CreateMultipart(&MODE));
    let third = subject.executor.create_multipart(&access, few("c"), &MODE).await;
    assert!(matches!(third, Err(StorageError::TooManyUploads { limit: 2 })), "{third:?}");
    begin(subject, &other, few("c")).await;
    abort(subject, &owner, &second.at).await.unwrap();
    begin(subject, &owner, few("c")).await;
}

pub(crate) async fn what_the_service_role_completes_is_who_began_its(subject: &Subject) {
    let (owner, service) = (user(), service());
    let made = subject.bucket(&service, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    let part = put(subject, &service, &upload.at, 1, inline(b"1")).await.unwrap();
    let written = complete(subject, &service, &upload.at, listed(&[part]), MODE).await.unwrap();
    assert_eq!(written.object.owner_id, owner.user_id());
    let own = subject.executor.own_usage(&allow(&owner, Operation::ReadUsage)).await.unwrap();
    assert_eq!((own.total_bytes, own.file_count, own.unfinished_bytes), (1, 1, 0));
    subject.recount().await;
}

pub(crate) async fn uploads_are_listed_by_path_and_age(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let mut ids = Vec::new();
    for at in ["b", "a/1", "a/1", "a/2", "c"] {
        ids.push(begin(subject, &owner, new_upload(&made, at)).await.at);
    }
    let list = async |prefix: &str, after: Option<(&str, Option<Uuid>)>, limit: u32| {
        let after = after.map(|(path, id)| (path.to_owned(), id));
        let listing = UploadListing { prefix: prefix.to_owned(), after, limit };
        let access = allow(&owner, Operation::ListMultipartUploads);
        let found = subject.executor.list_multipart(&access, &made.name, &listing).await.unwrap();
        found.iter().map(|one| ids.iter().position(|at| *at == one.at).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 10).await, [1, 2, 3, 0, 4]);
    assert_eq!(list("", None, 2).await, [1, 2]);
    assert_eq!(list("a/", None, 10).await, [1, 2, 3]);
    assert_eq!(list("", Some(("a/1", Some(ids[1].id))), 10).await, [2, 3, 0, 4]);
    assert_eq!(list("", Some(("a/1", None)), 10).await, [3, 0, 4]);
    assert_eq!(list("a/", Some(("a/2", None)), 10).await, [] as [usize; 0]);
}

pub(crate) async fn ten_thousand_parts_are_linked_at_once(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let upload = begin(subject, &owner, new_upload(&made, "a")).await;
    let puts = (1..=10_000_u32).map(|number| {
        let (at, made, owner) = (&upload.at, &made, &owner);
        async move { put(subject, owner, at, number, blob(made, b"12345").0).await.unwrap() }
    });
    use futures_util::StreamExt;
    let parts: Vec<Part> = futures_util::stream::iter(puts).buffered(64).collect().await;
    let started = std::time::Instant::now();
    let written = complete(subject, &owner, &upload.at, listed(&parts), MODE).await.unwrap();
    let took = started.elapsed();
    assert_eq!(written.object.size, 50_000);
    assert!(took < Duration::from_secs(5), "{took:?}");
    let access = allow(&owner, Operation::Download);
    let opened = subject.executor.open_object(&access, &bucket("photos"), &path("a")).await.unwrap();
    assert_eq!(opened.segments.len(), 10_000);
    assert_eq!(opened.segments[9_999].offset, 49_995);
    subject.recount().await;
}
