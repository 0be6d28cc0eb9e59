//! Requests about jobs: asked for, shown, listed, cancelled.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, encode};
use crate::address::Remote;
use crate::failure::Failure;

/// A page of jobs.
#[derive(Debug, Deserialize)]
pub(crate) struct JobPage {
    pub(crate) jobs: Vec<Value>,
    pub(crate) next_before: Option<String>,
}

/// What is asked for to move a folder, or to copy it.
#[derive(Debug, Serialize)]
pub(crate) struct Relocation {
    bucket: String,
    prefix: String,
    to_bucket: String,
    to_prefix: String,
    overwrite: bool,
    dry_run: bool,
}

impl Relocation {
    /// From a folder into another one.
    pub(crate) fn new(from: &Remote, to: &Remote, overwrite: bool, dry_run: bool) -> Self {
        let [(bucket, prefix), (to_bucket, to_prefix)] =
            [from, to].map(|folder| (folder.bucket.clone(), folder.path.clone()));
        Self { bucket, prefix, to_bucket, to_prefix, overwrite, dry_run }
    }
}

impl Client {
    /// A page of jobs; `query` names what is asked for, each with its value.
    pub(crate) async fn jobs(&self, query: &[(&str, String)]) -> Result<JobPage, Failure> {
        self.json(self.request(Method::GET, "/api/v1/storage/jobs").query(query)).await
    }

    /// One job.
    pub(crate) async fn job(&self, id: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, &format!("/api/v1/storage/jobs/{}", encode(id)))).await
    }

    /// Ends a job before it is done.
    pub(crate) async fn cancel_job(&self, id: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, &format!("/api/v1/storage/jobs/{}/cancel", encode(id)))).await
    }

    /// Has files that are there already become objects.
    pub(crate) async fn adopt(&self, asked: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/adopt").json(asked)).await
    }

    /// Has all deleted that lies below a folder.
    pub(crate) async fn delete_folder(
        &self,
        bucket: &str,
        prefix: &str,
        dry_run: bool,
    ) -> Result<Value, Failure> {
        let asked = json!({ "bucket": bucket, "prefix": prefix, "dry_run": dry_run });
        self.json(self.request(Method::POST, "/api/v1/storage/folders/delete").json(&asked)).await
    }

    /// Has all moved that lies below a folder.
    pub(crate) async fn move_folder(&self, asked: &Relocation) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/folders/move").json(asked)).await
    }

    /// Has all copied that lies below a folder.
    pub(crate) async fn copy_folder(&self, asked: &Relocation) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/api/v1/storage/folders/copy").json(asked)).await
    }
}
