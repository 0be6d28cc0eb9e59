//! Buckets themselves.

use file_storage::bucket::NameRules;
use file_storage::executor::{BucketListing, BucketSort, SortOrder};
use file_storage::permissions::Role;
use file_storage::{BucketConfig, BucketName, Operation, StorageError};
use http::StatusCode;
use s3s::dto::{
    Bucket, BucketCannedACL, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput,
    DeleteBucketInput, DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput,
};

use super::timestamp;
use crate::rest::Dialect;
use crate::s3::call::Call;
use crate::s3::failure::Failure;
use crate::s3::object::acl;

/// Most buckets of an answer.
const MOST: u32 = 10_000;
/// The region that S3 calls by no name.
const NAMELESS_REGION: &str = "us-east-1";

/// Makes a bucket.
pub(in crate::s3) async fn create(
    call: Call,
    input: CreateBucketInput,
) -> Result<CreateBucketOutput, Failure> {
    call.begin(Operation::CreateBucket);
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(Failure::not_implemented("Object lock"));
    }
    let rules = match Dialect::of(call.app()) {
        Dialect::Native => NameRules::Native,
        Dialect::Supabase => NameRules::Supabase,
    };
    let name = BucketName::parse_new(call.bucket()?.as_str(), rules)?;
    let place = input.create_bucket_configuration.and_then(|given| given.location_constraint);
    if let Some(place) = place.as_ref().map(BucketLocationConstraint::as_str)
        && !place.is_empty()
        && place != call.app().config.s3.region
        && Some(place) != call.region()
    {
        let message = "The specified location constraint is not valid";
        return Err(Failure::bad_request("InvalidLocationConstraint", message));
    }
    let policy = input.acl.as_ref().map(BucketCannedACL::as_str).map(acl::policy_of).transpose()?;
    let config = BucketConfig { policy: policy.unwrap_or_default(), ..BucketConfig::default() };
    match call.storage().create_bucket(call.context(), &name, &config).await {
        Ok(_) => Ok(CreateBucketOutput { location: Some(format!("/{name}")) }),
        Err(StorageError::BucketExists { .. }) => Err(taken(&call, &name).await),
        Err(error) => Err(error.into()),
    }
}

/// A name that is taken: by the caller, or by somebody else.
async fn taken(call: &Call, name: &BucketName) -> Failure {
    let owner = call.storage().bucket(call.context(), name).await.ok().map(|bucket| bucket.owner_id);
    if owner == Some(call.context().user_id()) {
        let message = "Your previous request to create the named bucket succeeded and you already own it";
        return Failure::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", message);
    }
    StorageError::BucketExists { bucket: name.clone() }.into()
}

/// Whether the caller may look into a bucket.
pub(in crate::s3) async fn head(call: Call, _: HeadBucketInput) -> Result<HeadBucketOutput, Failure> {
    call.begin(Operation::ShowBucket);
    call.storage().reach(call.context(), call.bucket()?).await?;
    let region = call.app().config.s3.region.clone();
    Ok(HeadBucketOutput { bucket_region: Some(region), ..Default::default() })
}

/// Deletes an empty bucket.
pub(in crate::s3) async fn delete(call: Call, _: DeleteBucketInput) -> Result<DeleteBucketOutput, Failure> {
    call.begin(Operation::DeleteBucket);
    call.storage().delete_bucket(call.context(), call.bucket()?, false).await?;
    Ok(DeleteBucketOutput::default())
}

/// Where a bucket is.
pub(in crate::s3) async fn location(
    call: Call,
    _: GetBucketLocationInput,
) -> Result<GetBucketLocationOutput, Failure> {
    call.begin(Operation::ShowBucket);
    call.storage().reach(call.context(), call.bucket()?).await?;
    let region = &call.app().config.s3.region;
    let named = (region != NAMELESS_REGION).then(|| BucketLocationConstraint::from(region.clone()));
    Ok(GetBucketLocationOutput { location_constraint: named })
}

/// Lists the buckets that the caller may see.
pub(in crate::s3) async fn list(call: Call, input: ListBucketsInput) -> Result<ListBucketsOutput, Failure> {
    call.begin(Operation::ListBuckets);
    if !call.is_signed() && call.context().role() == Role::Anon {
        return Err(Failure::denied("Access Denied"));
    }
    let most = input.max_buckets.unwrap_or(i32::MAX);
    if most < 1 {
        return Err(Failure::argument("Argument max-buckets must be an integer between 1 and 10000"));
    }
    let all = BucketListing {
        limit: MOST,
        offset: 0,
        sort: (BucketSort::Name, SortOrder::Ascending),
        search: input.prefix.clone().unwrap_or_default(),
    };
    let found = call.storage().list_buckets(call.context(), &all).await?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let after = input.continuation_token.as_deref().unwrap_or_default();
    let mut named = found
        .into_iter()
        .filter(|bucket| bucket.name.as_str().starts_with(prefix) && bucket.name.as_str() > after);
    let buckets: Vec<_> = named.by_ref().take(usize::try_from(most).unwrap_or(usize::MAX)).collect();
    let more = named.next().is_some();
    let next = buckets.last().filter(|_| more).map(|last| last.name.to_string());
    let shown = buckets.into_iter().map(|bucket| Bucket {
        name: Some(bucket.name.to_string()),
        creation_date: Some(timestamp(bucket.created_at)),
        ..Default::default()
    });
    Ok(ListBucketsOutput {
        buckets: Some(shown.collect()),
        owner: Some(acl::owner(call.context().user_id())),
        continuation_token: next,
        prefix: input.prefix,
    })
}
