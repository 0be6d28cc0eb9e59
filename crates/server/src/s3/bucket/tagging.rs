//! `?tagging` of a bucket.

use file_storage::Operation;
use file_storage::extra::BucketExtraUpdate;
use http::StatusCode;
use s3s::dto::{
    DeleteBucketTaggingInput, DeleteBucketTaggingOutput, GetBucketTaggingInput, GetBucketTaggingOutput,
    PutBucketTaggingInput, PutBucketTaggingOutput,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::{tags_from_set, tags_to_set};

/// Shows a bucket's tags.
pub(in crate::s3) async fn get(
    call: Call,
    _: GetBucketTaggingInput,
) -> Result<GetBucketTaggingOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let kept = call.storage().bucket_extra(call.context(), call.bucket()?).await?;
    if kept.tags.is_empty() {
        return Err(Failure::new(StatusCode::NOT_FOUND, "NoSuchTagSet", "The TagSet does not exist"));
    }
    Ok(GetBucketTaggingOutput { tag_set: tags_to_set(kept.tags) })
}

/// Replaces a bucket's tags.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutBucketTaggingInput,
) -> Result<PutBucketTaggingOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let tags = Some(tags_from_set(input.tagging.tag_set, 50)?);
    let update = BucketExtraUpdate { tags, cors: None };
    call.storage().update_bucket_extra(call.context(), call.bucket()?, &update).await?;
    Ok(PutBucketTaggingOutput::default())
}

/// Takes all of a bucket's tags away.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteBucketTaggingInput,
) -> Result<DeleteBucketTaggingOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let update = BucketExtraUpdate { tags: Some(Vec::new()), cors: None };
    call.storage().update_bucket_extra(call.context(), call.bucket()?, &update).await?;
    Ok(DeleteBucketTaggingOutput::default())
}
