//! Which uploads in parts there are, and which parts they have.

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Delimiter;
use crate::multipart::{Part, UploadAt, UploadListing, UploadPage};
use crate::permissions::{Access, Operation, RlsContext};
use crate::storage::FileStorage;

impl FileStorage {
    /// Parts of an upload, by number, after the given one.
    ///
    /// # Errors
    /// As [`FileStorage::multipart`].
    pub async fn list_parts(
        &self,
        context: &RlsContext,
        at: &UploadAt,
        after: u32,
        limit: u32,
    ) -> Result<Vec<Part>, StorageError> {
        let access = self.access(context, Operation::ListParts, Some(&at.bucket)).await?;
        self.executor().parts(&access, at, after, limit).await
    }

    /// Uploads in parts that the caller has begun in a bucket, by path and then by age; of all callers for the service role.
    /// With a delimiter, folders stand for the uploads below them; uploads and folders together are a page.
    ///
    /// # Errors
    /// Those of the database. A bucket that is missing has none.
    pub async fn list_multipart_uploads(
        &self,
        context: &RlsContext,
        bucket: &BucketName,
        listing: &UploadListing,
        delimiter: Option<&Delimiter>,
    ) -> Result<UploadPage, StorageError> {
        let access = self.access(context, Operation::ListMultipartUploads, Some(bucket)).await?;
        let mut page = UploadPage::default();
        if listing.limit == 0 {
            return Ok(page);
        }
        let most = listing.limit as usize;
        let mut after = listing.after.clone().map(|(path, id)| match id {
            None if folder(listing, delimiter, &path) == Some(path.as_str()) => behind(&path),
            id => (path, id),
        });
        loop {
            let left = most.saturating_sub(page.uploads.len() + page.folders.len());
            let asked = UploadListing {
                after: after.take(),
                limit: u32::try_from(left + 1).unwrap_or(u32::MAX),
                ..listing.clone()
            };
            match self.fill(&access, bucket, &asked, delimiter, &mut page).await? {
                Filled::ToItsEnd => return Ok(page),
                // One more was looked at than fits.
                Filled::Wholly => {
                    page.is_truncated = true;
                    return Ok(page);
                }
                Filled::ToFolder(path) => after = Some(behind(&path)),
            }
        }
    }

    /// Adds uploads to a page until one begins a folder.
    async fn fill(
        &self,
        access: &Access,
        bucket: &BucketName,
        asked: &UploadListing,
        delimiter: Option<&Delimiter>,
        page: &mut UploadPage,
    ) -> Result<Filled, StorageError> {
        let mut left = asked.limit.saturating_sub(1);
        for upload in self.executor().list_multipart(access, bucket, asked).await? {
            if left == 0 {
                return Ok(Filled::Wholly);
            }
            left -= 1;
            let path = upload.at.path.as_str();
            match folder(asked, delimiter, path) {
                Some(folder) => {
                    let folder = folder.to_owned();
                    page.next = Some((folder.clone(), None));
                    page.folders.push(folder.clone());
                    return Ok(Filled::ToFolder(folder));
                }
                None => {
                    page.next = Some((path.to_owned(), Some(upload.at.id)));
                    page.uploads.push(upload);
                }
            }
        }
        Ok(Filled::ToItsEnd)
    }
}

enum Filled {
    /// There are no more.
    ToItsEnd,
    /// There are more than fit.
    Wholly,
    /// This folder was the last one, and stands for all below it.
    ToFolder(String),
}

/// The folder that a list shows instead of an upload to this path.
fn folder<'p>(listing: &UploadListing, delimiter: Option<&Delimiter>, path: &'p str) -> Option<&'p str> {
    path.get(..delimiter?.folder_length(listing.prefix.len(), path)?)
}

/// Behind all that is in a folder: no path has that character.
fn behind(folder: &str) -> (String, Option<uuid::Uuid>) {
    (format!("{folder}{}", char::MAX), None)
}
