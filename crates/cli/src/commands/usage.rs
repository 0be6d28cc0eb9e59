//! `aerostore usage`: bytes and files by user and bucket.

use clap::Args;

use super::Context;
use crate::failure::Failure;

/// Options of `usage`.
#[derive(Debug, Args)]
pub(crate) struct Usage {
    /// Count anew and say what differs from the counters (it must be nothing)
    #[arg(long)]
    recalculate: bool,
}

/// Runs `aerostore usage`.
pub(crate) async fn run(usage: &Usage, context: &Context<'_>) -> Result<(), Failure> {
    let report = context.client.usage(usage.recalculate).await?;
    context.out.json(&report)
}
