//! How a server is configured: `storage.yml`, overridden by `AEROSTORE_…` variables, overridden by flags.
//!
//! ```text
//! let sources = Sources::of_process(config_file, flags);    // what was written, and where
//! let loaded = Config::load(&sources)?;                     // every mistake at once, each with its line
//! loaded.config.storage.max_file_size                       // typed, checked, with defaults
//! loaded.in_force()                                         // for `serve --check`, secrets redacted
//! ```
//!
//! Raw values (`raw`) and the resolved [`Config`] are two types; each key is defined once, in `keys`, from
//! which come its field, its variable, its check and its line in `docs/configuration.md` ([`reference_page`]). Providers
//! have names of the operator's choice, and each the keys of `provider_keys`.

mod define;
mod errors;
mod forms;
mod keys;
mod load;
mod page;
mod places;
mod provider_keys;
mod providers;
mod raw;
mod rule_keys;
mod rules;
#[cfg(test)]
mod tests;
mod words;
mod yaml;

pub use define::Key;
pub use errors::{ConfigError, ConfigErrors};
pub use forms::{ByteSize, Credential, Setting, TimeOfDay};
pub use keys::{
    AdoptConfig, AuditConfig, AuthConfig, BatchConfig, BucketsConfig, CleanupConfig, Config, CorsConfig,
    JobsConfig, KEYS, LifecycleConfig, LogConfig, MetricsConfig, PostgresConfig, RateLimitConfig, RestConfig,
    ServerConfig, SigningConfig, StorageConfig, UploadQueueConfig, WebhooksConfig,
};
pub use load::{Loaded, Sources};
pub use page::reference_page;
pub use places::{Address, Database, PublicUrl, WebUrl};
pub use provider_keys::ProviderConfig;
pub use providers::LOCAL;
pub use raw::{Flag, Origin, RawValue};
pub use words::{
    AuditFailure, AuditedOperations, BucketCreation, Dialect, Durability, Enforcement, LogFormat, LogLevel,
    MetricsAccess, ProviderKind,
};
