//! Requests about uploads on their way to where they belong, and about what is kept where.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Client, encode};
use crate::failure::Failure;

/// A page of entries.
#[derive(Debug, Deserialize)]
pub(crate) struct EntryPage {
    pub(crate) entries: Vec<Value>,
    #[serde(default, rename = "nextCursor")]
    pub(crate) next_cursor: Option<String>,
}

/// How much there is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Depths {
    pub(crate) ways: Vec<Depth>,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// Entries of one way, reason and status.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Depth {
    pub(crate) source_provider: String,
    pub(crate) target_provider: String,
    pub(crate) status: String,
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

/// What a migration queued.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Queued {
    pub(crate) queued: u64,
    pub(crate) bytes: u64,
    #[serde(default, skip_serializing)]
    pub(crate) next: Option<String>,
}

/// What a migration is asked for.
#[derive(Debug, Serialize)]
pub(crate) struct Moving<'a> {
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) bucket: Option<&'a str>,
    pub(crate) next: Option<&'a str>,
    pub(crate) limit: u32,
}

/// What is kept on a provider.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Provider {
    pub(crate) provider: String,
    pub(crate) configured: bool,
    pub(crate) role: Option<String>,
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    pub(crate) blobs: u64,
    pub(crate) bytes: u64,
    pub(crate) backup: bool,
    pub(crate) copies: u64,
    pub(crate) copy_bytes: u64,
    pub(crate) missing_copies: u64,
    pub(crate) pending_deletions: u64,
}

impl Client {
    /// A page of entries; `query` names what is asked for, each with its value.
    pub(crate) async fn queue_entries(&self, query: &[(&str, String)]) -> Result<EntryPage, Failure> {
        self.json(self.request(Method::GET, "/storage/v1/upload-queue").query(query)).await
    }

    /// One entry.
    pub(crate) async fn queue_entry(&self, id: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, &format!("/storage/v1/upload-queue/{}", encode(id)))).await
    }

    /// Queues an entry again.
    pub(crate) async fn retry_entry(&self, id: &str) -> Result<Value, Failure> {
        self.change_entry(id, "retry").await
    }

    /// Gives an entry up.
    pub(crate) async fn cancel_entry(&self, id: &str) -> Result<Value, Failure> {
        self.change_entry(id, "cancel").await
    }

    async fn change_entry(&self, id: &str, what: &str) -> Result<Value, Failure> {
        let route = format!("/api/v1/storage/upload-queue/{}/{what}", encode(id));
        self.json(self.request(Method::POST, &route)).await
    }

    /// Queues all entries again that were given up.
    pub(crate) async fn retry_failed(&self) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/upload-queue/retry")).await
    }

    /// How much there is to do, of a bucket or of all.
    pub(crate) async fn queue_depths(&self, bucket: Option<&str>) -> Result<Depths, Failure> {
        let request = self.request(Method::GET, "/api/v1/storage/upload-queue");
        self.json(request.query(&bucket.map(|name| ("bucket", name)).as_slice())).await
    }

    /// Queues a part of what a provider keeps for another one.
    pub(crate) async fn migrate_provider(&self, asked: &Moving<'_>) -> Result<Queued, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/migrations").json(asked)).await
    }

    /// What is kept where.
    pub(crate) async fn providers(&self) -> Result<Vec<Provider>, Failure> {
        self.json(self.request(Method::GET, "/api/v1/storage/providers")).await
    }
}
