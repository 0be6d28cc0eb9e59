//! Usage by a look at all objects: whose it is, how much, how old.

use super::subject::{Subject, allow, anon, bucket, maintain, new_blob, service, user};
use super::versions::{kept, put};
use crate::bucket::BucketPolicy;
use crate::executor::{UsageBy, UsageGroup};
use crate::file::PutMode;
use crate::permissions::{Operation, RlsContext};
use crate::quota::FolderPath;

/// Name, number, bytes of objects and of older versions.
type Figures = (Option<String>, u64, u64, u64);

async fn ask(subject: &Subject, who: &RlsContext, by: UsageBy) -> Vec<UsageGroup> {
    let access = match by {
        UsageBy::Provider => allow(who, Operation::Maintain),
        UsageBy::User | UsageBy::Bucket | UsageBy::Folder(..) => allow(who, Operation::ReadUsage),
    };
    subject.executor.usage_by(&access, &by, 10).await.unwrap()
}

async fn figures(subject: &Subject, who: &RlsContext, by: UsageBy) -> Vec<Figures> {
    let found = ask(subject, who, by).await.into_iter();
    found.map(|group| (group.name, group.file_count, group.object_bytes, group.version_bytes)).collect()
}

pub(crate) async fn usage_is_told_by_what_is_asked_for(subject: &Subject) {
    let (owner, other) = (user(), user());
    let id = |who: &RlsContext| who.user_id().map(|user| user.hyphenated().to_string());
    let name = |text: &str| Some(text.to_owned());
    let docs = kept(subject, &owner, "docs", BucketPolicy::Authenticated).await;
    let empty = subject.bucket(&owner, "empty", BucketPolicy::Private).await;
    put(subject, &owner, (&docs, "a/1"), b"12345").await;
    put(subject, &owner, (&docs, "a/1"), b"123").await;
    put(subject, &other, (&docs, "a/2"), b"1").await;
    put(subject, &owner, (&docs, "a0"), b"12").await;
    let (blob, _) = new_blob(&docs, "blob", &[7; 100]);
    subject.put_object(&owner, blob, &PutMode::Create).await.unwrap();

    let both = [(id(&owner), 3, 105, 5), (id(&other), 1, 1, 0)];
    assert_eq!(figures(subject, &service(), UsageBy::User).await, both);
    assert_eq!(figures(subject, &owner, UsageBy::User).await, both[..1]);
    assert_eq!(figures(subject, &service(), UsageBy::Bucket).await, [(name("docs"), 4, 106, 5)]);
    assert_eq!(figures(subject, &other, UsageBy::Bucket).await, [(name("docs"), 1, 1, 0)]);
    let by_provider = figures(subject, &service(), UsageBy::Provider).await;
    assert_eq!(by_provider, [(name("local"), 1, 100, 0), (None, 3, 6, 5)]);

    let folder = |path: &str| UsageBy::Folder(docs.name.clone(), Some(FolderPath::parse(path).unwrap()));
    assert_eq!(figures(subject, &service(), folder("a")).await, [(name("docs"), 2, 4, 5)]);
    assert_eq!(figures(subject, &owner, folder("a")).await, [(name("docs"), 1, 3, 5)]);
    assert_eq!(figures(subject, &owner, folder("b")).await, []);
    let whole = UsageBy::Folder(docs.name.clone(), None);
    assert_eq!(figures(subject, &service(), whole).await, [(name("docs"), 4, 106, 5)]);
    for nothing in [empty.name, bucket("nowhere")] {
        assert_eq!(figures(subject, &service(), UsageBy::Folder(nothing, None)).await, []);
    }

    // Of the objects that are there, the age of the oldest and of the newest.
    let (first, last) = (
        subject.get(&owner, "docs", "a/1").await.unwrap(),
        subject.get(&owner, "docs", "blob").await.unwrap(),
    );
    let told = ask(subject, &owner, UsageBy::Bucket).await;
    assert_eq!((told[0].oldest, told[0].newest), (Some(first.created_at), Some(last.created_at)));

    // Each answer takes its own permission.
    let on = &subject.executor;
    let uses = allow(&owner, Operation::ReadUsage);
    assert!(on.usage_by(&uses, &UsageBy::Provider, 10).await.is_err());
    assert!(on.usage_by(&allow(&owner, Operation::Delete), &UsageBy::Bucket, 10).await.is_err());
    assert!(on.usage_by(&maintain(), &UsageBy::Bucket, 10).await.is_err());
    let nobody = crate::permissions::Access::check(&anon(), Operation::ReadUsage, None, Default::default());
    assert!(nobody.is_err());
}
