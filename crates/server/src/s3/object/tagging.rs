//! `?tagging` of an object.

use file_storage::Operation;
use file_storage::extra::Tag;
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
    let version_id = call.told_version(&object);
    Ok(GetObjectTaggingOutput { tag_set: to_set(object.extra.tags), version_id })
}

/// Replaces an object's tags.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutObjectTaggingInput,
) -> Result<PutObjectTaggingOutput, Failure> {
    call.begin(Operation::TagObject);
    let tags = from_set(input.tagging.tag_set, 10)?;
    let version_id = replace(&call, tags).await?;
    Ok(PutObjectTaggingOutput { version_id })
}

/// Takes all of an object's tags away.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteObjectTaggingInput,
) -> Result<DeleteObjectTaggingOutput, Failure> {
    call.begin(Operation::TagObject);
    let version_id = replace(&call, Vec::new()).await?;
    Ok(DeleteObjectTaggingOutput { version_id })
}

/// Replaces the tags of the object, or of the version that is named; tells the version.
async fn replace(call: &Call, tags: Vec<Tag>) -> Result<Option<String>, Failure> {
    let (bucket, path) = call.object()?;
    let (storage, context) = (call.storage(), call.context());
    let tagged = match call.version()? {
        None => storage.tag(context, bucket, path, tags).await?,
        Some(version) => storage.tag_version(context, bucket, path, version, tags).await?,
    };
    Ok(call.told_version(&tagged))
}
