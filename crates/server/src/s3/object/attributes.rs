//! `GET ?attributes`: what is known of an object, as a document.

use file_storage::Operation;
use http::StatusCode;
use s3s::dto::{
    Checksum, ChecksumType, ETag, GetObjectAttributesInput, GetObjectAttributesOutput, StorageClass,
};

use crate::s3::bucket::timestamp;
use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Names of attributes.
const KNOWN: [&str; 5] = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"];

/// Answers the attributes that are asked for.
pub(in crate::s3) async fn get(
    call: Call,
    input: GetObjectAttributesInput,
) -> Result<GetObjectAttributesOutput, Failure> {
    call.begin(Operation::Info);
    let asked: Vec<String> = input
        .object_attributes
        .iter()
        .flat_map(|names| names.as_str().split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    if asked.is_empty() || asked.iter().any(|name| !KNOWN.contains(&name.as_str())) {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "InvalidArgument",
            "Invalid attribute name specified",
        ));
    }
    let object = call.info().await?;
    let wants = |name: &str| asked.iter().any(|asked| asked == name);
    let of = |name: &str| object.extra.checksums.get(name).cloned();
    let checksum = (wants("Checksum") && !object.extra.checksums.is_empty()).then(|| Checksum {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
    });
    Ok(GetObjectAttributesOutput {
        e_tag: wants("ETag").then(|| ETag::Strong(object.etag.clone())),
        checksum,
        storage_class: wants("StorageClass").then(|| StorageClass::from_static(StorageClass::STANDARD)),
        object_size: if wants("ObjectSize") { i64::try_from(object.size).ok() } else { None },
        last_modified: Some(timestamp(object.updated_at)),
        version_id: call.told_version(&object),
        ..Default::default()
    })
}
