//! Azure Blob Storage.

use std::fmt;

use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};

use super::{RemoteOptions, transport};

/// A container of Azure's.
#[derive(Debug, Clone)]
pub struct AzureStore {
    /// The storage account.
    pub account: String,
    /// The container's name.
    pub container: String,
    /// Where the account's blobs are, for others than the public cloud's: `https://…`.
    pub endpoint: Option<String>,
    /// Who asks. `None`: whoever the environment says (`AZURE_…`, or the machine's own identity).
    pub credentials: Option<AzureCredentials>,
}

/// How to prove who asks.
#[derive(Clone)]
pub enum AzureCredentials {
    /// The account's key, in base64.
    AccountKey(String),
    /// A shared access signature: a query string.
    Sas(String),
}

impl fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AccountKey(_) => "AccountKey([redacted])",
            Self::Sas(_) => "Sas([redacted])",
        })
    }
}

impl AzureStore {
    pub(super) fn connect(&self, remote: &RemoteOptions) -> object_store::Result<MicrosoftAzure> {
        let builder = match &self.credentials {
            None => MicrosoftAzureBuilder::from_env(),
            Some(AzureCredentials::AccountKey(key)) => MicrosoftAzureBuilder::new().with_access_key(key),
            Some(AzureCredentials::Sas(query)) => {
                MicrosoftAzureBuilder::new().with_config(object_store::azure::AzureConfigKey::SasKey, query)
            }
        };
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.clone()),
            None => builder,
        };
        builder
            .with_account(&self.account)
            .with_container_name(&self.container)
            .with_client_options(transport::options(remote, self.endpoint.as_deref()))
            .with_retry(transport::no_retries())
            .with_http_connector(transport::Transport)
            .build()
    }
}
