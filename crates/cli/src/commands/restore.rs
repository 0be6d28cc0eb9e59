//! `aerostore restore`: makes a version of an object the current one again; no byte is rewritten.

use clap::Args;
use serde_json::json;

use super::Context;
use crate::address::Remote;
use crate::failure::Failure;

/// Options of `restore`.
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// BUCKET/PATH of the object, also of a deleted one
    address: Remote,
    /// Which version (see ls --versions)
    #[arg(long, value_name = "ID")]
    version_id: String,
}

/// Runs `aerostore restore`.
pub(crate) async fn run(restore: &Restore, context: &Context<'_>) -> Result<(), Failure> {
    let object = restore.address.clone().object().map_err(Failure::Usage)?;
    let version = context.client.restore(&object, &restore.version_id).await?;
    let result = json!({ "path": object.to_string(), "restored": restore.version_id, "version": version });
    context.out.result(&result, |_| format!("{object} is version {} again, as {version}", restore.version_id))
}
