//! From the sources to the configuration in force.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::providers::{LOCAL, RawProviders};
use super::raw::{RawConfig, RawValue, did_you_mean_variable};
use super::rules::{self, RawRules};
use super::{Config, ConfigErrors, Flag, KEYS, Key, Origin, ProviderKind, yaml};

/// The file that is looked for in the data directory.
const FILE_NAME: &str = "storage.yml";
/// Names the configuration file.
const FILE_VARIABLE: &str = "AEROSTORE_CONFIG";
/// What the command line's client commands read.
const CLIENT_VARIABLES: &[&str] = &["AEROSTORE_URL", "AEROSTORE_TOKEN"];

/// Everything that has a say in the configuration.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`; else `AEROSTORE_CONFIG`; else `storage.yml` in the data directory, where there is one.
    pub config_file: Option<PathBuf>,
    /// Environment variables, of which those count that begin with `AEROSTORE_`.
    pub environment: Vec<(String, String)>,
    /// Flags, which have the last word.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The sources of this process: its environment, and what the command line said.
    pub fn of_process(config_file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        Self { config_file, environment: std::env::vars_os().filter_map(text).collect(), flags }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, value)| value.as_str())
    }

    /// The file to read, and whether somebody asked for it by name.
    fn file(&self) -> (PathBuf, bool) {
        if let Some(path) =
            self.config_file.clone().or_else(|| self.variable(FILE_VARIABLE).map(PathBuf::from))
        {
            return (path, true);
        }
        let flag =
            self.flags.iter().rev().find(|flag| flag.key == "data_dir").map(|flag| flag.value.as_str());
        let default = KEYS.iter().find(|key| key.name == "data_dir").map_or("", |key| key.default);
        let data_dir = flag.or_else(|| self.variable("AEROSTORE_DATA_DIR")).unwrap_or(default);
        (Path::new(data_dir).join(FILE_NAME), false)
    }
}

/// A configuration, and where each of its values comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, where there was one.
    pub file: Option<PathBuf>,
    origins: Vec<(&'static Key, Origin)>,
    /// What was said of providers and of lifecycle rules: key, value, place.
    named: Vec<(String, String, Origin)>,
}

impl Config {
    /// Reads and checks all sources.
    ///
    /// # Errors
    /// Every mistake, each with the place where it stands.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        Self::read(sources, false)
    }

    /// The same again. Where a file `was_read` before, one that is gone is a mistake: all that it had said would be given up unseen.
    ///
    /// # Errors
    /// Those of [`Config::load`].
    pub fn load_again(sources: &Sources, was_read: bool) -> Result<Loaded, ConfigErrors> {
        Self::read(sources, was_read)
    }

    fn read(sources: &Sources, was_read: bool) -> Result<Loaded, ConfigErrors> {
        let mut errors = ConfigErrors::default();
        let mut raw = RawConfig::default();
        let mut providers = RawProviders::default();
        let mut rules = RawRules::default();
        let file = read_file(sources, was_read, &mut raw, (&mut providers, &mut rules), &mut errors);
        read_environment(sources, &mut raw, &mut providers, &mut errors);
        for Flag { flag, key, value } in &sources.flags {
            raw.set(key, RawValue::One(value.clone()), Origin::Flag(flag), &mut errors);
        }
        let resolved = providers.resolve(&mut errors);
        let config = Self::resolve(&raw, &mut errors);
        let lifecycle_rules = rules.resolve(&resolved, &mut errors);
        let config = config.map(|config| Self { providers: resolved, lifecycle_rules, ..config });
        if let Some(config) = &config {
            check_together(config, &raw, &mut errors);
        }
        match config {
            Some(config) if errors.0.is_empty() => {
                let origins = KEYS.iter().map(|key| (key, raw.origin(key.name))).collect();
                let mut named = providers.shown(&config.providers);
                named.extend(rules.shown());
                Ok(Loaded { config, file, origins, named })
            }
            Some(_) | None => Err(errors),
        }
    }
}

impl Loaded {
    /// The file that was read, where it has secrets.
    pub fn file_with_secrets(&self) -> Option<&Path> {
        let file = self.file.as_deref()?;
        let shown = format!("# {}:", file.display());
        let lines = self.in_force();
        lines.lines().any(|line| line.contains("[redacted]") && line.contains(&shown)).then_some(file)
    }

    /// Every key, its value and where that comes from, one a line. Secrets are not shown.
    pub fn in_force(&self) -> String {
        let shown = self.config.shown();
        let mut text = String::new();
        for (key, origin) in &self.origins {
            let value = shown.iter().find(|(name, _)| *name == key.name).map_or("", |(_, value)| value);
            let value = if value.is_empty() { "(not set)" } else { value };
            // Writing to a string does not fail.
            let _ = writeln!(text, "{:<32} {value:<28} # {origin}", key.name);
        }
        for (key, value, origin) in &self.named {
            let _ = writeln!(text, "{key:<32} {value:<28} # {origin}");
        }
        text
    }
}

fn read_file(
    sources: &Sources,
    was_read: bool,
    raw: &mut RawConfig,
    (providers, rules): (&mut RawProviders, &mut RawRules),
    errors: &mut ConfigErrors,
) -> Option<PathBuf> {
    let (path, asked_for) = sources.file();
    let at = |line| Origin::File { path: path.clone(), line };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        // A data directory that is no directory is not the configuration's mistake: the start says so.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
                && !asked_for
                && !was_read =>
        {
            return None;
        }
        Err(error) => {
            errors.add(at(0), format!("cannot be read: {error}"), None);
            return None;
        }
    };
    match yaml::entries(&text) {
        Ok(entries) => {
            for (name, value, line) in entries {
                if name == "data_dir" && !asked_for {
                    let problem = "data_dir cannot be set in the data directory's own file";
                    errors.add(at(line), problem, Some("use --config, or --data-dir".to_owned()));
                    continue;
                }
                let (provider, rule) = (name.strip_prefix("providers."), name.strip_prefix(rules::PREFIX));
                match (provider, rule) {
                    (Some(name), _) => providers.set(name, value, at(line), errors),
                    (None, Some(name)) => rules.set(name, value, at(line), errors),
                    (None, None) => raw.set(&name, value, at(line), errors),
                }
            }
        }
        Err((line, problem)) => errors.add(at(line), problem, None),
    }
    Some(path)
}

fn read_environment(
    sources: &Sources,
    raw: &mut RawConfig,
    providers: &mut RawProviders,
    errors: &mut ConfigErrors,
) {
    for (name, value) in &sources.environment {
        // Empty is how compose files and shells spell "not set".
        if !name.starts_with("AEROSTORE_") || value.is_empty() || is_foreign(name) {
            continue;
        }
        let origin = Origin::Variable(name.clone());
        match KEYS.iter().find(|key| key.variable() == *name) {
            Some(key) => raw.set(key.name, RawValue::One(value.clone()), origin, errors),
            None if providers.set_variable(name, value) => {}
            None => errors.add(origin, "unknown variable", did_you_mean_variable(name)),
        }
    }
}

/// What only tests read: where the points are built in at which they make the server fail.
#[cfg(feature = "failpoints")]
const TEST_VARIABLES: &[&str] = &["AEROSTORE_FAILPOINTS"];
#[cfg(not(feature = "failpoints"))]
const TEST_VARIABLES: &[&str] = &[];

/// Variables of our prefix that say nothing about the configuration: our own, and those that Kubernetes sets in
/// every container beside a service that is called `aerostore`.
fn is_foreign(name: &str) -> bool {
    name == FILE_VARIABLE
        || CLIENT_VARIABLES.contains(&name)
        || TEST_VARIABLES.contains(&name)
        || name == "AEROSTORE_PORT"
        || name.starts_with("AEROSTORE_PORT_")
        || name.starts_with("AEROSTORE_SERVICE_")
}

/// What only several keys together can get wrong.
fn check_together(config: &Config, raw: &RawConfig, errors: &mut ConfigErrors) {
    let mut refuse =
        |key: &str, problem: &str| errors.add(raw.origin(key), format!("{key}: {problem}"), None);
    let active = &config.storage.active_provider;
    if active != LOCAL && !config.providers.contains_key(active) {
        refuse("storage.active_provider", &format!("there is no provider '{active}' below providers"));
    }
    let standby = &config.storage.failover_providers;
    for (at, name) in standby.iter().enumerate() {
        if name != LOCAL && !config.providers.contains_key(name) {
            let problem = format!("there is no provider '{name}' below providers");
            refuse("storage.failover_providers", &problem);
        } else if name == active || standby.iter().take(at).any(|before| before == name) {
            let problem = format!("'{name}' is the active provider, or is named twice");
            refuse("storage.failover_providers", &problem);
        }
    }
    let backups = &config.storage.backup_providers;
    for (at, name) in backups.iter().enumerate() {
        if name != LOCAL && !config.providers.contains_key(name) {
            let problem = format!("there is no provider '{name}' below providers");
            refuse("storage.backup_providers", &problem);
        } else if backups.iter().take(at).any(|before| before == name) {
            refuse("storage.backup_providers", &format!("'{name}' is named twice"));
        } else if config.storage.spool.as_ref() == Some(name) {
            let problem = format!("'{name}' is the spool: what is there is on its way");
            refuse("storage.backup_providers", &problem);
        }
    }
    if backups.len() == 1 && backups.contains(active) {
        let problem =
            format!("'{active}' is the active provider: a copy beside the blob itself keeps nothing");
        refuse("storage.backup_providers", &problem);
    }
    if let Some(spool) = &config.storage.spool {
        let named = config.providers.get(spool);
        let is_directory = spool == LOCAL || named.is_some_and(|it| it.kind == Some(ProviderKind::Local));
        if !is_directory {
            let problem = format!("there is no provider '{spool}' of the kind local below providers");
            refuse("storage.spool", &problem);
        } else if spool == active {
            let problem = format!("'{spool}' is the active provider: there is nothing to wait for less");
            refuse("storage.spool", &problem);
        }
    }
    let signing = &config.signing;
    if signing.default_expiry > signing.max_expiry {
        refuse("signing.default_expiry", "is longer than signing.max_expiry");
    }
    if signing.upload_expiry > signing.max_expiry {
        refuse("signing.upload_expiry", "is longer than signing.max_expiry");
    }
    if config.auth.jwks_file.is_some() && config.auth.jwks_url.is_some() {
        refuse("auth.jwks_url", "only one of auth.jwks_file and auth.jwks_url can be set");
    }
    let mut of_urls = signing.secret.iter().chain(&signing.previous_secrets);
    let of_tokens: Vec<_> = config.auth.jwt_secret.iter().chain(&config.auth.previous_jwt_secrets).collect();
    if of_urls.any(|secret| of_tokens.contains(&secret)) {
        refuse("signing.secret", "is also a secret of auth; each purpose has a secret of its own");
    }
}
