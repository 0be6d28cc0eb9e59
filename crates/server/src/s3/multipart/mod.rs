//! Uploads in numbered parts: begun, filled, listed, made an object of, given up.

pub(super) mod complete;
pub(super) mod copy_part;
pub(super) mod create;
pub(super) mod list;
pub(super) mod part;

use file_storage::multipart::{MAX_PART_NUMBER, UploadAt};
use file_storage::{Operation, StorageError};
use http::StatusCode;
use s3s::dto::{AbortMultipartUploadInput, AbortMultipartUploadOutput};
use uuid::Uuid;

use super::call::Call;
use super::failure::Failure;

/// The upload that a request names. One that can't be is not there.
fn named(call: &Call, id: &str) -> Result<UploadAt, Failure> {
    let (bucket, path) = call.object()?;
    let missing = |_| {
        let message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been \
                       aborted or completed";
        Failure::new(StatusCode::NOT_FOUND, "NoSuchUpload", message)
    };
    let id = Uuid::try_parse(id).map_err(missing)?;
    Ok(UploadAt { bucket: bucket.clone(), path: path.clone(), id })
}

/// An upload's identity, as clients are told it.
fn id_of(at: &UploadAt) -> String {
    at.id.simple().to_string()
}

/// A part's number.
fn part_number(number: Option<u32>) -> Result<u32, Failure> {
    number.filter(|number| (1..=MAX_PART_NUMBER).contains(number)).ok_or_else(|| {
        Failure::argument(format!(
            "Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive"
        ))
    })
}

/// How many entries a page has: a thousand, or fewer.
pub(super) fn page_length(asked: Option<i32>, name: &str) -> Result<u32, Failure> {
    let invalid =
        |_| Failure::argument(format!("Argument {name} must be an integer between 0 and 2147483647"));
    u32::try_from(asked.unwrap_or(1000).min(1000)).map_err(invalid)
}

/// Gives an upload up.
pub(super) async fn abort(
    call: Call,
    input: AbortMultipartUploadInput,
) -> Result<AbortMultipartUploadOutput, Failure> {
    call.begin(Operation::AbortMultipart);
    if input.if_match_initiated_time.is_some() {
        return Err(Failure::not_implemented("Aborting under a condition"));
    }
    let at = named(&call, &input.upload_id)?;
    // One that is appended to is no upload of this protocol.
    match call.storage().multipart(call.context(), &at).await {
        Ok(_) | Err(StorageError::UploadExpired { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    call.storage().abort_multipart(call.context(), &at).await?;
    Ok(AbortMultipartUploadOutput::default())
}
