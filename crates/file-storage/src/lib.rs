//! The domain of Aerostore: buckets, objects, who may touch them, where their rows and bytes live.
//!
//! Knows no HTTP: protocols translate into calls of [`FileStorage`] and translate its answers and
//! [`StorageError`]s back. SQL lives only under `executor/`, paths on a disk only under `backend/`
//! and, of a backup, under `backup/`, and of the audit log, under `audit/`; `ownership` says whose a file becomes that root makes.

pub mod audit;
pub mod backend;
pub mod backup;
pub mod body;
pub mod bucket;
pub mod credentials;
pub mod digests;
pub mod errors;
pub mod executor;
pub mod extra;
pub mod failpoint;
pub mod file;
pub mod health;
pub mod identities;
pub mod lifecycle;
pub mod multipart;
pub mod ownership;
pub mod path;
pub mod permissions;
pub mod quota;
pub mod resilience;
pub mod signed_url;
pub mod sql;
pub mod storage;
pub mod upkeep;
pub mod versions;
pub mod webhooks;

pub use bucket::{Bucket, BucketConfig, BucketName, BucketPolicy, BucketUpdate};
pub use errors::StorageError;
pub use file::StorageObject;
pub use path::ObjectPath;
pub use permissions::{Operation, RlsContext, Role};
pub use quota::{Quota, QuotaScope};
pub use storage::FileStorage;
pub use versions::{VersionId, Versioning};

/// A moment by the server's clock, in UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
