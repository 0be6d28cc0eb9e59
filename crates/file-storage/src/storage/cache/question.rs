//! What is asked, and by whom: two questions that are equal have one answer.

use std::sync::Arc;

use aws_lc_rs::digest;

use super::weight;
use crate::bucket::BucketName;
use crate::executor::Listing;
use crate::path::ObjectPath;
use crate::permissions::RlsContext;

/// What somebody asks for.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    caller: [u8; digest::SHA256_OUTPUT_LEN],
    bucket: BucketName,
    what: What,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum What {
    List(Listing),
    Row(ObjectPath, Reading),
}

/// What an object's row is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    /// For itself.
    Info,
    /// For its bytes: with the way to them.
    Download,
}

impl Question {
    pub(super) fn new(context: &RlsContext, bucket: &BucketName, listing: &Listing) -> Arc<Self> {
        let what = What::List(listing.clone());
        Arc::new(Self { caller: caller(context), bucket: bucket.clone(), what })
    }

    pub(super) fn row(
        context: &RlsContext,
        (bucket, path): (&BucketName, &ObjectPath),
        reading: Reading,
    ) -> Arc<Self> {
        let what = What::Row(path.clone(), reading);
        Arc::new(Self { caller: caller(context), bucket: bucket.clone(), what })
    }

    /// Whose objects it is about.
    pub(super) fn bucket(&self) -> &BucketName {
        &self.bucket
    }

    /// The list, where it asks for one.
    pub(super) fn listing(&self) -> Option<&Listing> {
        match &self.what {
            What::List(listing) => Some(listing),
            What::Row(..) => None,
        }
    }

    /// What figures call it.
    pub(super) fn kind(&self) -> &'static str {
        match self.what {
            What::List(_) => "list",
            What::Row(..) => "object",
        }
    }

    /// Bytes that it takes, more or less.
    pub(super) fn weight(&self) -> u32 {
        match &self.what {
            What::List(listing) => weight::of_question(&self.bucket, listing),
            What::Row(path, _) => weight::of_place(&self.bucket, path),
        }
    }
}

/// All that row-level security may know of a caller, each with its name, so that none is taken for another. Claims in another order
/// are another caller, which costs a read and nothing else.
///
/// IMPORTANT: what an [`RlsContext`] learns to tell policies must stand here, too. The identity of the request does not: no policy
/// can ask for it.
fn caller(context: &RlsContext) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let known = serde_json::json!({
        "role": context.role().as_str(),
        "user": context.user_id(),
        "claims": context.claims(),
    });
    let digest = digest::digest(&digest::SHA256, known.to_string().as_bytes());
    let mut bytes = [0; digest::SHA256_OUTPUT_LEN];
    for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn callers_are_told_apart_by_all_that_policies_may_ask_for() {
        let user = Uuid::from_u128(1);
        let claims = |value: serde_json::Value| value.as_object().cloned().unwrap();
        let callers = [
            RlsContext::anon("r"),
            RlsContext::user(user, Map::new(), "r"),
            RlsContext::user(Uuid::from_u128(2), Map::new(), "r"),
            RlsContext::user(user, claims(json!({ "team": "a" })), "r"),
            RlsContext::user(user, claims(json!({ "team": "b" })), "r"),
            RlsContext::user(user, claims(json!({ "app": { "team": "a" } })), "r"),
            RlsContext::user(user, claims(json!({ "user": null, "role": "anon" })), "r"),
            RlsContext::service(None, Map::new(), "r"),
            RlsContext::service(Some(user), Map::new(), "r"),
        ];
        for (at, one) in callers.iter().enumerate() {
            for (other_at, other) in callers.iter().enumerate() {
                assert_eq!(caller(one) == caller(other), at == other_at, "{one:?} and {other:?}");
            }
            assert_eq!(caller(one), caller(&one.clone().for_request("another request")));
        }
    }
}
