//! `x-amz-expected-bucket-owner`: a request is for the bucket of one owner, and not for another one of the same name.
//!
//! What a caller expects is compared also where they may use the bucket's objects, and not see the bucket itself.

use file_storage::{BucketName, StorageError};
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
    if let Some(expected) = said(call.headers(), TARGET)? {
        let refuse = || Failure::invalid(format!("{TARGET} is not for this operation"));
        compare(call, call.bucket().map_err(|_| refuse())?, expected, TARGET).await?;
    }
    if let Some(expected) = said(call.headers(), SOURCE)? {
        let (bucket, ..) = copy::versioned_source(&copied_from(call.headers())?)?;
        compare(call, &bucket, expected, SOURCE).await?;
    }
    Ok(())
}

/// The one value of a header: of two, one would count, and another one might have been meant.
fn said<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h [u8]>, Failure> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(Failure::invalid(format!("{name} is there more than once"))),
    }
}

fn copied_from(headers: &HeaderMap) -> Result<CopySource, Failure> {
    let source = headers.get("x-amz-copy-source").and_then(|value| value.to_str().ok());
    let source = source.ok_or_else(|| Failure::invalid(format!("{SOURCE} is for requests that copy")))?;
    CopySource::parse(source).map_err(|_| Failure::argument("The copy source is not of its form"))
}

/// IMPORTANT: says only whether it is as expected. Whether the caller may do anything there is asked by what comes after.
async fn compare(call: &Call, bucket: &BucketName, expected: &[u8], name: &str) -> Result<(), Failure> {
    let owned_by = match call.storage().own_bucket_owner(bucket).await {
        Ok(owned_by) => owned_by,
        // What comes after says so, as far as the caller may know it.
        Err(StorageError::BucketNotFound { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if owner(owned_by).id.is_some_and(|id| id.as_bytes() == expected) {
        return Ok(());
    }
    // Who may not look into a bucket is told what they are told of one that is not there.
    call.storage().reach(call.context(), bucket).await?;
    Err(Failure::denied(format!("The bucket is owned by somebody else than {name} says")))
}
