//! `POST /object/list-versions/{bucket}` and `POST /object/restore`: what was overwritten and deleted, and having it back.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use file_storage::path::PathRules;
use file_storage::versions::{VersionEntry, VersionListing, VersionPage, VersionStart};
use file_storage::{BucketName, ObjectPath, Operation, VersionId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::list::limit;
use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::dialect::{ErrorBody, Uploaded, VersionsBody};
use crate::rest::json::{self, Whole};

/// Most entries of a page, and how many there are unless asked otherwise.
const MAX_LIMIT: u64 = 1000;

/// Which versions to list.
#[derive(Default, Deserialize, ToSchema)]
pub(in crate::rest) struct ListVersions {
    /// Versions of this object alone.
    path: Option<String>,
    /// Else what paths start with, letter by letter.
    prefix: Option<String>,
    /// Most entries of a page: 1000 by default and at most.
    #[schema(value_type = Option<u32>)]
    limit: Option<Whole>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Whether to stop at the next slash, and answer folders for what lies below.
    with_delimiter: Option<bool>,
}

/// Lists versions and delete markers that the caller may see, by path and the newest first.
#[utoipa::path(
    post, path = "/object/list-versions/{bucket}", tag = "Versions", operation_id = "listVersions",
    params(("bucket" = String, Path, description = "The bucket")),
    request_body = ListVersions,
    responses(
        (status = 200, description = "A page", body = VersionsBody<'static>),
        (status = 400, description = "A bad body", body = ErrorBody),
        (status = 401, description = "A bad token", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn list(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::ListVersions);
    let bucket = call.bucket("/object/list-versions/")?;
    let asked: ListVersions = json::read_optional(call.body()).await?;
    let listing = asked.listing()?;
    let page = call.storage().list_versions(call.context(), &bucket, &listing).await?;
    let next = encode(&page);
    Ok(call.dialect().versions(&page, next.as_deref()))
}

impl ListVersions {
    fn listing(self) -> Result<VersionListing, ApiError> {
        let limit = limit(self.limit, MAX_LIMIT)?;
        if limit > MAX_LIMIT {
            return Err(ApiError::schema(format!("body/limit must be <= {MAX_LIMIT}")));
        }
        let (exact, prefix) = match (self.path, self.prefix) {
            (Some(_), Some(_)) => return Err(ApiError::schema("body/path excludes prefix")),
            (Some(path), None) => (true, ObjectPath::parse(&path)?.as_str().to_owned()),
            (None, prefix) => (false, prefix.unwrap_or_default()),
        };
        let start = match self.cursor.as_deref() {
            None | Some("") => VersionStart::Path(String::new()),
            Some(cursor) => decode(cursor)?,
        };
        let delimiter = self.with_delimiter.unwrap_or(false).then(|| "/".to_owned());
        let limit = limit.try_into().unwrap_or(u32::MAX);
        Ok(VersionListing { prefix, delimiter, start, exact, limit })
    }
}

/// Where the page after this one starts: a path, and the version there. No path has a line break.
fn encode(page: &VersionPage) -> Option<String> {
    let last = page.entries.last().filter(|_| page.is_truncated)?;
    Some(URL_SAFE_NO_PAD.encode(match last {
        VersionEntry::Folder(path) => path.clone(),
        VersionEntry::Version(version) => {
            let id = VersionId::Id(version.object.version);
            format!("{}\n{id}", version.object.path)
        }
    }))
}

fn decode(cursor: &str) -> Result<VersionStart, ApiError> {
    let foreign = || ApiError::schema("body/cursor must be a cursor that a list answered");
    let text = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| foreign())?;
    let text = String::from_utf8(text).map_err(|_| foreign())?;
    Ok(match text.split_once('\n') {
        None => VersionStart::AfterPath(text),
        Some((path, version)) => {
            let version = VersionId::parse(version).map_err(|_| foreign())?;
            VersionStart::AfterVersion(path.to_owned(), version)
        }
    })
}

/// A version to be had back.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct RestoreVersion {
    /// The bucket.
    bucket_id: String,
    /// The object's path.
    key: String,
    /// The version's id.
    version: String,
}

/// Makes an old version of an object the current one: a new version of the same bytes.
#[utoipa::path(
    post, path = "/object/restore", tag = "Versions", operation_id = "restoreVersion",
    request_body = RestoreVersion,
    responses(
        (status = 200, description = "The object as it now is", body = Uploaded<'static>),
        (status = 400, description = "A bad path or body", body = ErrorBody),
        (status = 401, description = "No token, or a bad one", body = ErrorBody),
        (status = 403, description = "The caller may not write the object", body = ErrorBody),
        (status = 404, description = "No such version that the caller may see", body = ErrorBody),
        (status = 405, description = "The version is a delete marker", body = ErrorBody),
    ),
)]
pub(in crate::rest) async fn restore(mut call: Call<Token>) -> Result<Response, ApiError> {
    call.begin(Operation::RestoreVersion);
    let asked: RestoreVersion = json::read(call.body()).await?;
    // What is there already has its path, whatever new ones must be like.
    let path = ObjectPath::parse_new(&asked.key, PathRules::Lenient)?;
    let bucket = BucketName::parse(&asked.bucket_id)?;
    call.log_target(&bucket, Some(&path));
    let version = VersionId::parse(&asked.version)?;
    let written = call.storage().restore_version(call.context(), &bucket, &path, version).await?;
    call.log_size(written.object.size);
    Ok(call.dialect().copied(&written.object))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_as_they_were_written() {
        let id = VersionId::Id(uuid::Uuid::from_u128(7));
        let text = URL_SAFE_NO_PAD.encode(format!("a/ü b\n{id}"));
        assert_eq!(decode(&text).unwrap(), VersionStart::AfterVersion("a/ü b".to_owned(), id));
        let folder = URL_SAFE_NO_PAD.encode("a/");
        assert_eq!(decode(&folder).unwrap(), VersionStart::AfterPath("a/".to_owned()));
        for wrong in ["?", "YQpiCg", "YQo"] {
            decode(wrong).unwrap_err();
        }
    }
}
