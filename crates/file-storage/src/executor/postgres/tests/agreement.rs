//! Both engines under the same random policies: every caller is let do the same on either, and is refused in the same
//! words. `sql/tests/oracle` says how to repeat a run.

use std::sync::Arc;

use serde_json::Value as Json;
use tempfile::TempDir;

use super::open_database;
use crate::bucket::{Bucket, BucketConfig, BucketPolicy, BucketUpdate};
use crate::errors::StorageError;
use crate::executor::conformance::Subject;
use crate::executor::conformance::subject::{
    allow, anon, bucket, listing, maintain, new_object, path, paths, service,
};
use crate::executor::sqlite::{SqliteExecutor, SqliteOptions};
use crate::executor::{Announced, Question, Relocation};
use crate::file::{ETags, NewObject, PutMode};
use crate::permissions::policy::oracle::policy;
use crate::permissions::{Access, AccessRules, Operation, Permission, Policy, RlsContext};
use crate::sql::Expr;
use crate::sql::tests::oracle::generate::{Row, USERS, row, someone};
use crate::sql::tests::oracle::judge::plan;
use crate::sql::tests::random::Random;

const BUCKETS: [&str; 2] = ["avatars", "docs"];

/// Something that is done.
#[derive(Debug, Clone)]
enum Deed {
    Read,
    List(bool),
    Admit,
    Sign(PutMode),
    Put(PutMode),
    Move(String, String, PutMode),
    DeleteAll,
    Delete,
    Empty,
    Explain(Permission),
}

impl Deed {
    fn is_of_many(&self) -> bool {
        matches!(self, Self::List(_) | Self::DeleteAll | Self::Empty)
    }
}

/// One of the two engines, and the buckets in it.
struct Side {
    subject: Subject,
    buckets: Vec<Bucket>,
}

impl Side {
    async fn new(subject: Subject) -> Self {
        let mut buckets = Vec::new();
        let owner = RlsContext::service(Some(USERS[2]), serde_json::Map::new(), "test");
        for (name, owner) in BUCKETS.into_iter().zip([owner, service()]) {
            buckets.push(subject.bucket_with(&owner, name, BucketConfig::default()).await);
        }
        Self { subject, buckets }
    }

    fn object(&self, row: &Row) -> NewObject {
        let made = self.buckets.iter().find(|made| made.name.as_str() == row.bucket).unwrap();
        let mut object = new_object(made, &row.path, b"");
        // Nothing here reads bytes: a row is all that there is.
        object.segments.clear();
        object.size = u64::try_from(row.size).unwrap();
        object.attributes.content_type.clone_from(&row.content_type);
        object.attributes.cache_control.clone_from(&row.cache_control);
        let Json::Object(metadata) = row.metadata.clone() else { panic!("metadata is an object") };
        object.attributes.metadata = metadata;
        object
    }

    /// Does it, and says what came of it.
    async fn attempt(&self, caller: &RlsContext, deed: &Deed, at: &Row) -> Result<String, StorageError> {
        let on = &self.subject.executor;
        let (name, place) = (bucket(&at.bucket), path(&at.path));
        let rules = AccessRules { anon_by_policy: on.anon_grants().await?, ..AccessRules::default() };
        let check = |operation| Access::check(caller, operation, Some(&name), rules);
        Ok(match deed {
            Deed::Read => {
                let read = on.object(&check(Operation::Info)?, &name, &place).await?;
                let opened = on.open_object(&check(Operation::Download)?, &name, &place).await?;
                assert_eq!(read, opened.object);
                format!("{} {} {:?}", read.path.as_str(), read.size, read.owner_id)
            }
            Deed::List(folders) => {
                let page = on.list_objects(&check(Operation::List)?, &name, &listing("", *folders)).await?;
                format!("{:?}", paths(&page))
            }
            Deed::Admit => {
                let object = self.object(at);
                let mode = PutMode::Create;
                let access = check(Operation::Upload(&mode))?;
                let mut said = String::new();
                for announced in [
                    Announced::default(),
                    Announced::known(&object.attributes, object.size),
                    Announced { is_final: true, ..Announced::default() },
                ] {
                    let admitted = on.admit_put(&access, &name, &place, &mode, &announced).await;
                    said += &format!("{} ", shown(admitted.map(|admission| admission.asks_more.to_string())));
                }
                said
            }
            Deed::Sign(mode) => {
                on.admit_signing(&check(Operation::SignUpload(mode))?, &name, &place, mode).await?;
                String::new()
            }
            Deed::Put(mode) => {
                let access = check(Operation::Upload(mode))?;
                let written = on.put_object(&access, self.object(at), mode).await?;
                format!("{} {:?}", written.created, written.object.owner_id)
            }
            Deed::Move(to_bucket, to, mode) => {
                let access = check(Operation::Move(mode))?;
                let to = (&bucket(to_bucket), &path(to));
                let moved = on.move_object(&access, (&name, &place), to, mode).await?;
                match moved {
                    Relocation::Moved(moved) => format!("{:?}", moved.owner_id),
                    Relocation::KeepsVersions => "keeps".to_owned(),
                }
            }
            Deed::Delete => {
                let gone = on.delete_object(&check(Operation::Delete)?, &name, &place, None).await?;
                format!("{}", gone.object.is_some())
            }
            Deed::DeleteAll => {
                let gone = on.delete_objects(&check(Operation::Delete)?, &name, &[place, path("p")]).await?;
                format!("{:?}", gone.iter().map(|object| object.path.as_str()).collect::<Vec<_>>())
            }
            Deed::Empty => {
                on.empty_bucket(&check(Operation::EmptyBucket)?, &name, 2).await?.len().to_string()
            }
            Deed::Explain(permission) => {
                let question = Question {
                    permission: *permission,
                    bucket: name.clone(),
                    path: place,
                    caller: caller.clone(),
                };
                let mut told = on.explain(&allow(&service(), Operation::Explain), &question).await?;
                for reason in &mut told.because {
                    if reason.value.is_object() {
                        reason.value = "failed".into();
                    }
                }
                format!("{told:?}")
            }
        })
    }

    async fn reset(&self, policies: [BucketPolicy; 2], rows: &[Row]) {
        let update = allow(&service(), Operation::UpdateBucket);
        for (made, policy) in self.buckets.iter().zip(policies) {
            let change = BucketUpdate { policy: Some(policy), ..BucketUpdate::default() };
            self.subject.executor.update_bucket(&update, &made.name, &change).await.unwrap();
        }
        for row in rows {
            let owner = RlsContext::service(row.owner, serde_json::Map::new(), "test");
            self.subject.put_object(&owner, self.object(row), &PutMode::Upsert).await.unwrap();
        }
    }

    async fn clear(&self, policies: &[Policy]) {
        for policy in policies {
            self.subject.executor.drop_policy(&maintain(), &policy.name).await.unwrap();
        }
        let empty = allow(&service(), Operation::EmptyBucket);
        for made in &self.buckets {
            self.subject.executor.empty_bucket(&empty, &made.name, 1000).await.unwrap();
        }
    }
}

fn shown(outcome: Result<String, StorageError>) -> String {
    match outcome {
        Ok(said) => format!("ok {said}"),
        Err(error) => format!("{error:?}"),
    }
}

/// Whether it asks for what differs from engine to engine: identities.
fn asks_for_an_identity(policy: &Policy) -> bool {
    let conditions = policy.using.iter().chain(&policy.check);
    conditions.flat_map(Expr::columns).any(|column| column.column.name == "id")
}

fn deeds(random: &mut Random) -> Vec<Deed> {
    use Permission::{ObjectCreate, ObjectDelete, ObjectOverwrite, ObjectRead};
    let target = format!("{}/{}", random.one(&["a", "public", "team-1"]), random.one(&["x.png", "y"]));
    let tags = ETags::These(vec![crate::file::Sha256::of(b"").to_hex()]);
    let to = random.one(&BUCKETS).to_owned();
    let mode = random.one(&[PutMode::Create, PutMode::Upsert]);
    let explained = [ObjectRead, ObjectCreate, ObjectOverwrite, ObjectDelete];
    let mut deeds: Vec<_> = explained.into_iter().map(Deed::Explain).collect();
    deeds.extend([
        Deed::Read,
        Deed::List(false),
        Deed::List(true),
        Deed::Admit,
        Deed::Sign(random.one(&[PutMode::Create, PutMode::Upsert])),
        Deed::Put(PutMode::Create),
        Deed::Put(PutMode::Upsert),
        Deed::Put(random.one(&[PutMode::IfMatch(tags.clone()), PutMode::IfNoneMatch(tags)])),
        Deed::Move(to, target, mode),
        Deed::Read,
        random.one(&[Deed::Delete, Deed::DeleteAll, Deed::Empty]),
        Deed::Read,
    ]);
    deeds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_engines_let_the_same_through_and_refuse_in_the_same_words() {
    let (cases, seed) = plan("agreement", 40);
    let dir = TempDir::new().unwrap();
    let sqlite = SqliteExecutor::open(SqliteOptions::new(dir.path().join("metadata.db"))).unwrap();
    let opened = open_database().await;
    let sides = [Side::new(Subject::new(Arc::new(sqlite), dir)).await, Side::new(opened.subject).await];
    let mut random = Random(seed);
    let (mut done, mut let_through, mut failed_in_itself, mut not_asked) = (0, 0, 0, 0);
    for _ in 0..cases {
        let now = chrono::Utc::now().timestamp_micros();
        let rows: Vec<_> = (0..4).map(|_| row(&mut random, now)).collect();
        let number = 1 + random.below(3);
        let texts: Vec<_> = (0..number).map(|number| policy(&mut random, number)).collect();
        let parsed = texts.iter().filter_map(|text| Policy::parse(text).ok());
        let policies: Vec<_> = parsed.filter(|policy| !asks_for_an_identity(policy)).collect();
        let open =
            [BucketPolicy::Public, BucketPolicy::Authenticated, BucketPolicy::Private, BucketPolicy::Private];
        let of_buckets = [random.one(&open), random.one(&open)];
        for side in &sides {
            side.reset(of_buckets, &rows).await;
            for policy in &policies {
                side.subject.executor.create_policy(&maintain(), policy).await.unwrap();
            }
        }
        'callers: for number in 0..4 {
            let claims = someone(&mut random).claims;
            let Json::Object(claims) = claims else { panic!("claims are an object") };
            let caller = match USERS.get(number) {
                Some(user) => RlsContext::user(*user, claims, "test"),
                None => anon(),
            };
            for deed in deeds(&mut random) {
                let fresh = row(&mut random, now);
                let at = if random.chance(3) { &fresh } else { &rows[random.below(rows.len())] };
                let [ours, theirs] = [
                    shown(sides[0].attempt(&caller, &deed, at).await),
                    shown(sides[1].attempt(&caller, &deed, at).await),
                ];
                // PostgreSQL's planner "cannot cope with" a call that is compared with itself.
                if theirs.starts_with("Internal") && theirs.contains("XX000") {
                    failed_in_itself += 1;
                    break 'callers;
                }
                // Of many rows, PostgreSQL may ask first whether one may be deleted, and then need not ask whether it is seen;
                // and of a small table's it may ask more: so a condition may fail in one engine that the other does not
                // come to. What follows would differ.
                let fails_in_one = [&ours, &theirs].map(|said| said.contains("PolicyFailed"));
                if deed.is_of_many() && fails_in_one[0] != fails_in_one[1] {
                    not_asked += 1;
                    break 'callers;
                }
                done += 1;
                let_through += usize::from(ours.starts_with("ok"));
                assert_eq!(
                    ours,
                    theirs,
                    "seed {seed}: {deed:?} at {} as {:?} {:?}\nbuckets {of_buckets:?}\n{}",
                    at.cells(),
                    caller.user_id(),
                    caller.claims(),
                    policies.iter().map(|policy| &*policy.definition).collect::<Vec<_>>().join("\n")
                );
            }
        }
        for side in &sides {
            side.clear(&policies).await;
        }
    }
    println!(
        "agreement: {done} deeds, {let_through} let through, {failed_in_itself} and {not_asked} cases given up"
    );
    assert!(let_through > 0 && let_through < done && failed_in_itself + not_asked <= cases / 4);
    for side in &sides {
        side.subject.recount().await;
    }
}
