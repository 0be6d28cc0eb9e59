//! Rules that let old files go: what a rule says, and what it may not say.
//!
//! A rule is one bucket's. It may end the objects in it that are so old, or bring them elsewhere, or only tell of them; end versions
//! that are not current any more; and give up uploads that were never finished. Knows no SQL and no protocol; when a rule's time
//! has come for a version is said in `judge`.

mod judge;

use std::collections::BTreeMap;

use chrono::SubsecRound;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::extra::Tag;
use crate::path::ObjectPath;

pub(crate) use judge::{Act, Judge, Rank};

/// Most rules of one bucket: a run asks each of them about every version.
pub const MAX_RULES: usize = 1000;

/// Most days that a rule may wait: a hundred years.
pub const MAX_DAYS: u32 = 36_500;

/// Most characters of a rule's name, as S3 has it.
const MAX_NAME: usize = 255;

/// Most tags that an object must have, as S3 has it.
const MAX_TAGS: usize = 10;

/// Who made a rule, and so who may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleSource {
    /// The API of this server.
    Api,
    /// S3's `PutBucketLifecycleConfiguration`.
    S3,
    /// `storage.yml`.
    Configuration,
}

impl RuleSource {
    /// The word of the API and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::S3 => "s3",
            Self::Configuration => "configuration",
        }
    }

    /// What that word says, if it is one.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Api, Self::S3, Self::Configuration].into_iter().find(|one| one.as_str() == word)
    }
}

/// What becomes of objects that are as old as a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LifecycleAction {
    /// They are deleted; where a bucket keeps versions, a delete marker hides them.
    #[default]
    Delete,
    /// They are brought elsewhere.
    Archive,
    /// They are told of, and stay.
    Warn,
}

impl LifecycleAction {
    /// The word of the API and of events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Archive => "archive",
            Self::Warn => "warn",
        }
    }

    /// What that word means.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Delete, Self::Archive, Self::Warn].into_iter().find(|action| action.as_str() == word)
    }
}

/// Where archived objects go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArchiveTarget {
    /// Their bytes go to another provider; name, metadata and URL stay.
    Provider(String),
    /// They are moved: to this bucket, below this prefix, under their whole path.
    Folder {
        /// The bucket.
        bucket: String,
        /// What their paths there begin with: a folder, with the slash at its end; empty for the bucket itself. What was kept without
        /// that slash means the same.
        #[serde(deserialize_with = "folder")]
        prefix: String,
    },
}

impl ArchiveTarget {
    /// The same, of which the folder has its slash.
    fn whole(self) -> Self {
        match self {
            Self::Folder { bucket, prefix } => Self::Folder { bucket, prefix: with_slash(prefix) },
            Self::Provider(name) => Self::Provider(name),
        }
    }
}

/// A folder as paths begin with it.
fn with_slash(mut folder: String) -> String {
    if !folder.is_empty() && !folder.ends_with('/') {
        folder.push('/');
    }
    folder
}

fn folder<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    String::deserialize(from).map(with_slash)
}

/// What a rule says. Nothing that is `None` is done.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RuleSpec {
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How the paths begin that it is about: `a` is also how `ab/c` begins, and `a/` is not. Empty for all.
    pub prefix: String,
    /// Tags that an object must have, all of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Whether it is followed.
    pub enabled: bool,
    /// Days since it was written, after which the action is due for an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_days: Option<u32>,
    /// What is done then.
    pub action: LifecycleAction,
    /// Where archived objects go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_to: Option<ArchiveTarget>,
    /// Days before the action, on which it is told of. No object goes that was not told of so long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warn_before_days: Option<u32>,
    /// Days since a version was replaced or deleted, after which it goes for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_days: Option<u32>,
    /// The newest of such versions that stay at each path, however old they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noncurrent_keep: Option<u32>,
    /// Whether delete markers go that hide nothing any more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub expired_delete_markers: bool,
    /// Days since an upload began, after which it is given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort_incomplete_days: Option<u32>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleRule {
    /// Its identity.
    pub id: Uuid,
    /// The bucket that it is about.
    pub bucket: BucketName,
    /// Who made it.
    pub source: RuleSource,
    /// What it says.
    pub spec: RuleSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl LifecycleRule {
    /// A rule that is made now.
    pub fn new(bucket: BucketName, source: RuleSource, spec: RuleSpec) -> Self {
        // As exact as databases are.
        let now = chrono::Utc::now().trunc_subsecs(6);
        Self { id: Uuid::now_v7(), bucket, source, spec: spec.whole(), created_at: now, updated_at: now }
    }

    /// A rule of the configuration, which has no row: its identity follows from its bucket and name, so that it is the same
    /// after every start, and in every process.
    pub fn configured(bucket: BucketName, spec: RuleSpec) -> Self {
        use md5::{Digest, Md5};
        let name = spec.name.as_deref().unwrap_or_default();
        let digest = Md5::digest(format!("lifecycle rule {} {name}", bucket.as_str()));
        let epoch = Timestamp::UNIX_EPOCH;
        Self {
            id: Uuid::from_bytes(digest.into()),
            bucket,
            source: RuleSource::Configuration,
            spec: spec.whole(),
            created_at: epoch,
            updated_at: epoch,
        }
    }

    /// How logs and reports call it.
    pub fn label(&self) -> String {
        self.spec.name.clone().unwrap_or_else(|| self.id.to_string())
    }

    /// Whether it is about an object of this path and these tags.
    pub(crate) fn is_about(&self, path: &str, tags: &[Tag]) -> bool {
        let has = |(key, value): (&String, &String)| tags.iter().any(|tag| tag.0 == *key && tag.1 == *value);
        path.starts_with(&self.spec.prefix) && self.spec.tags.iter().all(has)
    }

    /// Whether it asks about versions at all, and not about unfinished uploads alone.
    pub(crate) fn asks_of_versions(&self) -> bool {
        let spec = &self.spec;
        spec.max_age_days.is_some() || spec.noncurrent_days.is_some() || spec.expired_delete_markers
    }

    /// Checks that it says something, and nothing that contradicts itself.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] with what is wrong.
    pub fn check(&self) -> Result<(), StorageError> {
        match self.fault() {
            None => Ok(()),
            Some((_, message)) => Err(StorageError::InvalidRequest { message }),
        }
    }

    /// What is wrong with it, if anything, after the key of a configured rule that says so.
    pub fn fault(&self) -> Option<(&'static str, String)> {
        self.spec.fault(&self.bucket)
    }
}

impl RuleSpec {
    /// The same, of which the archive's folder has its slash.
    fn whole(self) -> Self {
        Self { archive_to: self.archive_to.map(ArchiveTarget::whole), ..self }
    }

    fn fault(&self, bucket: &BucketName) -> Option<(&'static str, String)> {
        let days = [
            ("max_age_days", self.max_age_days),
            ("warn_before_days", self.warn_before_days),
            ("noncurrent_days", self.noncurrent_days),
            ("abort_incomplete_days", self.abort_incomplete_days),
        ];
        for (name, days) in days {
            if days.is_some_and(|days| days == 0 || days > MAX_DAYS) {
                return Some((name, format!("{name} is between 1 and {MAX_DAYS}")));
            }
        }
        let text = |key: &'static str, text: &str| Some((key, text.to_owned()));
        if self.noncurrent_keep.is_some() && self.noncurrent_days.is_none() {
            return text("noncurrent_keep", "noncurrent_keep goes with noncurrent_days");
        }
        let does_something = self.max_age_days.is_some()
            || self.noncurrent_days.is_some()
            || self.expired_delete_markers
            || self.abort_incomplete_days.is_some();
        if !does_something {
            return text(
                "max_age_days",
                "a rule has max_age_days, noncurrent_days, expired_delete_markers or abort_incomplete_days",
            );
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > MAX_NAME) {
            // A configured rule's name is above its keys: the one that each has stands for it.
            return Some(("bucket", format!("a rule's name has between 1 and {MAX_NAME} characters")));
        }
        if self.prefix.chars().count() > 1024 || self.prefix.chars().any(char::is_control) {
            return text("prefix", "a prefix has at most 1024 characters, and none that controls a terminal");
        }
        if self.prefix.starts_with('/') {
            return text("prefix", "no path begins so: paths have no slash at their start");
        }
        if self.tags.len() > MAX_TAGS {
            return Some(("tags", format!("a rule asks for at most {MAX_TAGS} tags")));
        }
        let of_no_object = self.abort_incomplete_days.is_some() || self.expired_delete_markers;
        if of_no_object && !self.tags.is_empty() {
            return text(
                "tags",
                "unfinished uploads and delete markers have no tags: a rule about them asks for none",
            );
        }
        if self.warn_before_days.is_some() && self.max_age_days.is_none() {
            return text("warn_before_days", "warn_before_days goes with max_age_days");
        }
        if self.warn_before_days > self.max_age_days {
            return text("warn_before_days", "warn_before_days is at most max_age_days");
        }
        self.fault_of_archive(bucket)
    }

    fn fault_of_archive(&self, bucket: &BucketName) -> Option<(&'static str, String)> {
        let archives = self.action == LifecycleAction::Archive;
        if self.action != LifecycleAction::Delete && self.max_age_days.is_none() {
            return Some(("action", format!("the action {} goes with max_age_days", self.action.as_str())));
        }
        match &self.archive_to {
            None if archives => Some(("action", "the action archive goes with archive_to".to_owned())),
            Some(_) if !archives => Some(("action", "archive_to goes with the action archive".to_owned())),
            Some(ArchiveTarget::Folder { bucket: to, prefix }) => {
                if let Err(error) = BucketName::parse(to) {
                    return Some(("archive_to_bucket", error.to_string()));
                }
                if let Err(error) = ObjectPath::parse(&format!("{prefix}a")) {
                    return Some(("archive_to_prefix", format!("the archive's prefix: {error}")));
                }
                // What lies there would be as old one day, and be moved on into itself.
                let within =
                    to == bucket.as_str() && format!("{prefix}{}", self.prefix).starts_with(&self.prefix);
                let message = "the archive is among what the rule is about";
                within.then(|| ("archive_to_bucket", message.to_owned()))
            }
            Some(ArchiveTarget::Provider(_)) | None => None,
        }
    }
}

/// A version as rules judge it: an object, an older version of one, or a delete marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgedVersion {
    /// Where it is.
    pub path: ObjectPath,
    /// Its identity.
    pub version: Uuid,
    /// Its place among the versions at its path: greater is newer, and the object has the greatest.
    pub sequence: i64,
    /// Its size, in bytes.
    pub size: u64,
    /// When it was written.
    pub written_at: Timestamp,
    /// When it stopped to be current, or, for a delete marker, was made; `None` for an object.
    pub noncurrent_at: Option<Timestamp>,
    /// Whether it is a delete marker.
    pub is_delete_marker: bool,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// An upload that was never finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgedUpload {
    /// Its identity.
    pub id: Uuid,
    /// The path that it is for.
    pub path: ObjectPath,
    /// What it holds, in bytes.
    pub size: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(spec: RuleSpec) -> LifecycleRule {
        LifecycleRule::new(BucketName::parse("photos").unwrap(), RuleSource::Api, spec)
    }

    fn old() -> RuleSpec {
        RuleSpec { enabled: true, max_age_days: Some(30), ..RuleSpec::default() }
    }

    #[test]
    fn a_rule_that_says_nothing_or_too_much_is_refused() {
        let check = |spec: RuleSpec, part: &str| {
            let error = rule(spec.clone()).check().unwrap_err();
            assert!(error.to_string().contains(part), "{spec:?}: {error}");
        };
        let folder = |bucket: &str, prefix: &str| {
            Some(ArchiveTarget::Folder { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        let archive = |to| RuleSpec { action: LifecycleAction::Archive, archive_to: to, ..old() };
        let tags = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        check(RuleSpec::default(), "a rule has");
        check(RuleSpec { max_age_days: Some(0), ..old() }, "max_age_days");
        check(RuleSpec { max_age_days: Some(36_501), ..old() }, "max_age_days");
        check(RuleSpec { name: Some(String::new()), ..old() }, "name");
        check(RuleSpec { warn_before_days: Some(31), ..old() }, "at most max_age_days");
        check(RuleSpec { noncurrent_keep: Some(3), ..old() }, "noncurrent_keep");
        check(RuleSpec { abort_incomplete_days: Some(3), tags: tags.clone(), ..old() }, "tags");
        check(RuleSpec { expired_delete_markers: true, tags, ..old() }, "tags");
        check(archive(None), "archive_to");
        check(RuleSpec { archive_to: folder("b", ""), ..old() }, "goes with the action archive");
        check(archive(folder("photos", "old/")), "among what");
        check(RuleSpec { prefix: "a/".to_owned(), ..archive(folder("photos", "a/b/")) }, "among what");
        check(RuleSpec { prefix: "a/".to_owned(), ..archive(folder("photos", "a")) }, "among what");
        check(RuleSpec { prefix: "/x".to_owned(), ..old() }, "no path begins so");
        check(archive(folder("no/bucket", "")), "name invalid");
        check(archive(folder("attic", "/x")), "prefix");
        check(
            RuleSpec { action: LifecycleAction::Warn, noncurrent_days: Some(1), ..RuleSpec::default() },
            "goes with max_age_days",
        );
        rule(RuleSpec { prefix: "a/".to_owned(), ..archive(folder("photos", "old/")) }).check().unwrap();
        rule(archive(folder("attic", ""))).check().unwrap();
    }

    #[test]
    fn a_rule_is_about_paths_that_begin_so_and_have_all_tags() {
        let spec = RuleSpec {
            prefix: "a/".to_owned(),
            tags: BTreeMap::from([("k".to_owned(), "v".to_owned())]),
            ..old()
        };
        let rule = rule(spec);
        let tag = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        assert!(rule.is_about("a/x", &tag("k", "v")));
        assert!(!rule.is_about("ab/x", &tag("k", "v")));
        assert!(!rule.is_about("a/x", &tag("k", "w")));
        assert!(!rule.is_about("a/x", &[]));
    }

    #[test]
    fn an_archive_is_a_folder_with_or_without_its_slash() {
        let check = |prefix: &str, expected: &str| {
            let to = |prefix: &str| ArchiveTarget::Folder { bucket: "attic".into(), prefix: prefix.into() };
            let spec = RuleSpec { archive_to: Some(to(prefix)), ..old() };
            let expected = Some(to(expected));
            assert_eq!(rule(spec.clone()).spec.archive_to, expected, "made");
            let bucket = BucketName::parse("photos").unwrap();
            assert_eq!(LifecycleRule::configured(bucket, spec.clone()).spec.archive_to, expected);
            // As it was kept before rules were made whole.
            let kept = serde_json::to_value(spec).unwrap();
            assert_eq!(serde_json::from_value::<RuleSpec>(kept).unwrap().archive_to, expected, "kept");
        };
        check("", "");
        check("in", "in/");
        check("in/", "in/");
        check("in/deep", "in/deep/");
    }

    #[test]
    fn a_configured_rule_keeps_its_identity() {
        let of = |bucket: &str, name: &str| {
            let spec = RuleSpec { name: Some(name.to_owned()), ..old() };
            LifecycleRule::configured(BucketName::parse(bucket).unwrap(), spec).id
        };
        assert_eq!(of("a", "b"), of("a", "b"));
        assert_ne!(of("a", "b"), of("a", "c"));
        assert_ne!(of("a", "b"), of("b", "b"));
    }
}
