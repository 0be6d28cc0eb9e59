//! Requests about access: policies in SQL, and why somebody may do something or not.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, encode};
use crate::failure::Failure;

const POLICIES: &str = "/api/v1/storage/policies";

impl Client {
    /// Runs a `CREATE POLICY` or `DROP POLICY`.
    pub(crate) async fn change_policies(&self, sql: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, POLICIES).json(&json!({ "sql": sql }))).await
    }

    /// The policies in force.
    pub(crate) async fn policies(&self) -> Result<Vec<Value>, Failure> {
        self.json(self.request(Method::GET, POLICIES)).await
    }

    /// Drops a policy.
    pub(crate) async fn drop_policy(&self, name: &str) -> Result<Value, Failure> {
        let name = encode(name).replace('/', "%2F");
        self.json(self.request(Method::DELETE, &format!("{POLICIES}/{name}"))).await
    }

    /// Which rules decide.
    pub(crate) async fn explain(&self, question: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, "/storage/v1/explain").json(question)).await
    }
}
