//! `aerostore health`: whether the server is well; exit code 0 says yes.

use clap::Args;

use super::Context;
use crate::failure::Failure;

/// `health` has no options of its own.
#[derive(Debug, Args)]
pub(crate) struct Health {}

/// Runs `aerostore health`.
pub(crate) async fn run(_health: &Health, context: &Context<'_>) -> Result<(), Failure> {
    let report = context.client.health().await?;
    context.out.json(&report)
}
