//! `?tagging` of an object.

use file_storage::Operation;
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    PutObjectTaggingInput, PutObjectTaggingOutput,
};

use super::tags::{from_set, to_set};
use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Shows an object's tags.
pub(in crate::s3) async fn get(
    call: Call,
    _: GetObjectTaggingInput,
) -> Result<GetObjectTaggingOutput, Failure> {
    call.begin(Operation::Info);
    let object = call.info().await?;
    Ok(GetObjectTaggingOutput { tag_set: to_set(object.extra.tags), version_id: None })
}

/// Replaces an object's tags.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutObjectTaggingInput,
) -> Result<PutObjectTaggingOutput, Failure> {
    call.begin(Operation::TagObject);
    let (bucket, path) = call.object()?;
    let tags = from_set(input.tagging.tag_set, 10)?;
    call.storage().tag(call.context(), bucket, path, tags).await?;
    Ok(PutObjectTaggingOutput::default())
}

/// Takes all of an object's tags away.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteObjectTaggingInput,
) -> Result<DeleteObjectTaggingOutput, Failure> {
    call.begin(Operation::TagObject);
    let (bucket, path) = call.object()?;
    call.storage().tag(call.context(), bucket, path, Vec::new()).await?;
    Ok(DeleteObjectTaggingOutput::default())
}
