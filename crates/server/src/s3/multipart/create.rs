//! `POST ?uploads`: begins an upload.

use file_storage::ObjectPath;
use file_storage::Operation;
use file_storage::digests::{Algorithm, ChecksumType, ObjectChecksum};
use file_storage::file::PutMode;
use file_storage::path::PathRules;
use file_storage::storage::MultipartOptions;
use s3s::dto::{ChecksumAlgorithm, CreateMultipartUploadInput, CreateMultipartUploadOutput};

use super::id_of;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::{Described, check_canned};
use crate::s3::payload::text;

/// Begins an upload of an object that is described now.
pub(in crate::s3) async fn create(
    call: Call,
    _: CreateMultipartUploadInput,
) -> Result<CreateMultipartUploadOutput, Failure> {
    let mode = PutMode::Upsert;
    call.begin(Operation::CreateMultipart(&mode));
    let (bucket, path) = call.object()?;
    ObjectPath::parse_new(path.as_str(), PathRules::Lenient)?;
    let attributes = Described::of(call.headers())?.into_attributes();
    let checksum = checksum(&call)?;
    if call.headers().contains_key("x-amz-acl") {
        let target = call.storage().bucket(call.context(), bucket).await?;
        check_canned(&target, call.headers())?;
    }
    let options = MultipartOptions { checksum };
    let storage = call.storage();
    let upload = storage.create_multipart(call.context(), (bucket, path), mode, attributes, options).await?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(bucket.to_string()),
        key: Some(path.to_string()),
        upload_id: Some(id_of(&upload.at)),
        checksum_algorithm: checksum
            .map(|checksum| ChecksumAlgorithm::from_static(checksum.algorithm.as_str())),
        checksum_type: checksum.map(checksum_type),
        ..Default::default()
    })
}

/// How a checksum covers its object, in S3's words.
pub(super) fn checksum_type(checksum: ObjectChecksum) -> s3s::dto::ChecksumType {
    s3s::dto::ChecksumType::from_static(checksum.checksum_type.as_str())
}

/// The checksum that the object shall have.
fn checksum(call: &Call) -> Result<Option<ObjectChecksum>, Failure> {
    let checksum_type = checksum_type_said(call)?;
    let Some(word) = text(call.headers(), "x-amz-checksum-algorithm")? else {
        return match checksum_type {
            None => Ok(None),
            Some(_) => Err(Failure::invalid(
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header",
            )),
        };
    };
    let algorithm = Algorithm::from_word(word).filter(|algorithm| *algorithm != Algorithm::Md5);
    let algorithm = algorithm.ok_or_else(|| {
        Failure::invalid(
            "Checksum algorithm provided is unsupported. Please try again with any of the valid types: \
             [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    })?;
    let usual = match algorithm {
        Algorithm::Crc64Nvme => ChecksumType::FullObject,
        _ => ChecksumType::Composite,
    };
    let checksum = ObjectChecksum { algorithm, checksum_type: checksum_type.unwrap_or(usual) };
    if !checksum.is_possible() {
        let (of, word) = (checksum.checksum_type.as_str(), word.to_ascii_lowercase());
        let message = format!("The {of} checksum type cannot be used with the {word} checksum algorithm");
        return Err(Failure::invalid(message));
    }
    Ok(Some(checksum))
}

/// `x-amz-checksum-type`.
pub(super) fn checksum_type_said(call: &Call) -> Result<Option<ChecksumType>, Failure> {
    match text(call.headers(), "x-amz-checksum-type")? {
        None => Ok(None),
        Some("COMPOSITE") => Ok(Some(ChecksumType::Composite)),
        Some("FULL_OBJECT") => Ok(Some(ChecksumType::FullObject)),
        Some(_) => Err(Failure::invalid("Value for x-amz-checksum-type header is invalid")),
    }
}
