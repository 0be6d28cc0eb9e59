//! Every key of a provider of bytes, defined once.

use std::path::PathBuf;
use std::time::Duration;

use super::define::settings;
use super::keys::{at_least_one, positive};
use super::{ByteSize, Credential, ProviderKind, WebUrl};

settings! {
    /// How a provider of bytes is reached and guarded, with all defaults.
    ProviderConfig {
        /// What it is.
        kind: Option<ProviderKind> = "";
        /// The directory of a further provider of the kind `local`.
        path: Option<PathBuf> = "";
        /// The bucket; of Azure, the container. It must be there.
        bucket: Option<String> = "";
        /// What all names there begin with, so that a bucket can be shared.
        prefix: Option<String> = "";
        /// Where the service is, if it is not the provider's public one.
        endpoint: Option<WebUrl> = "";
        /// The region of an S3 bucket.
        region: String = "us-east-1";
        /// Whether `endpoint` names the bucket by itself, as `https://BUCKET.HOST`.
        virtual_hosted: bool = "false";
        /// An S3 key's id. Without one, the environment (`AWS_…`) or the machine's role decides.
        access_key_id: Option<String> = "";
        /// An S3 key's secret.
        secret_access_key: Option<Credential> = "";
        /// A file with that secret and nothing else.
        secret_access_key_file: Option<PathBuf> = "";
        /// The token of an S3 key that holds for a session.
        session_token: Option<Credential> = "";
        /// Azure's storage account.
        account: Option<String> = "";
        /// Its key. Without one, and without a token, the environment (`AZURE_…`) or the machine's identity decides.
        account_key: Option<Credential> = "";
        /// A file with that key and nothing else.
        account_key_file: Option<PathBuf> = "";
        /// A shared access signature of Azure's, in place of a key.
        sas_token: Option<Credential> = "";
        /// A service account's key (JSON) of Google's. Without one, the environment (`GOOGLE_…`) or the machine decides.
        service_account_file: Option<PathBuf> = "";
        /// Whether Google is asked without credentials: for emulators.
        anonymous: bool = "false";
        /// Bytes up to which an upload is kept in memory and sent by one request. Larger ones go in parts.
        stream_threshold: ByteSize = "10MB";
        /// Bytes of a part. Up to four of them are in memory for each upload.
        chunk_size: ByteSize = "5MiB";
        /// Idle connections that are kept for further requests.
        max_idle_connections: u32 = "10", at_least_one;
        /// How long a connection may take to be made.
        connection_timeout: Duration = "5s", positive;
        /// How often something is tried in all, before it has failed.
        retry_attempts: u32 = "3", at_least_one;
        /// The wait before the second attempt; give or take a tenth.
        retry_initial_delay: Duration = "1s";
        /// How many times longer each further wait is.
        retry_backoff_multiplier: u32 = "2", at_least_one;
        /// The longest wait.
        retry_max_delay: Duration = "10s";
        /// Whether a provider that fails is left alone for a while.
        circuit_breaker_enabled: bool = "true";
        /// Consecutive failures after which it is.
        circuit_breaker_failure_threshold: u32 = "5", at_least_one;
        /// How long it is, before one call tries whether it is well again.
        circuit_breaker_timeout: Duration = "1m", positive;
        /// Uploads and copies at once; 0 for no limit. More wait in order.
        max_concurrent_uploads: u32 = "5";
        /// Downloads at once; 0 for no limit.
        max_concurrent_downloads: u32 = "10";
        /// Deletions at once; 0 for no limit.
        max_concurrent_deletes: u32 = "10";
        /// How many of each may wait; the next one is told to come back.
        max_waiting: u32 = "1000";
        /// How long an upload may make no progress.
        upload_timeout: Duration = "5m", positive;
        /// How long a download may bring nothing.
        download_timeout: Duration = "10m", positive;
        /// How long a deletion may take.
        delete_timeout: Duration = "30s", positive;
        /// How long a page of a list, or a question about one blob, may take.
        list_timeout: Duration = "30s", positive;
        /// How often it is looked at while it is well: a small object is written, read and deleted. While it is not, every 5 s.
        health_check_interval: Duration = "5m", positive;
        /// How long a write may stand still before it goes to one of `storage.failover_providers`; and a second more for each MB of it.
        failover_after: Duration = "4s", positive;
    }
}
