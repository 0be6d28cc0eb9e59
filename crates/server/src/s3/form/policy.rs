//! A form's policy: what its author allowed, until when. Every field must be allowed, and every condition must hold.

use chrono::{DateTime, NaiveDateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::s3::failure::Failure;
use crate::s3::xml;

/// Fields about which a policy need not say anything.
const FREE: [&str; 5] = ["x-amz-signature", "file", "policy", "awsaccesskeyid", "signature"];

/// Whether a field needs no leave. A checksum only narrows what the file may be.
fn is_free(field: &str) -> bool {
    FREE.contains(&field) || field.starts_with("x-ignore-") || field.starts_with("x-amz-checksum-")
}

/// A policy that was signed.
pub(in crate::s3) struct Policy {
    expires: DateTime<Utc>,
    conditions: Vec<Condition>,
}

enum Condition {
    /// A field is this.
    Is(String, String),
    /// A field starts with this.
    StartsWith(String, String),
    /// The file has between so many and so many bytes.
    Length(u64, u64),
}

pub(super) fn invalid(what: &str) -> Failure {
    Failure::bad_request("InvalidPolicyDocument", format!("Invalid Policy: {what}"))
}

impl Policy {
    pub(in crate::s3) fn parse(json: &[u8]) -> Result<Self, Failure> {
        let policy: Value = serde_json::from_slice(json).map_err(|_| invalid("it is no JSON"))?;
        let member = |name: &str| policy.as_object()?.get(name);
        let expires =
            member("expiration").and_then(Value::as_str).ok_or_else(|| invalid("it lacks 'expiration'"))?;
        // Of the forms of RFC 3339 the one that S3 takes.
        let expires = expires.strip_suffix('Z').filter(|time| time.contains('T'));
        let expires =
            expires.and_then(|time| NaiveDateTime::parse_from_str(time, "%Y-%m-%dT%H:%M:%S%.f").ok());
        let expires = expires.ok_or_else(|| invalid("'expiration' is malformed"))?;
        let conditions =
            member("conditions").and_then(Value::as_array).ok_or_else(|| invalid("it lacks 'conditions'"))?;
        let mut parsed = Vec::new();
        for condition in conditions {
            conditions_of(condition, &mut parsed)?;
        }
        Ok(Self { expires: expires.and_utc(), conditions: parsed })
    }

    /// Checks a form against it; gives how long the file may be, where it says.
    pub(in crate::s3) fn check(
        &self,
        now: DateTime<Utc>,
        bucket: &str,
        key: &str,
        fields: &[(String, String)],
    ) -> Result<Option<(u64, u64)>, Failure> {
        if now >= self.expires {
            return Err(Failure::denied("Invalid according to Policy: Policy expired."));
        }
        let value = |name: &str| match name {
            "bucket" => Some(bucket),
            "key" => Some(key),
            name => fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str()),
        };
        let failed = |what: &str| {
            let message = format!("Invalid according to Policy: Policy Condition failed: {what}");
            Failure::denied(message)
        };
        let mut limits: Option<(u64, u64)> = None;
        for condition in &self.conditions {
            match condition {
                Condition::Is(name, wanted) if value(name) != Some(wanted) => {
                    return Err(failed(&format!("[\"eq\", \"${name}\", \"{wanted}\"]")));
                }
                Condition::StartsWith(name, start) => {
                    // A field may list several types, each of which must fit.
                    let found = value(name).unwrap_or_default();
                    let mut all =
                        if name == "content-type" { found.split(',').collect() } else { vec![found] }
                            .into_iter();
                    if !all.all(|one: &str| one.trim_start().starts_with(start.as_str())) {
                        return Err(failed(&format!("[\"starts-with\", \"${name}\", \"{start}\"]")));
                    }
                }
                Condition::Is(..) => {}
                Condition::Length(least, most) => {
                    let (low, high) = limits.unwrap_or((0, u64::MAX));
                    limits = Some((low.max(*least), high.min(*most)));
                }
            }
        }
        let is_named = |field: &str| {
            self.conditions.iter().any(|condition| match condition {
                Condition::Is(name, _) | Condition::StartsWith(name, _) => name == field,
                Condition::Length(..) => false,
            })
        };
        if !is_named("bucket") {
            // It would be good for every bucket of its signer.
            return Err(Failure::denied("Invalid according to Policy: Extra input fields: bucket"));
        }
        let extra =
            fields.iter().map(|(name, _)| name.as_str()).find(|name| !is_free(name) && !is_named(name));
        match extra {
            Some(name) => {
                let message = format!("Invalid according to Policy: Extra input fields: {name}");
                Err(Failure::denied(message))
            }
            None => Ok(limits),
        }
    }
}

fn conditions_of(condition: &Value, parsed: &mut Vec<Condition>) -> Result<(), Failure> {
    let malformed = || invalid("a condition is malformed");
    match condition {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let value = value.as_str().ok_or_else(malformed)?;
                parsed.push(Condition::Is(name.to_ascii_lowercase(), value.to_owned()));
            }
            Ok(())
        }
        Value::Array(parts) => {
            let [operator, first, second] = parts.as_slice() else { return Err(malformed()) };
            let operator = operator.as_str().ok_or_else(malformed)?.to_ascii_lowercase();
            if operator == "content-length-range" {
                let limit = |value: &Value| {
                    value.as_u64().or_else(|| value.as_str()?.parse().ok()).ok_or_else(malformed)
                };
                let (least, most) = (limit(first)?, limit(second)?);
                parsed.push(Condition::Length(least, most));
                return Ok(());
            }
            let name = first.as_str().and_then(|name| name.strip_prefix('$')).ok_or_else(malformed)?;
            let (name, value) =
                (name.to_ascii_lowercase(), second.as_str().ok_or_else(malformed)?.to_owned());
            parsed.push(match operator.as_str() {
                "eq" => Condition::Is(name, value),
                "starts-with" => Condition::StartsWith(name, value),
                _ => return Err(malformed()),
            });
            Ok(())
        }
        _ => Err(malformed()),
    }
}

/// Reads the field `tagging`, a document of tags.
pub(in crate::s3) fn tags(text: &str) -> Result<Vec<s3s::dto::Tag>, Failure> {
    let malformed = |_| Failure::bad_request("MalformedXML", "The field 'tagging' is no document of tags");
    xml::check(text.as_bytes())?;
    let mut reader = s3s::xml::Deserializer::new(text.as_bytes());
    let tagging: s3s::dto::Tagging = s3s::xml::Deserialize::deserialize(&mut reader).map_err(malformed)?;
    Ok(tagging.tag_set)
}

/// A tag as the header has it.
pub(super) fn pair(key: &str, value: &str) -> String {
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!("{}={}", encode(key), encode(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[allow(clippy::needless_pass_by_value, reason = "literals are given")]
    fn check(conditions: Value, fields: &[(&str, &str)]) -> Result<Option<(u64, u64)>, String> {
        let policy = json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": conditions });
        let policy =
            Policy::parse(policy.to_string().as_bytes()).map_err(|failure| failure.message().to_owned())?;
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let now = DateTime::parse_from_rfc3339("2029-01-01T00:00:00Z").unwrap().to_utc();
        let key = fields.iter().find(|(name, _)| name == "key").map_or("", |(_, value)| value);
        policy.check(now, "photos", key, &fields).map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn every_condition_holds_and_every_field_is_allowed() {
        let all = json!([{ "bucket": "photos" }, ["starts-with", "$key", "user/"], ["eq", "$acl", "private"],
            ["content-length-range", 1, "10"], { "x-amz-meta-a": "b" }]);
        let good = [
            ("key", "user/x"),
            ("acl", "private"),
            ("x-amz-meta-a", "b"),
            ("policy", "…"),
            ("x-ignore-me", ""),
            ("x-amz-checksum-crc32", "AAAAAA=="),
        ];
        assert_eq!(check(all.clone(), &good), Ok(Some((1, 10))));
        for (at, name, value) in [(0, "key", "other/x"), (1, "acl", "public-read"), (2, "x-amz-meta-a", "c")]
        {
            let mut bad = good;
            bad[at] = (name, value);
            assert!(check(all.clone(), &bad).unwrap_err().contains("Condition failed"), "{name}");
        }
        assert!(check(all.clone(), &good[..2]).is_err(), "a field that must be there");
        assert!(
            check(json!([["starts-with", "$key", ""]]), &[("key", "x")]).is_err(),
            "a policy names its bucket"
        );
        let more = [good.as_slice(), &[("x-amz-meta-evil", "1")]].concat();
        assert!(check(all, &more).unwrap_err().contains("Extra input fields"));
        assert!(check(json!([{ "bucket": "others" }]), &[]).is_err());
    }

    #[test]
    fn malformed_policies_are_refused() {
        for bad in [
            json!({}),
            json!({ "expiration": "2030-01-01T00:00:00Z" }),
            json!({ "conditions": [] }),
            json!({ "expiration": "soon", "conditions": [] }),
            json!({ "expiration": "2030-01-01 00:00:00Z", "conditions": [] }),
            json!({ "expiration": "2030-01-01T00:00:00+00:00", "conditions": [] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "$key"]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["like", "$key", "x"]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["eq", "key", "x"]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [["content-length-range", "a", 1]] }),
            json!({ "expiration": "2030-01-01T00:00:00Z", "conditions": [{ "key": 1 }] }),
        ] {
            assert!(Policy::parse(bad.to_string().as_bytes()).is_err(), "{bad}");
        }
        assert!(Policy::parse(b"{").is_err());
        assert!(Policy::parse(br#"{"expiration":"2030-01-01T00:00:00.000Z","conditions":[]}"#).is_ok());
    }
}
