//! Requests about versions.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::objects::PAGE;
use super::{Client, encode};
use crate::address::Remote;
use crate::failure::Failure;

/// One page of a list of versions.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) versions: Vec<Version>,
    #[serde(rename = "hasNext")]
    has_next: bool,
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
}

impl Page {
    /// Where the next page starts; none after the last one.
    pub(crate) fn next(&self) -> Option<String> {
        self.next_cursor.clone().filter(|_| self.has_next)
    }
}

/// What a restored object is from then on.
#[derive(Debug, Deserialize)]
struct Restored {
    version: String,
}

/// A version, or a delete marker.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Version {
    /// What names it.
    pub(crate) version: String,
    /// The full path in the bucket.
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) created_at: String,
    #[serde(default)]
    pub(crate) is_latest: bool,
    #[serde(default)]
    pub(crate) is_delete_marker: bool,
}

impl Version {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "path": self.path,
            "version": self.version,
            "size": self.size,
            "created_at": self.created_at,
            "is_latest": self.is_latest,
            "is_delete_marker": self.is_delete_marker,
        })
    }
}

impl Client {
    /// Makes a version the current one again; gives back the new version's id.
    pub(crate) async fn restore(&self, object: &Remote, version: &str) -> Result<String, Failure> {
        let body = json!({ "bucketId": object.bucket, "key": object.path, "version": version });
        let restored: Restored =
            self.json(self.request(Method::POST, "/storage/v1/object/restore").json(&body)).await?;
        Ok(restored.version)
    }

    /// One page of the versions of an object, or of all below a folder.
    pub(crate) async fn versions(&self, of: &Remote, cursor: Option<&str>) -> Result<Page, Failure> {
        let which = if of.is_folder() { "prefix" } else { "path" };
        let mut body = json!({ which: of.path, "limit": PAGE });
        if let (Some(cursor), Some(map)) = (cursor, body.as_object_mut()) {
            map.insert("cursor".to_owned(), cursor.into());
        }
        let route = format!("/storage/v1/object/list-versions/{}", encode(&of.bucket));
        self.json(self.request(Method::POST, &route).json(&body)).await
    }
}
