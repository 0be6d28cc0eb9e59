//! What one line says.

use std::borrow::Cow;
use std::net::IpAddr;

use chrono::SubsecRound as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Timestamp;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::path::ObjectPath;
use crate::permissions::{Access, RlsContext};

/// The role of what the server does by itself.
pub(crate) const SYSTEM: &str = "system";

/// Longest name of a token (`jti`) that is told; a longer one is no name.
const LONGEST_TOKEN_ID: usize = 128;

/// Most bytes of a prefix that are told: as long as a path may be, while what is asked for has no such bound.
const LONGEST_PREFIX: usize = 1024;

/// Most bytes of what was set that are told, as JSON: what is longer is cut.
const LONGEST_SETTINGS: usize = 4096;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Somebody did something to what is stored, or tried to.
    Operation,
    /// A request was refused before it was known whose it is.
    Request,
    /// The server began to write lines.
    Start,
    /// It ended in order.
    Stop,
    /// Lines could not be written for a while, and are again.
    Resume,
    /// Old files are deleted, as their time is over.
    Prune,
}

/// What is done to a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is made.
    Create,
    /// It is written: bytes.
    Write,
    /// It is changed.
    Change,
    /// It goes.
    Delete,
    /// It goes elsewhere.
    Move,
    /// It is read.
    Read,
    /// It is listed.
    List,
    /// It is asked whether it may be.
    Ask,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Ok,
    /// It was refused: nothing happened.
    Refused,
    /// The server failed. It may have happened all the same.
    Failed,
    /// Whoever asked went away before it was known: it may have happened.
    Unknown,
}

/// What one line says: when, who, what, to what, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was known what came of it.
    pub time: Timestamp,
    /// What it is about.
    pub event: Event,
    /// The operation's name, as in the server's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Cow<'static, str>>,
    /// What it does to the thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The error's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Cow<'static, str>>,
    /// In which role: `anon`, `authenticated`, `service_role`, or `system` for the server itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Cow<'static, str>>,
    /// As which user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Uuid>,
    /// Name of the key, or the token (`jti`), that was shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// Whether a signed URL let the caller in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub signed_url: bool,
    /// The client's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// The request, or the job that somebody asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What the server does by itself, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The lifecycle rule that it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Uuid>,
    /// The bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// The object's path; of a list, how paths begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The bucket that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_bucket: Option<String>,
    /// The path that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_path: Option<String>,
    /// The version of the object: made, read or deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Bytes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many things, where a line is about many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// What else it is about, by its name: an upload, a policy, a key, a webhook, a quota, a rule, a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was set: a rule, a policy, a bucket's configuration. No secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
}

impl Entry {
    /// A line that says nothing yet but when.
    pub fn new(event: Event) -> Self {
        Self {
            time: chrono::Utc::now().trunc_subsecs(6),
            event,
            operation: None,
            action: None,
            outcome: None,
            code: None,
            role: None,
            user_id: None,
            credential: None,
            signed_url: false,
            client: None,
            request_id: None,
            purpose: None,
            rule: None,
            bucket: None,
            path: None,
            from_bucket: None,
            from_path: None,
            version: None,
            bytes: None,
            count: None,
            subject: None,
            settings: None,
        }
    }

    /// What somebody does, under a check that let them.
    pub(crate) fn of(access: &Access, action: Action) -> Self {
        let entry = Self::by(access.context(), access.operation());
        Self { action: Some(action), signed_url: access.is_signed(), ..entry }
    }

    /// What somebody asks for.
    pub(crate) fn by(context: &RlsContext, operation: &'static str) -> Self {
        let said = Some(context.request_id().to_owned()).filter(|said| !said.is_empty());
        // The server has no request: it says what for.
        let (role, request_id, purpose) = match context.is_system() {
            true => (SYSTEM, None, said),
            false => (context.role().as_str(), said, None),
        };
        let token = || context.claims().get("jti")?.as_str().filter(|id| id.len() <= LONGEST_TOKEN_ID);
        Self {
            operation: Some(operation.into()),
            role: Some(role.into()),
            user_id: context.user_id(),
            credential: context.credential().or_else(token).map(str::to_owned),
            client: context.client(),
            request_id,
            purpose,
            rule: context.rule(),
            ..Self::new(Event::Operation)
        }
    }

    #[must_use]
    pub(crate) fn bucket(self, bucket: &BucketName) -> Self {
        Self { bucket: Some(bucket.to_string()), ..self }
    }

    #[must_use]
    pub(crate) fn object(self, bucket: &BucketName, path: &ObjectPath) -> Self {
        Self { bucket: Some(bucket.to_string()), path: Some(path.to_string()), ..self }
    }

    /// A list of what begins so; of the whole bucket, where that is nothing.
    #[must_use]
    pub(crate) fn listed(self, bucket: &BucketName, prefix: &str) -> Self {
        let told = prefix.get(..prefix.floor_char_boundary(LONGEST_PREFIX));
        Self { path: told.filter(|told| !told.is_empty()).map(str::to_owned), ..self.bucket(bucket) }
    }

    #[must_use]
    pub(crate) fn from(self, (bucket, path): (&BucketName, &ObjectPath)) -> Self {
        Self { from_bucket: Some(bucket.to_string()), from_path: Some(path.to_string()), ..self }
    }

    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "names are short, and mostly made for this")]
    pub(crate) fn version(self, version: impl ToString) -> Self {
        Self { version: Some(version.to_string()), ..self }
    }

    #[must_use]
    pub(crate) fn bytes(self, bytes: u64) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    #[must_use]
    pub(crate) fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    #[must_use]
    #[allow(clippy::needless_pass_by_value, reason = "names are short, and mostly made for this")]
    pub(crate) fn subject(self, subject: impl ToString) -> Self {
        Self { subject: Some(subject.to_string()), ..self }
    }

    /// What was set. Of what opens something, nothing may be in it.
    #[must_use]
    pub(crate) fn settings(self, settings: Value) -> Self {
        Self { settings: Some(bounded(settings)), ..self }
    }

    /// What came of it, known now.
    #[must_use]
    pub(crate) fn ended(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), time: chrono::Utc::now().trunc_subsecs(6), ..self }
    }

    /// That it came to nothing, or was made to.
    #[must_use]
    pub(crate) fn failed(self, error: &StorageError) -> Self {
        let outcome = if is_the_servers(error) { Outcome::Failed } else { Outcome::Refused };
        Self { code: Some(error.code().into()), ..self.ended(outcome) }
    }
}

/// The same, or its beginning as text.
fn bounded(settings: Value) -> Value {
    let text = settings.to_string();
    if text.len() <= LONGEST_SETTINGS {
        return settings;
    }
    json!({ "cut": text.get(..text.floor_char_boundary(LONGEST_SETTINGS)), "bytes": text.len() })
}

/// Whether the server is to blame, so that a change may have happened all the same.
fn is_the_servers(error: &StorageError) -> bool {
    use StorageError as E;
    matches!(
        error,
        E::ProviderUnavailable { .. }
            | E::ProviderThrottled { .. }
            | E::ProviderTimeout { .. }
            | E::ProviderOverloaded { .. }
            | E::CircuitOpen { .. }
            | E::Overloaded { .. }
            | E::OperationTimeout { .. }
            | E::ChecksumMismatch { .. }
            | E::DiskFull { .. }
            | E::Io { .. }
            | E::Internal { .. }
    )
}
