//! Requests that an operator makes: cleanup, usage, health, metrics.

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ANSWER, Client, encode, response};
use crate::failure::Failure;

/// What a cleanup found, or did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CleanupReport {
    pub(crate) orphan_blobs: u64,
    pub(crate) orphan_bytes: u64,
    pub(crate) missing_blobs: u64,
    pub(crate) missing_copies: u64,
    pub(crate) deleted_blobs: u64,
    pub(crate) deleted_rows: u64,
    pub(crate) pending_deletions: u64,
    /// Why the job refuses to go on, if it does.
    pub(crate) halted: Option<String>,
    /// The first objects whose blob is missing.
    #[serde(default)]
    pub(crate) missing: Vec<MissingBlob>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// An object whose blob is missing.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MissingBlob {
    pub(crate) provider: String,
    pub(crate) bucket: String,
    pub(crate) path: String,
}

impl Client {
    /// What a cleanup would do (`apply` false), or does.
    pub(crate) async fn cleanup(&self, apply: bool) -> Result<CleanupReport, Failure> {
        let method = if apply { Method::POST } else { Method::GET };
        self.json(self.request(method, "/api/v1/storage/cleanup")).await
    }

    /// Has what is kept verified; gives the job.
    pub(crate) async fn scrub(
        &self,
        provider: Option<&str>,
        bucket: Option<&str>,
        repair: bool,
    ) -> Result<Value, Failure> {
        let asked = json!({ "provider": provider, "bucket": bucket, "repair": repair });
        self.json(self.request(Method::POST, "/api/v1/storage/scrub").json(&asked)).await
    }

    /// Bytes and files; `recalculate` counts anew and says what differs.
    pub(crate) async fn usage(&self, recalculate: bool) -> Result<Value, Failure> {
        let query = if recalculate { "?recalculate=true" } else { "" };
        self.json(self.request(Method::GET, &format!("/api/v1/storage/usage{query}"))).await
    }

    /// What objects take by `user`, `bucket` or `provider`; `refresh` has the server look anew.
    pub(crate) async fn usage_by(&self, by: &str, refresh: bool) -> Result<Value, Failure> {
        let path = format!("/api/v1/storage/usage?by={by}&refresh={refresh}");
        self.json(self.request(Method::GET, &path)).await
    }

    /// What objects in a bucket, or in a folder of it, take.
    pub(crate) async fn folder_usage(&self, folder: &str, refresh: bool) -> Result<Value, Failure> {
        let path = format!("/api/v1/storage/usage/{}?refresh={refresh}", encode(folder));
        self.json(self.request(Method::GET, &path)).await
    }

    /// Counts anew, sets the counters right, and says what differed.
    pub(crate) async fn repair_usage(&self) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/usage")).await
    }

    /// The state of the server and its parts.
    ///
    /// A server that is not well says so with 503, and why in the same document.
    pub(crate) async fn health(&self) -> Result<Value, Failure> {
        let request = self.request(Method::GET, "/api/v1/storage/health").timeout(ANSWER);
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        if response.status() != StatusCode::SERVICE_UNAVAILABLE {
            return self.read(response::check(response, self.token.is_some()).await?).await;
        }
        let report: Value = self.read(response).await?;
        match report.get("status") {
            Some(_) => Ok(report),
            None => Err(Failure::Other(anyhow::anyhow!("the server answers 503 to everything"))),
        }
    }

    /// What the server has done since it was started, or since that was reset.
    pub(crate) async fn summary(&self) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, "/api/v1/storage/metrics")).await
    }

    /// Has the summary count from nothing again.
    pub(crate) async fn reset_summary(&self) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/metrics/reset")).await
    }

    /// Whether the server can do its work, which it says to anybody.
    pub(crate) async fn ready(&self) -> Result<(), Failure> {
        self.done(self.request(Method::GET, "/readyz")).await
    }

    /// The counters in Prometheus' text form.
    pub(crate) async fn metrics(&self) -> Result<String, Failure> {
        let response = self.send(self.request(Method::GET, "/metrics").timeout(ANSWER)).await?;
        response.text().await.map_err(|error| self.broken(&error))
    }
}
