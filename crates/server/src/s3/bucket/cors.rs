//! `?cors` of a bucket: which pages may call it. How they are enforced is in [`crate::s3::cors`].

use file_storage::Operation;
use file_storage::extra::{BucketExtraUpdate, CorsRule};
use http::StatusCode;
use s3s::dto::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput, GetBucketCorsOutput,
    PutBucketCorsInput, PutBucketCorsOutput,
};

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Most rules of a bucket.
const MOST: usize = 100;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// Shows a bucket's rules.
pub(in crate::s3) async fn get(call: Call, _: GetBucketCorsInput) -> Result<GetBucketCorsOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let kept = call.storage().bucket_extra(call.context(), call.bucket()?).await?;
    if kept.cors.is_empty() {
        let message = "The CORS configuration does not exist";
        return Err(Failure::new(StatusCode::NOT_FOUND, "NoSuchCORSConfiguration", message));
    }
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    let shown = kept.cors.into_iter().map(|rule| CORSRule {
        id: rule.id,
        allowed_origins: rule.origins,
        allowed_methods: rule.methods,
        allowed_headers: some(rule.headers),
        expose_headers: some(rule.exposed),
        max_age_seconds: rule.max_age_seconds,
    });
    Ok(GetBucketCorsOutput { cors_rules: Some(shown.collect()) })
}

/// Replaces a bucket's rules.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutBucketCorsInput,
) -> Result<PutBucketCorsOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let given = input.cors_configuration.cors_rules;
    if given.is_empty() || given.len() > MOST {
        return Err(Failure::bad_request("MalformedXML", "A configuration has between 1 and 100 rules"));
    }
    let rules = given.into_iter().map(rule).collect::<Result<_, _>>()?;
    let update = BucketExtraUpdate { cors: Some(rules), tags: None };
    call.storage().update_bucket_extra(call.context(), call.bucket()?, &update).await?;
    Ok(PutBucketCorsOutput::default())
}

fn rule(given: CORSRule) -> Result<CorsRule, Failure> {
    let unsupported = given.allowed_methods.iter().find(|method| !METHODS.contains(&method.as_str()));
    if let Some(method) = unsupported {
        let message = format!("Found unsupported HTTP method in CORS config. Unsupported method is {method}");
        return Err(Failure::invalid(message));
    }
    let patterns = given.allowed_origins.iter().chain(given.allowed_headers.iter().flatten());
    for pattern in patterns {
        if pattern.matches('*').count() > 1 {
            return Err(Failure::invalid(format!("\"{pattern}\" can not have more than one wildcard")));
        }
    }
    if given.allowed_methods.is_empty() || given.allowed_origins.is_empty() {
        return Err(Failure::bad_request("MalformedXML", "A rule names origins and methods"));
    }
    Ok(CorsRule {
        id: given.id,
        origins: given.allowed_origins,
        methods: given.allowed_methods,
        headers: given.allowed_headers.unwrap_or_default(),
        exposed: given.expose_headers.unwrap_or_default(),
        max_age_seconds: given.max_age_seconds,
    })
}

/// Takes a bucket's rules away.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteBucketCorsInput,
) -> Result<DeleteBucketCorsOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let update = BucketExtraUpdate { cors: Some(Vec::new()), tags: None };
    call.storage().update_bucket_extra(call.context(), call.bucket()?, &update).await?;
    Ok(DeleteBucketCorsOutput::default())
}
