//! `PUT ?partNumber&uploadId` of a part's bytes.

use axum::body::Body;
use axum::response::Response;
use file_storage::Operation;
use file_storage::digests::Algorithm;
use file_storage::file::PutMode;
use file_storage::storage::PartBody;
use http::header;

use super::{named, part_number};
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::{checksum_headers, insert, not_as_announced};
use crate::s3::payload::Incoming;

/// Takes in a part, in place of the one of its number.
pub(in crate::s3) async fn upload(call: &Call, mut incoming: Incoming) -> Result<Response, Failure> {
    call.begin(Operation::UploadPart(&PutMode::Upsert));
    let at = named(call, call.parameter("uploadId").unwrap_or_default())?;
    let number = part_number(call.parameter("partNumber").and_then(|number| number.parse().ok()))?;
    incoming.check_end()?;
    // By MD5 are S3's entity tags.
    incoming.wanted.compute(Algorithm::Md5);
    let body = PartBody { bytes: incoming.bytes, length: incoming.length, wanted: incoming.wanted };
    let taken = call.storage().upload_part(call.context(), &at, number, body).await;
    let part = taken.map_err(|error| not_as_announced(call, error))?;
    call.log_size(part.size);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    insert(headers, header::ETAG, format!("\"{}\"", part.etag));
    checksum_headers(&part.checksums, headers);
    Ok(response)
}
