//! What S3 keeps of a bucket and this server never has: asked for, it is not there, or is what a bucket without it has. Tools
//! that read all of a bucket go on. Setting it is refused, as everything is that is not supported.

use file_storage::Operation;
use http::StatusCode;
use s3s::dto::{
    GetBucketAccelerateConfigurationInput, GetBucketAccelerateConfigurationOutput, GetBucketEncryptionInput,
    GetBucketEncryptionOutput, GetBucketLoggingInput, GetBucketLoggingOutput,
    GetBucketNotificationConfigurationInput, GetBucketNotificationConfigurationOutput,
    GetBucketOwnershipControlsInput, GetBucketOwnershipControlsOutput, GetBucketReplicationInput,
    GetBucketReplicationOutput, GetBucketRequestPaymentInput, GetBucketRequestPaymentOutput,
    GetBucketWebsiteInput, GetBucketWebsiteOutput, GetObjectLockConfigurationInput,
    GetObjectLockConfigurationOutput, GetPublicAccessBlockInput, GetPublicAccessBlockOutput, Payer,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Names the functions of what is not there, each with S3's code and words for that.
macro_rules! absent {
    ($($name:ident: $input:ident => $output:ident = $code:literal, $message:literal;)*) => {
        $(pub(in crate::s3) async fn $name(call: Call, _: $input) -> Result<$output, Failure> {
            reach(&call).await?;
            Err(Failure::new(StatusCode::NOT_FOUND, $code, $message))
        })*
    };
}

absent! {
    encryption: GetBucketEncryptionInput => GetBucketEncryptionOutput
        = "ServerSideEncryptionConfigurationNotFoundError", "The server side encryption configuration was not found";
    lock: GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput
        = "ObjectLockConfigurationNotFoundError", "Object Lock configuration does not exist for this bucket";
    ownership: GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput
        = "OwnershipControlsNotFoundError", "The bucket ownership controls were not found";
    public_access: GetPublicAccessBlockInput => GetPublicAccessBlockOutput
        = "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found";
    replication: GetBucketReplicationInput => GetBucketReplicationOutput
        = "ReplicationConfigurationNotFoundError", "The replication configuration was not found";
    website: GetBucketWebsiteInput => GetBucketWebsiteOutput
        = "NoSuchWebsiteConfiguration", "The specified bucket does not have a website configuration";
}

/// Transfers are not accelerated.
pub(in crate::s3) async fn acceleration(
    call: Call,
    _: GetBucketAccelerateConfigurationInput,
) -> Result<GetBucketAccelerateConfigurationOutput, Failure> {
    reach(&call).await?;
    Ok(GetBucketAccelerateConfigurationOutput::default())
}

/// Nothing is logged into a bucket.
pub(in crate::s3) async fn logging(
    call: Call,
    _: GetBucketLoggingInput,
) -> Result<GetBucketLoggingOutput, Failure> {
    reach(&call).await?;
    Ok(GetBucketLoggingOutput::default())
}

/// Nobody is notified.
pub(in crate::s3) async fn notifications(
    call: Call,
    _: GetBucketNotificationConfigurationInput,
) -> Result<GetBucketNotificationConfigurationOutput, Failure> {
    reach(&call).await?;
    Ok(GetBucketNotificationConfigurationOutput::default())
}

/// Nobody pays for a request.
pub(in crate::s3) async fn payer(
    call: Call,
    _: GetBucketRequestPaymentInput,
) -> Result<GetBucketRequestPaymentOutput, Failure> {
    reach(&call).await?;
    Ok(GetBucketRequestPaymentOutput { payer: Some(Payer::from_static(Payer::BUCKET_OWNER)) })
}

/// Only who may look into a bucket learns what it does not have.
async fn reach(call: &Call) -> Result<(), Failure> {
    call.begin(Operation::ShowBucket);
    Ok(call.storage().reach(call.context(), call.bucket()?).await?)
}
