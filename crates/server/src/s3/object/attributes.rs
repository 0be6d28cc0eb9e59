//! `GET ?attributes`: what is known of an object, as a document.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use file_storage::Operation;
use file_storage::digests::{Algorithm, ChecksumType};
use file_storage::storage::Download;
use http::StatusCode;
use s3s::dto::{
    Checksum, ETag, GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectPart, StorageClass,
};

use super::get::open;
use super::headers::checksum_type;
use crate::s3::bucket::timestamp;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::multipart::page_length;

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
    let wants = |name: &str| asked.iter().any(|asked| asked == name);
    // What is known of parts is known of the way to their bytes.
    let download = open(&call).await?;
    let object = download.object();
    let of = |name: &str| object.extra.checksums.get(name).cloned();
    let any = object.extra.checksums.values().next();
    let checksum = any.filter(|_| wants("Checksum")).map(|value| Checksum {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        checksum_type: Some(checksum_type(value)),
    });
    let object_parts = if wants("ObjectParts") { parts(&download, &input)? } else { None };
    Ok(GetObjectAttributesOutput {
        e_tag: wants("ETag").then(|| ETag::Strong(object.etag.clone())),
        checksum,
        object_parts,
        storage_class: wants("StorageClass").then(|| StorageClass::from_static(StorageClass::STANDARD)),
        object_size: if wants("ObjectSize") { i64::try_from(object.size).ok() } else { None },
        last_modified: Some(timestamp(object.updated_at)),
        version_id: call.told_version(object),
        ..Default::default()
    })
}

/// The document as S3 has it: its entity tag is the one that has no quotes.
pub(in crate::s3) fn without_quotes(document: &[u8]) -> Option<String> {
    let (head, rest) = std::str::from_utf8(document).ok()?.split_once("<ETag>")?;
    let (tag, rest) = rest.split_once("</ETag>")?;
    Some(format!("{head}<ETag>{}</ETag>{rest}", tag.replace("&quot;", "").replace('"', "")))
}

/// The checksum of a part, in base64, of an object whose own is made of those.
pub(super) fn part_checksum(download: &Download, number: u32) -> Option<(Algorithm, String)> {
    let extra = &download.object().extra;
    let (word, value) = extra.checksums.first_key_value()?;
    let algorithm =
        Algorithm::from_word(word).filter(|_| ChecksumType::of(value) == ChecksumType::Composite)?;
    let digest = match algorithm {
        Algorithm::Sha256 => Some(STANDARD.encode(download.part_sha256(number)?.0)),
        other => extra.parts.as_ref()?.digest(number, other),
    };
    Some((algorithm, digest?))
}

/// Of which parts an object was made, with the checksums that they have.
fn parts(
    download: &Download,
    input: &GetObjectAttributesInput,
) -> Result<Option<GetObjectAttributesParts>, Failure> {
    let object = download.object();
    let Some(of_parts) = &object.extra.parts else { return Ok(None) };
    let total_parts_count = i32::try_from(of_parts.count).ok();
    let most = page_length(input.max_parts, "max-parts")?;
    let after = u32::try_from(input.part_number_marker.unwrap_or(0));
    let after = after.map_err(|_| Failure::argument("The part-number-marker is no number of a part"))?;
    let last = after.saturating_add(most).min(of_parts.count);
    let part = |number: u32| {
        let range = download.part(number).unwrap_or_default();
        let checksum = part_checksum(download, number);
        let of = |one: Algorithm| {
            checksum.as_ref().filter(|(algorithm, _)| *algorithm == one).map(|(_, digest)| digest.clone())
        };
        ObjectPart {
            checksum_crc32: of(Algorithm::Crc32),
            checksum_crc32c: of(Algorithm::Crc32C),
            checksum_crc64nvme: of(Algorithm::Crc64Nvme),
            checksum_sha1: of(Algorithm::Sha1),
            checksum_sha256: of(Algorithm::Sha256),
            part_number: i32::try_from(number).ok(),
            size: i64::try_from(range.end.saturating_sub(range.start)).ok(),
        }
    };
    Ok(Some(GetObjectAttributesParts {
        is_truncated: Some(last < of_parts.count),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: i32::try_from(last.max(after)).ok(),
        part_number_marker: i32::try_from(after).ok(),
        parts: Some((after.saturating_add(1)..=last).map(part).collect()),
        total_parts_count,
    }))
}
