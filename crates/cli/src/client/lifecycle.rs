//! Requests about lifecycle rules.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;
use crate::failure::Failure;

const ROUTE: &str = "/api/v1/storage/lifecycle";

impl Client {
    /// The rules of all buckets, or of one.
    pub(crate) async fn lifecycle_rules(&self, bucket: Option<&str>) -> Result<Value, Failure> {
        let query: Vec<_> = bucket.map(|bucket| ("bucket", bucket)).into_iter().collect();
        self.json(self.request(Method::GET, ROUTE).query(&query)).await
    }

    /// Makes a rule, or puts it in place of another one; gives it back.
    pub(crate) async fn set_lifecycle_rule(&self, id: Option<Uuid>, rule: &Value) -> Result<Value, Failure> {
        let request = match id {
            Some(id) => self.request(Method::PUT, &format!("{ROUTE}/{id}")),
            None => self.request(Method::POST, ROUTE),
        };
        self.json(request.json(rule)).await
    }

    /// Removes a rule.
    pub(crate) async fn remove_lifecycle_rule(&self, id: Uuid) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, &format!("{ROUTE}/{id}"))).await
    }

    /// Asks for a run of all rules; gives the job.
    pub(crate) async fn run_lifecycle(&self, dry_run: bool, force: bool) -> Result<Value, Failure> {
        let asked = json!({ "dry_run": dry_run, "force": force });
        self.json(self.request(Method::POST, &format!("{ROUTE}/run")).json(&asked)).await
    }
}
