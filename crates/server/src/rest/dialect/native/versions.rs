//! Lists of versions: of the product alone, and therefore alike in both dialects.

use file_storage::versions::{ObjectVersion, VersionEntry, VersionPage};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::rest::dialect::wire::{Time, quoted};

/// A page of versions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct VersionsBody<'a> {
    has_next: bool,
    /// To be sent as `cursor` for the next page.
    next_cursor: Option<&'a str>,
    /// Folders, with a slash at their ends.
    folders: Vec<&'a str>,
    versions: Vec<VersionBody<'a>>,
}

/// A version of an object, or a delete marker.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct VersionBody<'a> {
    /// What names it.
    version: Uuid,
    /// The same, but `null` for the version that was written while the bucket kept none: S3's name for it.
    version_id: String,
    path: &'a str,
    /// The object's id; a delete marker has its own.
    id: Uuid,
    /// In bytes.
    size: u64,
    /// Entity tag, with quotes; null for a delete marker.
    etag: Option<String>,
    content_type: Option<&'a str>,
    owner_id: Option<Uuid>,
    /// When it was written.
    #[schema(value_type = String, format = DateTime)]
    created_at: Time,
    /// Whether it is the newest at its path.
    is_latest: bool,
    is_delete_marker: bool,
}

impl<'a> VersionsBody<'a> {
    pub(in crate::rest::dialect) fn new(page: &'a VersionPage, next: Option<&'a str>) -> Self {
        let (mut folders, mut versions) = (Vec::new(), Vec::new());
        for entry in &page.entries {
            match entry {
                VersionEntry::Folder(folder) => folders.push(folder.as_str()),
                VersionEntry::Version(version) => versions.push(VersionBody::new(version)),
            }
        }
        Self { has_next: next.is_some(), next_cursor: next, folders, versions }
    }
}

impl<'a> VersionBody<'a> {
    fn new(version: &'a ObjectVersion) -> Self {
        let object = &version.object;
        let has_bytes = !version.is_delete_marker;
        Self {
            version: object.version,
            version_id: object.version_id().to_string(),
            path: object.path.as_str(),
            id: object.id,
            size: object.size,
            etag: has_bytes.then(|| quoted(&object.etag)),
            content_type: Some(object.content_type.as_str()).filter(|_| has_bytes),
            owner_id: object.owner_id,
            created_at: Time(object.updated_at),
            is_latest: version.is_latest,
            is_delete_marker: version.is_delete_marker,
        }
    }
}
