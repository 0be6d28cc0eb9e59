//! Requests about webhooks.

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use super::Client;
use crate::failure::Failure;

const ROUTE: &str = "/api/v1/storage/webhooks";

impl Client {
    /// Makes a webhook; gives it back with its secret.
    pub(crate) async fn create_webhook(&self, new: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, ROUTE).json(new)).await
    }

    /// All webhooks.
    pub(crate) async fn webhooks(&self) -> Result<Vec<Value>, Failure> {
        self.json(self.request(Method::GET, ROUTE)).await
    }

    /// How a webhook is.
    pub(crate) async fn webhook(&self, id: Uuid) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, &format!("{ROUTE}/{id}"))).await
    }

    /// Changes a webhook; gives it back as it then is.
    pub(crate) async fn change_webhook(&self, id: Uuid, change: &Value) -> Result<Value, Failure> {
        self.json(self.request(Method::PATCH, &format!("{ROUTE}/{id}")).json(change)).await
    }

    /// Gives a webhook another secret; gives it back with that.
    pub(crate) async fn rotate_webhook(&self, id: Uuid) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, &format!("{ROUTE}/{id}/rotate"))).await
    }

    /// Deletes a webhook.
    pub(crate) async fn delete_webhook(&self, id: Uuid) -> Result<Value, Failure> {
        self.json(self.request(Method::DELETE, &format!("{ROUTE}/{id}"))).await
    }

    /// Sends a message that tells of nothing; gives what the receiver says.
    pub(crate) async fn test_webhook(&self, id: Uuid) -> Result<Value, Failure> {
        self.json(self.request(Method::POST, &format!("{ROUTE}/{id}/test"))).await
    }
}
