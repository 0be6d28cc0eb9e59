//! The operations whose requests or answers are XML: each is a function elsewhere, and this says which.

use std::future::Future;

#[allow(clippy::wildcard_imports, reason = "two types of each operation below, and nothing else")]
use s3s::dto::*;
use s3s::{S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::call::Call;
use super::failure::Failure;
use super::{bucket, multipart, object};

/// The operations. What is not here answers `NotImplemented`.
pub(super) struct Operations;

/// Runs an operation for the call that its request belongs to.
async fn run<I, O, F>(request: S3Request<I>, operation: impl FnOnce(Call, I) -> F) -> S3Result<S3Response<O>>
where
    F: Future<Output = Result<O, Failure>>,
{
    let Some(call) = request.extensions.get::<Call>().cloned() else {
        return Err(S3Error::new(S3ErrorCode::InternalError));
    };
    match operation(call.clone(), request.input).await {
        Ok(output) => Ok(S3Response::new(output)),
        Err(failure) => {
            call.fail(failure);
            Err(S3Error::new(S3ErrorCode::InternalError))
        }
    }
}

/// Names the function of each operation.
macro_rules! operations {
    ($($name:ident: $input:ident => $output:ident = $function:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                run(request, $function).await
            })*
        }
    };
}

operations! {
    list_buckets: ListBucketsInput => ListBucketsOutput = bucket::manage::list;
    create_bucket: CreateBucketInput => CreateBucketOutput = bucket::manage::create;
    head_bucket: HeadBucketInput => HeadBucketOutput = bucket::manage::head;
    delete_bucket: DeleteBucketInput => DeleteBucketOutput = bucket::manage::delete;
    get_bucket_location: GetBucketLocationInput => GetBucketLocationOutput = bucket::manage::location;
    get_bucket_versioning: GetBucketVersioningInput => GetBucketVersioningOutput = bucket::versioning::get;
    put_bucket_versioning: PutBucketVersioningInput => PutBucketVersioningOutput = bucket::versioning::put;
    get_bucket_acl: GetBucketAclInput => GetBucketAclOutput = bucket::acl::get;
    put_bucket_acl: PutBucketAclInput => PutBucketAclOutput = bucket::acl::put;
    get_bucket_policy: GetBucketPolicyInput => GetBucketPolicyOutput = bucket::policy::get;
    put_bucket_policy: PutBucketPolicyInput => PutBucketPolicyOutput = bucket::policy::put;
    delete_bucket_policy: DeleteBucketPolicyInput => DeleteBucketPolicyOutput = bucket::policy::delete;
    get_bucket_policy_status: GetBucketPolicyStatusInput => GetBucketPolicyStatusOutput = bucket::acl::status;
    get_bucket_tagging: GetBucketTaggingInput => GetBucketTaggingOutput = bucket::tagging::get;
    put_bucket_tagging: PutBucketTaggingInput => PutBucketTaggingOutput = bucket::tagging::put;
    delete_bucket_tagging: DeleteBucketTaggingInput => DeleteBucketTaggingOutput = bucket::tagging::delete;
    get_bucket_cors: GetBucketCorsInput => GetBucketCorsOutput = bucket::cors::get;
    put_bucket_cors: PutBucketCorsInput => PutBucketCorsOutput = bucket::cors::put;
    delete_bucket_cors: DeleteBucketCorsInput => DeleteBucketCorsOutput = bucket::cors::delete;
    get_bucket_lifecycle_configuration: GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput = bucket::lifecycle::get;
    put_bucket_lifecycle_configuration: PutBucketLifecycleConfigurationInput => PutBucketLifecycleConfigurationOutput = bucket::lifecycle::put;
    delete_bucket_lifecycle: DeleteBucketLifecycleInput => DeleteBucketLifecycleOutput = bucket::lifecycle::delete;
    get_bucket_accelerate_configuration: GetBucketAccelerateConfigurationInput => GetBucketAccelerateConfigurationOutput = bucket::absent::acceleration;
    get_bucket_encryption: GetBucketEncryptionInput => GetBucketEncryptionOutput = bucket::absent::encryption;
    get_object_lock_configuration: GetObjectLockConfigurationInput => GetObjectLockConfigurationOutput = bucket::absent::lock;
    get_bucket_logging: GetBucketLoggingInput => GetBucketLoggingOutput = bucket::absent::logging;
    get_bucket_notification_configuration: GetBucketNotificationConfigurationInput => GetBucketNotificationConfigurationOutput = bucket::absent::notifications;
    get_bucket_ownership_controls: GetBucketOwnershipControlsInput => GetBucketOwnershipControlsOutput = bucket::absent::ownership;
    get_bucket_request_payment: GetBucketRequestPaymentInput => GetBucketRequestPaymentOutput = bucket::absent::payer;
    get_public_access_block: GetPublicAccessBlockInput => GetPublicAccessBlockOutput = bucket::absent::public_access;
    get_bucket_replication: GetBucketReplicationInput => GetBucketReplicationOutput = bucket::absent::replication;
    get_bucket_website: GetBucketWebsiteInput => GetBucketWebsiteOutput = bucket::absent::website;
    list_objects: ListObjectsInput => ListObjectsOutput = object::list::v1;
    list_objects_v2: ListObjectsV2Input => ListObjectsV2Output = object::list::v2;
    list_object_versions: ListObjectVersionsInput => ListObjectVersionsOutput = object::versions::list;
    copy_object: CopyObjectInput => CopyObjectOutput = object::copy::copy;
    delete_object: DeleteObjectInput => DeleteObjectOutput = object::delete::one;
    delete_objects: DeleteObjectsInput => DeleteObjectsOutput = object::delete::many;
    get_object_tagging: GetObjectTaggingInput => GetObjectTaggingOutput = object::tagging::get;
    put_object_tagging: PutObjectTaggingInput => PutObjectTaggingOutput = object::tagging::put;
    delete_object_tagging: DeleteObjectTaggingInput => DeleteObjectTaggingOutput = object::tagging::delete;
    get_object_acl: GetObjectAclInput => GetObjectAclOutput = object::acl::get;
    put_object_acl: PutObjectAclInput => PutObjectAclOutput = object::acl::put;
    create_multipart_upload: CreateMultipartUploadInput => CreateMultipartUploadOutput = multipart::create::create;
    upload_part_copy: UploadPartCopyInput => UploadPartCopyOutput = multipart::copy_part::copy_part;
    list_parts: ListPartsInput => ListPartsOutput = multipart::list::parts;
    list_multipart_uploads: ListMultipartUploadsInput => ListMultipartUploadsOutput = multipart::list::uploads;
    complete_multipart_upload: CompleteMultipartUploadInput => CompleteMultipartUploadOutput = multipart::complete::complete;
    abort_multipart_upload: AbortMultipartUploadInput => AbortMultipartUploadOutput = multipart::abort;
    get_object_attributes: GetObjectAttributesInput => GetObjectAttributesOutput = object::attributes::get;
}
