//! Lists, in two forms.

use file_storage::executor::Entry;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ObjectBody;
use crate::rest::dialect::Listed;
use crate::rest::dialect::wire::relative;

/// One row of the first list form: an object, or a folder, of which all but name and path is null.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::rest) enum ListEntry<'a> {
    /// An object.
    Object(Box<ObjectBody<'a>>),
    /// A folder.
    Folder(Folder<'a>),
}

/// A folder in the first list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct Folder<'a> {
    /// Relative to the listed folder, without a slash.
    name: &'a str,
    /// The whole path, with a slash at its end.
    path: &'a str,
    id: Option<Uuid>,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    last_accessed_at: Option<&'a str>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

impl<'a> ListEntry<'a> {
    pub(in crate::rest::dialect) fn new(entry: &'a Entry, prefix: &str) -> Self {
        let name = relative(entry.path(), prefix);
        match entry {
            Entry::Object(object) => Self::Object(Box::new(ObjectBody::row(object).named(name))),
            Entry::Folder(path) => Self::Folder(Folder {
                name: name.trim_end_matches('/'),
                path,
                id: None,
                created_at: None,
                updated_at: None,
                last_accessed_at: None,
                metadata: None,
            }),
        }
    }
}

/// A page of the second list form.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::rest) struct ListV2Body<'a> {
    has_next: bool,
    /// To be sent as `cursor` for the next page.
    next_cursor: Option<&'a str>,
    /// The last name of this page.
    next_cursor_key: Option<&'a str>,
    folders: Vec<FolderV2<'a>>,
    objects: Vec<ObjectV2<'a>>,
}

/// A folder in the second list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct FolderV2<'a> {
    /// The whole path, without a slash at its end.
    key: &'a str,
    /// The whole path, with a slash at its end.
    name: &'a str,
}

/// An object in the second list form.
#[derive(Serialize, ToSchema)]
pub(in crate::rest) struct ObjectV2<'a> {
    /// The whole path.
    key: &'a str,
    #[serde(flatten)]
    object: ObjectBody<'a>,
}

impl<'a> ListV2Body<'a> {
    pub(in crate::rest::dialect) fn new(listed: &'a Listed<'a>) -> Self {
        let (mut folders, mut objects) = (Vec::new(), Vec::new());
        for entry in &listed.page.entries {
            match entry {
                Entry::Folder(name) => folders.push(FolderV2 { key: name.trim_end_matches('/'), name }),
                Entry::Object(object) => {
                    objects.push(ObjectV2 { key: object.path.as_str(), object: ObjectBody::row(object) });
                }
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
