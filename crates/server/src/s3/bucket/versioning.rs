//! `?versioning` of a bucket.

use file_storage::{BucketUpdate, Operation, Versioning};
use s3s::dto::{
    BucketVersioningStatus, GetBucketVersioningInput, GetBucketVersioningOutput, MFADelete,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Says whether a bucket keeps versions: nothing, where it never did.
pub(in crate::s3) async fn get(
    call: Call,
    _: GetBucketVersioningInput,
) -> Result<GetBucketVersioningOutput, Failure> {
    call.begin(Operation::ShowBucket);
    let bucket = call.storage().bucket(call.context(), call.bucket()?).await?;
    let status = match bucket.config.versioning {
        Versioning::Off => None,
        Versioning::Enabled => Some(BucketVersioningStatus::ENABLED),
        Versioning::Suspended => Some(BucketVersioningStatus::SUSPENDED),
    };
    let status = status.map(BucketVersioningStatus::from_static);
    Ok(GetBucketVersioningOutput { status, ..Default::default() })
}

/// Has a bucket keep versions, or not any more.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutBucketVersioningInput,
) -> Result<PutBucketVersioningOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let asked = input.versioning_configuration;
    if asked.mfa_delete.as_ref().is_some_and(|asked| asked.as_str() != MFADelete::DISABLED) {
        return Err(Failure::not_implemented("Multi-factor authentication"));
    }
    let versioning = match asked.status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        _ => {
            let message = "The versioning configuration specified in the request is invalid";
            return Err(Failure::bad_request("IllegalVersioningConfigurationException", message));
        }
    };
    let update = BucketUpdate { versioning: Some(versioning), ..BucketUpdate::default() };
    call.storage().update_bucket(call.context(), call.bucket()?, &update).await?;
    Ok(PutBucketVersioningOutput::default())
}
