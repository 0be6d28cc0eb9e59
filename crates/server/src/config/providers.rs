//! Providers of bytes: `providers.NAME.KEY`, and `AEROSTORE_PROVIDERS_NAME_KEY`. Names are the operator's, keys are those of
//! [`super::provider_keys`].

use std::collections::BTreeMap;

use super::provider_keys::{KEYS, ProviderConfig};
use super::raw::{RawConfig, RawValue};
use super::{ByteSize, ConfigErrors, Origin, ProviderKind};

/// The provider that is always there: the data directory.
pub const LOCAL: &str = "local";

/// What the variables of providers begin with.
const VARIABLES: &str = "AEROSTORE_PROVIDERS_";

/// The least bytes of a part that S3 and Google take.
const LEAST_CHUNK: ByteSize = ByteSize(5 << 20);

/// The most that one upload keeps in memory to send it at once.
const LARGEST_THRESHOLD: ByteSize = ByteSize(100_000_000);

/// What was written of each provider.
#[derive(Debug, Default)]
pub(super) struct RawProviders(BTreeMap<String, RawConfig>);

impl RawProviders {
    /// Sets a key, named from the provider's name on.
    pub(super) fn set(&mut self, name: &str, value: RawValue, origin: Origin, errors: &mut ConfigErrors) {
        let Some((provider, key)) = name.split_once('.') else {
            let problem = format!("providers.{name}: is a provider: keys and values below its name");
            errors.add(origin, problem, None);
            return;
        };
        if !is_name(provider) {
            let problem = format!(
                "providers.{provider}: a name begins with a letter, and has up to 40 of a-z, 0-9, - and _"
            );
            errors.add(origin, problem, None);
            return;
        }
        self.of(provider).set(key, value, origin, errors);
    }

    /// Sets the key that a variable names; `false` where it names none. A provider that the file names with dashes has
    /// underscores in its variables.
    pub(super) fn set_variable(&mut self, variable: &str, value: &str) -> bool {
        let Some(rest) = variable.strip_prefix(VARIABLES) else { return false };
        let rest = rest.to_lowercase();
        let named = |key: &&super::Key| rest.strip_suffix(key.name)?.strip_suffix('_').map(str::to_owned);
        // The longest: `…_path` may end what is a key of its own.
        let found = KEYS.iter().filter(|key| named(key).is_some()).max_by_key(|key| key.name.len());
        let Some((key, name)) = found.and_then(|key| Some((key, named(&key)?))) else { return false };
        let in_file = self.0.keys().find(|known| known.replace('-', "_") == name).cloned();
        let name = in_file.unwrap_or(name);
        if !is_name(&name) {
            return false;
        }
        let origin = Origin::Variable(variable.to_owned());
        // The key is one of the table: nothing is to be refused.
        self.of(&name).set(key.name, RawValue::One(value.to_owned()), origin, &mut ConfigErrors::default());
        true
    }

    fn of(&mut self, provider: &str) -> &mut RawConfig {
        let raw = || RawConfig::below(format!("providers.{provider}."), KEYS);
        self.0.entry(provider.to_owned()).or_insert_with(raw)
    }

    /// Reads and checks all of them.
    pub(super) fn resolve(&self, errors: &mut ConfigErrors) -> BTreeMap<String, ProviderConfig> {
        let mut providers = BTreeMap::new();
        for (name, raw) in &self.0 {
            if let Some(config) = ProviderConfig::resolve(raw, errors) {
                check(name, &config, raw, errors);
                providers.insert(name.clone(), config);
            }
        }
        providers
    }

    /// What was said, as one would write it, with its places.
    pub(super) fn shown(&self, resolved: &BTreeMap<String, ProviderConfig>) -> Vec<(String, String, Origin)> {
        let mut lines = Vec::new();
        for (name, raw) in &self.0 {
            let shown = resolved.get(name).map(ProviderConfig::shown).unwrap_or_default();
            for (key, origin) in raw.said() {
                let value = shown.iter().find(|(shown, _)| *shown == key).map_or("", |(_, value)| value);
                lines.push((format!("providers.{name}.{key}"), value.to_owned(), origin.clone()));
            }
        }
        lines
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 40
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// What only several keys of a provider together can get wrong.
fn check(name: &str, config: &ProviderConfig, raw: &RawConfig, errors: &mut ConfigErrors) {
    let kind = match config.kind {
        None if name == LOCAL => ProviderKind::Local,
        Some(kind) if (name == LOCAL) == (kind == ProviderKind::Local && config.path.is_none()) => kind,
        Some(ProviderKind::Local) if name == LOCAL => {
            return raw.refuse("path", "the provider 'local' is the data directory", errors);
        }
        Some(ProviderKind::Local) => {
            return raw.refuse("path", "is needed: the directory of the bytes", errors);
        }
        Some(_) => return raw.refuse("kind", "the provider 'local' is of kind local", errors),
        None => return raw.refuse("kind", "is needed: one of local, s3, azure, gcs", errors),
    };
    for (key, _) in raw.said() {
        if let Some(kinds) = only_for(key)
            && !kinds.contains(&kind)
        {
            raw.refuse(key, &format!("is no key of the kind {}", kind.as_str()), errors);
        }
    }
    let mut need = |key: &str, is_there: bool| {
        if !is_there {
            raw.refuse(key, &format!("is needed for the kind {}", kind.as_str()), errors);
        }
    };
    if kind != ProviderKind::Local {
        need("bucket", config.bucket.is_some());
    }
    if kind == ProviderKind::Azure {
        need("account", config.account.is_some());
    }
    let has_secret = config.secret_access_key.is_some() || config.secret_access_key_file.is_some();
    if config.access_key_id.is_some() || has_secret {
        need("access_key_id", config.access_key_id.is_some());
        need("secret_access_key", has_secret);
    }
    let exclusive = [
        (
            "secret_access_key_file",
            config.secret_access_key.is_some() && config.secret_access_key_file.is_some(),
        ),
        ("account_key_file", config.account_key.is_some() && config.account_key_file.is_some()),
        (
            "sas_token",
            config.sas_token.is_some() && (config.account_key.is_some() || config.account_key_file.is_some()),
        ),
    ];
    for (key, both) in exclusive {
        if both {
            raw.refuse(key, "only one of the credentials can be set", errors);
        }
    }
    if matches!(kind, ProviderKind::S3 | ProviderKind::Gcs) && config.chunk_size < LEAST_CHUNK {
        raw.refuse("chunk_size", "is at least 5MiB: stores take no smaller parts", errors);
    }
    if config.stream_threshold > LARGEST_THRESHOLD {
        raw.refuse("stream_threshold", "is at most 100MB: uploads up to it are kept in memory", errors);
    }
    if let Some(prefix) = &config.prefix
        && !prefix.split('/').all(is_segment)
    {
        raw.refuse("prefix", "is names of A-Z, a-z, 0-9, -, _ and . with slashes between them", errors);
    }
}

fn is_segment(segment: &str) -> bool {
    let plain = segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    plain && !matches!(segment, "" | "." | "..")
}

/// The kinds that a key is for, where it is not for all.
fn only_for(key: &str) -> Option<&'static [ProviderKind]> {
    use ProviderKind::{Azure, Gcs, Local, S3};
    Some(match key {
        "path" => &[Local],
        "region"
        | "virtual_hosted"
        | "access_key_id"
        | "secret_access_key"
        | "secret_access_key_file"
        | "session_token" => &[S3],
        "account" | "account_key" | "account_key_file" | "sas_token" => &[Azure],
        "service_account_file" | "anonymous" => &[Gcs],
        // Of a directory, only these and `path` say something.
        "kind" | "health_check_interval" | "failover_after" => return None,
        _ => &[S3, Azure, Gcs],
    })
}
