//! Versions of objects: read, listed, restored and deleted, each under the rules of the object.

use super::{CopyOptions, Download, FileStorage};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Announced, Written};
use crate::executor::{just_after, successor};
use crate::file::{ETags, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Operation, RlsContext};
use crate::versions::{
    ObjectVersion, VersionEntry, VersionId, VersionListing, VersionPage, VersionScan, VersionStart,
};

impl FileStorage {
    /// Finds a version to read, as [`FileStorage::download`] finds an object.
    ///
    /// # Errors
    /// [`StorageError::VersionNotFound`], [`StorageError::VersionIsMarker`], [`StorageError::BucketNotFound`], or a denial.
    pub async fn download_version(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<Download, StorageError> {
        let opened = async {
            let access = self.access(context, Operation::Download, Some(bucket)).await?;
            self.open_version_or_current(&access, bucket, path, Some(version)).await
        };
        opened.await.inspect_err(|error| self.count_download(bucket, Err(error)))
    }

    /// Reads what is known about a version.
    ///
    /// # Errors
    /// As [`FileStorage::download_version`].
    pub async fn version_info(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<StorageObject, StorageError> {
        let access = self.access(context, Operation::Info, Some(bucket)).await?;
        Ok(self.executor().open_version(&access, bucket, path, version).await?.object)
    }

    /// Deletes a version for good; gives it back, or `None` where none is visible. Where it was the current one, or the
    /// delete marker on top, the next one is the object. Under a condition, it must have one of the tags (RFC 9110, `If-Match`),
    /// which a delete marker has not.
    ///
    /// # Errors
    /// [`StorageError::BucketNotFound`], or a denial; [`StorageError::PreconditionFailed`] for a version with another tag.
    pub async fn delete_version(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
        condition: Option<&ETags>,
    ) -> Result<Option<ObjectVersion>, StorageError> {
        let access = self.access(context, Operation::DeleteVersion, Some(bucket)).await?;
        let deleted = self.executor().delete_version(&access, bucket, path, version, condition).await?;
        self.inner.deletions_queued.notify_one();
        self.ring_events();
        Ok(deleted)
    }

    /// Makes an old version the current one again: a new version of the same bytes, written by the rules of an upload.
    ///
    /// # Errors
    /// Those of reading the version and of writing the object; the bucket's limits hold.
    pub async fn restore_version(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
        version: VersionId,
    ) -> Result<Written, StorageError> {
        let (at, mode) = ((bucket, path), PutMode::Upsert);
        let access = self.access(context, Operation::RestoreVersion, Some(bucket)).await?;
        let source = self.open_version_or_current(&access, bucket, path, Some(version)).await?;
        let attributes = CopyOptions::default().over(&source);
        let announced = Announced::known(&attributes, source.object().size);
        let admission = self.executor().admit_put(&access, bucket, path, &mode, &announced).await?;
        self.check_limits(&admission, &attributes.content_type, source.object().size)?;
        let (object, lease) = self.copied(&source, attributes, &admission.bucket, at).await?;
        self.commit(access, object, mode, lease).await
    }

    /// Lists versions and delete markers that the caller may see, by path and the newest first: nothing, where the bucket is
    /// closed or missing. What lies below a folder is told once.
    ///
    /// # Errors
    /// [`StorageError::InvalidRequest`] for an empty delimiter.
    pub async fn list_versions(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        listing: &VersionListing,
    ) -> Result<VersionPage, StorageError> {
        let access = self.access(context, Operation::ListVersions, Some(bucket)).await?;
        if listing.delimiter.as_ref().is_some_and(String::is_empty) {
            let message = "a delimiter has at least one character".to_owned();
            return Err(StorageError::InvalidRequest { message });
        }
        let Some(scan) = first_scan(listing) else { return Ok(VersionPage::default()) };
        self.fold(&access, bucket, listing, scan).await
    }

    /// Reads rows until the page is full, leaping over what lies below a folder where rows were read in vain.
    async fn fold(
        &self,
        access: &Access,
        bucket: &BucketName,
        listing: &VersionListing,
        mut scan: VersionScan,
    ) -> Result<VersionPage, StorageError> {
        let wanted = usize::try_from(listing.limit).unwrap_or(usize::MAX);
        let whole = scan.limit;
        let mut page = VersionPage::default();
        if wanted == 0 {
            return Ok(page);
        }
        loop {
            let rows = self.executor().scan_versions(access, bucket, &scan).await?;
            let was_full = rows.len() >= usize::try_from(scan.limit).unwrap_or(usize::MAX);
            let mut next = None;
            for version in rows {
                let folder = folder(listing, version.object.path.as_str());
                next = Some((version.object.path.clone(), version.object.version_id(), folder.clone()));
                let entry = match folder {
                    Some(folder) if page.entries.last() == Some(&VersionEntry::Folder(folder.clone())) => {
                        continue;
                    }
                    Some(folder) => VersionEntry::Folder(folder),
                    None => VersionEntry::Version(Box::new(version)),
                };
                if page.entries.len() == wanted {
                    return Ok(VersionPage { is_truncated: true, ..page });
                }
                page.entries.push(entry);
            }
            let (true, Some((path, version, folder))) = (was_full, next) else { return Ok(page) };
            scan.limit = batch(whole, scan.limit, folder.is_some());
            (scan.from, scan.after) = match folder {
                None => (path.as_str().to_owned(), Some(version)),
                Some(folder) => match successor(&folder) {
                    Some(from) => (from, None),
                    None => return Ok(page),
                },
            };
        }
    }
}

/// How many rows are read next, of `whole` at most. Where the last ones ended in a folder, the rest of which is leapt over, the
/// next ones may as well: few are read then, and more again where they lie in none.
fn batch(whole: u32, last: u32, in_folder: bool) -> u32 {
    const FEW: u32 = 16;
    let next = if in_folder { FEW } else { last.saturating_mul(4) };
    next.min(whole)
}

/// The folder that a path is told as, if it is below one.
fn folder(listing: &VersionListing, path: &str) -> Option<String> {
    let delimiter = listing.delimiter.as_ref()?;
    let rest = path.strip_prefix(listing.prefix.as_str())?;
    let end = rest.find(delimiter.as_str())? + delimiter.len();
    Some(format!("{}{}", listing.prefix, rest.get(..end)?))
}

/// Where rows are read first; `None` where there can be none.
fn first_scan(listing: &VersionListing) -> Option<VersionScan> {
    let (from, after) = match &listing.start {
        VersionStart::Path(path) => (path.clone(), None),
        // What is below the folder that the last page ended with was told by its name.
        VersionStart::AfterPath(path) => match folder(listing, path) {
            Some(folder) if folder == *path => (successor(&folder)?, None),
            _ => (just_after(path), None),
        },
        VersionStart::AfterVersion(path, version) => (path.clone(), Some(*version)),
    };
    let until = match listing.exact {
        true => Some(just_after(&listing.prefix)),
        false => successor(&listing.prefix),
    };
    let (from, after) = if from < listing.prefix { (listing.prefix.clone(), None) } else { (from, after) };
    if until.as_ref().is_some_and(|until| from >= *until) {
        return None;
    }
    let (prefix, limit) = (listing.prefix.clone(), listing.limit.saturating_add(1));
    Some(VersionScan { prefix, from, after, until, limit })
}

#[cfg(test)]
mod tests {
    use super::batch;

    #[test]
    fn after_a_folder_few_rows_are_read() {
        assert_eq!(batch(1001, 1001, true), 16);
        assert_eq!(batch(1001, 16, true), 16);
        assert_eq!(batch(1001, 16, false), 64);
        assert_eq!(batch(1001, 512, false), 1001);
        assert_eq!(batch(3, 3, true), 3);
    }
}
