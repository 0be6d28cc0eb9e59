//! Access control lists: what the bucket's policy gives, told in S3's words. What it does not give can't be set.

use file_storage::bucket::BucketPolicy;
use file_storage::{Bucket, Operation};
use http::HeaderMap;
use s3s::dto::{
    AccessControlPolicy, GetObjectAclInput, GetObjectAclOutput, Grant, Grantee, Owner, Permission,
    PutObjectAclInput, PutObjectAclOutput, Type,
};
use uuid::Uuid;

use crate::s3::call::Call;
use crate::s3::failure::Failure;

const ALL_USERS: &str = "http://acs.amazonaws.com/groups/global/AllUsers";
const AUTHENTICATED_USERS: &str = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";

/// The lists of S3 that a bucket's policy has no equal to.
const CANNED: [&str; 6] = [
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "log-delivery-write",
    "bucket-owner-read",
    "bucket-owner-full-control",
];

/// Who owns what has no user: the application's own backend.
const SERVICE: &str = "service";

/// An owner in S3's words.
pub(in crate::s3) fn owner(user: Option<Uuid>) -> Owner {
    let id = user.map_or_else(|| SERVICE.to_owned(), |user| user.to_string());
    Owner { display_name: Some(id.clone()), id: Some(id) }
}

/// Who may do what in a bucket.
pub(in crate::s3) fn grants(bucket: &Bucket, owner: &Owner) -> Vec<Grant> {
    let grantee = |type_: &'static str, id: Option<String>, uri: Option<&str>| Grantee {
        display_name: id.clone(),
        email_address: None,
        id,
        type_: Type::from_static(type_),
        uri: uri.map(str::to_owned),
    };
    let group = |uri, permission| Grant {
        grantee: Some(grantee(Type::GROUP, None, Some(uri))),
        permission: Some(Permission::from_static(permission)),
    };
    let mut grants = match bucket.config.policy {
        BucketPolicy::Private => Vec::new(),
        BucketPolicy::Public => vec![group(ALL_USERS, Permission::READ)],
        BucketPolicy::Authenticated => {
            vec![group(AUTHENTICATED_USERS, Permission::READ), group(AUTHENTICATED_USERS, Permission::WRITE)]
        }
    };
    grants.push(Grant {
        grantee: Some(grantee(Type::CANONICAL_USER, owner.id.clone(), None)),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    });
    grants
}

/// The policy of a canned list, as far as there is one.
pub(in crate::s3) fn policy_of(canned: &str) -> Result<BucketPolicy, Failure> {
    match canned {
        "private" => Ok(BucketPolicy::Private),
        "public-read" => Ok(BucketPolicy::Public),
        known if CANNED.contains(&known) => {
            Err(Failure::not_implemented(format!("The access control list '{known}'")))
        }
        _ => Err(Failure::argument("The access control list is none that S3 knows")),
    }
}

/// The policy that a document of grants stands for, as far as there is one. By name it grants to the owner alone, whose rights
/// nobody can take.
pub(in crate::s3) fn policy_of_grants(
    document: AccessControlPolicy,
    owner: &Owner,
) -> Result<BucketPolicy, Failure> {
    if document.owner.and_then(|named| named.id).is_some_and(|id| Some(id) != owner.id) {
        return Err(Failure::not_implemented("Giving to another owner"));
    }
    let (mut policy, mut keeps_owner) = (BucketPolicy::Private, false);
    for grant in document.grants.unwrap_or_default() {
        let permission = grant.permission.as_ref().map(Permission::as_str);
        let grantee = grant.grantee.as_ref();
        let uri = grantee.and_then(|grantee| grantee.uri.as_deref());
        let is_owner = grantee.is_some_and(|grantee| grantee.id.is_some() && grantee.id == owner.id);
        match (permission, uri) {
            (Some(Permission::FULL_CONTROL), None) if is_owner => keeps_owner = true,
            (Some(Permission::READ), Some(ALL_USERS)) => policy = BucketPolicy::Public,
            _ => {
                return Err(Failure::not_implemented(
                    "An access control list beyond private and public-read",
                ));
            }
        }
    }
    match keeps_owner {
        true => Ok(policy),
        false => Err(Failure::not_implemented("An access control list without its owner's FULL_CONTROL")),
    }
}

/// Refuses a canned list for an object that is not what its bucket gives.
pub(in crate::s3) fn check_canned(bucket: &Bucket, headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("x-amz-acl").and_then(|value| value.to_str().ok()) {
        None => Ok(()),
        Some(canned) => check_word(bucket, canned),
    }
}

fn check_word(bucket: &Bucket, canned: &str) -> Result<(), Failure> {
    match canned {
        // The bucket's owner has all of it in any case.
        "bucket-owner-full-control" | "bucket-owner-read" => Ok(()),
        canned if policy_of(canned)? == bucket.config.policy => Ok(()),
        canned => {
            let message = format!("The bucket's policy decides about its objects, and it is not '{canned}'");
            Err(Failure::bad_request("AccessControlListNotSupported", message))
        }
    }
}

/// `GET ?acl` of an object.
pub(in crate::s3) async fn get(call: Call, _input: GetObjectAclInput) -> Result<GetObjectAclOutput, Failure> {
    call.begin(Operation::Info);
    let object = call.info().await?;
    let bucket = call.storage().bucket(call.context(), &object.bucket).await?;
    let owner = owner(object.owner_id);
    Ok(GetObjectAclOutput { grants: Some(grants(&bucket, &owner)), owner: Some(owner), ..Default::default() })
}

/// `PUT ?acl` of an object: what it is already, and nothing else.
pub(in crate::s3) async fn put(call: Call, input: PutObjectAclInput) -> Result<PutObjectAclOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let object = call.info().await?;
    let bucket = call.storage().bucket(call.context(), &object.bucket).await?;
    match (input.acl, input.access_control_policy) {
        (Some(canned), _) => check_word(&bucket, canned.as_str())?,
        (None, Some(policy)) => {
            if policy_of_grants(policy, &owner(object.owner_id))? != bucket.config.policy {
                let message = "The bucket's policy decides about its objects";
                return Err(Failure::bad_request("AccessControlListNotSupported", message));
            }
        }
        (None, None) => return Err(Failure::invalid("An access control list is missing")),
    }
    Ok(PutObjectAclOutput::default())
}
