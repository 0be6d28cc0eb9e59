//! Uploads in numbered parts, through the storage: bytes, what protocols make of them, and what becomes of the object.

use crate::support::{Fixture, bucket, chunked, collect, options, path, service, user};
use file_storage::digests::{Algorithm, ChecksumType, Checksums, Hasher, ObjectChecksum, Wanted};
use file_storage::errors::StorageError;
use file_storage::executor::Delimiter;
use file_storage::file::{ETags, ObjectAttributes, PutMode};
use file_storage::multipart::{ListedPart, MultipartUpload, Part, UploadAt, UploadListing, UploadPage};
use file_storage::storage::{CompleteOptions, CopyOptions, MultipartOptions, PartBody, PartSource};
use file_storage::{BucketConfig, BucketName, BucketPolicy, RlsContext};
use tempfile::TempDir;

fn body(bytes: &[u8]) -> PartBody {
    PartBody { bytes: chunked(bytes), length: Some(bytes.len() as u64), wanted: Wanted::default() }
}

async fn begin(fixture: &Fixture, at: (&BucketName, &str)) -> MultipartUpload {
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    let place = (at.0, &path(at.1));
    let options = MultipartOptions::default();
    fixture.storage.create_multipart(&user(1), place, PutMode::Upsert, attributes, options).await.unwrap()
}

async fn complete(
    fixture: &Fixture,
    caller: &RlsContext,
    at: &UploadAt,
    parts: &[Part],
    options: CompleteOptions,
) -> Result<file_storage::executor::Written, StorageError> {
    let listed = |part: &Part| ListedPart {
        number: part.number,
        etag: Some(part.etag.clone()),
        checksums: Checksums::new(),
    };
    let listed = parts.iter().map(listed).collect();
    fixture.storage.complete_multipart(caller, at, listed, options).await
}

#[tokio::test]
async fn parts_are_read_copied_and_moved_as_one_object() {
    let dir = TempDir::new().unwrap();
    let verifying = file_storage::storage::StorageOptions { verify_on_read: true, ..options(dir.path()) };
    let fixture = Fixture::open_with(dir, verifying, |backend| backend).await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let other = fixture.bucket(&user(1), "other", BucketPolicy::Private).await;
    let upload = begin(&fixture, (&docs, "whole")).await;
    let runs: Vec<Vec<u8>> =
        [1000, 20, 500, 0, 64].iter().enumerate().map(|(n, size)| vec![n as u8; *size]).collect();
    let mut parts = Vec::new();
    for (number, run) in (1..).zip(&runs) {
        parts.push(fixture.storage.upload_part(&user(1), &upload.at, number, body(run)).await.unwrap());
    }
    let bytes = runs.concat();
    let found = fixture.storage.list_parts(&user(1), &upload.at, 0, 100).await.unwrap();
    assert_eq!(found, parts);
    fixture.audit().await;
    let written = complete(&fixture, &user(1), &upload.at, &parts, CompleteOptions::default()).await.unwrap();
    assert_eq!(written.object.size, bytes.len() as u64);
    let at = (&docs, &path("whole"));
    assert_eq!(fixture.get(&user(1), at).await.unwrap(), bytes);
    for range in [0..1, 990..1010, 1000..1020, 1019..1521, 1583..1584, 0..1584] {
        let download = fixture.storage.download(&user(1), at.0, at.1).await.unwrap();
        let part = collect(download.body(Some(range.clone())).await.unwrap()).await.unwrap();
        assert_eq!(part, &bytes[range.start as usize..range.end as usize], "{range:?}");
    }
    let (copy, moved) = ((&other, &path("copy")), (&other, &path("moved")));
    fixture.storage.copy(&user(1), at, copy, PutMode::Create, CopyOptions::default()).await.unwrap();
    fixture.storage.move_object(&user(1), at, moved, PutMode::Create).await.unwrap();
    assert_eq!(fixture.get(&user(1), copy).await.unwrap(), bytes);
    assert_eq!(fixture.get(&user(1), moved).await.unwrap(), bytes);
    fixture.audit().await;
    let fixture = fixture.crash_and_reopen().await;
    assert_eq!(fixture.get(&user(1), moved).await.unwrap(), bytes);
    fixture.storage.delete(&user(1), moved.0, moved.1, None).await.unwrap();
    fixture.audit().await;
}

#[tokio::test]
async fn a_part_that_is_not_what_was_announced_is_not_kept() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let upload = begin(&fixture, (&docs, "a")).await;
    let digests_of = |bytes: &[u8]| {
        let mut hasher = Hasher::new(Algorithm::ALL);
        hasher.update(bytes);
        hasher.finish()
    };
    let put = async |bytes: &[u8], algorithm: Algorithm, of: &[u8]| {
        let mut wanted = Wanted::default();
        wanted.compute(algorithm);
        wanted.expect(algorithm, digests_of(of).get(algorithm).unwrap().to_vec());
        let body = PartBody { wanted, ..body(bytes) };
        fixture.storage.upload_part(&user(1), &upload.at, 1, body).await
    };
    for algorithm in Algorithm::ALL {
        // Inline, and on the disk.
        for bytes in [&[7; 10][..], &[7; 1000]] {
            let wrong = put(bytes, algorithm, b"else").await;
            assert!(matches!(wrong, Err(StorageError::DigestMismatch { .. })), "{algorithm} {wrong:?}");
            assert!(fixture.storage.list_parts(&user(1), &upload.at, 0, 10).await.unwrap().is_empty());
            fixture.audit().await;
        }
    }
    let part = put(&[7; 1000], Algorithm::Crc32, &[7; 1000]).await.unwrap();
    assert_eq!(part.checksums.keys().collect::<Vec<_>>(), ["CRC32"]);
    assert_eq!(part.etag, part.sha256.to_hex());
    let part = put(&[7; 1000], Algorithm::Sha256, &[7; 1000]).await.unwrap();
    assert_eq!(part.checksums.keys().collect::<Vec<_>>(), ["SHA256"]);
    let part = put(&[7; 1000], Algorithm::Md5, &[7; 1000]).await.unwrap();
    assert_eq!(part.etag, hex::encode(digests_of(&[7; 1000]).get(Algorithm::Md5).unwrap()));
    assert!(part.checksums.is_empty());
    let listed = fixture.storage.list_parts(&user(1), &upload.at, 0, 10).await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&part));
    let written =
        complete(&fixture, &user(1), &upload.at, &[part], CompleteOptions::default()).await.unwrap();
    assert!(written.object.etag.ends_with("-1"), "{}", written.object.etag);
    fixture.audit().await;
}

#[tokio::test]
async fn a_part_may_be_a_range_of_an_object_that_one_may_read() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let theirs = fixture.bucket(&user(2), "theirs", BucketPolicy::Private).await;
    let bytes: Vec<u8> = (0..1000_u32).map(|at| at as u8).collect();
    fixture.put(&user(1), (&docs, &path("from")), PutMode::Create, &bytes).await.unwrap();
    fixture.put(&user(2), (&theirs, &path("from")), PutMode::Create, &bytes).await.unwrap();
    let upload = begin(&fixture, (&docs, "to")).await;
    let from = path("from");
    let copy = async |bucket: &BucketName, number: u32, range: Option<std::ops::Range<u64>>| {
        let source = PartSource { bucket, path: &from, version: None, range };
        fixture.storage.copy_part(&user(1), source, (&upload.at, number), |_| Ok(()), Wanted::default()).await
    };
    let refused = copy(&theirs, 1, None).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    let outside = copy(&docs, 1, Some(990..1001)).await;
    assert!(matches!(outside, Err(StorageError::InvalidRange { size: 1000 })), "{outside:?}");
    let parts = [copy(&docs, 1, Some(10..900)).await.unwrap(), copy(&docs, 2, None).await.unwrap()];
    complete(&fixture, &user(1), &upload.at, &parts, CompleteOptions::default()).await.unwrap();
    let found = fixture.get(&user(1), (&docs, &path("to"))).await.unwrap();
    assert_eq!(found, [&bytes[10..900], &bytes].concat());
    fixture.audit().await;
}

#[tokio::test]
async fn completing_keeps_to_limits_and_conditions() {
    let fixture = Fixture::new().await;
    let docs = bucket("docs");
    let config = BucketConfig { max_file_size: 1500, ..BucketConfig::default() };
    fixture.storage.create_bucket(&user(1), &docs, &config).await.unwrap();
    let upload = begin(&fixture, (&docs, "a")).await;
    let put = async |number, size| {
        let bytes = vec![number as u8; size];
        fixture.storage.upload_part(&user(1), &upload.at, number, body(&bytes)).await
    };
    let parts = [put(1, 1000).await.unwrap(), put(2, 1000).await.unwrap(), put(10_000, 10).await.unwrap()];
    assert!(matches!(put(3, 1501).await, Err(StorageError::PayloadTooLarge { limit: 1500 })));
    for wrong in [0, 10_001] {
        assert!(matches!(put(wrong, 1).await, Err(StorageError::InvalidRequest { .. })));
    }
    let finish = async |parts: &[Part], options: CompleteOptions| {
        complete(&fixture, &user(1), &upload.at, parts, options).await.map_err(|error| error.code())
    };
    assert_eq!(finish(&parts, CompleteOptions::default()).await.unwrap_err(), "PAYLOAD_TOO_LARGE");
    let small = CompleteOptions { min_part_size: 1001, ..CompleteOptions::default() };
    assert_eq!(finish(&[parts[0].clone(), parts[2].clone()], small).await.unwrap_err(), "PART_TOO_SMALL");
    let only_over =
        CompleteOptions { mode: Some(PutMode::IfMatch(ETags::Any)), ..CompleteOptions::default() };
    assert_eq!(finish(&parts[..1], only_over).await.unwrap_err(), "PRECONDITION_FAILED");
    let new = CompleteOptions {
        mode: Some(PutMode::IfNoneMatch(ETags::Any)),
        min_part_size: 1000,
        ..CompleteOptions::default()
    };
    assert!(finish(&[parts[0].clone(), parts[2].clone()], new).await.unwrap().created);
    let listing = UploadListing { limit: 10, ..UploadListing::default() };
    let page = fixture.storage.list_multipart_uploads(&service(), &docs, &listing, None).await.unwrap();
    assert_eq!(page, UploadPage::default());
    fixture.audit().await;
}

#[tokio::test]
async fn what_is_completed_again_is_told_as_long_as_it_is_so() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let at = begin(&fixture, (&docs, "a")).await.at;
    let mut parts = Vec::new();
    for number in 1..=3 {
        let mut wanted = Wanted::default();
        wanted.compute(Algorithm::Md5);
        let body = PartBody { wanted, ..body(&[number as u8; 500]) };
        parts.push(fixture.storage.upload_part(&user(1), &at, number, body).await.unwrap());
    }
    let finish = async |caller: &RlsContext, parts: &[Part]| {
        complete(&fixture, caller, &at, parts, CompleteOptions::default()).await
    };
    let made = finish(&user(1), &parts).await.unwrap();
    assert!(made.created);
    let again = finish(&user(1), &parts).await.unwrap();
    assert_eq!((again.object, again.created), (made.object, false));
    for (caller, parts) in [(user(2), &parts[..]), (user(1), &parts[..2])] {
        let other = finish(&caller, parts).await;
        assert!(matches!(other, Err(StorageError::UploadNotFound { .. })), "{other:?}");
    }
    fixture.put(&user(1), (&docs, &path("a")), PutMode::Upsert, b"other").await.unwrap();
    let other = finish(&user(1), &parts).await;
    assert!(matches!(other, Err(StorageError::UploadNotFound { .. })), "{other:?}");
    fixture.audit().await;
}

#[tokio::test]
async fn an_object_has_the_checksum_that_was_asked_for_and_knows_its_parts() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let place = (&docs, &path("a"));
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    let checksum = ObjectChecksum { algorithm: Algorithm::Crc32C, checksum_type: ChecksumType::Composite };
    let options = MultipartOptions { checksum: Some(checksum) };
    let storage = &fixture.storage;
    let upload =
        storage.create_multipart(&user(1), place, PutMode::Upsert, attributes, options).await.unwrap();
    assert_eq!(storage.multipart(&user(1), &upload.at).await.unwrap().checksum, Some(checksum));
    let mut other = Wanted::default();
    other.compute(Algorithm::Sha1);
    let refused =
        storage.upload_part(&user(1), &upload.at, 1, PartBody { wanted: other, ..body(b"1") }).await;
    assert!(matches!(refused, Err(StorageError::InvalidRequest { .. })), "{refused:?}");
    let mut parts = Vec::new();
    for (number, size) in [(1, 700), (2, 30), (3, 0)] {
        let part = storage.upload_part(&user(1), &upload.at, number, body(&vec![number as u8; size])).await;
        parts.push(part.unwrap());
    }
    let wrong = CompleteOptions {
        checksums: [("CRC32C".to_owned(), "AAAAAA==-3".to_owned())].into(),
        ..CompleteOptions::default()
    };
    let wrong = complete(&fixture, &user(1), &upload.at, &parts, wrong).await;
    assert!(matches!(wrong, Err(StorageError::DigestMismatch { .. })), "{wrong:?}");
    let short = CompleteOptions { size: Some(729), ..CompleteOptions::default() };
    let short = complete(&fixture, &user(1), &upload.at, &parts, short).await;
    assert!(matches!(short, Err(StorageError::InvalidRequest { .. })), "{short:?}");
    let made = complete(&fixture, &user(1), &upload.at, &parts, CompleteOptions::default()).await.unwrap();
    let extra = made.object.extra;
    assert!(extra.checksums["CRC32C"].ends_with("-3"), "{extra:?}");
    let of_parts = extra.parts.unwrap();
    for part in &parts {
        let digest = of_parts.digest(part.number, Algorithm::Crc32C);
        assert_eq!(digest.as_ref(), part.checksums.get("CRC32C"), "{}", part.number);
    }
    let download = storage.download(&user(1), place.0, place.1).await.unwrap();
    let ranges: Vec<_> = (0..=4).map(|number| download.part(number)).collect();
    assert_eq!(ranges, [None, Some(0..700), Some(700..730), Some(730..730), None]);
    fixture.audit().await;
}

#[tokio::test]
async fn folders_stand_for_the_uploads_below_them() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    // A folder ends where the next text begins that is not below it, whatever characters are.
    let many: Vec<_> = (0..40).map(|number| format!("m{number:02}")).collect();
    let few = ["a/\u{10ffff}x", "a/1", "a/2", "a/b/3", "ab", "b/1", "c", "\u{10ffff}/1"];
    for at in few.into_iter().chain(many.iter().map(String::as_str)) {
        begin(&fixture, (&docs, at)).await;
    }
    let mut top = vec!["a/", "ab", "b/", "c", "\u{10ffff}/"];
    top.extend(many.iter().map(String::as_str));
    top.sort_unstable();
    let below = ["a/1", "a/2", "a/b/", "a/\u{10ffff}x"];
    let (caller, slash) = (user(1), Delimiter::SLASH);
    for (prefix, wanted) in [("", &top[..]), ("a/", &below), ("x", &[])] {
        for limit in [1, 2, 3, 4, 5, 17, 100] {
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let listing = UploadListing { prefix: prefix.to_owned(), after, limit };
                let storage = &fixture.storage;
                let page = storage.list_multipart_uploads(&caller, &docs, &listing, Some(&slash)).await;
                let page = page.unwrap();
                assert!(page.uploads.len() + page.folders.len() <= limit as usize);
                seen.extend(page.uploads.iter().map(|upload| upload.at.path.to_string()));
                seen.extend(page.folders);
                assert!(seen.len() <= wanted.len(), "{prefix} {limit}: {seen:?}");
                if !page.is_truncated {
                    break;
                }
                after = page.next;
            }
            seen.sort();
            assert_eq!(seen, wanted, "{prefix} {limit}");
        }
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_how_far_an_upload_is_while_it_ends_is_told_its_end() {
    use file_storage::failpoint::{self, Action};
    use file_storage::multipart::NewResumable;
    use file_storage::storage::Uploader;
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let (caller, name) = (user(1), path("a"));
    let storage = &fixture.storage;
    let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
    let new = NewResumable { length: Some(500), ..NewResumable::default() };
    let uploader = Uploader::Caller(&caller);
    let begun = storage.create_resumable(&uploader, (&docs, &name), PutMode::Create, attributes, new).await;
    let at = begun.unwrap().upload.at;
    let paused = failpoint::arm(fixture.dir.path(), "complete.before_commit", Action::Pause);
    let asking = async {
        paused.reached(1).await;
        let mut asked = std::pin::pin!(storage.resumable(&uploader, &at));
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(200), &mut asked).await;
        assert!(waiting.is_err(), "it waits for the request that is there");
        paused.release();
        asked.await.unwrap()
    };
    let appending = storage.append_resumable(&uploader, &at, 0, None, body(&[7; 500]));
    let (found, appended) = tokio::join!(asking, appending);
    assert!(appended.unwrap().written.is_some());
    let found = found.resumable().unwrap().clone();
    assert_eq!((found.offset, found.completed_at.is_some()), (500, true));
    assert_eq!(fixture.get(&caller, (&docs, &name)).await.unwrap(), vec![7; 500]);
    fixture.audit().await;
}
