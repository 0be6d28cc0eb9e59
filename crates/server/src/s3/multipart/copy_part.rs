//! `PUT ?partNumber&uploadId` with a source: a part that is an object, or a range of one.

use std::ops::Range;

use file_storage::Operation;
use file_storage::digests::{Algorithm, Wanted};
use file_storage::file::PutMode;
use file_storage::storage::{Download, PartSource};
use s3s::dto::{CopyPartResult, ETag, UploadPartCopyInput, UploadPartCopyOutput};

use super::{named, part_number};
use crate::s3::bucket::timestamp;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::copy;

/// Takes in a part that is read from elsewhere here.
pub(in crate::s3) async fn copy_part(
    call: Call,
    input: UploadPartCopyInput,
) -> Result<UploadPartCopyOutput, Failure> {
    call.begin(Operation::CopyPart(&PutMode::Upsert));
    let at = named(&call, &input.upload_id)?;
    let number = part_number(u32::try_from(input.part_number).ok())?;
    let (bucket, path, version) = copy::versioned_source(&input.copy_source)?;
    let range = input.copy_source_range.as_deref().map(range).transpose()?;
    // By MD5 are S3's entity tags.
    let mut wanted = Wanted::default();
    wanted.compute(Algorithm::Md5);
    let mut told = None;
    let inspect = |source: &Download| {
        let found = source.object();
        told = (found.versioned || version.is_some()).then(|| found.version_id().to_string());
        copy::check_source(&call, found)
    };
    let from = PartSource { bucket: &bucket, path: &path, version, range };
    let part = call.storage().copy_part(call.context(), from, (&at, number), inspect, wanted).await?;
    call.log_size(part.size);
    let of = |name: &str| part.checksums.get(name).cloned();
    let result = CopyPartResult {
        checksum_crc32: of("CRC32"),
        checksum_crc32c: of("CRC32C"),
        checksum_crc64nvme: of("CRC64NVME"),
        checksum_sha1: of("SHA1"),
        checksum_sha256: of("SHA256"),
        e_tag: Some(ETag::Strong(part.etag.clone())),
        last_modified: Some(timestamp(part.created_at)),
    };
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(result),
        copy_source_version_id: told,
        ..Default::default()
    })
}

/// `bytes=first-last`, and nothing else.
fn range(text: &str) -> Result<Range<u64>, Failure> {
    let refuse = || {
        Failure::argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the \
             zero-based offsets of the first and last bytes to copy",
        )
    };
    let (first, last) =
        text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(refuse)?;
    let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse::<u64>().map_err(|_| refuse()),
        false => Err(refuse()),
    };
    let (first, last) = (number(first)?, number(last)?);
    match last.checked_add(1) {
        Some(end) if first < end => Ok(first..end),
        _ => Err(refuse()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_sources_have_one_form() {
        assert_eq!(range("bytes=0-0").unwrap(), 0..1);
        assert_eq!(range("bytes=5-10").unwrap(), 5..11);
        let max = u64::MAX;
        for bad in
            ["", "0-1", "bytes=1-0", "bytes=-5", "bytes=5-", "bytes=a-b", "bytes=0-1,3-4", "bytes=+1-2"]
        {
            assert!(range(bad).is_err(), "{bad}");
        }
        assert!(range(&format!("bytes=0-{max}")).is_err());
    }
}
