//! Which uploads in parts there are, and which parts they have.

use uuid::Uuid;

use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::{Delimiter, successor};
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
        let mut after = match listing.after.clone() {
            Some((path, None)) if folder(listing, delimiter, &path) == Some(path.as_str()) => {
                match behind(&path) {
                    Some(behind) => Some(behind),
                    None => return Ok(page),
                }
            }
            after => after,
        };
        let mut rows = if delimiter.is_some() { FIRST_ROWS } else { u32::MAX };
        loop {
            let left = listing.limit.saturating_sub(page.count());
            // One more than fits is looked at.
            let limit = left.saturating_add(1).min(rows);
            let asked = UploadListing { after: after.take(), limit, ..listing.clone() };
            match self.fill(&access, bucket, &asked, (left, delimiter), &mut page).await? {
                Filled::ToItsEnd => return Ok(page),
                Filled::Wholly => {
                    page.is_truncated = true;
                    return Ok(page);
                }
                Filled::ToFolder(path) => match behind(&path) {
                    Some(behind) => after = Some(behind),
                    None => return Ok(page),
                },
                Filled::ToUpload(path, id) => {
                    after = Some((path, Some(id)));
                    rows = rows.saturating_mul(4);
                }
            }
        }
    }

    /// Adds uploads to a page, which has room for so many, until one begins a folder.
    async fn fill(
        &self,
        access: &Access,
        bucket: &BucketName,
        asked: &UploadListing,
        (mut left, delimiter): (u32, Option<&Delimiter>),
        page: &mut UploadPage,
    ) -> Result<Filled, StorageError> {
        let (mut seen, mut last) = (0, None);
        for upload in self.executor().list_multipart(access, bucket, asked).await? {
            if left == 0 {
                return Ok(Filled::Wholly);
            }
            (left, seen) = (left - 1, seen + 1);
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
                    last = Some((path.to_owned(), upload.at.id));
                    page.uploads.push(upload);
                }
            }
        }
        Ok(match last {
            Some((path, id)) if seen == asked.limit => Filled::ToUpload(path, id),
            _ => Filled::ToItsEnd,
        })
    }
}

/// How many rows are read at first where folders may stand for many of them: those of a folder are not read again.
const FIRST_ROWS: u32 = 16;

enum Filled {
    /// There are no more.
    ToItsEnd,
    /// There are more than fit.
    Wholly,
    /// This folder was the last one, and stands for all below it.
    ToFolder(String),
    /// This upload was the last one that was asked for.
    ToUpload(String, Uuid),
}

/// The folder that a list shows instead of an upload to this path.
fn folder<'p>(listing: &UploadListing, delimiter: Option<&Delimiter>, path: &'p str) -> Option<&'p str> {
    path.get(..delimiter?.folder_length(listing.prefix.len(), path)?)
}

/// Just before what follows all that is in a folder; `None` where nothing can.
fn behind(folder: &str) -> Option<(String, Option<Uuid>)> {
    Some((successor(folder)?, Some(Uuid::nil())))
}
