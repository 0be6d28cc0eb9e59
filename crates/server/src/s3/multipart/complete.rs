//! `POST ?uploadId`: makes an object of an upload.

use file_storage::Operation;
use file_storage::digests::{Algorithm, Checksums};
use file_storage::multipart::ListedPart;
use file_storage::storage::CompleteOptions;
use http::HeaderMap;
use s3s::dto::{CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart, ETag};

use super::{named, part_number};
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::{checksum_type, condition, not_as_announced, not_taken};
use crate::s3::payload::{checksum, text};

/// Least bytes of every part but the last.
const MIN_PART_SIZE: u64 = 5 << 20;

/// Makes an object of the parts that the request lists.
pub(in crate::s3) async fn complete(
    call: Call,
    input: CompleteMultipartUploadInput,
) -> Result<CompleteMultipartUploadOutput, Failure> {
    let condition = condition(&call)?;
    call.begin(Operation::CompleteMultipart(&condition));
    let at = named(&call, &input.upload_id)?;
    let malformed = || Failure::bad_request("MalformedXML", "The document lists no parts, or not well");
    let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    if parts.is_empty() {
        return Err(malformed());
    }
    let parts: Option<Vec<_>> = parts.into_iter().map(listed).collect();
    let parts = parts.ok_or_else(malformed)?;
    parts.iter().try_for_each(|part| part_number(Some(part.number)).map(drop))?;
    let size = input.mpu_object_size.map(u64::try_from).transpose();
    let options = CompleteOptions {
        mode: Some(condition.clone()),
        min_part_size: MIN_PART_SIZE,
        size: size.map_err(|_| Failure::invalid("Value for x-amz-mp-object-size header is invalid"))?,
        checksums: announced(call.headers())?,
        checksum_type: super::create::checksum_type_said(&call)?,
    };
    let written = call.storage().complete_multipart(call.context(), &at, parts, options).await;
    let object = match written {
        Ok(written) => written.object,
        Err(error) => return Err(not_as_announced(&call, not_taken(&call, &condition, error).await)),
    };
    call.log_size(object.size);
    let of = |name: &str| object.extra.checksums.get(name).cloned();
    let any = object.extra.checksums.values().next();
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", object.bucket, object.path)),
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        checksum_type: any.map(String::as_str).map(checksum_type),
        version_id: call.told_version(&object),
        e_tag: Some(ETag::Strong(object.etag)),
        bucket: Some(object.bucket.to_string()),
        key: Some(object.path.to_string()),
        ..Default::default()
    })
}

/// A part as a document lists it: by its number and its tag, and perhaps a checksum.
fn listed(part: CompletedPart) -> Option<ListedPart> {
    let etag = match part.e_tag? {
        ETag::Strong(etag) | ETag::Weak(etag) => etag,
    };
    let checksums = [
        ("CRC32", part.checksum_crc32),
        ("CRC32C", part.checksum_crc32c),
        ("CRC64NVME", part.checksum_crc64nvme),
        ("SHA1", part.checksum_sha1),
        ("SHA256", part.checksum_sha256),
    ];
    let given = checksums.into_iter().filter_map(|(word, value)| Some((word.to_owned(), value?)));
    // A number below none is none that there could be.
    let number = u32::try_from(part.part_number?).unwrap_or(0);
    Some(ListedPart { number, etag: Some(etag), checksums: given.collect() })
}

/// The checksums that the object is announced to have.
fn announced(headers: &HeaderMap) -> Result<Checksums, Failure> {
    let mut found = Checksums::new();
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| *algorithm != Algorithm::Md5) {
        let name = format!("x-amz-checksum-{}", algorithm.as_str().to_ascii_lowercase());
        let Some(value) = text(headers, &name)? else { continue };
        checksum(algorithm, value.split_once('-').map_or(value, |(digest, _)| digest))?;
        found.insert(algorithm.as_str().to_owned(), value.to_owned());
    }
    match found.len() {
        0 | 1 => Ok(found),
        _ => Err(Failure::invalid("Expecting a single x-amz-checksum- header")),
    }
}
