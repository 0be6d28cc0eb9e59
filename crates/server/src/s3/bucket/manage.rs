//! Buckets themselves.

use file_storage::bucket::NameRules;
use file_storage::executor::BucketListing;
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
use crate::s3::object::{Names, acl};

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
    let given = input.create_bucket_configuration.unwrap_or_default();
    if given.bucket.is_some() || given.location.is_some() {
        return Err(Failure::not_implemented("A bucket of another type"));
    }
    let place = given.location_constraint;
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

/// Lists the buckets of the caller, as far as that is a user, and those of the application, as far as the caller may see them.
/// Other users' public buckets are read, and not listed.
pub(in crate::s3) async fn list(call: Call, input: ListBucketsInput) -> Result<ListBucketsOutput, Failure> {
    call.begin(Operation::ListBuckets);
    if !call.is_signed() && call.context().role() == Role::Anon {
        return Err(Failure::denied("Access Denied"));
    }
    let most =
        input.max_buckets.map_or(Ok(MOST), u32::try_from).ok().filter(|most| (1..=MOST).contains(most));
    let most = most.ok_or_else(|| {
        Failure::argument(format!("Argument max-buckets must be an integer between 1 and {MOST}"))
    })?;
    let prefix = input.prefix.clone().unwrap_or_default();
    Names::plain().check("prefix", &prefix)?;
    let after = input.continuation_token.unwrap_or_default();
    let of_user = call.context().user_id();
    let listing = BucketListing { limit: most + 1, prefix, after, of_user, ..BucketListing::default() };
    let mut buckets = call.storage().list_buckets(call.context(), &listing).await?;
    let more = buckets.len() > most as usize;
    buckets.truncate(most as usize);
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
