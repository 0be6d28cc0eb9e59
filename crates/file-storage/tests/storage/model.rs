//! Random operations of several callers, against a model that is a map and SPEC 3.2's table, written down again.
//! `AEROSTORE_MODEL_CASES` sets the number of sequences.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::support::{Fixture, anon, bucket, everything, path, service, user};
use file_storage::errors::StorageError;
use file_storage::executor::Entry;
use file_storage::file::PutMode;
use file_storage::storage::CopyOptions;
use file_storage::{BucketPolicy, QuotaScope, RlsContext};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

const BUCKETS: [(&str, BucketPolicy, Option<u128>); 5] = [
    ("public", BucketPolicy::Public, Some(1)),
    ("authenticated", BucketPolicy::Authenticated, Some(1)),
    ("private", BucketPolicy::Private, Some(1)),
    ("system", BucketPolicy::Private, None),
    ("system-public", BucketPolicy::Public, None),
];
const PATHS: [&str; 5] = ["a", "b", "d/a", "d/b", "d/e/c"];

/// Anon, a user (1 owns buckets), or the service role.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Caller {
    Anon,
    User(u128),
    Service,
}

type Place = (usize, usize);

#[derive(Debug, Clone)]
enum Step {
    Put { caller: Caller, at: Place, upsert: bool, bytes: Vec<u8> },
    Get { caller: Caller, at: Place },
    Delete { caller: Caller, at: Place },
    Move { caller: Caller, from: Place, to: Place },
    Copy { caller: Caller, from: Place, to: Place, upsert: bool },
    List { caller: Caller, bucket: usize },
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let caller = || {
        prop_oneof![
            1 => Just(Caller::Anon),
            3 => Just(Caller::User(1)),
            3 => Just(Caller::User(2)),
            2 => Just(Caller::Service),
        ]
    };
    let place = || (0..BUCKETS.len(), 0..PATHS.len());
    // Below and above the size of inline objects.
    let bytes = || {
        let size = prop_oneof![0..10usize, 60..70usize, 200..300usize];
        size.prop_flat_map(|size| prop::collection::vec(any::<u8>(), size))
    };
    prop_oneof![
        6 => (caller(), place(), any::<bool>(), bytes())
            .prop_map(|(caller, at, upsert, bytes)| Step::Put { caller, at, upsert, bytes }),
        3 => (caller(), place()).prop_map(|(caller, at)| Step::Get { caller, at }),
        3 => (caller(), place()).prop_map(|(caller, at)| Step::Delete { caller, at }),
        3 => (caller(), place(), place()).prop_map(|(caller, from, to)| Step::Move { caller, from, to }),
        3 => (caller(), place(), place(), any::<bool>())
            .prop_map(|(caller, from, to, upsert)| Step::Copy { caller, from, to, upsert }),
        2 => (caller(), 0..BUCKETS.len()).prop_map(|(caller, bucket)| Step::List { caller, bucket }),
        1 => Just(Step::Crash),
    ]
}

#[derive(Debug, Clone, PartialEq)]
struct File {
    owner: Option<u128>,
    bytes: Vec<u8>,
}

/// The files, and who may do what with them.
#[derive(Default)]
struct Model(BTreeMap<Place, File>);

impl Model {
    fn may_read(caller: Caller, bucket: usize, owner: Option<u128>) -> bool {
        let (_, policy, bucket_owner) = BUCKETS[bucket];
        match caller {
            Caller::Service => true,
            Caller::Anon => policy == BucketPolicy::Public,
            Caller::User(user) => {
                policy != BucketPolicy::Private || owner == Some(user) || bucket_owner == Some(user)
            }
        }
    }

    fn may_create(caller: Caller, bucket: usize) -> bool {
        let (_, policy, bucket_owner) = BUCKETS[bucket];
        match caller {
            Caller::Service => true,
            Caller::Anon => false,
            Caller::User(user) => {
                policy == BucketPolicy::Authenticated || bucket_owner.is_none_or(|owner| owner == user)
            }
        }
    }

    /// Whether a file of this owner may come to be in a bucket by this caller's doing: in a system bucket, only their own.
    fn may_keep(caller: Caller, bucket: usize, owner: Option<u128>) -> bool {
        let (_, policy, bucket_owner) = BUCKETS[bucket];
        match caller {
            Caller::User(user) if policy != BucketPolicy::Authenticated && bucket_owner.is_none() => {
                owner == Some(user)
            }
            Caller::User(_) | Caller::Service | Caller::Anon => true,
        }
    }

    fn may_overwrite(caller: Caller, bucket: usize, owner: Option<u128>) -> bool {
        BUCKETS[bucket].1 == BucketPolicy::Authenticated && caller != Caller::Anon
            || Self::may_delete(caller, bucket, owner)
    }

    fn may_delete(caller: Caller, bucket: usize, owner: Option<u128>) -> bool {
        match caller {
            Caller::Service => true,
            Caller::Anon => false,
            Caller::User(user) => owner == Some(user) || BUCKETS[bucket].2 == Some(user),
        }
    }

    /// Whether the bucket as such gives the caller anything, so that a path can be "not found" in it.
    fn is_open(caller: Caller, bucket: usize) -> bool {
        Self::may_read(caller, bucket, None) || Self::may_create(caller, bucket)
    }

    fn missing(caller: Caller, bucket: usize) -> &'static str {
        if Self::is_open(caller, bucket) { "OBJECT_NOT_FOUND" } else { Self::refusal(caller) }
    }

    fn refusal(caller: Caller) -> &'static str {
        if caller == Caller::Anon { "AUTH_REQUIRED" } else { "STORAGE_UNAUTHORIZED" }
    }

    fn visible(&self, caller: Caller, at: Place) -> Option<&File> {
        self.0.get(&at).filter(|file| Self::may_read(caller, at.0, file.owner))
    }

    fn admit(&self, caller: Caller, at: Place, upsert: bool) -> Result<(), &'static str> {
        match self.0.get(&at) {
            _ if caller == Caller::Anon => Err("AUTH_REQUIRED"),
            Some(file) => {
                let may_overwrite = Self::may_overwrite(caller, at.0, file.owner);
                match upsert {
                    true if may_overwrite => Ok(()),
                    // Also where the caller's own file was moved to a bucket in which they create none.
                    false if may_overwrite || Self::may_create(caller, at.0) => Err("OBJECT_EXISTS"),
                    true | false => Err("STORAGE_UNAUTHORIZED"),
                }
            }
            None if Self::may_create(caller, at.0) => Ok(()),
            None => Err("STORAGE_UNAUTHORIZED"),
        }
    }

    fn put(&mut self, caller: Caller, at: Place, upsert: bool, bytes: Vec<u8>) -> Result<(), &'static str> {
        self.admit(caller, at, upsert)?;
        let owner = match (self.0.get(&at), caller) {
            (Some(file), _) => file.owner,
            (None, Caller::User(user)) => Some(user),
            (None, _) => None,
        };
        self.0.insert(at, File { owner, bytes });
        Ok(())
    }

    fn get(&self, caller: Caller, at: Place) -> Result<Vec<u8>, &'static str> {
        self.visible(caller, at).map(|file| file.bytes.clone()).ok_or(Self::missing(caller, at.0))
    }

    fn delete(&mut self, caller: Caller, at: Place) -> Result<bool, &'static str> {
        match self.visible(caller, at) {
            _ if caller == Caller::Anon => Err("AUTH_REQUIRED"),
            None if Self::is_open(caller, at.0) => Ok(false),
            None => Err("STORAGE_UNAUTHORIZED"),
            Some(file) if Self::may_delete(caller, at.0, file.owner) => Ok(self.0.remove(&at).is_some()),
            Some(_) => Err("STORAGE_UNAUTHORIZED"),
        }
    }

    fn relocate(&mut self, caller: Caller, from: Place, to: Place) -> Result<(), &'static str> {
        if caller == Caller::Anon {
            return Err("AUTH_REQUIRED");
        }
        let file = self.visible(caller, from).ok_or(Self::missing(caller, from.0))?.clone();
        if from != to {
            self.admit(caller, to, false)?;
            if !Self::may_keep(caller, to.0, file.owner) {
                return Err("STORAGE_UNAUTHORIZED");
            }
        }
        if !Self::may_delete(caller, from.0, file.owner) {
            return Err("STORAGE_UNAUTHORIZED");
        }
        self.0.remove(&from);
        self.0.insert(to, file);
        Ok(())
    }

    fn copy(&mut self, caller: Caller, from: Place, to: Place, upsert: bool) -> Result<(), &'static str> {
        if caller == Caller::Anon {
            return Err("AUTH_REQUIRED");
        }
        let bytes = self.get(caller, from)?;
        self.put(caller, to, upsert, bytes)
    }
}

fn context(caller: Caller) -> RlsContext {
    match caller {
        Caller::Anon => anon(),
        Caller::User(number) => user(number),
        Caller::Service => service(),
    }
}

fn code<T>(outcome: Result<T, StorageError>) -> Result<T, &'static str> {
    outcome.map_err(|error| error.code())
}

/// Takes the steps on an empty storage. With PostgreSQL, which takes its time to be set up, that is what the steps before have left, if
/// any were taken.
async fn run(steps: Vec<Step>, left: Option<Fixture>) -> Option<Fixture> {
    let mut fixture = match left {
        Some(left) => left.on_an_empty_disk().await,
        None => Fixture::new().await,
    };
    let mut model = Model::default();
    for (name, policy, owner) in BUCKETS {
        let owner = owner.map_or_else(service, user);
        fixture.bucket(&owner, name, policy).await;
    }
    // Too large to refuse anything: the audit at the end counts them anew.
    let folders = ["public/d", "private/d", "private/d/e", "system/d"];
    let quotas =
        || folders.map(|folder| QuotaScope::folder(folder).unwrap()).into_iter().chain([QuotaScope::Global]);
    for scope in quotas() {
        fixture.storage.set_quota(&service(), &scope, Some(1 << 40)).await.unwrap();
    }
    let buckets = BUCKETS.map(|(name, ..)| bucket(name));
    let paths = PATHS.map(path);
    let at = |place: Place| (&buckets[place.0], &paths[place.1]);
    let mode = |upsert| if upsert { PutMode::Upsert } else { PutMode::Create };
    for (number, step) in steps.iter().enumerate() {
        let what = format!("step {number}: {step:?}");
        match step.clone() {
            Step::Put { caller, at: place, upsert, bytes } => {
                let real = fixture.put(&context(caller), at(place), mode(upsert), &bytes).await.map(|_| ());
                assert_eq!(code(real), model.put(caller, place, upsert, bytes), "{what}");
            }
            Step::Get { caller, at: place } => {
                let real = fixture.get(&context(caller), at(place)).await;
                assert_eq!(code(real), model.get(caller, place), "{what}");
            }
            Step::Delete { caller, at: place } => {
                let (bucket, path) = at(place);
                let real = fixture.storage.delete(&context(caller), bucket, path, None).await;
                assert_eq!(
                    code(real.map(|deletion| deletion.object.is_some())),
                    model.delete(caller, place),
                    "{what}"
                );
            }
            Step::Move { caller, from, to } => {
                let real =
                    fixture.storage.move_object(&context(caller), at(from), at(to), PutMode::Create).await;
                assert_eq!(code(real.map(|_| ())), model.relocate(caller, from, to), "{what}");
            }
            Step::Copy { caller, from, to, upsert } => {
                let options = CopyOptions::default();
                let real = fixture
                    .storage
                    .copy(&context(caller), at(from), at(to), mode(upsert), options)
                    .await
                    .map(|_| ());
                assert_eq!(code(real), model.copy(caller, from, to, upsert), "{what}");
            }
            Step::List { caller, bucket } => {
                let real = list(&fixture, caller, bucket).await;
                let expected: Vec<_> = model
                    .0
                    .iter()
                    .filter(|(place, file)| place.0 == bucket && Model::may_read(caller, bucket, file.owner))
                    .map(|(place, _)| PATHS[place.1].to_owned())
                    .collect();
                assert_eq!(real, expected, "{what}");
            }
            Step::Crash => fixture = fixture.crash_and_reopen().await,
        }
    }
    fixture.audit().await;
    for scope in quotas() {
        fixture.storage.set_quota(&service(), &scope, None).await.unwrap();
    }
    for bucket in &buckets {
        fixture.storage.delete_bucket(&service(), bucket, true).await.unwrap();
    }
    fixture.settle().await;
    fixture.database.is_some().then_some(fixture)
}

async fn list(fixture: &Fixture, caller: Caller, index: usize) -> Vec<String> {
    let listing = everything();
    let caller = context(caller);
    let list = || async { fixture.storage.list(&caller, &bucket(BUCKETS[index].0), &listing).await.unwrap() };
    let page = list().await;
    // What is asked for again may come from memory, now, and after whatever is done next.
    for _ in 0..2 {
        assert_eq!(**list().await, **page);
    }
    page.entries.iter().map(Entry::path).map(str::to_owned).collect()
}

#[test]
fn random_operations_do_as_the_model_does() {
    let cases =
        std::env::var("AEROSTORE_MODEL_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(128);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let steps = prop::collection::vec(step(), 1..60);
    let left = RefCell::new(None);
    TestRunner::new(config)
        .run(&steps, |steps| {
            // Lost where steps fail: the next ones have a database of their own.
            let before = left.take();
            left.replace(runtime.block_on(run(steps, before)));
            Ok(())
        })
        .unwrap();
}
