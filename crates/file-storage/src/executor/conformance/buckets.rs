//! Buckets: names, rows, limits, their end.

use super::subject::{Subject, allow, bucket, maintain, new_blob, service, user};
use crate::bucket::{BucketConfig, BucketPolicy, BucketUpdate, MimePattern};
use crate::errors::{DenialReason, StorageError};
use crate::executor::{BucketListing, BucketSort, SortOrder};
use crate::file::PutMode;
use crate::permissions::{Operation, Permission, RlsContext};

pub(crate) async fn bkt_i1_bucket_names_are_unique(subject: &Subject) {
    let (one, other) = (user(), user());
    let made = subject.bucket(&one, "photos", BucketPolicy::Private).await;
    assert_eq!((made.owner_id, made.file_count, made.total_bytes), (one.user_id(), 0, 0));
    for caller in [&one, &other, &service()] {
        let again = subject
            .executor
            .create_bucket(
                &allow(caller, Operation::CreateBucket),
                &bucket("photos"),
                &BucketConfig::default(),
            )
            .await;
        assert!(matches!(again, Err(StorageError::BucketExists { .. })), "{again:?}");
    }
    assert_eq!(subject.shown("photos").await, made);
}

pub(crate) async fn buckets_are_shown_and_listed(subject: &Subject) {
    let (owner, other) = (user(), user());
    for (name, policy) in [
        ("b-own", BucketPolicy::Private),
        ("a-public", BucketPolicy::Public),
        ("c-auth", BucketPolicy::Authenticated),
    ] {
        subject.bucket(&owner, name, policy).await;
    }
    subject.bucket(&service(), "d-system", BucketPolicy::Private).await;
    let list = async |caller: &RlsContext, listing: BucketListing| -> Vec<String> {
        let access = allow(caller, Operation::ListBuckets);
        let found = subject.executor.list_buckets(&access, &listing).await.unwrap();
        found.iter().map(|bucket| bucket.name.to_string()).collect()
    };
    let all = BucketListing {
        limit: 100,
        offset: 0,
        sort: (BucketSort::Name, SortOrder::Ascending),
        ..BucketListing::default()
    };
    assert_eq!(list(&super::subject::anon(), all.clone()).await, ["a-public"]);
    assert_eq!(list(&other, all.clone()).await, ["a-public", "c-auth"]);
    assert_eq!(list(&owner, all.clone()).await, ["a-public", "b-own", "c-auth"]);
    assert_eq!(list(&service(), all.clone()).await, ["a-public", "b-own", "c-auth", "d-system"]);
    let of_other = BucketListing { of_user: other.user_id(), ..all.clone() };
    assert_eq!(list(&other, of_other.clone()).await, Vec::<String>::new());
    assert_eq!(list(&service(), of_other).await, ["d-system"]);
    let of_owner = BucketListing { of_user: owner.user_id(), ..all.clone() };
    assert_eq!(list(&owner, of_owner).await, ["a-public", "b-own", "c-auth"]);
    let down = (BucketSort::CreatedAt, SortOrder::Descending);
    let page = BucketListing { limit: 2, offset: 1, sort: down, ..BucketListing::default() };
    assert_eq!(list(&service(), page).await, ["c-auth", "a-public"]);
    let search = BucketListing { search: "-p".to_owned(), ..all.clone() };
    assert_eq!(list(&service(), search).await, ["a-public"]);
    // What stands before a page does not count into it.
    for (prefix, after, limit, wanted) in [
        ("", "a-public", 1, &["b-own"][..]),
        ("", "b-own", 100, &["c-auth", "d-system"]),
        ("", "d-system", 100, &[]),
        ("c", "", 1, &["c-auth"]),
        ("own", "", 100, &[]),
        ("c-", "c-auth", 100, &[]),
        ("%", "", 100, &[]),
        ("\0", "", 100, &[]),
        ("", "\u{10ffff}", 100, &[]),
    ] {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        let page = BucketListing { limit, prefix, after, ..all.clone() };
        assert_eq!(list(&service(), page.clone()).await, wanted, "{page:?}");
    }
}

pub(crate) async fn buckets_are_changed(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Public).await;
    let update = BucketUpdate {
        policy: Some(BucketPolicy::Authenticated),
        allowed_mime_types: Some(Some(vec![MimePattern::parse("image/*").unwrap()])),
        max_file_size: Some(u64::from(u32::MAX) + 1),
        quota_bytes: Some(Some(7)),
        versioning: Some(crate::versions::Versioning::Enabled),
    };
    let access = |caller: &RlsContext| allow(caller, Operation::UpdateBucket);
    let changed = subject.executor.update_bucket(&access(&owner), &bucket("photos"), &update).await.unwrap();
    assert_eq!(changed.config.policy, BucketPolicy::Authenticated);
    assert_eq!(changed.config.quota_bytes, Some(7));
    assert_eq!((changed.uuid, changed.created_at), (made.uuid, made.created_at));
    assert_eq!(subject.shown("photos").await, changed);
    let kept = subject
        .executor
        .update_bucket(&access(&owner), &bucket("photos"), &BucketUpdate::default())
        .await
        .unwrap();
    assert_eq!(kept.config, changed.config);
    let free =
        BucketUpdate { quota_bytes: Some(None), allowed_mime_types: Some(None), ..BucketUpdate::default() };
    let freed = subject.executor.update_bucket(&access(&service()), &bucket("photos"), &free).await.unwrap();
    assert_eq!((freed.config.quota_bytes, freed.config.allowed_mime_types), (None, None));
    let refused = subject.executor.update_bucket(&access(&other), &bucket("photos"), &free).await;
    assert!(matches!(refused, Err(StorageError::Unauthorized(_))), "{refused:?}");
    let missing = subject.executor.update_bucket(&access(&other), &bucket("nothing"), &free).await;
    assert!(matches!(missing, Err(StorageError::BucketNotFound { .. })), "{missing:?}");
}

pub(crate) async fn owners_lower_their_buckets_quota_and_do_not_lift_it(subject: &Subject) {
    let owner = user();
    subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let set = async |caller: &RlsContext, quota: Option<u64>| {
        let access = allow(caller, Operation::UpdateBucket);
        let policy = Some(BucketPolicy::Public);
        let update = BucketUpdate { quota_bytes: Some(quota), policy, ..BucketUpdate::default() };
        subject.executor.update_bucket(&access, &bucket("photos"), &update).await
    };
    // Without one, a quota is the owner's to set.
    assert_eq!(set(&owner, None).await.unwrap().config.quota_bytes, None);
    assert_eq!(set(&owner, Some(100)).await.unwrap().config.quota_bytes, Some(100));
    for quota in [100, 50] {
        assert_eq!(set(&owner, Some(quota)).await.unwrap().config.quota_bytes, Some(quota));
    }
    let before = subject.shown("photos").await;
    for quota in [None, Some(51), Some(u64::MAX)] {
        let refused = set(&owner, quota).await.unwrap_err();
        let StorageError::Unauthorized(denial) = &refused else { panic!("{refused:?}") };
        assert_eq!((denial.permission, &denial.reason), (Permission::Maintain, &DenialReason::Role));
    }
    assert_eq!(subject.shown("photos").await, before, "nothing else was changed, either");
    assert_eq!(set(&service(), Some(200)).await.unwrap().config.quota_bytes, Some(200));
    assert_eq!(set(&service(), None).await.unwrap().config.quota_bytes, None);
}

pub(crate) async fn emptying_and_deleting_buckets(subject: &Subject) {
    let (owner, other) = (user(), user());
    let made = subject.bucket(&owner, "photos", BucketPolicy::Authenticated).await;
    for n in 0..5 {
        subject.put(&other, (&made, &format!("f{n}")), b"12", PutMode::Create).await.unwrap();
    }
    let name = bucket("photos");
    let delete =
        async |caller| subject.executor.delete_bucket(&allow(caller, Operation::DeleteBucket), &name).await;
    let empty = async |caller, limit| {
        let gone = subject.executor.empty_bucket(&allow(caller, Operation::EmptyBucket), &name, limit).await;
        gone.map(|gone| gone.len())
    };
    assert!(matches!(delete(&other).await, Err(StorageError::Unauthorized(_))));
    assert!(matches!(empty(&other, 10).await, Err(StorageError::Unauthorized(_))));
    assert!(matches!(delete(&owner).await, Err(StorageError::BucketNotEmpty { .. })));
    assert_eq!(empty(&owner, 3).await.unwrap(), 3);
    assert_eq!(subject.shown("photos").await.file_count, 2);
    assert_eq!(empty(&owner, 3).await.unwrap(), 2);
    assert_eq!(empty(&owner, 3).await.unwrap(), 0);
    assert_eq!(subject.shown("photos").await.total_bytes, 0);
    delete(&owner).await.unwrap();
    assert!(matches!(delete(&owner).await, Err(StorageError::BucketNotFound { .. })));
    subject.recount().await;
}

pub(crate) async fn deleting_a_bucket_keeps_its_queued_blobs(subject: &Subject) {
    let owner = user();
    let made = subject.bucket(&owner, "photos", BucketPolicy::Private).await;
    let (object, key) = new_blob(&made, "a", b"bytes");
    subject.put_object(&owner, object, &PutMode::Create).await.unwrap();
    let name = bucket("photos");
    let access = allow(&owner, Operation::EmptyBucket);
    let gone = subject.executor.empty_bucket(&access, &name, 10).await.unwrap();
    assert_eq!(gone.iter().map(|gone| (gone.path.as_str(), gone.size)).collect::<Vec<_>>(), [("a", 5)]);
    subject.executor.delete_bucket(&allow(&owner, Operation::DeleteBucket), &name).await.unwrap();
    let due = subject.executor.due_deletions(&maintain(), std::time::Duration::ZERO, 10).await.unwrap();
    assert_eq!(due.iter().map(|blob| &blob.key).collect::<Vec<_>>(), [&key]);
}
