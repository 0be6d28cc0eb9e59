//! What must always hold, each under its name (SPEC 5, ARCHITECTURE).

use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, Fixture, anon, bucket, collect, path, service, user};
use bytes::Bytes;
use file_storage::errors::StorageError;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::storage::{CopyOptions, SignOptions};
use file_storage::upkeep::{Upkeep, UpkeepOptions};
use file_storage::{BucketConfig, BucketPolicy, Versioning};
use futures_util::{StreamExt, stream};

const SMALL: &[u8] = b"a few bytes";
const LARGE: &[u8] = &[7; 1000];

fn upkeep_options(grace: Duration) -> UpkeepOptions {
    UpkeepOptions { interval: None, grace, ..UpkeepOptions::default() }
}

#[tokio::test]
async fn fs_i1_a_file_exists_as_long_as_its_metadata_does() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for (name, bytes) in [("small", SMALL), ("large", LARGE), ("empty", &[])] {
        let at = (&docs, &path(name));
        fixture.put(&user(1), at, PutMode::Create, bytes).await.unwrap();
        assert_eq!(fixture.get(&user(1), at).await.unwrap(), bytes);
        fixture.put(&user(1), at, PutMode::Upsert, &[bytes, LARGE].concat()).await.unwrap();
        fixture.audit().await;
        fixture.storage.delete(&user(1), at.0, at.1, None).await.unwrap().object.unwrap();
        assert!(matches!(fixture.get(&user(1), at).await, Err(StorageError::ObjectNotFound { .. })));
        fixture.audit().await;
    }
}

#[tokio::test]
async fn fs_i1_survives_a_crash_without_goodbye() {
    let mut fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for round in 0..3 {
        let at = (&docs, &path(&format!("file-{round}")));
        fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
        fixture = fixture.crash_and_reopen().await;
        assert_eq!(fixture.get(&user(1), at).await.unwrap(), LARGE);
        fixture.audit().await;
    }
}

#[tokio::test]
async fn fs_i1_versions_have_their_files_until_they_go() {
    let mut fixture = Fixture::new().await;
    let docs = bucket("docs");
    let config = BucketConfig { versioning: Versioning::Enabled, ..BucketConfig::default() };
    fixture.storage.create_bucket(&user(1), &docs, &config).await.unwrap();
    let (name, moved) = (path("a"), path("b"));
    let at = (&docs, &name);
    let mut versions = Vec::new();
    for bytes in [LARGE, SMALL, &[], &[8; 700]] {
        let written = fixture.put(&user(1), at, PutMode::Upsert, bytes).await.unwrap();
        versions.push((written.object.version_id(), bytes));
    }
    fixture = fixture.crash_and_reopen().await;
    fixture.audit().await;
    for (version, bytes) in &versions {
        let download = fixture.storage.download_version(&user(1), at.0, at.1, *version).await.unwrap();
        assert_eq!(collect(download.body(None).await.unwrap()).await.unwrap(), *bytes);
    }
    fixture.storage.restore_version(&user(1), at.0, at.1, versions[0].0).await.unwrap();
    assert_eq!(fixture.get(&user(1), at).await.unwrap(), LARGE);
    fixture.storage.move_object(&user(1), at, (&docs, &moved), PutMode::Create).await.unwrap();
    assert_eq!(fixture.get(&user(1), (&docs, &moved)).await.unwrap(), LARGE);
    assert!(fixture.get(&user(1), at).await.is_err());
    fixture.audit().await;
    for (version, _) in &versions {
        fixture.storage.delete_version(&user(1), at.0, at.1, *version, None).await.unwrap().unwrap();
        fixture.audit().await;
    }
    fixture.storage.delete_bucket(&user(1), &docs, true).await.unwrap();
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i3_a_refused_request_touches_no_backend() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let at = (&docs, &path("a"));
    fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
    for caller in [anon(), user(2)] {
        let refused = |error: StorageError| {
            assert!(
                matches!(error, StorageError::AuthRequired(_) | StorageError::Unauthorized(_)),
                "{error:?}"
            );
        };
        let storage = &fixture.storage;
        refused(fixture.get(&caller, at).await.unwrap_err());
        refused(storage.info(&caller, at.0, at.1).await.unwrap_err());
        refused(storage.delete(&caller, at.0, at.1, None).await.unwrap_err());
        refused(fixture.put(&caller, at, PutMode::Upsert, LARGE).await.unwrap_err());
        refused(storage.sign_download(&caller, at.0, at.1, SignOptions::default()).await.unwrap_err());
        refused(
            storage.sign_upload(&caller, at.0, &path("b"), true, SignOptions::default()).await.unwrap_err(),
        );
        refused(storage.move_object(&caller, at, (&docs, &path("b")), PutMode::Create).await.unwrap_err());
        let copied =
            storage.copy(&caller, at, (&docs, &path("b")), PutMode::Create, CopyOptions::default()).await;
        refused(copied.map(|_| ()).unwrap_err());
        // A path that does not exist answers just the same.
        refused(storage.info(&caller, at.0, &path("nothing-here")).await.unwrap_err());
    }
    let mine = fixture.bucket(&user(2), "mine", BucketPolicy::Private).await;
    let stolen = fixture
        .storage
        .copy(&user(2), at, (&mine, &path("a")), PutMode::Create, CopyOptions::default())
        .await;
    assert!(matches!(stolen, Err(StorageError::Unauthorized(_))));
    fixture.audit().await;
}

#[tokio::test]
async fn fs_i4_forty_writers_on_one_path_have_one_whole_winner() {
    let fixture = Arc::new(Fixture::new().await);
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let writers: Vec<_> = (0..40u8)
        .map(|writer| {
            let (fixture, docs) = (fixture.clone(), docs.clone());
            tokio::spawn(async move {
                let bytes = vec![writer; 500 + usize::from(writer)];
                let outcome = fixture.put(&user(1), (&docs, &path("one")), PutMode::Create, &bytes).await;
                (writer, outcome)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        match writer.await.unwrap() {
            (writer, Ok(_)) => winners.push(writer),
            (_, Err(error)) => assert!(matches!(error, StorageError::ObjectExists { .. }), "{error:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    let bytes = fixture.get(&user(1), (&docs, &path("one"))).await.unwrap();
    assert_eq!(bytes, vec![winners[0]; 500 + usize::from(winners[0])]);
    fixture.audit().await;
}

#[tokio::test]
async fn fs_f1_a_failed_upload_leaves_nothing() {
    let fixture = Fixture::new().await;
    let name = bucket("docs");
    let config = BucketConfig { max_file_size: 2000, quota_bytes: Some(3000), ..BucketConfig::default() };
    fixture.storage.create_bucket(&user(1), &name, &config).await.unwrap();
    let attempt = async |length: Option<u64>, body| {
        let pending =
            fixture.storage.admit_upload(&user(1), &name, &path("a"), PutMode::Create).await.unwrap();
        let attributes = ObjectAttributes { content_type: "text/plain".into(), ..Default::default() };
        pending.store(attributes, length, body).await.map(|_| ()).unwrap_err()
    };
    let broken = || Err(StorageError::BodyInterrupted { reason: "gone".into() });
    let chunk = |bytes: usize| Ok(Bytes::from(vec![1; bytes]));
    let interrupted_at_once = attempt(Some(900), stream::iter([broken()]).boxed()).await;
    assert!(matches!(interrupted_at_once, StorageError::BodyInterrupted { .. }));
    let interrupted = attempt(Some(900), stream::iter([chunk(500), broken()]).boxed()).await;
    assert!(matches!(interrupted, StorageError::BodyInterrupted { .. }));
    let announced_too_large = attempt(Some(2001), stream::iter([broken()]).boxed()).await;
    assert!(matches!(announced_too_large, StorageError::PayloadTooLarge { limit: 2000 }));
    let turned_out_too_large = attempt(None, stream::iter([chunk(1500), chunk(501)]).boxed()).await;
    assert!(matches!(turned_out_too_large, StorageError::PayloadTooLarge { limit: 2000 }));
    fixture.put(&user(1), (&name, &path("b")), PutMode::Create, &[0; 1800]).await.unwrap();
    let over_quota = attempt(None, stream::iter([chunk(1000), chunk(201)]).boxed()).await;
    assert!(matches!(
        over_quota,
        StorageError::QuotaExceeded { scope: "bucket", used: 1800, limit: 3000, .. }
    ));
    fixture.audit().await;
    let page = fixture.executor.backlog(&support::maintain()).await.unwrap();
    assert_eq!(page.objects, 1);
}

#[tokio::test]
async fn fs_f1_a_caller_who_goes_away_leaves_nothing() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let pending = fixture.storage.admit_upload(&user(1), &docs, &path("a"), PutMode::Create).await.unwrap();
    let stalled = stream::iter([Ok(Bytes::from(vec![1; 5000]))]).chain(stream::pending()).boxed();
    let store = pending.store(ObjectAttributes::default(), None, stalled);
    assert!(tokio::time::timeout(Duration::from_millis(50), store).await.is_err());
    for _ in 0..4000 {
        if support::staged_files(fixture.dir.path()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.audit().await;
}

#[tokio::test]
async fn fs_f2_a_reader_keeps_what_is_deleted_or_replaced() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    let upkeep = Upkeep::start(&fixture.storage, upkeep_options(Duration::from_secs(300)));
    for delete in [true, false] {
        let at = (&docs, &path("a"));
        fixture.put(&user(1), at, PutMode::Upsert, LARGE).await.unwrap();
        let reader = fixture.storage.download(&user(1), at.0, at.1).await.unwrap();
        if delete {
            fixture.storage.delete(&user(1), at.0, at.1, None).await.unwrap();
        } else {
            fixture.put(&user(1), at, PutMode::Upsert, SMALL).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(collect(reader.body(None).await.unwrap()).await.unwrap(), LARGE);
    }
    upkeep.stop().await;
    fixture.audit().await;
}

#[tokio::test]
async fn fs_o1_orphan_blobs_go_after_their_grace_time() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    fixture.put(&user(1), (&docs, &path("kept")), PutMode::Create, LARGE).await.unwrap();
    let orphan = fixture.plant_orphan(b"nobody's").await;
    let patient = Upkeep::start(&fixture.storage, upkeep_options(Duration::from_secs(300)));
    let report = patient.cleanup(true).await.unwrap();
    assert_eq!((report.orphan_blobs, report.deleted_blobs), (0, 0), "too young");
    patient.stop().await;
    let upkeep = Upkeep::start(&fixture.storage, upkeep_options(Duration::ZERO));
    let report = upkeep.cleanup(false).await.unwrap();
    assert_eq!((report.orphan_blobs, report.orphan_bytes, report.deleted_blobs), (1, 8, 0), "a dry run");
    assert!(orphan.exists());
    let report = upkeep.cleanup(true).await.unwrap();
    assert_eq!((report.orphan_blobs, report.deleted_blobs, report.halted), (1, 1, None));
    assert!(!orphan.exists());
    assert_eq!(upkeep.cleanup(true).await.unwrap().orphan_blobs, 0, "idempotent");
    upkeep.stop().await;
    fixture.audit().await;
}

#[tokio::test]
async fn fs_o2_a_loss_of_more_than_one_percent_touches_no_row() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for number in 0..20 {
        let at = (&docs, &path(&format!("{number}")));
        fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
    }
    fixture.lose_blobs(&docs, 1).await;
    let upkeep = Upkeep::start(&fixture.storage, upkeep_options(Duration::ZERO));
    for _ in 0..3 {
        let report = upkeep.cleanup(true).await.unwrap();
        assert_eq!((report.missing_blobs, report.deleted_rows), (1, 0));
        assert!(report.halted.is_some_and(|reason| reason.contains("1 of 20")));
    }
    upkeep.stop().await;
}

#[tokio::test]
async fn fs_o2_a_lost_blob_takes_its_row_along_only_the_second_time() {
    let fixture = Fixture::new().await;
    let docs = fixture.bucket(&user(1), "docs", BucketPolicy::Private).await;
    for number in 0..120 {
        let at = (&docs, &path(&format!("{number}")));
        fixture.put(&user(1), at, PutMode::Create, LARGE).await.unwrap();
    }
    fixture.lose_blobs(&docs, 1).await;
    let upkeep = Upkeep::start(&fixture.storage, upkeep_options(Duration::ZERO));
    let dry = upkeep.cleanup(false).await.unwrap();
    assert_eq!((dry.missing_blobs, dry.deleted_rows, dry.halted), (1, 0, None));
    let first = upkeep.cleanup(true).await.unwrap();
    assert_eq!((first.missing_blobs, first.deleted_rows), (1, 0));
    let second = upkeep.cleanup(true).await.unwrap();
    assert_eq!((second.missing_blobs, second.deleted_rows), (1, 1));
    upkeep.stop().await;
    fixture.audit().await;
}

#[tokio::test]
async fn bkt_i1_names_are_unique_also_for_forty_creators() {
    let fixture = Arc::new(Fixture::new().await);
    let creators: Vec<_> = (1..=40)
        .map(|creator| {
            let fixture = fixture.clone();
            tokio::spawn(async move {
                let config = BucketConfig::default();
                fixture.storage.create_bucket(&user(creator), &bucket("docs"), &config).await.is_ok()
            })
        })
        .collect();
    let mut created = 0;
    for creator in creators {
        created += usize::from(creator.await.unwrap());
    }
    assert_eq!(created, 1);
    let listed = fixture.storage.bucket(&service(), &bucket("docs")).await.unwrap();
    assert_eq!(listed.name.as_str(), "docs");
}

impl Fixture {
    /// A blob that no row knows; gives its place on the disk.
    async fn plant_orphan(&self, bytes: &[u8]) -> std::path::PathBuf {
        let name = uuid::Uuid::now_v7();
        let folder = self.dir.path().join("local/blobs").join(uuid::Uuid::new_v4().to_string()).join("ab");
        std::fs::create_dir_all(&folder).unwrap();
        let place = folder.join(name.to_string());
        std::fs::write(&place, bytes).unwrap();
        place
    }

    /// Removes blobs of a bucket behind the storage's back.
    async fn lose_blobs(&self, bucket: &file_storage::BucketName, number: usize) {
        let segments = self.executor.segment_blobs(&support::maintain(), "local", None, 1000).await.unwrap();
        let lost = segments.iter().filter(|segment| segment.bucket == *bucket).take(number);
        for segment in lost {
            std::fs::remove_file(self.dir.path().join("local/blobs").join(segment.key.as_str())).unwrap();
        }
    }
}
