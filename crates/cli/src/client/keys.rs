//! Requests about keys of S3's clients.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Client, encode};
use crate::failure::Failure;

const CREDENTIALS: &str = "/api/v1/storage/credentials";

impl Client {
    /// Makes a credential; the answer has its secret.
    pub(crate) async fn create_credential(&self, new: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, CREDENTIALS).json(new)).await
    }

    /// All credentials, without secrets.
    pub(crate) async fn credentials(&self) -> Result<Vec<Value>, Failure> {
        self.json(self.request(Method::GET, CREDENTIALS)).await
    }

    /// Has a credential accepted, or not.
    pub(crate) async fn enable_credential(&self, id: &str, enabled: bool) -> Result<Value, Failure> {
        let request = self.request(Method::PATCH, &one(id));
        self.json(request.json(&json!({ "enabled": enabled }))).await
    }

    /// Deletes a credential.
    pub(crate) async fn delete_credential(&self, id: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, &one(id))).await
    }
}

fn one(id: &str) -> String {
    format!("{CREDENTIALS}/{}", encode(id).replace('/', "%2F"))
}
