//! The server's configuration and secrets, for the commands that run where the server does.

use server::config::{Config, Flag, Loaded, Sources};
use server::secrets::{Secrets, SecretsError};

use crate::args::Global;
use crate::failure::Failure;

/// Names the data directory in the environment; read by the configuration.
pub(crate) const DATA_DIR_VARIABLE: &str = "AEROSTORE_DATA_DIR";

/// Loads the configuration as `serve` does: file, environment, then `--data-dir` and `flags`.
pub(crate) fn load(global: &Global, flags: Vec<Flag>) -> Result<Loaded, Failure> {
    Config::load(&sources(global, flags)?).map_err(|errors| Failure::Usage(errors.to_string()))
}

/// What has a say in the configuration.
pub(crate) fn sources(global: &Global, mut flags: Vec<Flag>) -> Result<Sources, Failure> {
    if let Some(data_dir) = &global.data_dir {
        let value = data_dir.to_str().ok_or_else(|| Failure::Usage("--data-dir is not UTF-8".to_owned()))?;
        flags.push(Flag { flag: "--data-dir", key: "data_dir", value: value.to_owned() });
    }
    Ok(Sources::of_process(global.config.clone(), flags))
}

/// Opens the secrets of a data directory that a server was started with.
pub(crate) fn secrets(config: &Config) -> Result<Secrets, Failure> {
    Secrets::open(config).map_err(|error| match error {
        SecretsError::Missing(_) => Failure::NotFound(error.to_string()),
        SecretsError::Exposed { .. }
        | SecretsError::Damaged { .. }
        | SecretsError::Others(_)
        | SecretsError::NoDirectory(_)
        | SecretsError::Io { .. }
        | SecretsError::NoRandomness => Failure::Other(error.into()),
    })
}
