//! Requests about objects that move no bytes through this process.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, encode};
use crate::address::Remote;
use crate::failure::Failure;

/// Most entries that one list request asks for, and most paths that one delete names.
pub(crate) const PAGE: usize = 1000;

/// One page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Page {
    pub(crate) folders: Vec<Folder>,
    pub(crate) objects: Vec<Entry>,
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

/// A folder of a listing: its full path, with the slash at its end.
#[derive(Debug, Deserialize)]
pub(crate) struct Folder {
    pub(crate) name: String,
}

/// An object of a listing or of `info`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The full path in the bucket.
    pub(crate) name: String,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    pub(crate) updated_at: Option<String>,
    #[serde(default)]
    pub(crate) checksum: Option<String>,
    #[serde(default, skip_serializing)]
    metadata: Option<Value>,
}

impl Entry {
    /// The size in bytes, wherever the dialect puts it.
    pub(crate) fn size(&self) -> u64 {
        self.size.or_else(|| self.metadata.as_ref()?.get("size")?.as_u64()).unwrap_or(0)
    }

    /// The content type, wherever the dialect puts it.
    pub(crate) fn content_type(&self) -> &str {
        let nested = || self.metadata.as_ref()?.get("mimetype")?.as_str();
        self.content_type.as_deref().or_else(nested).unwrap_or_default()
    }
}

/// A signed URL as the server makes it.
#[derive(Debug, Deserialize)]
pub(crate) struct Signed {
    #[serde(default)]
    url: Option<String>,
    #[serde(default, rename = "signedURL")]
    signed_url: Option<String>,
    #[serde(default)]
    pub(crate) expires_at: Option<Value>,
}

impl Client {
    /// One page of what lies under `prefix`: with `by_folder` one level of the tree, else all of it.
    pub(crate) async fn list(
        &self,
        prefix: &Remote,
        by_folder: bool,
        cursor: Option<&str>,
    ) -> Result<Page, Failure> {
        let mut body = json!({ "prefix": prefix.path, "limit": PAGE, "with_delimiter": by_folder });
        if let (Some(cursor), Some(map)) = (cursor, body.as_object_mut()) {
            map.insert("cursor".to_owned(), cursor.into());
        }
        let route = format!("/storage/v1/object/list-v2/{}", encode(&prefix.bucket));
        self.json(self.request(Method::POST, &route).json(&body)).await
    }

    /// What the server knows about one object.
    pub(crate) async fn info(&self, object: &Remote) -> Result<Entry, Failure> {
        self.json(self.request(Method::GET, &route("/storage/v1/object/info", object))).await
    }

    /// Deletes up to [`PAGE`] objects of one bucket; gives back the paths that were deleted.
    pub(crate) async fn delete_many(
        &self,
        bucket: &str,
        paths: &[String],
    ) -> Result<HashSet<String>, Failure> {
        let route = format!("/storage/v1/object/{}", encode(bucket));
        let request = self.request(Method::DELETE, &route).json(&json!({ "prefixes": paths }));
        let deleted: Vec<Entry> = self.json(request).await?;
        Ok(deleted.into_iter().map(|entry| entry.name).collect())
    }

    /// Deletes one object, or a version of it for good. A missing one is success, as the server sees it.
    pub(crate) async fn delete(&self, object: &Remote) -> Result<(), Failure> {
        self.done(self.request(Method::DELETE, &route("/storage/v1/object", object))).await
    }

    /// Copies on the server; `overwrite` allows the target to exist.
    pub(crate) async fn copy(&self, from: &Remote, to: &Remote, overwrite: bool) -> Result<(), Failure> {
        let request = self.request(Method::POST, "/storage/v1/object/copy").json(&pair(from, to));
        self.done(if overwrite { request.header("x-upsert", "true") } else { request }).await
    }

    /// Moves on the server; the target must not exist.
    pub(crate) async fn rename(&self, from: &Remote, to: &Remote) -> Result<(), Failure> {
        self.done(self.request(Method::POST, "/storage/v1/object/move").json(&pair(from, to))).await
    }

    /// A URL with which anybody may download `object`, with `single_use` once; and when it ends.
    pub(crate) async fn sign_download(
        &self,
        object: &Remote,
        valid: Duration,
        single_use: bool,
    ) -> Result<(String, Signed), Failure> {
        let route = route("/storage/v1/object/sign", object);
        let body = json!({ "expiresIn": valid.as_secs(), "singleUse": single_use });
        let request = self.request(Method::POST, &route).json(&body);
        let signed = self.json(request).await?;
        Ok((self.absolute(&signed)?, signed))
    }

    /// A URL with which anybody may upload `object`, with `overwrite` in place of another, with `single_use` once.
    pub(crate) async fn sign_upload(
        &self,
        object: &Remote,
        overwrite: bool,
        single_use: bool,
    ) -> Result<(String, Signed), Failure> {
        let request = self.request(Method::POST, &route("/storage/v1/object/upload/sign", object));
        let request = request.json(&json!({ "singleUse": single_use }));
        let signed = self.json(if overwrite { request.header("x-upsert", "true") } else { request }).await?;
        Ok((self.absolute(&signed)?, signed))
    }

    /// The whole URL: as the server says it, or its relative form on the server's base.
    fn absolute(&self, signed: &Signed) -> Result<String, Failure> {
        let relative = |path: &str| self.url(&format!("/storage/v1{path}")).to_string();
        match (&signed.url, &signed.signed_url) {
            (Some(url), _) if !url.starts_with('/') => Ok(url.clone()),
            (Some(path), _) | (None, Some(path)) => Ok(relative(path)),
            (None, None) => Err(anyhow::anyhow!("the server's answer holds no URL").into()),
        }
    }
}

/// `base` with the object's bucket and path behind it, and its version.
pub(super) fn route(base: &str, object: &Remote) -> String {
    let place = format!("{base}/{}/{}", encode(&object.bucket), encode(&object.path));
    match &object.version {
        Some(version) => format!("{place}?version={}", encode(version)),
        None => place,
    }
}

fn pair(from: &Remote, to: &Remote) -> Value {
    json!({
        "bucketId": from.bucket,
        "sourceKey": from.path,
        "destinationBucket": to.bucket,
        "destinationKey": to.path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_dialects() {
        let check = |text: &str, size: u64, content_type: &str| {
            let entry: Entry = serde_json::from_str(text).unwrap();
            assert_eq!((entry.size(), entry.content_type()), (size, content_type));
        };
        check(r#"{"name":"a","size":5,"content_type":"text/plain"}"#, 5, "text/plain");
        check(r#"{"name":"a","id":"x","metadata":{"size":7,"mimetype":"image/png"}}"#, 7, "image/png");
        check(r#"{"name":"a","metadata":null}"#, 0, "");
    }

    #[test]
    fn a_page_knows_its_next() {
        let page: Page = serde_json::from_str(r#"{"hasNext":true,"nextCursor":"c","objects":[]}"#).unwrap();
        assert_eq!(page.next().as_deref(), Some("c"));
        let last: Page = serde_json::from_str(r#"{"hasNext":false,"nextCursor":"c"}"#).unwrap();
        assert_eq!(last.next(), None);
    }
}
