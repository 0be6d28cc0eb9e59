//! Lists, in two forms.

use file_storage::executor::Entry;
use serde::Serialize;
use uuid::Uuid;

use crate::rest::dialect::Listed;
use crate::rest::dialect::wire::{SystemMetadata, Time, relative};

/// A row of the first list form; of a folder, all but the name is null.
#[derive(Serialize)]
pub(in crate::rest::dialect) struct ListRow<'a> {
    name: &'a str,
    id: Option<Uuid>,
    updated_at: Option<Time>,
    created_at: Option<Time>,
    last_accessed_at: Option<Time>,
    metadata: Option<SystemMetadata<'a>>,
}

impl<'a> ListRow<'a> {
    pub(in crate::rest::dialect) fn new(entry: &'a Entry, prefix: &str) -> Self {
        match entry {
            Entry::Folder(path) => Self {
                name: relative(path, prefix).trim_end_matches('/'),
                id: None,
                updated_at: None,
                created_at: None,
                last_accessed_at: None,
                metadata: None,
            },
            Entry::Object(object) => Self {
                name: relative(object.path.as_str(), prefix),
                id: Some(object.id),
                updated_at: Some(Time(object.updated_at)),
                created_at: Some(Time(object.created_at)),
                last_accessed_at: Some(Time(object.updated_at)),
                metadata: Some(SystemMetadata::new(object)),
            },
        }
    }
}

/// A page of the second list form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest::dialect) struct ListV2<'a> {
    has_next: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor_key: Option<&'a str>,
    folders: Vec<FolderV2<'a>>,
    objects: Vec<ObjectV2<'a>>,
}

#[derive(Serialize)]
struct FolderV2<'a> {
    key: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct ObjectV2<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    id: Uuid,
    name: &'a str,
    updated_at: Time,
    created_at: Time,
    last_accessed_at: Time,
    metadata: SystemMetadata<'a>,
}

impl<'a> ListV2<'a> {
    pub(in crate::rest::dialect) fn new(listed: &'a Listed<'a>) -> Self {
        let (mut folders, mut objects) = (Vec::new(), Vec::new());
        for entry in &listed.page.entries {
            match entry {
                Entry::Folder(name) => folders.push(FolderV2 { key: name.trim_end_matches('/'), name }),
                Entry::Object(object) => objects.push(ObjectV2 {
                    key: listed.with_delimiter.then_some(object.path.as_str()),
                    id: object.id,
                    name: object.path.as_str(),
                    updated_at: Time(object.updated_at),
                    created_at: Time(object.created_at),
                    last_accessed_at: Time(object.updated_at),
                    metadata: SystemMetadata::new(object),
                }),
            }
        }
        Self {
            has_next: listed.next.is_some(),
            next_cursor: listed.next.as_deref(),
            next_cursor_key: listed.page.next.as_ref().map(|cursor| cursor.path.as_str()),
            folders,
            objects,
        }
    }
}
