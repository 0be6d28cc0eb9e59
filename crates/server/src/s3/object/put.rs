//! `PUT` of an object's bytes.

use axum::body::Body;
use axum::response::Response;
use file_storage::digests::Algorithm;
use file_storage::executor::{Announced, Written};
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::path::PathRules;
use file_storage::{BucketName, ObjectPath, Operation, StorageError};
use http::header;

use super::acl;
use super::headers::{Described, VERSION_ID, checksums, insert};
use crate::conditional;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::form::TOO_SMALL;
use crate::s3::payload::Incoming;

/// Writes an object: the last write wins, unless a condition decides.
pub(in crate::s3) async fn put(call: &Call, incoming: Incoming) -> Result<Response, Failure> {
    let mode = condition(call)?;
    call.begin(Operation::Upload(&mode));
    let (bucket, path) = call.object()?;
    incoming.check_end()?;
    let attributes = Described::of(call.headers())?.into_attributes();
    let written = take_in(call, (bucket, path), mode, attributes, incoming).await?;
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    insert(headers, header::ETAG, format!("\"{}\"", written.object.etag));
    checksums(&written.object, headers);
    if let Some(version) = call.told_version(&written.object) {
        insert(headers, VERSION_ID, version);
    }
    Ok(response)
}

/// Lets an upload in, and takes its body.
pub(in crate::s3) async fn take_in(
    call: &Call,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: PutMode,
    attributes: ObjectAttributes,
    mut incoming: Incoming,
) -> Result<Written, Failure> {
    ObjectPath::parse_new(path.as_str(), PathRules::Lenient)?;
    let announced =
        Announced { attributes: Some(attributes.clone()), size: incoming.length, is_final: false };
    let asked = mode.clone();
    let admitted = call.storage().admit_announced_upload(call.context(), bucket, path, mode, announced).await;
    let pending = match admitted {
        Ok(pending) => pending,
        Err(error) => return Err(not_taken(call, &asked, error).await.into()),
    };
    acl::check_canned(pending.bucket(), call.headers())?;
    // By MD5 are S3's entity tags.
    incoming.wanted.compute(Algorithm::Md5);
    let stored = pending.store_checked(attributes, incoming.length, incoming.bytes, &incoming.wanted).await;
    let written = match stored {
        Ok(written) => written,
        Err(error) => return Err(not_as_announced(call, not_taken(call, &asked, error).await)),
    };
    call.log_size(written.object.size);
    Ok(written)
}

/// Says of bytes that were not taken what they are not. SHA-256 is the payload's, or a checksum.
pub(in crate::s3) fn not_as_announced(call: &Call, error: StorageError) -> Failure {
    let has_checksum = call.headers().contains_key("x-amz-checksum-sha256");
    match error {
        StorageError::DigestMismatch { algorithm: Algorithm::Sha256 } if has_checksum => {
            Failure::bad_request("BadDigest", "The SHA256 you specified did not match what we received")
        }
        StorageError::InvalidRequest { message } if message.starts_with(TOO_SMALL) => {
            Failure::bad_request("EntityTooSmall", message)
        }
        other => other.into(),
    }
}

/// How a write decides where the path is taken.
pub(in crate::s3) fn condition(call: &Call) -> Result<PutMode, Failure> {
    let mode = conditional::write(call.headers(), PutMode::Upsert);
    mode.map_err(|_| Failure::invalid("A write takes one condition, If-Match or If-None-Match"))
}

/// Says why a write under a condition was not taken: S3 tells an object that is not there from one that is another.
pub(in crate::s3) async fn not_taken(call: &Call, mode: &PutMode, error: StorageError) -> StorageError {
    if let (PutMode::IfMatch(_), StorageError::PreconditionFailed { bucket, path }) = (mode, &error) {
        let found = call.storage().info(call.context(), bucket, path).await;
        if let Err(missing @ (StorageError::ObjectNotFound { .. } | StorageError::ObjectDeleted { .. })) =
            found
        {
            return missing;
        }
    }
    error
}
