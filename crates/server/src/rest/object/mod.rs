//! Objects, one operation per file.

pub(super) mod copy;
pub(super) mod delete;
mod described;
pub(super) mod download;
pub(super) mod info;
pub(super) mod list;
pub(super) mod list_v2;
pub(super) mod r#move;
pub(super) mod sign;
pub(super) mod signed_upload;
pub(super) mod upload;
pub(super) mod versions;

use file_storage::file::PutMode;
use file_storage::path::PathRules;
use file_storage::{BucketName, ObjectPath, StorageError, VersionId};
use http::HeaderMap;

use crate::errors::ApiError;
use crate::rest::call::{Call, Token};
use crate::rest::query;

/// What `x-upsert` asks for. Clients also send words like `undefined`: only `true` replaces anything.
fn put_mode(headers: &HeaderMap) -> PutMode {
    if wants_upsert(headers) { PutMode::Upsert } else { PutMode::Create }
}

/// Whether `x-upsert` asks to replace what is there.
pub(crate) fn wants_upsert(headers: &HeaderMap) -> bool {
    headers.get("x-upsert").is_some_and(|value| value.as_bytes() == b"true")
}

/// The version that a URL names. An empty name is none of a version: to take it for no name would delete the object, where a
/// version was to go.
fn version(uri: &http::Uri) -> Result<Option<VersionId>, ApiError> {
    let named = query::parameter(uri, "version");
    Ok(named.map(|version| VersionId::parse(&version)).transpose()?)
}

/// The places that a copy or move names in its body.
struct Places {
    from: (BucketName, ObjectPath),
    to: (BucketName, ObjectPath),
}

impl Places {
    fn parse(
        bucket: &str,
        source: &str,
        target_bucket: Option<&str>,
        target: &str,
        rules: PathRules,
    ) -> Result<Self, StorageError> {
        let source = ObjectPath::parse(source)?;
        let target = ObjectPath::parse_new(target, rules)?;
        let bucket = BucketName::parse(bucket)?;
        let target_bucket = target_bucket.map_or_else(|| Ok(bucket.clone()), BucketName::parse)?;
        Ok(Self { from: (bucket, source), to: (target_bucket, target) })
    }
}

/// Why a copy or a move was refused: in the words of its source, where the dialect looks there first and the caller
/// can't see it.
async fn refused(call: Call<Token>, from: &(BucketName, ObjectPath), error: StorageError) -> ApiError {
    let is_denial = matches!(error, StorageError::AuthRequired(_) | StorageError::Unauthorized(_));
    if is_denial && call.dialect().looks_at_sources_first() {
        let source = call.storage().info(call.context(), &from.0, &from.1).await;
        return source.err().unwrap_or(error).into();
    }
    error.into()
}

/// For a caller without a token, what row-level security hides is not even a bucket.
fn closed_to_public(error: StorageError) -> ApiError {
    match error {
        StorageError::AuthRequired(_) => ApiError::ClosedToPublic(error),
        other => other.into(),
    }
}
