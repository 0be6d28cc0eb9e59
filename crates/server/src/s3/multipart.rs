//! Uploads in parts.

use axum::response::Response;

use super::call::Call;
use super::failure::Failure;
use super::payload::Incoming;

/// `PUT ?partNumber&uploadId` of a part's bytes.
pub(super) async fn upload_part(call: &Call, _incoming: Incoming) -> Result<Response, Failure> {
    call.begin_named("upload_part");
    Err(Failure::not_implemented("Uploading in parts"))
}
