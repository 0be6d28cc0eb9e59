//! `x-amz-expected-bucket-owner`: a request is for the bucket of one owner, and not for another one of the same name.

use file_storage::BucketName;
use http::{HeaderMap, HeaderValue};
use s3s::dto::CopySource;

use super::call::Call;
use super::failure::Failure;
use super::object::{copy, owner};

/// Who has to own the bucket that the request is about.
pub(super) const TARGET: &str = "x-amz-expected-bucket-owner";
/// Who has to own the bucket that is copied from.
pub(super) const SOURCE: &str = "x-amz-source-expected-bucket-owner";

/// Compares the owners that a request expects with those that there are.
///
/// # Errors
/// `AccessDenied` where they differ; those of looking for a bucket.
pub(super) async fn check(call: &Call) -> Result<(), Failure> {
    if let Some(expected) = said(call.headers(), TARGET) {
        compare(call, call.bucket()?, expected).await?;
    }
    if let Some(expected) = said(call.headers(), SOURCE) {
        let (bucket, ..) = copy::versioned_source(&copied_from(call.headers())?)?;
        compare(call, &bucket, expected).await?;
    }
    Ok(())
}

fn said<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
}

fn copied_from(headers: &HeaderMap) -> Result<CopySource, Failure> {
    let source = headers.get("x-amz-copy-source").and_then(|value| value.to_str().ok());
    let source = source.ok_or_else(|| Failure::invalid(format!("{SOURCE} is for requests that copy")))?;
    CopySource::parse(source).map_err(|_| Failure::argument("The copy source is not of its form"))
}

async fn compare(call: &Call, bucket: &BucketName, expected: &[u8]) -> Result<(), Failure> {
    let bucket = call.storage().bucket(call.context(), bucket).await?;
    match owner(bucket.owner_id).id.is_some_and(|id| id.as_bytes() == expected) {
        true => Ok(()),
        false => Err(Failure::denied("The bucket is not its whom the request expects")),
    }
}
