//! `aerostore cleanup`: what interrupted writes left behind, told or taken away.

use clap::Args;

use super::Context;
use crate::client::admin::CleanupReport;
use crate::failure::Failure;
use crate::output::{plain, table};
use crate::units;

/// Options of `cleanup`.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Cleanup {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
}

/// Runs `aerostore cleanup`. A halted job is a failure: somebody must look.
pub(crate) async fn run(cleanup: &Cleanup, context: &Context<'_>) -> Result<(), Failure> {
    let report = context.client.cleanup(cleanup.apply).await?;
    context.out.result(&report, describe)?;
    match &report.halted {
        None => Ok(()),
        Some(reason) => Err(anyhow::anyhow!("the cleanup stopped: {reason}").into()),
    }
}

fn describe(report: &CleanupReport) -> String {
    let rows = [
        (
            "blobs without an object",
            format!("{} ({})", report.orphan_blobs, units::size(report.orphan_bytes)),
        ),
        ("objects without their blob", report.missing_blobs.to_string()),
        ("copies missing", report.missing_copies.to_string()),
        ("blobs deleted", report.deleted_blobs.to_string()),
        ("rows deleted", report.deleted_rows.to_string()),
        ("deletions pending", report.pending_deletions.to_string()),
    ];
    let mut text = table(&rows.map(|(name, value)| vec![name.to_owned(), value]), &[]);
    for missing in &report.missing {
        let path = plain(&missing.path);
        text.push_str(&format!("\nmissing on {}: {}/{path}", missing.provider, missing.bucket));
    }
    text
}
