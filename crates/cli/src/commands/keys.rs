//! `aerostore keys`: what applications need to reach the server.

use clap::Args;
use server::secrets::Keys;

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::settings;

/// `keys` has no options of its own.
#[derive(Debug, Args)]
pub(crate) struct Show {}

/// Runs `aerostore keys`.
pub(crate) fn run(_show: &Show, global: &Global, out: &Output) -> Result<(), Failure> {
    let loaded = settings::load(global, Vec::new())?;
    let keys = settings::secrets(&loaded.config)?.keys().map_err(anyhow::Error::from)?;
    out.result(&keys, describe)
}

fn describe(keys: &Keys) -> String {
    let rows = [
        ("anon key", keys.anon_key.as_str()),
        ("service key", keys.service_key.as_str()),
        ("JWT secret", keys.jwt_secret.as_str()),
        ("S3 access key id", keys.s3_access_key_id.as_str()),
        ("S3 secret access key", keys.s3_secret_access_key.as_str()),
    ];
    table(&rows.map(|(name, value)| vec![name.to_owned(), value.to_owned()]), &[])
}
