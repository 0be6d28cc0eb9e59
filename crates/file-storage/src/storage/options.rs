//! What an operator chooses about a storage.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::cache::{CacheOptions, WarmingOptions};
use crate::backend::originals::AllowedDirectories;
use crate::failpoint;
use crate::lifecycle::LifecycleRule;
use crate::permissions::AccessRules;

/// What an operator chooses about a storage. The defaults are those of SPEC.
#[derive(Debug, Clone)]
pub struct StorageOptions {
    /// Most bytes of one object; 0 means no limit of the server's own.
    pub max_file_size: u64,
    /// Objects up to that many bytes live in the metadata database.
    pub inline_threshold: usize,
    /// Whether every download is compared with its checksum before its first byte is sent.
    pub verify_on_read: bool,
    /// Whether an upload's first bytes are looked at, and must be of a type that the bucket takes.
    pub verify_content: bool,
    /// How long a signed download URL is valid where the caller does not say.
    pub default_url_expiry: Duration,
    /// How long a signed download URL may be valid at most.
    pub max_url_expiry: Duration,
    /// How long a signed upload URL is valid.
    pub upload_url_expiry: Duration,
    /// How long an upload in numbered parts may stand without a new one before it is given up.
    pub multipart_expiry: Duration,
    /// The same of one that is appended to.
    pub resumable_expiry: Duration,
    /// How many uploads of either kind a caller may have unfinished in a bucket.
    pub max_unfinished_uploads: u32,
    /// How much queries may take and give.
    pub query: QueryOptions,
    /// How events are told.
    pub events: EventOptions,
    /// Bytes that are not where they belong, and how they get there.
    pub queue: QueueOptions,
    /// How many answers are kept in memory; `None`: none are.
    pub cache: Option<CacheOptions>,
    /// Which of them are read before somebody asks.
    pub warming: WarmingOptions,
    /// Many files in one request.
    pub batch: BatchOptions,
    /// Rules that let old files go.
    pub lifecycle: LifecycleOptions,
    /// Long work that callers ask for.
    pub jobs: JobOptions,
    /// How what is kept is verified.
    pub scrub: ScrubOptions,
    /// Which directories of this machine files may be adopted from.
    pub adopt: AllowedDirectories,
    /// What roles may do, beyond rows.
    pub access_rules: AccessRules,
    /// Whose failpoints are met: the data directory's.
    pub failpoints: failpoint::Scope,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            max_file_size: 0,
            inline_threshold: 16 * 1024,
            verify_on_read: false,
            verify_content: false,
            default_url_expiry: Duration::from_secs(3600),
            max_url_expiry: Duration::from_secs(365 * 24 * 3600),
            upload_url_expiry: Duration::from_secs(2 * 3600),
            multipart_expiry: Duration::from_secs(7 * 24 * 3600),
            resumable_expiry: Duration::from_secs(24 * 3600),
            max_unfinished_uploads: 10_000,
            query: QueryOptions::default(),
            events: EventOptions::default(),
            queue: QueueOptions::default(),
            cache: Some(CacheOptions::default()),
            warming: WarmingOptions::default(),
            batch: BatchOptions::default(),
            lifecycle: LifecycleOptions::default(),
            jobs: JobOptions::default(),
            scrub: ScrubOptions::default(),
            adopt: AllowedDirectories::default(),
            access_rules: AccessRules::default(),
            failpoints: failpoint::Scope::new(Path::new("")),
        }
    }
}

/// How much queries may take and give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryOptions {
    /// Most rows of an answer to a query that asks for no number of them.
    pub default_rows: u32,
    /// Most rows of any answer.
    pub max_rows: u32,
    /// Most bytes of an answer's rows, as JSON.
    pub max_bytes: usize,
    /// How long a query may run, and how long it waits for its turn.
    pub timeout: Duration,
    /// Queries of one caller that run at once. How many of all callers do is the executor's.
    pub per_caller: usize,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            default_rows: 1000,
            max_rows: 10_000,
            max_bytes: 8 << 20,
            timeout: Duration::from_secs(5),
            per_caller: 2,
        }
    }
}

/// How many are told of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventOptions {
    /// Subscribers at once, of all callers.
    pub subscribers: usize,
    /// Subscribers of one caller at once.
    pub per_caller: usize,
}

impl Default for EventOptions {
    fn default() -> Self {
        Self { subscribers: 1000, per_caller: 20 }
    }
}

/// Rules that let old files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifecycleOptions {
    /// Rules of the configuration, beside those that are kept in the database.
    pub rules: Arc<[LifecycleRule]>,
    /// Most things that one run does. The next one goes on.
    pub max_per_run: u64,
}

impl Default for LifecycleOptions {
    fn default() -> Self {
        Self { rules: Arc::default(), max_per_run: 100_000 }
    }
}

/// Bytes that are not where they belong, and how they get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueOptions {
    /// Name of the provider that takes uploads whose callers do not want to wait for the active one. `None`: all wait.
    pub spool: Option<Arc<str>>,
    /// Most bytes that wait on the spool. What comes beyond them waits for the active provider.
    pub spool_max_bytes: u64,
    /// How often a blob is tried before it stays where it is.
    pub max_attempts: u32,
    /// Blobs that are on their way to one provider at once.
    pub concurrency: usize,
    /// How long it is remembered that a blob came home.
    pub keep_completed: Duration,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            spool: None,
            spool_max_bytes: 10_000_000_000,
            max_attempts: 20,
            concurrency: 4,
            keep_completed: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// Long work that callers ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobOptions {
    /// Jobs that run at once in this process.
    pub concurrency: usize,
    /// How long it is known of a job what came of it.
    pub keep: Duration,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self { concurrency: 2, keep: Duration::from_secs(7 * 24 * 3600) }
    }
}

/// How what is kept is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubOptions {
    /// Bytes that a scrub reads in a second, of all providers together; 0 for no bound.
    pub bytes_per_second: u64,
    /// Time between two scrubs that begin by themselves; `None`: none does.
    pub interval: Option<Duration>,
}

impl Default for ScrubOptions {
    fn default() -> Self {
        Self { bytes_per_second: 20_000_000, interval: None }
    }
}

/// Many files in one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchOptions {
    /// Files, or paths, of one request.
    pub max_files: usize,
    /// Files of one request that are written at once.
    pub concurrency: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { max_files: 1000, concurrency: 8 }
    }
}
