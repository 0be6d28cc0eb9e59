//! `aerostore mv`: gives an object another path or bucket; no byte is rewritten.

use clap::Args;
use serde_json::json;

use super::Context;
use crate::address::Remote;
use crate::failure::Failure;

/// Options of `mv`.
#[derive(Debug, Args)]
pub(crate) struct Mv {
    /// BUCKET/PATH of the object
    from: Remote,
    /// BUCKET/PATH it gets; BUCKET or BUCKET/FOLDER/ keeps its name. Nothing may be there yet
    to: Remote,
}

/// Runs `aerostore mv`.
pub(crate) async fn run(mv: &Mv, context: &Context<'_>) -> Result<(), Failure> {
    let from = mv.from.clone().object().map_err(Failure::Usage)?;
    let to = if mv.to.is_folder() { mv.to.join(from.file_name()) } else { mv.to.clone() };
    context.client.rename(&from, &to).await?;
    let result = json!({ "from": from.to_string(), "to": to.to_string() });
    context.out.result(&result, |_| format!("{from} -> {to}"))
}
