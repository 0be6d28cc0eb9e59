//! `PUT` of an object by copying another one: the source is read, and the target written, as by anybody.

use file_storage::digests::Algorithm;
use file_storage::extra::ObjectExtra;
use file_storage::path::PathRules;
use file_storage::storage::CopyOptions;
use file_storage::{BucketName, ObjectPath, Operation, StorageError, StorageObject, VersionId};
use http::header::{HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, ETag, MetadataDirective,
    TaggingDirective,
};

use super::acl;
use super::headers::{Described, checksum_type};
use super::put::{condition, not_taken};
use crate::conditional::{self, Verdict};
use crate::s3::bucket::timestamp;
use crate::s3::call::{Call, version};
use crate::s3::failure::Failure;

/// Copies an object.
pub(in crate::s3) async fn copy(call: Call, input: CopyObjectInput) -> Result<CopyObjectOutput, Failure> {
    let mode = condition(&call)?;
    call.begin(Operation::Copy(&mode));
    let (bucket, path) = call.object()?;
    ObjectPath::parse_new(path.as_str(), PathRules::Lenient)?;
    let (from_bucket, from_path, from_version) = versioned_source(&input.copy_source)?;
    let replaces = replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str), "metadata")?;
    let replaces_tags = replaces_tags(&input)?;
    let onto_itself = (&from_bucket, &from_path) == (bucket, path) && from_version.is_none();
    // As S3 has it, naming its storage class is a change, though there is but one.
    let names_class = call.headers().contains_key("x-amz-storage-class");
    if onto_itself && !replaces && !replaces_tags && !names_class {
        return Err(Failure::invalid(
            "This copy request is illegal because it is trying to copy an object to itself without changing its \
             metadata",
        ));
    }
    let found = match from_version {
        None => call.storage().info(call.context(), &from_bucket, &from_path).await?,
        Some(version) => {
            call.storage().version_info(call.context(), &from_bucket, &from_path, version).await?
        }
    };
    check_source(&call, &found)?;
    if let Some(algorithm) = &input.checksum_algorithm {
        has_checksum(&found, algorithm.as_str())?;
    }
    if call.headers().contains_key("x-amz-acl") {
        let target = call.storage().bucket(call.context(), bucket).await?;
        acl::check_canned(&target, call.headers())?;
    }
    let options = options(&call, &found, replaces, replaces_tags)?;
    let options = CopyOptions { version: from_version, ..options };
    let from = (&from_bucket, &from_path);
    let asked = mode.clone();
    let copied = match call.storage().copy(call.context(), from, (bucket, path), mode, options).await {
        Ok(copied) => copied,
        Err(error) => return Err(not_taken(&call, &asked, error).await.into()),
    };
    call.log_size(copied.object.size);
    let told = found.versioned || from_version.is_some();
    Ok(CopyObjectOutput {
        copy_object_result: Some(result(&copied.object)),
        copy_source_version_id: told.then(|| found.version_id().to_string()),
        version_id: call.told_version(&copied.object),
        ..Default::default()
    })
}

/// The source that a header names, and the version of it.
pub(in crate::s3) fn versioned_source(
    source: &CopySource,
) -> Result<(BucketName, ObjectPath, Option<VersionId>), Failure> {
    match source {
        CopySource::Bucket { bucket, key, version_id } => {
            let version = version_id.as_deref().map(version).transpose()?;
            Ok((BucketName::parse(bucket)?, ObjectPath::parse(key)?, version))
        }
        CopySource::AccessPoint { .. } | CopySource::Outpost { .. } => {
            Err(Failure::not_implemented("Access points"))
        }
    }
}

fn replaces(directive: Option<&str>, what: &str) -> Result<bool, Failure> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(Failure::argument(format!("Unknown {what} directive"))),
    }
}

fn replaces_tags(input: &CopyObjectInput) -> Result<bool, Failure> {
    replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str), "tagging")
}

/// The conditions on the source, as if it were read by itself.
pub(in crate::s3) fn check_source(call: &Call, found: &StorageObject) -> Result<(), StorageError> {
    let mut headers = HeaderMap::new();
    let mut take = |name: &'static str, as_: HeaderName| {
        if let Some(value) = call.headers().get(name) {
            headers.insert(as_, HeaderValue::clone(value));
        }
    };
    take("x-amz-copy-source-if-match", IF_MATCH);
    take("x-amz-copy-source-if-none-match", IF_NONE_MATCH);
    take("x-amz-copy-source-if-modified-since", IF_MODIFIED_SINCE);
    take("x-amz-copy-source-if-unmodified-since", IF_UNMODIFIED_SINCE);
    match conditional::read(&headers, found) {
        Verdict::Serve => Ok(()),
        Verdict::NotModified | Verdict::Failed => {
            let (bucket, path) = (found.bucket.clone(), found.path.clone());
            Err(StorageError::PreconditionFailed { bucket, path })
        }
    }
}

/// A copy shares the bytes of its source: it has the checksums that its source has.
fn has_checksum(found: &StorageObject, word: &str) -> Result<(), Failure> {
    match Algorithm::from_word(word) {
        Some(algorithm) if found.extra.checksums.contains_key(algorithm.as_str()) => Ok(()),
        _ => Err(Failure::not_implemented("A checksum for a copy that its source does not have")),
    }
}

fn options(
    call: &Call,
    found: &StorageObject,
    replaces: bool,
    replaces_tags: bool,
) -> Result<CopyOptions, Failure> {
    let described = Described::of(call.headers())?;
    let new_tags = described.tags().to_vec();
    let tags = if replaces_tags { new_tags } else { found.extra.tags.clone() };
    let source_version = Some(found.version);
    if !replaces {
        let extra = ObjectExtra { tags, ..found.extra.clone() };
        return Ok(CopyOptions { extra: Some(extra), source_version, ..CopyOptions::default() });
    }
    let said = described.into_attributes();
    Ok(CopyOptions {
        content_type: Some(said.content_type),
        cache_control: said.cache_control,
        metadata: Some(said.metadata),
        extra: Some(ObjectExtra { tags, ..said.extra }),
        source_version,
        replaces_all: true,
        ..CopyOptions::default()
    })
}

fn result(object: &StorageObject) -> CopyObjectResult {
    let of = |name: &str| object.extra.checksums.get(name).cloned();
    let any = object.extra.checksums.values().next();
    CopyObjectResult {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        checksum_type: any.map(String::as_str).map(checksum_type),
        e_tag: Some(ETag::Strong(object.etag.clone())),
        last_modified: Some(timestamp(object.updated_at)),
    }
}
