//! `?policy`: bucket policies as documents. No document is kept: one that says what a bucket's policy can say becomes that
//! policy, any other is refused with what it is about, and what is shown is what is in force.

use file_storage::bucket::BucketPolicy;
use file_storage::{BucketName, BucketUpdate, Operation};
use http::StatusCode;
use s3s::dto::{
    DeleteBucketPolicyInput, DeleteBucketPolicyOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    PutBucketPolicyInput, PutBucketPolicyOutput,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::s3::call::Call;
use crate::s3::failure::Failure;

/// Most bytes of a document, as S3 has it.
const MAX_BYTES: usize = 20 * 1024;
/// The languages of policies; what differs between them is not supported in either.
const VERSIONS: [&str; 2] = ["2012-10-17", "2008-10-17"];
/// What everybody may do with a public bucket's objects.
const READ: &str = "s3:GetObject";
/// What everybody may do with a public bucket itself.
const LIST: &str = "s3:ListBucket";
const LOCATE: &str = "s3:GetBucketLocation";

/// Shows what the bucket's policy gives, as a document.
pub(in crate::s3) async fn get(
    call: Call,
    _: GetBucketPolicyInput,
) -> Result<GetBucketPolicyOutput, Failure> {
    call.begin(Operation::ShowBucket);
    let bucket = call.storage().bucket(call.context(), call.bucket()?).await?;
    match bucket.config.policy {
        BucketPolicy::Public => Ok(GetBucketPolicyOutput { policy: Some(public(&bucket.name).to_string()) }),
        // To answer that there is none would hide what users may do there.
        BucketPolicy::Authenticated => {
            Err(Failure::not_implemented("The policy of this bucket (authenticated), as a document,"))
        }
        BucketPolicy::Private => {
            let message = "The bucket policy does not exist";
            Err(Failure::new(StatusCode::NOT_FOUND, "NoSuchBucketPolicy", message))
        }
    }
}

/// Changes the bucket's policy to what a document says.
pub(in crate::s3) async fn put(
    call: Call,
    input: PutBucketPolicyInput,
) -> Result<PutBucketPolicyOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    let name = call.bucket()?;
    // Whether the caller may comes first: nobody else is told what is wrong with a document.
    call.storage().bucket_extra(call.context(), name).await?;
    change(&call, parse(&input.policy, name)?).await?;
    Ok(PutBucketPolicyOutput::default())
}

/// Takes away what others may do in a bucket: without a policy, it is its owner's.
pub(in crate::s3) async fn delete(
    call: Call,
    _: DeleteBucketPolicyInput,
) -> Result<DeleteBucketPolicyOutput, Failure> {
    call.begin(Operation::UpdateBucket);
    change(&call, BucketPolicy::Private).await?;
    Ok(DeleteBucketPolicyOutput::default())
}

async fn change(call: &Call, policy: BucketPolicy) -> Result<(), Failure> {
    let update = BucketUpdate { policy: Some(policy), ..BucketUpdate::default() };
    call.storage().update_bucket(call.context(), call.bucket()?, &update).await?;
    Ok(())
}

/// What a public bucket gives to everybody.
pub(in crate::s3) fn public(bucket: &BucketName) -> Value {
    let statement = |id: &str, actions: &[&str], resource: String| json!({ "Sid": id, "Effect": "Allow", "Principal": "*", "Action": actions, "Resource": [resource] });
    let statements = [
        statement("PublicRead", &[READ], format!("{}/*", arn(bucket))),
        statement("PublicList", &[LOCATE, LIST], arn(bucket)),
    ];
    json!({ "Version": VERSIONS[0], "Statement": statements })
}

fn arn(bucket: &BucketName) -> String {
    format!("arn:aws:s3:::{bucket}")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Document {
    version: Option<String>,
    #[serde(rename = "Id")]
    _id: Option<String>,
    statement: OneOrMore<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(rename = "Sid")]
    _sid: Option<String>,
    effect: String,
    principal: Option<Value>,
    not_principal: Option<Value>,
    action: Option<OneOrMore<String>>,
    not_action: Option<Value>,
    resource: Option<OneOrMore<String>>,
    not_resource: Option<Value>,
    condition: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore<T> {
    More(Vec<T>),
    One(T),
}

impl<T> OneOrMore<T> {
    fn all(&self) -> &[T] {
        match self {
            Self::More(all) => all,
            Self::One(one) => std::slice::from_ref(one),
        }
    }
}

fn malformed(what: impl std::fmt::Display) -> Failure {
    Failure::bad_request("MalformedPolicy", format!("The policy is malformed: {what}"))
}

/// The bucket's policy that a document asks for.
///
/// # Errors
/// `MalformedPolicy`, or `NotImplemented` with the part that no bucket's policy has.
pub(in crate::s3) fn parse(json: &str, bucket: &BucketName) -> Result<BucketPolicy, Failure> {
    if json.len() > MAX_BYTES {
        return Err(malformed("it is longer than 20 KB"));
    }
    let document: Document = serde_json::from_str(json).map_err(malformed)?;
    if document.version.is_some_and(|version| !VERSIONS.contains(&version.as_str())) {
        return Err(malformed("Version must be 2012-10-17"));
    }
    if document.statement.all().is_empty() {
        return Err(malformed("it has no Statement"));
    }
    let (mut reads, mut lists) = (false, false);
    for statement in document.statement.all() {
        for action in check(statement, bucket)? {
            reads |= action.eq_ignore_ascii_case(READ);
            lists |= action.eq_ignore_ascii_case(LIST);
        }
    }
    // A public bucket gives both, and a document must not give more than it says.
    match (reads, lists) {
        (true, true) => Ok(BucketPolicy::Public),
        (true, false) => Err(Failure::not_implemented(
            "A bucket that everybody may read and not list (add s3:ListBucket on the bucket to make it public)",
        )),
        (false, _) => Err(Failure::not_implemented("A bucket that everybody may look at and not read")),
    }
}

/// Refuses what a statement can't mean here; gives the actions that it lets everybody do.
fn check<'s>(statement: &'s Statement, bucket: &BucketName) -> Result<&'s [String], Failure> {
    match statement.effect.as_str() {
        "Allow" => {}
        "Deny" => return Err(Failure::not_implemented("A statement that denies")),
        _ => return Err(malformed("Effect must be Allow or Deny")),
    }
    if statement.not_principal.is_some() {
        return Err(malformed("NotPrincipal goes with Deny alone"));
    }
    let negations = [
        (&statement.not_action, "NotAction in a bucket policy"),
        (&statement.not_resource, "NotResource in a bucket policy"),
    ];
    if let Some((_, what)) = negations.into_iter().find(|(value, _)| value.is_some()) {
        return Err(Failure::not_implemented(what));
    }
    if statement.condition.as_ref().is_some_and(|condition| !condition.is_empty()) {
        return Err(Failure::not_implemented("Condition in a bucket policy"));
    }
    let principal = statement.principal.as_ref().ok_or_else(|| malformed("a statement has no Principal"))?;
    if !is_everybody(principal) {
        return Err(Failure::not_implemented("A principal other than everybody (\"*\")"));
    }
    let (objects, itself) = resources(statement, bucket)?;
    let actions = statement.action.as_ref().map(OneOrMore::all).unwrap_or_default();
    if actions.is_empty() {
        return Err(malformed("a statement has no Action"));
    }
    for action in actions {
        let is_read = action.eq_ignore_ascii_case(READ);
        if !is_read && ![LIST, LOCATE].iter().any(|known| action.eq_ignore_ascii_case(known)) {
            return Err(Failure::not_implemented(format_args!("The action {action:?} for everybody")));
        }
        let applies = if is_read { objects } else { itself };
        if !applies {
            return Err(malformed(format_args!(
                "{action:?} does not apply to any resource of its statement"
            )));
        }
    }
    Ok(actions)
}

fn is_everybody(principal: &Value) -> bool {
    let is_star = |value: &Value| value.as_str() == Some("*");
    match principal {
        Value::Object(kinds) if kinds.len() == 1 => match kinds.get("AWS") {
            Some(Value::Array(all)) => !all.is_empty() && all.iter().all(is_star),
            Some(one) => is_star(one),
            None => false,
        },
        value => is_star(value),
    }
}

/// Whether a statement is about the bucket's objects, and about the bucket itself.
fn resources(statement: &Statement, bucket: &BucketName) -> Result<(bool, bool), Failure> {
    let all = statement.resource.as_ref().map(OneOrMore::all).unwrap_or_default();
    if all.is_empty() {
        return Err(malformed("a statement has no Resource"));
    }
    let (mut objects, mut itself) = (false, false);
    for resource in all {
        match resource.strip_prefix(&arn(bucket)) {
            Some("") => itself = true,
            Some("/*") => objects = true,
            Some(rest) if rest.starts_with('/') => {
                return Err(Failure::not_implemented("A part of a bucket as Resource"));
            }
            Some(_) | None => return Err(malformed("Policy has invalid resource: it is of another bucket")),
        }
    }
    Ok((objects, itself))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_statement(statement: &Value) -> Result<BucketPolicy, &'static str> {
        let list = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::b" });
        let document = json!({ "Version": "2012-10-17", "Statement": [statement, list] });
        parse(&document.to_string(), &BucketName::parse("b").unwrap()).map_err(|failure| failure.code())
    }

    /// Reading for everybody, with members changed; `null` takes one away.
    fn read(changes: &Value) -> Value {
        let mut statement = json!({ "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
            "Resource": "arn:aws:s3:::b/*" });
        for (name, value) in changes.as_object().unwrap() {
            statement[name] = value.clone();
        }
        statement.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        statement
    }

    #[test]
    fn what_everybody_may_read_is_public_and_is_shown_as_what_it_is() {
        let bucket = BucketName::parse("b").unwrap();
        assert_eq!(parse(&public(&bucket).to_string(), &bucket).unwrap(), BucketPolicy::Public);
        for changes in [
            json!({}),
            json!({ "Sid": "x", "Principal": { "AWS": "*" }, "Action": ["S3:getobject"], "Condition": {} }),
            json!({ "Principal": { "AWS": ["*"] }, "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
                "Action": ["s3:GetObject", "s3:ListBucket"] }),
        ] {
            assert_eq!(parse_statement(&read(&changes)), Ok(BucketPolicy::Public), "{changes}");
        }
        let both = json!({ "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            "Action": ["s3:GetObject", "s3:ListBucket"] });
        let one = json!({ "Statement": read(&both) }).to_string();
        assert_eq!(parse(&one, &bucket).unwrap(), BucketPolicy::Public);
    }

    #[test]
    fn a_document_gives_no_more_than_it_says() {
        let bucket = BucketName::parse("b").unwrap();
        let location = json!({ "Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/*"],
            "Action": ["s3:GetObject", "s3:GetBucketLocation"] });
        for changes in [json!({}), location] {
            let one = json!({ "Statement": read(&changes) }).to_string();
            assert_eq!(parse(&one, &bucket).unwrap_err().code(), "NotImplemented", "{changes}");
        }
    }

    #[test]
    fn what_no_bucket_has_is_not_implemented() {
        for changes in [
            json!({ "Effect": "Deny" }),
            json!({ "Principal": { "AWS": "arn:aws:iam::1:root" } }),
            json!({ "Principal": { "AWS": ["*", "1"] } }),
            json!({ "Principal": { "AWS": [] } }),
            json!({ "Principal": { "AWS": "*", "Service": "x" } }),
            json!({ "Principal": { "CanonicalUser": "*" } }),
            json!({ "Action": "s3:*" }),
            json!({ "Action": "*" }),
            json!({ "Action": ["s3:GetObject", "s3:PutObject"] }),
            json!({ "NotAction": "s3:PutObject" }),
            json!({ "Resource": "arn:aws:s3:::b/public/*" }),
            json!({ "NotResource": "arn:aws:s3:::b/x" }),
            json!({ "Condition": { "IpAddress": { "aws:SourceIp": "10.0.0.0/8" } } }),
            json!({ "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b" }),
        ] {
            assert_eq!(parse_statement(&read(&changes)), Err("NotImplemented"), "{changes}");
        }
    }

    #[test]
    fn what_is_no_policy_is_malformed() {
        for changes in [
            json!({ "Effect": "Perhaps" }),
            json!({ "Principal": null }),
            json!({ "NotPrincipal": "*" }),
            json!({ "Action": null }),
            json!({ "Action": [] }),
            json!({ "Action": [1] }),
            json!({ "Resource": null }),
            json!({ "Resource": "*" }),
            json!({ "Resource": "arn:aws:s3:::bb/*" }),
            json!({ "Resource": "arn:aws:s3:::b" }),
            json!({ "Action": "s3:ListBucket" }),
            json!({ "Unknown": 1 }),
        ] {
            assert_eq!(parse_statement(&read(&changes)), Err("MalformedPolicy"), "{changes}");
        }
        let bucket = BucketName::parse("b").unwrap();
        let twice = r#"{"Statement":{"Effect":"Deny","Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}"#;
        let long = format!("{}{}", " ".repeat(MAX_BYTES), public(&bucket));
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"Statement":[]}"#,
            r#"{"Version":"2020-01-01","Statement":[]}"#,
            twice,
            &long,
        ] {
            assert_eq!(parse(bad, &bucket).unwrap_err().code(), "MalformedPolicy", "{bad}");
        }
    }
}
