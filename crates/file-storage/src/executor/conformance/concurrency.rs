//! Many at once.

use futures_util::future::join_all;

use super::subject::{Subject, path, user};
use crate::bucket::{BucketConfig, BucketPolicy};
use crate::errors::StorageError;
use crate::file::PutMode;

pub(crate) async fn fs_i4_forty_writers_have_one_winner(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let bodies: Vec<_> = (0..40).map(|n| format!("body {n}")).collect();
    let tries = bodies.iter().map(|b| subject.put(&owner, (&made, "a"), b.as_bytes(), PutMode::Create));
    let outcomes = join_all(tries).await;
    let won: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(won.len(), 1);
    let lost = outcomes.iter().filter(|o| matches!(o, Err(StorageError::ObjectExists { .. }))).count();
    assert_eq!(lost, 39);
    assert_eq!(subject.get(&owner, "photos", "a").await.unwrap(), won[0].object);
    subject.recount().await;
}

pub(crate) async fn quotas_are_never_overshot(subject: &Subject) {
    let owner = user();
    let config = BucketConfig { quota_bytes: Some(100), ..BucketConfig::default() };
    let made = subject.bucket_with(&owner, "photos", config).await;
    let names: Vec<_> = (0..64).map(|n| format!("f{n}")).collect();
    let tries = names.iter().map(|at| subject.put(&owner, (&made, at), &[0; 7], PutMode::Create));
    let outcomes = join_all(tries).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 14);
    let refused = outcomes.iter().filter(|o| matches!(o, Err(StorageError::QuotaExceeded { .. })));
    assert_eq!(refused.count(), 50);
    assert_eq!(subject.shown("photos").await.total_bytes, 98);
    subject.recount().await;
    // Deleted and written again, all at a time.
    let churn = names.iter().map(async |at| {
        subject.delete(&owner, "photos", at).await.unwrap();
        drop(subject.put(&owner, (&made, at), &[0; 9], PutMode::Create).await);
    });
    join_all(churn).await;
    assert!(subject.shown("photos").await.total_bytes <= 100);
    subject.recount().await;
}

pub(crate) async fn closed_executors_refuse(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    subject.executor.close().await;
    let late = subject.put(&owner, (&made, "a"), b"1", PutMode::Create).await;
    assert!(matches!(late, Err(StorageError::ProviderUnavailable { .. })), "{late:?}");
    let access = super::subject::allow(&owner, crate::permissions::Operation::Info);
    assert!(subject.executor.object(&access, &made.name, &path("a")).await.is_err());
    assert!(subject.executor.ping().await.is_err());
    subject.executor.close().await;
}
