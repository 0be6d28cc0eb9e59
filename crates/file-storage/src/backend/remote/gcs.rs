//! Google Cloud Storage.

use std::fmt;
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};

use super::{RemoteOptions, transport};

/// A bucket of Google's.
#[derive(Debug, Clone)]
pub struct GcsStore {
    /// Its name.
    pub bucket: String,
    /// Where it is, for servers other than Google's: `https://…`.
    pub endpoint: Option<String>,
    /// Who asks. `None`: whoever the environment says (`GOOGLE_…`, or the machine's own service account).
    pub credentials: Option<GcsCredentials>,
}

/// How to prove who asks.
#[derive(Clone)]
pub enum GcsCredentials {
    /// The key of a service account: the JSON that Google gives out.
    ServiceAccount(String),
    /// Nobody: for emulators.
    Anonymous,
}

impl fmt::Debug for GcsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ServiceAccount(_) => "ServiceAccount([redacted])",
            Self::Anonymous => "Anonymous",
        })
    }
}

impl GcsStore {
    pub(super) fn connect(&self, remote: &RemoteOptions) -> object_store::Result<GoogleCloudStorage> {
        let builder = match &self.credentials {
            None => GoogleCloudStorageBuilder::from_env(),
            Some(GcsCredentials::ServiceAccount(key)) => {
                GoogleCloudStorageBuilder::new().with_service_account_key(key)
            }
            Some(GcsCredentials::Anonymous) => {
                // NOTE: `with_skip_signature` alone does not keep the client (0.14.2) from asking the machine's metadata
                // server for a token before each write.
                let nobody = GcpCredential { bearer: String::new() };
                GoogleCloudStorageBuilder::new()
                    .with_skip_signature(true)
                    .with_credentials(Arc::new(StaticCredentialProvider::new(nobody)))
            }
        };
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_base_url(endpoint),
            None => builder,
        };
        builder
            .with_bucket_name(&self.bucket)
            .with_client_options(transport::options(remote, self.endpoint.as_deref()))
            .with_retry(transport::no_retries())
            .with_http_connector(transport::Transport)
            .build()
    }
}
