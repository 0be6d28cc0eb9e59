//! Lists of uploads, and of the parts of one.

use file_storage::Operation;
use file_storage::executor::Delimiter;
use file_storage::multipart::{MultipartUpload, Part, UploadListing};
use s3s::dto::{
    ChecksumAlgorithm, CommonPrefix, ETag, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, StorageClass,
};
use uuid::Uuid;

use super::create::checksum_type;
use super::{id_of, named, page_length};
use crate::s3::bucket::timestamp;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::{Names, owner};

/// `GET ?uploadId`: the parts that are there.
pub(in crate::s3) async fn parts(call: Call, input: ListPartsInput) -> Result<ListPartsOutput, Failure> {
    call.begin(Operation::ListParts);
    let at = named(&call, &input.upload_id)?;
    let most = page_length(input.max_parts, "maxParts")?;
    let after = u32::try_from(input.part_number_marker.unwrap_or(0));
    let after = after.map_err(|_| {
        Failure::argument("Argument part-number-marker must be an integer between 0 and 2147483647")
    })?;
    let upload = call.storage().multipart(call.context(), &at).await?;
    let mut parts = call.storage().list_parts(call.context(), &at, after, most + 1).await?;
    // A page of none would have no end.
    let is_truncated = most > 0 && parts.len() > most as usize;
    parts.truncate(most as usize);
    let last = parts.last().map_or(after, |part| part.number);
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(Names::plain().told(&input.key)),
        upload_id: Some(id_of(&at)),
        part_number_marker: i32::try_from(after).ok(),
        next_part_number_marker: i32::try_from(last).ok(),
        max_parts: i32::try_from(most).ok(),
        is_truncated: Some(is_truncated),
        owner: Some(owner(upload.owner_id)),
        initiator: Some(initiator(&upload)),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: algorithm(&upload),
        checksum_type: upload.checksum.map(checksum_type),
        parts: Some(parts.iter().map(part).collect()),
        ..Default::default()
    })
}

fn part(part: &Part) -> s3s::dto::Part {
    let of = |name: &str| part.checksums.get(name).cloned();
    s3s::dto::Part {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        e_tag: Some(ETag::Strong(part.etag.clone())),
        last_modified: Some(timestamp(part.created_at)),
        part_number: i32::try_from(part.number).ok(),
        size: i64::try_from(part.size).ok(),
    }
}

/// `GET ?uploads`: the uploads of a bucket that the caller goes on with.
pub(in crate::s3) async fn uploads(
    call: Call,
    input: ListMultipartUploadsInput,
) -> Result<ListMultipartUploadsOutput, Failure> {
    call.begin(Operation::ListMultipartUploads);
    let bucket = call.bucket()?;
    let names = Names::of(input.encoding_type.as_ref())?;
    names.check_all([
        ("prefix", &input.prefix),
        ("delimiter", &input.delimiter),
        ("key-marker", &input.key_marker),
    ])?;
    Names::plain().check_all([("upload-id-marker", &input.upload_id_marker)])?;
    let name = |name: &str| names.told(name);
    let most = page_length(input.max_uploads, "maxUploads")?;
    let listing = UploadListing {
        prefix: input.prefix.clone().unwrap_or_default(),
        after: after(input.key_marker.as_deref(), input.upload_id_marker.as_deref())?,
        limit: most,
    };
    let delimiter = input.delimiter.as_deref().and_then(Delimiter::new);
    let storage = call.storage();
    let page = storage.list_multipart_uploads(call.context(), bucket, &listing, delimiter.as_ref()).await?;
    if page.uploads.is_empty() && page.folders.is_empty() {
        // None, or no bucket that the caller may look into.
        storage.reach(call.context(), bucket).await?;
    }
    let next = page.next.filter(|_| page.is_truncated);
    let folders = page.folders.iter().map(|folder| CommonPrefix { prefix: Some(name(folder)) });
    let of = |upload: &MultipartUpload| s3s::dto::MultipartUpload {
        checksum_algorithm: algorithm(upload),
        checksum_type: upload.checksum.map(checksum_type),
        initiated: Some(timestamp(upload.created_at)),
        initiator: Some(initiator(upload)),
        key: Some(name(upload.at.path.as_str())),
        owner: Some(owner(upload.owner_id)),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(id_of(&upload.at)),
    };
    Ok(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: Some(name(&listing.prefix)),
        delimiter: input.delimiter.filter(|delimiter| !delimiter.is_empty()).as_deref().map(name),
        key_marker: Some(name(input.key_marker.as_deref().unwrap_or_default())),
        upload_id_marker: Some(input.upload_id_marker.unwrap_or_default()),
        max_uploads: i32::try_from(most).ok(),
        is_truncated: Some(page.is_truncated),
        next_key_marker: next.as_ref().map(|(key, _)| name(key)),
        next_upload_id_marker: next.map(|(_, id)| id.map(|id| id.simple().to_string()).unwrap_or_default()),
        common_prefixes: Some(folders.collect::<Vec<_>>()).filter(|folders| !folders.is_empty()),
        uploads: Some(page.uploads.iter().map(of).collect()),
        encoding_type: input.encoding_type,
        ..Default::default()
    })
}

/// Where a page starts. An upload without its key is nowhere, and is ignored as S3 does.
fn after(key: Option<&str>, upload: Option<&str>) -> Result<Option<(String, Option<Uuid>)>, Failure> {
    let Some(key) = key.filter(|key| !key.is_empty()) else { return Ok(None) };
    let id = upload.filter(|upload| !upload.is_empty()).map(Uuid::try_parse).transpose();
    let id = id.map_err(|_| Failure::argument("Invalid uploadId marker"))?;
    Ok(Some((key.to_owned(), id)))
}

fn algorithm(upload: &MultipartUpload) -> Option<ChecksumAlgorithm> {
    upload.checksum.map(|checksum| ChecksumAlgorithm::from_static(checksum.algorithm.as_str()))
}

fn initiator(upload: &MultipartUpload) -> Initiator {
    let owner = owner(upload.owner_id);
    Initiator { display_name: owner.display_name, id: owner.id }
}
