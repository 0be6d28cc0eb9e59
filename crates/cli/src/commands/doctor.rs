//! `aerostore doctor`: looks for what commonly goes wrong, and says what to do.

use clap::Args;
use serde_json::json;
use server::{Finding, Severity};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Where the metadata is, as for `serve` [env: AEROSTORE_DATABASE]
    #[arg(long, value_name = "URL")]
    database: Option<String>,
}

/// Runs `aerostore doctor`. Warnings are no failure.
pub(crate) async fn run(doctor: &Doctor, global: &Global, out: &Output) -> Result<(), Failure> {
    let database = doctor.database.clone();
    let flags = database.map(|value| server::config::Flag { flag: "--database", key: "database", value });
    let loaded = settings::load(global, flags.into_iter().collect())?;
    let findings = server::doctor(&loaded).await;
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if out.is_json() {
        out.json(&json!({ "ok": errors == 0, "findings": findings }))?;
    } else {
        out.text(&findings.iter().map(describe).collect::<String>())?;
    }
    match errors {
        0 => Ok(()),
        1 => Err(anyhow::anyhow!("something is wrong").into()),
        several => Err(anyhow::anyhow!("{several} things are wrong").into()),
    }
}

fn describe(finding: &Finding) -> String {
    let mark = match finding.severity {
        Severity::Ok => "ok",
        Severity::Warning => "WARNING",
        Severity::Error => "ERROR",
    };
    let line = format!("{mark:<8} {}: {}\n", finding.about, finding.found);
    match finding.advice {
        Some(advice) => format!("{line}         → {advice}\n"),
        None => line,
    }
}
