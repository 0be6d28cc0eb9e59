//! The bucket model: names, policies, limits.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;
use crate::errors::{Denial, DenialReason, StorageError};
use crate::permissions::{Permission, RlsContext, denied};
use crate::versions::Versioning;

/// A name that a bucket can have. It is the bucket's public identity, unique on a server (BKT-I1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketName(Arc<str>);

/// How strict a protocol is with the name of a new bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRules {
    /// 3 to 63 of `a-z 0-9 - _ .`, starting and ending with a letter or digit, no `..`, not an IP address.
    Native,
    /// Supabase's wider rule: up to 100 of the characters of a key, without the slash.
    Supabase,
}

impl BucketName {
    /// Checks the name of a bucket that is asked for. A name that no bucket can have under either rule
    /// names no bucket; the wider rule is used, so that a bucket made under one dialect is found under the other.
    ///
    /// # Errors
    /// [`StorageError::InvalidBucketName`] with the broken rule.
    pub fn parse(name: &str) -> Result<Self, StorageError> {
        Self::parse_new(name, NameRules::Supabase)
    }

    /// Checks the name of a bucket that is about to be created.
    ///
    /// # Errors
    /// [`StorageError::InvalidBucketName`] with the broken rule.
    pub fn parse_new(name: &str, rules: NameRules) -> Result<Self, StorageError> {
        let broken = match rules {
            NameRules::Native => broken_native_rule(name),
            NameRules::Supabase => broken_supabase_rule(name),
        };
        match broken {
            Some(reason) => Err(StorageError::InvalidBucketName { name: name.to_owned(), reason }),
            None => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_native_rule(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !(3..=63).contains(&name.len()) {
        Some("a bucket name has 3 to 63 characters")
    } else if !name.chars().all(allowed) {
        Some("a bucket name has only a-z, 0-9, '-', '_' and '.'")
    } else if !name.starts_with(edge) || !name.ends_with(edge) {
        Some("a bucket name starts and ends with a letter or digit")
    } else if name.contains("..") {
        Some("a bucket name has no '..'")
    } else if name.parse::<IpAddr>().is_ok() {
        Some("a bucket name is not an IP address")
    } else {
        None
    }
}

fn broken_supabase_rule(name: &str) -> Option<&'static str> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_!.*'() &$=@;:+,?-".contains(c);
    if !(1..=100).contains(&name.len()) {
        Some("a bucket name has 1 to 100 characters")
    } else if !name.chars().all(allowed) {
        Some("a bucket name has only the characters that Supabase Storage allows")
    } else if name.trim() != name {
        Some("a bucket name has no spaces around it")
    } else if name == "." || name == ".." {
        Some("a bucket name is not '.' or '..'")
    } else if name.ends_with("--table-s3") {
        Some("a bucket name does not end with '--table-s3'")
    } else {
        None
    }
}

impl fmt::Display for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BucketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl AsRef<str> for BucketName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Who may do what in a bucket, before any SQL policy (SPEC 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketPolicy {
    /// Anyone reads; the owner writes.
    Public,
    /// Any authenticated user reads, creates and overwrites; the owner deletes.
    Authenticated,
    /// The owner alone.
    #[default]
    Private,
}

impl BucketPolicy {
    /// The word of the API and of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Authenticated => "authenticated",
            Self::Private => "private",
        }
    }

    /// The policy of that word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "public" => Some(Self::Public),
            "authenticated" => Some(Self::Authenticated),
            "private" => Some(Self::Private),
            _ => None,
        }
    }
}

/// A content type, or a family of them: `image/png`, `image/*`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MimePattern(String);

impl MimePattern {
    /// Checks the form `type/subtype`, where either may be `*`.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] for anything else.
    pub fn parse(pattern: &str) -> Result<Self, StorageError> {
        let token = |part: &str| part == "*" || is_mime_token(part);
        match pattern.split_once('/') {
            Some((kind, subtype)) if token(kind) && token(subtype) && (kind != "*" || subtype == "*") => {
                Ok(Self(pattern.to_ascii_lowercase()))
            }
            _ => Err(StorageError::InvalidRequest { message: format!("'{pattern}' is not a MIME type") }),
        }
    }

    /// Whether a declared content type fits. Parameters (`; charset=…`) do not count.
    pub fn matches(&self, content_type: &str) -> bool {
        // A list of types is none: a browser would take the last of them.
        if content_type.contains(',') {
            return false;
        }
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let Some((kind, subtype)) = essence.split_once('/') else { return false };
        if !is_mime_token(kind) || !is_mime_token(subtype) {
            return false;
        }
        match self.0.strip_suffix("/*") {
            Some("*") => true,
            Some(allowed) => kind.eq_ignore_ascii_case(allowed),
            None => essence.eq_ignore_ascii_case(&self.0),
        }
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a type or subtype is one (RFC 6838, section 4.2).
fn is_mime_token(part: &str) -> bool {
    !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c))
}

/// What a bucket's creator chooses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketConfig {
    /// Who may do what. Private unless chosen otherwise.
    pub policy: BucketPolicy,
    /// The content types it takes; `None` means any.
    pub allowed_mime_types: Option<Vec<MimePattern>>,
    /// Most bytes of one object; 0 means only the server's own limit.
    pub max_file_size: u64,
    /// Most bytes of all its objects together; `None` means unlimited.
    pub quota_bytes: Option<u64>,
    /// Whether it keeps what is overwritten and deleted.
    pub versioning: Versioning,
}

impl BucketConfig {
    /// Whether an object of this declared content type may be kept here.
    pub fn is_mime_allowed(&self, content_type: &str) -> bool {
        self.allowed_mime_types
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|pattern| pattern.matches(content_type)))
    }
}

/// A change of a bucket's configuration: `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketUpdate {
    /// The new policy.
    pub policy: Option<BucketPolicy>,
    /// The new content types; `Some(None)` means any.
    pub allowed_mime_types: Option<Option<Vec<MimePattern>>>,
    /// The new limit of one object, in bytes; 0 means only the server's own.
    pub max_file_size: Option<u64>,
    /// The new quota, in bytes; `Some(None)` means unlimited. One that is there, only the service role raises or takes off.
    pub quota_bytes: Option<Option<u64>>,
    /// Whether it keeps versions from now on.
    pub versioning: Option<Versioning>,
}

/// A bucket as its row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its public name.
    pub name: BucketName,
    /// Its physical identity, part of every blob key: a bucket made anew under an old name has another.
    pub uuid: Uuid,
    /// Who made it; `None` for a system bucket, made by the service role.
    pub owner_id: Option<Uuid>,
    /// Its policy and limits.
    pub config: BucketConfig,
    /// Objects in it, counted in the transactions that change them.
    pub file_count: u64,
    /// Bytes of all its objects and of all their versions, likewise.
    pub total_bytes: u64,
    /// Bytes that unfinished uploads hold in it, likewise.
    pub unfinished_bytes: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its configuration last changed.
    pub updated_at: Timestamp,
}

impl Bucket {
    /// A bucket that is made now: another one than any before it, and empty.
    pub(crate) fn new(
        name: &BucketName,
        owner_id: Option<Uuid>,
        config: &BucketConfig,
        now: Timestamp,
    ) -> Self {
        Self {
            name: name.clone(),
            uuid: Uuid::now_v7(),
            owner_id,
            config: config.clone(),
            file_count: 0,
            total_bytes: 0,
            unfinished_bytes: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// Bytes that count against its quota.
    pub fn used_bytes(&self) -> u64 {
        self.total_bytes.saturating_add(self.unfinished_bytes)
    }

    /// Takes on a change of its configuration, that this caller asks for, who may change the bucket.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] where versioning would be switched off; a denial where anybody but the service role
    /// would lift the quota: nobody could be held to one otherwise.
    pub(crate) fn update(
        &mut self,
        context: &RlsContext,
        update: &BucketUpdate,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let config = &mut self.config;
        if let (Some(next), Some(quota)) = (update.quota_bytes, config.quota_bytes)
            && next.is_none_or(|next| next > quota)
            && !context.is_service()
        {
            let (permission, bucket) = (Permission::Maintain, Some(self.name.clone()));
            return Err(denied(context, Denial { permission, bucket, reason: DenialReason::Role }));
        }
        if let Some(next) = update.versioning {
            config.versioning = config.versioning.changed_to(next)?;
        }
        config.policy = update.policy.unwrap_or(config.policy);
        if let Some(patterns) = &update.allowed_mime_types {
            config.allowed_mime_types.clone_from(patterns);
        }
        config.max_file_size = update.max_file_size.unwrap_or(config.max_file_size);
        config.quota_bytes = update.quota_bytes.unwrap_or(config.quota_bytes);
        self.updated_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, native: bool, supabase: bool) {
        assert_eq!(BucketName::parse_new(name, NameRules::Native).is_ok(), native, "native: {name:?}");
        assert_eq!(BucketName::parse_new(name, NameRules::Supabase).is_ok(), supabase, "supabase: {name:?}");
    }

    #[test]
    fn bucket_names_are_checked_by_the_rules_of_their_dialect() {
        check("avatars", true, true);
        check("a-b_c.d1", true, true);
        check("abc", true, true);
        check(&"x".repeat(63), true, true);
        check(&"x".repeat(64), false, true);
        check(&"x".repeat(101), false, false);
        check("ab", false, true);
        check("", false, false);
        check("Avatars", false, true);
        check("-abc", false, true);
        check("abc.", false, true);
        check("a..b", false, true);
        check("10.0.0.1", false, true);
        check("a/b", false, false);
        check("..", false, false);
        check("my bucket", false, true);
        check(" abc", false, false);
        check("ümlaut", false, false);
        check("x--table-s3", true, false);
    }

    #[test]
    fn mime_patterns_match_families_and_ignore_parameters() {
        let image = MimePattern::parse("image/*").unwrap();
        assert!(image.matches("image/png") && image.matches("IMAGE/JPEG; q=1"));
        for malformed in ["image/png, text/html", "image/png;q=1,text/html", "image/", "image/*", "image/a b"]
        {
            assert!(!image.matches(malformed), "{malformed:?}");
        }
        assert!(!image.matches("imagex/png") && !image.matches("text/plain") && !image.matches("image"));
        assert!(MimePattern::parse("text/plain").unwrap().matches("text/plain; charset=utf-8"));
        assert!(MimePattern::parse("*/*").unwrap().matches("anything/at-all"));
        for bad in ["", "image", "*/png", "a/b/c", "image/", "a b/c"] {
            assert!(MimePattern::parse(bad).is_err(), "{bad:?}");
        }
    }
}
