//! Access control lists of buckets, and whether they are public.

use file_storage::bucket::BucketPolicy;
use file_storage::{BucketUpdate, Operation};
use s3s::dto::{
    BucketCannedACL, GetBucketAclInput, GetBucketAclOutput, GetBucketPolicyStatusInput,
    GetBucketPolicyStatusOutput, PolicyStatus, PutBucketAclInput, PutBucketAclOutput,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::acl::{grants, owner, policy_of, policy_of_grants};

/// Shows what the bucket's policy gives.
pub(in crate::s3) async fn get(call: Call, _: GetBucketAclInput) -> Result<GetBucketAclOutput, Failure> {
    call.begin(Operation::ShowBucket);
    let bucket = call.storage().bucket(call.context(), call.bucket()?).await?;
    let owner = owner(bucket.owner_id);
    Ok(GetBucketAclOutput { grants: Some(grants(&bucket, &owner)), owner: Some(owner) })
}

/// Changes the bucket's policy.
pub(in crate::s3) async fn put(call: Call, input: PutBucketAclInput) -> Result<PutBucketAclOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let policy = match (input.acl.as_ref().map(BucketCannedACL::as_str), input.access_control_policy) {
        (Some(canned), _) => policy_of(canned)?,
        (None, Some(document)) => {
            let bucket = call.storage().bucket(call.context(), call.bucket()?).await?;
            policy_of_grants(document, &owner(bucket.owner_id))?
        }
        (None, None) => return Err(Failure::invalid("An access control list is missing")),
    };
    let update = BucketUpdate { policy: Some(policy), ..BucketUpdate::default() };
    call.storage().update_bucket(call.context(), call.bucket()?, &update).await?;
    Ok(PutBucketAclOutput::default())
}

/// Whether anybody may read it.
pub(in crate::s3) async fn status(
    call: Call,
    _: GetBucketPolicyStatusInput,
) -> Result<GetBucketPolicyStatusOutput, Failure> {
    call.begin(Operation::ShowBucket);
    let bucket = call.storage().bucket(call.context(), call.bucket()?).await?;
    let is_public = Some(bucket.config.policy == BucketPolicy::Public);
    Ok(GetBucketPolicyStatusOutput { policy_status: Some(PolicyStatus { is_public }) })
}
