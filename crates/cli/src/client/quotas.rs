//! Requests about quotas.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Client, encode};
use crate::failure::Failure;

/// What a quota is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QuotaOf {
    /// All that is stored.
    Global,
    /// All that a user owns.
    User(Uuid),
    /// A bucket, or a bucket, a slash and a path in it.
    Folder(String),
}

impl QuotaOf {
    fn route(&self) -> String {
        match self {
            Self::Global => "/api/v1/storage/global-quota".to_owned(),
            Self::User(user) => format!("/api/v1/storage/user-quotas/{user}"),
            Self::Folder(folder) => format!("/api/v1/storage/quota/{}", encode(folder)),
        }
    }
}

impl Client {
    /// The quotas that are set.
    pub(crate) async fn quotas(&self) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, "/api/v1/storage/quota")).await
    }

    /// A quota, and what is in use of it.
    pub(crate) async fn quota(&self, of: &QuotaOf) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, &of.route())).await
    }

    /// Sets a quota; gives it back.
    pub(crate) async fn set_quota(&self, of: &QuotaOf, bytes: u64) -> Result<Value, Failure> {
        self.json(self.request(Method::PUT, &of.route()).json(&json!({ "quota_bytes": bytes }))).await
    }

    /// Takes a quota off; gives it back as it then is.
    pub(crate) async fn remove_quota(&self, of: &QuotaOf) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, &of.route())).await
    }
}
