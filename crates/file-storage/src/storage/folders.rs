//! What is done to all that lies below a folder: by jobs, in the name of who asks, object by object.

use serde_json::{Map, Value, json};

use super::FileStorage;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Job, JobKind};
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::{Operation, RlsContext};

/// A folder of a bucket: all objects whose paths begin with its own and a slash. The bucket itself is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its bucket.
    pub bucket: BucketName,
    /// How paths below it begin: with a slash at the end, or empty for all of the bucket.
    prefix: String,
}

impl Folder {
    /// A folder by its path, with or without the slash at its end.
    ///
    /// # Errors
    /// [`StorageError::InvalidPath`] where no object could lie below it.
    pub fn new(bucket: BucketName, path: &str) -> Result<Self, StorageError> {
        let prefix = match path.strip_suffix('/').unwrap_or(path) {
            "" if path.is_empty() => String::new(),
            path => format!("{}/", ObjectPath::parse(path)?.as_str()),
        };
        Ok(Self { bucket, prefix })
    }

    /// How paths below it begin.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The folder that a job was asked for about, by the names of its parameters.
    pub(crate) fn of(params: &Map<String, Value>, bucket: &str, prefix: &str) -> Result<Self, StorageError> {
        let text = |name: &str| params.get(name).and_then(Value::as_str);
        match (text(bucket), text(prefix)) {
            (Some(bucket), Some(prefix)) => Self::new(BucketName::parse(bucket)?, prefix),
            _ => Err(StorageError::internal("a job about a folder does not name it")),
        }
    }
}

/// From where to where objects of a folder go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderWay {
    /// Where they are.
    pub from: Folder,
    /// Where they go: what follows the folder in their paths stays.
    pub to: Folder,
    /// Whether what is there is replaced; else it stays, and so does what would take its place.
    pub overwrite: bool,
}

impl FolderWay {
    fn mode(&self) -> PutMode {
        if self.overwrite { PutMode::Upsert } else { PutMode::Create }
    }

    /// Neither folder may lie in the other: what arrives would be met again, and go on.
    fn check(&self) -> Result<(), StorageError> {
        let (from, to) = (&self.from, &self.to);
        let overlap = from.prefix.starts_with(&to.prefix) || to.prefix.starts_with(&from.prefix);
        if from.bucket == to.bucket && overlap {
            let message = "neither of the folders may be the other one, or lie in it".to_owned();
            return Err(StorageError::InvalidRequest { message });
        }
        Ok(())
    }
}

impl FileStorage {
    /// Has all objects moved that lie below a folder, and that the caller sees, to below another one, each as
    /// [`FileStorage::move_object`] would. What can't go is a failure that the job reports, and stays.
    ///
    /// # Errors
    /// A denial, [`StorageError::BucketNotFound`], [`StorageError::TooManyJobs`]; [`StorageError::InvalidRequest`] where one of the
    /// folders lies in the other.
    pub async fn move_folder(
        &self,
        context: &RlsContext,
        way: &FolderWay,
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        let mode = way.mode();
        self.relocate_folder(context, way, (JobKind::MoveFolder, Operation::Move(&mode)), dry_run).await
    }

    /// The same by [`FileStorage::copy`].
    ///
    /// # Errors
    /// As [`FileStorage::move_folder`].
    pub async fn copy_folder(
        &self,
        context: &RlsContext,
        way: &FolderWay,
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        let mode = way.mode();
        self.relocate_folder(context, way, (JobKind::CopyFolder, Operation::Copy(&mode)), dry_run).await
    }

    async fn relocate_folder(
        &self,
        context: &RlsContext,
        way: &FolderWay,
        (kind, operation): (JobKind, Operation<'_>),
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        self.may_ask(context, Operation::ChangeJobs, None).await?;
        self.may_ask(context, operation, Some(&way.to.bucket)).await?;
        way.check()?;
        for bucket in [&way.from.bucket, &way.to.bucket] {
            self.reach(context, bucket).await?;
        }
        let params = json!({
            "bucket": way.from.bucket.as_str(), "prefix": way.from.prefix, "to_bucket": way.to.bucket.as_str(),
            "to_prefix": way.to.prefix, "overwrite": way.overwrite,
        });
        self.start_job(context, kind, object(params), dry_run).await
    }

    /// Has all objects deleted that lie below a folder, and that the caller sees, each as [`FileStorage::delete`] would: one that
    /// the caller may not delete is a failure that the job reports. Objects that come while it is at it may or may not be met.
    ///
    /// # Errors
    /// A denial, [`StorageError::BucketNotFound`], [`StorageError::TooManyJobs`].
    pub async fn delete_folder(
        &self,
        context: &RlsContext,
        folder: &Folder,
        dry_run: bool,
    ) -> Result<Job, StorageError> {
        self.may_ask(context, Operation::ChangeJobs, None).await?;
        self.may_ask(context, Operation::Delete, Some(&folder.bucket)).await?;
        self.reach(context, &folder.bucket).await?;
        let params = json!({ "bucket": folder.bucket.as_str(), "prefix": folder.prefix });
        self.start_job(context, JobKind::DeleteFolder, object(params), dry_run).await
    }
}

fn object(params: Value) -> Map<String, Value> {
    match params {
        Value::Object(params) => params,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_with_or_without_their_slash() {
        let check = |path: &str, prefix: Option<&str>| {
            let folder = Folder::new(BucketName::parse("photos").unwrap(), path);
            assert_eq!(folder.ok().as_ref().map(Folder::prefix), prefix, "{path:?}");
        };
        check("", Some(""));
        check("a", Some("a/"));
        check("a/", Some("a/"));
        check("a/b ü", Some("a/b ü/"));
        check("a//", Some("a//"));
        check("/", None);
        check("/a", None);
        check("a/../b", None);
        check("a\0", None);
    }
}
