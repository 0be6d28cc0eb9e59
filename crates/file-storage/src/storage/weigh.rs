//! What moves and copies take of quotas, one after the other, before any of them is done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Admission, Announced, QuotaLeft};
use crate::file::{ObjectAttributes, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};
use crate::quota::{MAX_FOLDER_QUOTAS, QuotaEnforcement};
use crate::versions::Versioning;

/// Whether an object stays where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Move,
    Copy,
}

/// From which bucket to which one objects go, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passage<'a> {
    pub(crate) from: &'a BucketName,
    pub(crate) to: &'a BucketName,
    pub(crate) how: How,
    pub(crate) mode: &'a PutMode,
}

/// What an object takes of each quota over its target.
#[derive(Debug, Clone)]
pub(crate) struct Weight(Vec<Load>);

/// What an object takes of one quota.
#[derive(Debug, Clone)]
struct Load {
    left: QuotaLeft,
    /// Bytes that are new to it.
    comes: u64,
    /// Bytes that it gets back as the object goes from where it was.
    goes: u64,
}

/// What objects take of quotas together, in bytes, by scope and name. As each is let in, it counts for those after it. Bounded: of each
/// scope as many are summed as a bucket may have folders with a quota; what comes too late for that is looked at alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct QuotaSums(BTreeMap<String, BTreeMap<String, i64>>);

impl FileStorage {
    /// What each of these objects would take of quotas at its target, or why it would not be let in there for something else: as far as
    /// that is known before it is tried. No two of them go to one path. Changes nothing.
    pub(crate) async fn weigh(
        &self,
        context: &RlsContext,
        passage: Passage<'_>,
        going: &[(&StorageObject, ObjectPath)],
    ) -> Vec<Result<Weight, StorageError>> {
        match self.weigh_all(context, passage, going).await {
            Ok(weights) => weights,
            Err(error) => going.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    async fn weigh_all(
        &self,
        context: &RlsContext,
        passage: Passage<'_>,
        going: &[(&StorageObject, ObjectPath)],
    ) -> Result<Vec<Result<Weight, StorageError>>, StorageError> {
        if going.is_empty() {
            return Ok(Vec::new());
        }
        let operation = match passage.how {
            How::Move => Operation::Move(passage.mode),
            How::Copy => Operation::Copy(passage.mode),
        };
        let access = self.access(context, operation, Some(passage.to)).await?;
        // Whoever may see an object need not see what its bucket is set to.
        let versioning = match passage.how {
            How::Move => {
                let source = self.bucket(&RlsContext::system("weigh a move"), passage.from).await?;
                source.config.versioning
            }
            How::Copy => Versioning::Off,
        };
        let is_made = passage.how == How::Copy || versioning != Versioning::Off;
        let wanted: Vec<_> = going
            .iter()
            .map(|(source, path)| {
                // A moved row keeps its owner, which admission does not know: what policies say of it is said in the end.
                let made = || Announced::known(&attributes(source), source.size);
                (path.clone(), if is_made { made() } else { Announced::default() })
            })
            .collect();
        let admitted = self.executor().admit_puts(&access, passage.to, &wanted, passage.mode).await?;
        let weighed = going.iter().zip(admitted).map(|((source, _), admission)| {
            let admission = admission?;
            self.check_object(&admission.bucket, &source.content_type, source.size)?;
            Ok(match is_made {
                true => Weight::of_new(passage, source, admission, versioning),
                false => Weight::of_moved(passage, source, admission),
            })
        });
        Ok(weighed.collect())
    }
}

/// What a copy says of itself.
fn attributes(source: &StorageObject) -> ObjectAttributes {
    ObjectAttributes {
        content_type: source.content_type.clone(),
        cache_control: source.cache_control.clone(),
        metadata: source.metadata.clone(),
        extra: source.extra.clone(),
    }
}

impl Weight {
    /// Of an object that is made anew: a copy, or what moves out of a bucket that keeps versions. What stays there as a version gives
    /// nothing back; else its owner's quota gets it back, whoever is charged at the target.
    fn of_new(
        passage: Passage<'_>,
        source: &StorageObject,
        admission: Admission,
        versioning: Versioning,
    ) -> Self {
        let leaves = passage.how == How::Move && !versioning.keeps(source.versioned);
        let load = |left: QuotaLeft| {
            let goes = if leaves && held_before(passage, source, &left) { source.size } else { 0 };
            Load { left, comes: source.size, goes }
        };
        let mut loads: Vec<_> = admission.quotas.into_iter().map(load).collect();
        let is_counted = loads.iter().any(|load| load.left.scope == "user" && load.goes > 0);
        if let Some(owner) = source.owner_id.filter(|_| leaves && !is_counted) {
            loads.push(Load::given_back(owner, source.size));
        }
        Self(loads)
    }

    /// Of an object whose row moves: its owner keeps it, and what it leaves has it no more.
    fn of_moved(passage: Passage<'_>, source: &StorageObject, admission: Admission) -> Self {
        let load = |left: QuotaLeft| {
            let is_new = matches!(left.scope, "bucket" | "folder") && !held_before(passage, source, &left);
            Load { left, comes: if is_new { source.size } else { 0 }, goes: 0 }
        };
        Self(admission.quotas.into_iter().map(load).collect())
    }

    /// Whether all of them fit, in whichever order they come, and whatever they give back.
    pub(crate) fn fit_together<'w>(weights: impl IntoIterator<Item = &'w Self>) -> bool {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        weights.into_iter().flat_map(|weight| &weight.0).all(|load| {
            let sum = sums.entry((load.left.scope, &*load.left.name)).or_default();
            *sum = sum.saturating_add(load.comes);
            QuotaLeft { returned: 0, ..load.left.clone() }.check(*sum).is_ok()
        })
    }
}

impl Load {
    /// Bytes that a user's quota only gets back, for those who come later: it lets in, whatever it is.
    fn given_back(user: Uuid, bytes: u64) -> Self {
        let left = QuotaLeft {
            scope: "user",
            name: user.to_string().into(),
            used: 0,
            limit: u64::MAX,
            returned: 0,
            enforcement: QuotaEnforcement::Off,
        };
        Self { left, comes: 0, goes: bytes }
    }
}

/// Whether the object counts in this quota where it is.
fn held_before(passage: Passage<'_>, source: &StorageObject, left: &QuotaLeft) -> bool {
    let is_within = passage.from == passage.to;
    match left.scope {
        "bucket" => is_within,
        "folder" => {
            let folder =
                left.name.strip_prefix(passage.from.as_str()).and_then(|path| path.strip_prefix('/'));
            let below = folder.and_then(|folder| source.path.as_str().strip_prefix(folder));
            is_within && below.is_some_and(|rest| rest.starts_with('/'))
        }
        "user" => source.owner_id.is_some_and(|owner| owner.to_string() == *left.name),
        _ => true,
    }
}

impl QuotaSums {
    /// Lets an object in behind those before, where it fits into all quotas that it takes something of.
    ///
    /// # Errors
    /// [`StorageError::QuotaExceeded`], of the tightest one; then it takes nothing.
    pub(crate) fn admit(&mut self, weight: &Weight) -> Result<(), StorageError> {
        let behind = |load: &Load| {
            let used = load.left.used.saturating_add_signed(self.of(&load.left));
            (QuotaLeft { used, ..load.left.clone() }, load.comes)
        };
        let refused = weight.0.iter().map(behind).filter(|(left, comes)| left.check(*comes).is_err());
        let tightest = refused.min_by_key(|(left, _)| i128::from(left.limit) - i128::from(left.used));
        if let Some((left, comes)) = tightest {
            return left.check(comes);
        }
        for load in &weight.0 {
            self.add(load);
        }
        Ok(())
    }

    /// Whether nothing was added to any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, left: &QuotaLeft) -> i64 {
        self.0.get(left.scope).and_then(|names| names.get(&*left.name)).copied().unwrap_or(0)
    }

    fn add(&mut self, load: &Load) {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let back = signed(load.left.returned).saturating_add(signed(load.goes));
        let change = signed(load.comes).saturating_sub(back);
        if change == 0 {
            return;
        }
        let names = self.0.entry(load.left.scope.to_owned()).or_default();
        if let Some(sum) = names.get_mut(&*load.left.name) {
            *sum = sum.saturating_add(change);
        } else if (names.len() as u64) < MAX_FOLDER_QUOTAS {
            names.insert(load.left.name.to_string(), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::{Bucket, BucketConfig};

    fn load(name: &str, (used, limit): (u64, u64), comes: u64, returned: u64) -> Load {
        let enforcement = QuotaEnforcement::Enforce;
        let left = QuotaLeft { scope: "user", name: name.into(), used, limit, returned, enforcement };
        Load { left, comes, goes: 0 }
    }

    #[test]
    fn each_is_let_in_behind_those_before() {
        let mut sums = QuotaSums::default();
        let mut admit = |loads: &[Load]| match sums.admit(&Weight(loads.to_vec())) {
            Ok(()) => None,
            Err(StorageError::QuotaExceeded { name, used, .. }) => Some((name.to_string(), used)),
            Err(error) => panic!("{error:?}"),
        };
        let (small, big) =
            (|comes| load("small", (0, 10), comes, 0), |comes| load("big", (50, 100), comes, 0));
        assert_eq!(admit(&[small(6), big(6)]), None);
        assert_eq!(admit(&[small(5), big(5)]), Some(("small".to_owned(), 6)));
        // What was refused has taken nothing, also of those that it would have fitted into.
        assert_eq!(admit(&[big(44)]), None);
        assert_eq!(admit(&[small(1), big(1)]), Some(("big".to_owned(), 100)));
        // What is replaced gives its bytes back, to all that come later.
        assert_eq!(admit(&[load("big", (50, 100), 2, 10)]), None);
        assert_eq!(admit(&[big(9)]), Some(("big".to_owned(), 92)));
        assert_eq!(admit(&[small(4), big(8)]), None);
        let kept: QuotaSums = serde_json::from_value(serde_json::to_value(&sums).unwrap()).unwrap();
        assert_eq!(kept, sums);
    }

    #[test]
    fn no_more_quotas_are_summed_than_there_may_be() {
        let mut sums = QuotaSums::default();
        for number in 0..3000 {
            sums.admit(&Weight(vec![load(&format!("u{number}"), (0, 10), 6, 0)])).unwrap();
        }
        assert_eq!(sums.0["user"].len() as u64, MAX_FOLDER_QUOTAS);
        sums.admit(&Weight(vec![load("u0", (0, 10), 6, 0)])).unwrap_err();
        sums.admit(&Weight(vec![load("u2999", (0, 10), 6, 0)])).unwrap();
    }

    fn object(bucket: &BucketName, owner: u128) -> StorageObject {
        let now = chrono::Utc::now();
        StorageObject {
            id: Uuid::now_v7(),
            bucket: bucket.clone(),
            path: ObjectPath::parse("a").unwrap(),
            size: 6,
            content_type: String::new(),
            cache_control: None,
            checksum: None,
            etag: String::new(),
            owner_id: Some(Uuid::from_u128(owner)),
            metadata: Default::default(),
            extra: Default::default(),
            version: Uuid::now_v7(),
            versioned: false,
            created_at: now,
            updated_at: now,
        }
    }

    #[test]
    fn what_goes_is_given_back_to_its_owner_whoever_is_charged() {
        let (from, to) = (BucketName::parse("from").unwrap(), BucketName::parse("to").unwrap());
        let weight = |owner: u128, (charged, used): (u128, u64), versioning, how| {
            let bucket = Bucket::new(&to, None, &BucketConfig::default(), chrono::Utc::now());
            let quotas = vec![load(&Uuid::from_u128(charged).to_string(), (used, 10), 0, 0).left];
            let enforcement = QuotaEnforcement::Enforce;
            let admission = Admission { bucket, quota_left: None, quotas, enforcement, asks_more: false };
            let passage = Passage { from: &from, to: &to, how, mode: &PutMode::Upsert };
            Weight::of_new(passage, &object(&from, owner), admission, versioning)
        };
        // 1's quota has no room: only once 2 has moved something of 1's away, as its own.
        let of_one = |how| weight(1, (2, 0), Versioning::Suspended, how);
        let to_one = || weight(2, (1, 10), Versioning::Suspended, How::Copy);
        let fits_behind = |before: &[Weight]| {
            let mut sums = QuotaSums::default();
            before.iter().for_each(|weight| sums.admit(weight).unwrap());
            sums.admit(&to_one()).is_ok()
        };
        assert!(!fits_behind(&[]));
        assert!(fits_behind(&[of_one(How::Move)]));
        assert!(!fits_behind(&[of_one(How::Copy)]), "it stays");
        assert!(!fits_behind(&[weight(1, (2, 0), Versioning::Enabled, How::Move)]), "it stays as a version");
        // Whoever is charged for their own gets it back once.
        let own = weight(1, (1, 4), Versioning::Suspended, How::Move);
        assert_eq!(own.0.iter().map(|load| load.goes).collect::<Vec<_>>(), [6]);
        assert!(Weight::fit_together([&of_one(How::Move), &own]));
        assert!(
            !Weight::fit_together([&of_one(How::Move), &to_one()]),
            "others may come before what it gives back"
        );
    }

    #[test]
    fn those_fit_together_that_fit_in_any_order() {
        let fit = |loads: &[Load]| {
            let weights: Vec<_> = loads.iter().map(|load| Weight(vec![load.clone()])).collect();
            Weight::fit_together(&weights)
        };
        assert!(fit(&[]));
        assert!(fit(&[load("a", (0, 10), 5, 0), load("a", (0, 10), 5, 0), load("b", (9, 10), 1, 0)]));
        assert!(!fit(&[load("a", (0, 10), 5, 0), load("a", (0, 10), 6, 0)]));
        assert!(!fit(&[load("a", (5, 10), 6, 5)]), "others may come before what it gives back");
    }
}
