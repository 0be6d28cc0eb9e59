//! What was set, as lines of the audit log tell it, so that they say what a rule said that is gone. Nothing that opens anything:
//! no secret of a webhook or a key, and of a URL neither the user nor the query.

use serde_json::{Value, json};

use crate::bucket::{BucketConfig, BucketName, BucketUpdate, MimePattern};
use crate::credentials::Credential;
use crate::executor::NewJob;
use crate::lifecycle::LifecycleRule;
use crate::permissions::Policy;
use crate::webhooks::{Webhook, WebhookUpdate};

/// What a lifecycle rule says, and who made it.
pub(super) fn of_rule(rule: &LifecycleRule) -> Value {
    json!({ "source": rule.source.as_str(), "spec": rule.spec })
}

/// The statement that made a policy.
pub(super) fn of_policy(policy: &Policy) -> Value {
    json!({ "definition": &*policy.definition })
}

/// Where a webhook's messages go, and of what they tell.
pub(super) fn of_webhook(webhook: &Webhook) -> Value {
    json!({
        "url": place_of(&webhook.url),
        "kinds": webhook.kinds,
        "bucket": webhook.bucket.as_ref().map(BucketName::as_str),
        "prefix": webhook.prefix,
        "status": webhook.status.as_str(),
    })
}

/// What of a webhook is another now.
pub(super) fn of_webhook_update(update: &WebhookUpdate) -> Value {
    given([
        ("url", update.url.as_deref().map(|url| json!(place_of(url)))),
        ("kinds", update.kinds.as_ref().map(|kinds| json!(kinds))),
        ("bucket", update.bucket.as_ref().map(|bucket| json!(bucket.as_ref().map(BucketName::as_str)))),
        ("prefix", update.prefix.as_ref().map(|prefix| json!(prefix))),
        ("enabled", update.enabled.map(Value::from)),
    ])
}

/// A bucket's configuration.
pub(super) fn of_bucket(config: &BucketConfig) -> Value {
    json!({
        "policy": config.policy.as_str(),
        "allowed_mime_types": config.allowed_mime_types.as_deref().map(patterns),
        "max_file_size": config.max_file_size,
        "quota_bytes": config.quota_bytes,
        "versioning": config.versioning.as_str(),
    })
}

/// What of it is another now.
pub(super) fn of_bucket_update(update: &BucketUpdate) -> Value {
    let mimes = update.allowed_mime_types.as_ref();
    given([
        ("policy", update.policy.map(|policy| json!(policy.as_str()))),
        ("allowed_mime_types", mimes.map(|mimes| json!(mimes.as_deref().map(patterns)))),
        ("max_file_size", update.max_file_size.map(Value::from)),
        ("quota_bytes", update.quota_bytes.map(|quota| json!(quota))),
        ("versioning", update.versioning.map(|versioning| json!(versioning.as_str()))),
    ])
}

/// Who acts by a key.
pub(super) fn of_credential(credential: &Credential) -> Value {
    json!({
        "name": credential.name,
        "role": credential.role.as_str(),
        "user_id": credential.user_id,
        "enabled": credential.enabled,
    })
}

/// To what a job does what it does.
pub(super) fn of_job(job: &NewJob) -> Value {
    json!({ "params": job.params, "dry_run": job.dry_run })
}

fn patterns(mimes: &[MimePattern]) -> Vec<&str> {
    mimes.iter().map(MimePattern::as_str).collect()
}

/// The parts that there are.
fn given<const N: usize>(parts: [(&str, Option<Value>); N]) -> Value {
    let there = parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), part?)));
    Value::Object(there.collect())
}

/// A URL without the user and the query in it; nothing of what is no URL.
fn place_of(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else { return String::new() };
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_neither_the_user_nor_the_query_is_told() {
        for (url, told) in [
            (
                "https://me:secret@hooks.example.com:8443/a/b?token=secret#secret",
                "https://hooks.example.com:8443/a/b",
            ),
            ("https://me:sec@ret@host/a@b", "https://host/a@b"),
            ("https://host?token=secret", "https://host"),
            ("http://[::1]:80\\me@secret", "http://[::1]:80\\me@secret"),
            ("me:secret@host", ""),
        ] {
            assert_eq!(place_of(url), told, "{url}");
        }
    }

    #[test]
    fn what_is_not_another_is_not_told() {
        let update = BucketUpdate { quota_bytes: Some(None), ..BucketUpdate::default() };
        assert_eq!(of_bucket_update(&update), json!({ "quota_bytes": null }));
        let update = WebhookUpdate { enabled: Some(false), ..WebhookUpdate::default() };
        assert_eq!(of_webhook_update(&update), json!({ "enabled": false }));
    }
}
