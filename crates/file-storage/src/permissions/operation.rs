//! What can be asked for, and which permissions it takes.

use std::fmt;

use crate::file::PutMode;

/// Everything that a caller can ask of the storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Create a bucket.
    CreateBucket,
    /// List the buckets that the caller may see.
    ListBuckets,
    /// Show one bucket.
    ShowBucket,
    /// Change a bucket's policy or limits.
    UpdateBucket,
    /// Delete all objects of a bucket.
    EmptyBucket,
    /// Delete a bucket.
    DeleteBucket,
    /// Write an object's bytes.
    Upload(&'a PutMode),
    /// Begin an upload in several pieces.
    CreateMultipart(&'a PutMode),
    /// Find an unfinished upload of one's own.
    FindUpload,
    /// Add a piece to an unfinished upload.
    UploadPart(&'a PutMode),
    /// Add a piece of another object to an unfinished upload.
    CopyPart(&'a PutMode),
    /// List the pieces of an unfinished upload.
    ListParts,
    /// List one's own unfinished uploads.
    ListMultipartUploads,
    /// Make an object of an unfinished upload.
    CompleteMultipart(&'a PutMode),
    /// Give an unfinished upload up.
    AbortMultipart,
    /// Read an object's bytes.
    Download,
    /// Read what is known about an object.
    Info,
    /// List the versions of objects.
    ListVersions,
    /// Make an old version the current one again.
    RestoreVersion,
    /// Delete objects.
    Delete,
    /// Delete a version for good.
    DeleteVersion,
    /// Copy an object.
    Copy(&'a PutMode),
    /// Move an object.
    Move(&'a PutMode),
    /// List a bucket.
    List,
    /// Make a URL that downloads one object.
    SignDownload,
    /// Make a URL that uploads one object.
    SignUpload(&'a PutMode),
    /// Ask over rows by a `SELECT`.
    Query,
    /// Be told of events, as they happen or since.
    Subscribe,
    /// Read one's own usage.
    ReadUsage,
    /// Read the quotas of buckets that one may change, and one's own.
    ReadQuota,
    /// Read everybody's quotas, and set them.
    ManageQuotas,
    /// Read which of one's own uploads wait for their provider.
    ReadQueue,
    /// Read one's own jobs.
    ReadJobs,
    /// Ask for a job of one's own, or for its end. What it does to objects is asked for besides.
    ChangeJobs,
    /// Ask which rules let oneself do something, or not; of others, the service role alone.
    Explain,
    /// Change an object's tags.
    TagObject,
    /// Add, drop and list SQL policies.
    ManagePolicies,
    /// Make, list, disable and delete S3 credentials.
    ManageCredentials,
    /// Read everybody's usage, recount, clean up, deliver events: the server's upkeep.
    Maintain,
}

/// What a row-level rule grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Permission {
    /// Make a bucket.
    BucketCreate,
    /// See a bucket's row.
    BucketRead,
    /// Change a bucket's row, or empty it.
    BucketUpdate,
    /// Delete a bucket.
    BucketDelete,
    /// See an object (SQL: SELECT).
    ObjectRead,
    /// Make an object (SQL: INSERT).
    ObjectCreate,
    /// Replace an object (SQL: UPDATE).
    ObjectOverwrite,
    /// Delete an object (SQL: DELETE).
    ObjectDelete,
    /// See and go on with an unfinished upload that one has begun.
    UploadContinue,
    /// See one's own usage.
    UsageRead,
    /// See one's own queued uploads.
    QueueRead,
    /// See one's own jobs.
    JobRead,
    /// Be told which rules decide.
    Explain,
    /// The server's upkeep: the service role's alone.
    Maintain,
}

impl Permission {
    /// A stable word, for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BucketCreate => "bucket:create",
            Self::BucketRead => "bucket:read",
            Self::BucketUpdate => "bucket:update",
            Self::BucketDelete => "bucket:delete",
            Self::ObjectRead => "object:read",
            Self::ObjectCreate => "object:create",
            Self::ObjectOverwrite => "object:overwrite",
            Self::ObjectDelete => "object:delete",
            Self::UploadContinue => "upload:continue",
            Self::UsageRead => "usage:read",
            Self::QueueRead => "queue:read",
            Self::JobRead => "job:read",
            Self::Maintain => "server:maintain",
            Self::Explain => "access:explain",
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BucketCreate => "permission to create buckets",
            Self::BucketRead => "permission to see the bucket",
            Self::BucketUpdate => "permission to change the bucket",
            Self::BucketDelete => "permission to delete the bucket",
            Self::ObjectRead => "permission to read (SELECT)",
            Self::ObjectCreate => "permission to create (INSERT)",
            Self::ObjectOverwrite => "permission to overwrite (UPDATE)",
            Self::ObjectDelete => "permission to delete (DELETE)",
            Self::UploadContinue => "permission to go on with an upload",
            Self::UsageRead => "permission to read usage",
            Self::QueueRead => "permission to see queued uploads",
            Self::JobRead => "permission to have jobs done",
            Self::Explain => "permission to be told which rules decide",
            Self::Maintain => "permission to maintain the server",
        })
    }
}

impl Operation<'_> {
    /// The permissions that the operation needs in any case, the first being the one that a refusal names.
    /// No `_` arm: a permission by leftover is how holes appear.
    pub fn permissions(&self) -> &'static [Permission] {
        use Permission as P;
        match self {
            Self::CreateBucket => &[P::BucketCreate],
            Self::ListBuckets | Self::ShowBucket => &[P::BucketRead],
            Self::UpdateBucket => &[P::BucketUpdate],
            Self::EmptyBucket => &[P::BucketUpdate, P::ObjectDelete],
            Self::DeleteBucket => &[P::BucketDelete, P::ObjectDelete],
            Self::FindUpload | Self::ListParts | Self::ListMultipartUploads | Self::AbortMultipart => {
                &[P::UploadContinue]
            }
            Self::CreateMultipart(mode) | Self::UploadPart(mode) | Self::CompleteMultipart(mode) => {
                match mode {
                    PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => {
                        &[P::ObjectCreate, P::UploadContinue]
                    }
                    PutMode::IfMatch(_) => &[P::ObjectOverwrite, P::UploadContinue],
                }
            }
            Self::CopyPart(mode) => match mode {
                PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => {
                    &[P::ObjectCreate, P::ObjectRead, P::UploadContinue]
                }
                PutMode::IfMatch(_) => &[P::ObjectOverwrite, P::ObjectRead, P::UploadContinue],
            },
            Self::Upload(mode) | Self::SignUpload(mode) => match mode {
                PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => &[P::ObjectCreate],
                PutMode::IfMatch(_) => &[P::ObjectOverwrite],
            },
            Self::Download | Self::Info | Self::List | Self::ListVersions | Self::SignDownload => {
                &[P::ObjectRead]
            }
            Self::RestoreVersion => &[P::ObjectCreate, P::ObjectRead],
            Self::TagObject => &[P::ObjectOverwrite, P::ObjectRead],
            Self::Delete | Self::DeleteVersion => &[P::ObjectDelete],
            Self::Copy(mode) => match mode {
                PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => {
                    &[P::ObjectCreate, P::ObjectRead]
                }
                PutMode::IfMatch(_) => &[P::ObjectCreate, P::ObjectRead, P::ObjectOverwrite],
            },
            Self::Move(mode) => match mode {
                PutMode::Create | PutMode::Upsert | PutMode::IfNoneMatch(_) => {
                    &[P::ObjectCreate, P::ObjectRead, P::ObjectDelete]
                }
                PutMode::IfMatch(_) => &[P::ObjectCreate, P::ObjectRead, P::ObjectDelete, P::ObjectOverwrite],
            },
            // Rows of one's own usage and queue are asked for by their tables' predicates: anon has none, and may ask.
            // What is told is what rows show.
            Self::Query | Self::Subscribe => &[P::ObjectRead, P::BucketRead],
            Self::ReadUsage => &[P::UsageRead],
            Self::ReadQuota => &[P::BucketUpdate, P::UsageRead],
            Self::ManageQuotas => &[P::Maintain, P::BucketUpdate, P::UsageRead],
            Self::ReadQueue => &[P::QueueRead],
            Self::ReadJobs | Self::ChangeJobs => &[P::JobRead],
            Self::Explain => &[P::Explain],
            Self::Maintain | Self::ManagePolicies | Self::ManageCredentials => &[P::Maintain],
        }
    }

    /// The permission that the operation needs beyond [`Operation::permissions`] where its path is taken. At a free one,
    /// an upsert is an INSERT.
    pub fn where_taken(&self) -> Option<Permission> {
        match self {
            Self::Upload(mode)
            | Self::SignUpload(mode)
            | Self::CreateMultipart(mode)
            | Self::UploadPart(mode)
            | Self::CopyPart(mode)
            | Self::CompleteMultipart(mode)
            | Self::Copy(mode)
            | Self::Move(mode) => match mode {
                PutMode::Upsert | PutMode::IfNoneMatch(_) => Some(Permission::ObjectOverwrite),
                PutMode::Create | PutMode::IfMatch(_) => None,
            },
            Self::RestoreVersion => Some(Permission::ObjectOverwrite),
            Self::CreateBucket
            | Self::ListBuckets
            | Self::ShowBucket
            | Self::UpdateBucket
            | Self::EmptyBucket
            | Self::DeleteBucket
            | Self::FindUpload
            | Self::ListParts
            | Self::ListMultipartUploads
            | Self::AbortMultipart
            | Self::TagObject
            | Self::Download
            | Self::Info
            | Self::Delete
            | Self::DeleteVersion
            | Self::List
            | Self::ListVersions
            | Self::SignDownload
            | Self::Query
            | Self::Subscribe
            | Self::ReadUsage
            | Self::ReadQuota
            | Self::ManageQuotas
            | Self::ReadQueue
            | Self::ReadJobs
            | Self::ChangeJobs
            | Self::Explain
            | Self::ManagePolicies
            | Self::ManageCredentials
            | Self::Maintain => None,
        }
    }

    /// The operation's name in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateBucket => "create_bucket",
            Self::ListBuckets => "list_buckets",
            Self::ShowBucket => "show_bucket",
            Self::UpdateBucket => "update_bucket",
            Self::EmptyBucket => "empty_bucket",
            Self::DeleteBucket => "delete_bucket",
            Self::Upload(_) => "upload",
            Self::CreateMultipart(_) => "create_multipart",
            Self::FindUpload => "find_upload",
            Self::UploadPart(_) => "upload_part",
            Self::CopyPart(_) => "copy_part",
            Self::ListParts => "list_parts",
            Self::ListMultipartUploads => "list_multipart_uploads",
            Self::CompleteMultipart(_) => "complete_multipart",
            Self::AbortMultipart => "abort_multipart",
            Self::Download => "download",
            Self::Info => "info",
            Self::ListVersions => "list_versions",
            Self::RestoreVersion => "restore_version",
            Self::Delete => "delete",
            Self::DeleteVersion => "delete_version",
            Self::Copy(_) => "copy",
            Self::Move(_) => "move",
            Self::List => "list",
            Self::SignDownload => "sign_download",
            Self::SignUpload(_) => "sign_upload",
            Self::Query => "query",
            Self::Subscribe => "subscribe",
            Self::ReadUsage => "usage",
            Self::ReadQuota => "quota",
            Self::ManageQuotas => "manage_quotas",
            Self::ReadQueue => "queue",
            Self::ReadJobs => "jobs",
            Self::ChangeJobs => "change_jobs",
            Self::Explain => "explain",
            Self::TagObject => "tag_object",
            Self::ManagePolicies => "manage_policies",
            Self::ManageCredentials => "manage_credentials",
            Self::Maintain => "maintain",
        }
    }
}
