//! Requests about buckets.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, encode};
use crate::failure::Failure;

/// A bucket as the server describes it: the fields that are shown, and all of them for JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bucket {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) policy: Option<String>,
    #[serde(default)]
    pub(crate) owner_id: Option<String>,
    #[serde(default)]
    pub(crate) file_count: Option<u64>,
    #[serde(default)]
    pub(crate) total_size: Option<u64>,
    #[serde(default)]
    pub(crate) created_at: Option<String>,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

impl Bucket {
    /// The policy's name, also where only Supabase's `public` is told.
    pub(crate) fn policy(&self) -> &str {
        match (&self.policy, self.rest.get("public").and_then(Value::as_bool)) {
            (Some(policy), _) => policy,
            (None, Some(true)) => "public",
            (None, Some(false) | None) => "private",
        }
    }
}

impl Client {
    /// Creates a bucket; `settings` holds what is not left to the server.
    pub(crate) async fn create_bucket(
        &self,
        name: &str,
        mut settings: Map<String, Value>,
    ) -> Result<Value, Failure> {
        settings.insert("name".to_owned(), name.into());
        self.json(self.request(Method::POST, "/storage/v1/bucket").json(&settings)).await
    }

    /// All buckets that the caller may see.
    pub(crate) async fn list_buckets(&self) -> Result<Vec<Bucket>, Failure> {
        self.json(self.request(Method::GET, "/storage/v1/bucket")).await
    }

    /// One bucket.
    pub(crate) async fn bucket(&self, name: &str) -> Result<Bucket, Failure> {
        self.json(self.request(Method::GET, &route(name))).await
    }

    /// Changes the given settings of a bucket, and no others.
    pub(crate) async fn update_bucket(
        &self,
        name: &str,
        settings: Map<String, Value>,
    ) -> Result<(), Failure> {
        self.done(self.request(Method::PUT, &route(name)).json(&settings)).await
    }

    /// Deletes all objects of a bucket.
    pub(crate) async fn empty_bucket(&self, name: &str) -> Result<(), Failure> {
        self.done(self.request(Method::POST, &format!("{}/empty", route(name)))).await
    }

    /// Deletes a bucket; with `force` also what is in it.
    pub(crate) async fn delete_bucket(&self, name: &str, force: bool) -> Result<(), Failure> {
        let query = if force { "?force=true" } else { "" };
        self.done(self.request(Method::DELETE, &format!("{}{query}", route(name)))).await
    }
}

fn route(name: &str) -> String {
    format!("/storage/v1/bucket/{}", encode(name))
}
