//! Amazon S3, and servers that speak its protocol.

use std::fmt;

use object_store::aws::{AmazonS3, AmazonS3Builder};

use super::{RemoteOptions, transport};

/// A bucket of S3's.
#[derive(Debug, Clone)]
pub struct S3Store {
    /// Its name.
    pub bucket: String,
    /// Where it is, for servers other than Amazon's: `https://…`.
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// Whether the bucket is a part of the host, as `BUCKET.HOST`; an endpoint must then name it itself.
    pub virtual_hosted: bool,
    /// Who asks. `None`: whoever the environment says (`AWS_…`, or the machine's own role).
    pub credentials: Option<S3Credentials>,
}

/// A key of S3's.
#[derive(Clone)]
pub struct S3Credentials {
    /// Which one.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// The token of a key that holds for a session.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl S3Store {
    pub(super) fn connect(&self, remote: &RemoteOptions) -> object_store::Result<AmazonS3> {
        let builder = match &self.credentials {
            None => AmazonS3Builder::from_env(),
            Some(credentials) => {
                let builder = AmazonS3Builder::new()
                    .with_access_key_id(&credentials.access_key_id)
                    .with_secret_access_key(&credentials.secret_access_key);
                match &credentials.session_token {
                    Some(token) => builder.with_token(token),
                    None => builder,
                }
            }
        };
        let builder = match &self.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint),
            None => builder,
        };
        builder
            .with_bucket_name(&self.bucket)
            .with_region(&self.region)
            .with_virtual_hosted_style_request(self.virtual_hosted)
            .with_client_options(transport::options(remote, self.endpoint.as_deref()))
            .with_retry(transport::no_retries())
            // One request for one blob: not every server has the one for many.
            .with_disable_bulk_delete(true)
            .with_http_connector(transport::Transport)
            .build()
    }
}
