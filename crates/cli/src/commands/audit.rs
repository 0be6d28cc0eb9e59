//! `aerostore audit`: whether an audit log is whole, and lines of it. Talks to no server.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use server::audit::{self, AuditError, AuditFilter, AuditFormat, AuditedSeries};
use uuid::Uuid;

use crate::failure::Failure;
use crate::output::{Output, table};

/// What to do with an audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Read all lines, and say whether one was changed, taken out or put in
    Verify(Verify),
    /// Write lines to stdout, of all servers in the order of their times
    Export(Export),
}

/// Options of `audit verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The directory of the audit log (`audit.directory`)
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A hash that an earlier verification said: the line must still be there
    #[arg(long, value_name = "HASH")]
    head: Option<String>,
}

/// Options of `audit export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The directory of the audit log (`audit.directory`)
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Lines from this moment on: 2026-01-31, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<DateTime<Utc>>,
    /// Lines before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<DateTime<Utc>>,
    /// What this user did
    #[arg(long, value_name = "UUID")]
    user: Option<Uuid>,
    /// What happened in this bucket
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// What happened to paths that begin so
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// How lines are written
    #[arg(long, value_enum, default_value = "jsonl")]
    format: Format,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As they are, one JSON object each
    Jsonl,
    /// A table with a line of names
    Csv,
}

/// Runs `aerostore audit`.
pub(crate) fn run(command: &Audit, out: &Output) -> Result<(), Failure> {
    match command {
        Audit::Verify(asked) => verify(asked, out),
        Audit::Export(asked) => export(asked),
    }
}

fn verify(asked: &Verify, out: &Output) -> Result<(), Failure> {
    let found = audit::verify(&asked.directory, asked.head.as_deref()).map_err(other)?;
    let problems = found
        .problems
        .iter()
        .map(|problem| json!({ "file": problem.file, "line": problem.line, "problem": problem.problem }));
    let value = json!({
        "servers": found.series.iter().map(series).collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
        "problem_count": found.problem_count,
    });
    out.result(&value, |_| {
        let head = ["server", "lines", "first", "last", "until", "hash of the last line"].map(str::to_owned);
        let rows = found.series.iter().map(|series| {
            let until = series
                .until
                .map_or_else(String::new, |until| until.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            let numbers = [series.lines, series.first, series.last].map(|number| number.to_string());
            [vec![series.server.clone()], numbers.to_vec(), vec![until, series.hash.clone()]].concat()
        });
        let rows: Vec<_> = std::iter::once(head.to_vec()).chain(rows).collect();
        let mut text = table(&rows, &[1, 2, 3]);
        for problem in &found.problems {
            text.push_str(&format!("\n{}:{}: {}", problem.file.display(), problem.line, problem.problem));
        }
        text
    })?;
    match found.problem_count {
        0 if found.series.is_empty() => {
            Err(Failure::NotFound(format!("{} has no audit log", asked.directory.display())))
        }
        0 => Ok(()),
        count => Err(anyhow::anyhow!("the audit log is not what was written ({count})").into()),
    }
}

fn series(series: &AuditedSeries) -> Value {
    json!({
        "server": series.server,
        "files": series.files,
        "lines": series.lines,
        "first": series.first,
        "last": series.last,
        "from": series.from,
        "until": series.until,
        "hash": series.hash,
        "is_torn": series.is_torn,
    })
}

fn export(asked: &Export) -> Result<(), Failure> {
    let filter = AuditFilter {
        from: asked.from,
        to: asked.to,
        user: asked.user,
        bucket: asked.bucket.clone(),
        path: asked.path.clone(),
    };
    let format = match asked.format {
        Format::Jsonl => AuditFormat::JsonLines,
        Format::Csv => AuditFormat::Csv,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let written = audit::export(&asked.directory, &filter, format, &mut out).map_err(other);
    let flushed = out.flush();
    written?;
    match flushed {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::PipeClosed),
        flushed => Ok(flushed?),
    }
}

fn other(error: AuditError) -> Failure {
    match error {
        AuditError::Place { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => Failure::PipeClosed,
        // Its words have their cause in them.
        error => Failure::Other(anyhow::Error::msg(error.to_string())),
    }
}

/// A day, from its beginning, or a moment.
fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let day = || Some(text.parse::<NaiveDate>().ok()?.and_time(NaiveTime::MIN).and_utc());
    let exact = DateTime::parse_from_rfc3339(text).map(|moment| moment.to_utc());
    exact.ok().or_else(day).ok_or_else(|| "write it as 2026-01-31, or 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let source = io::Error::from(io::ErrorKind::NotFound);
        let told = other(AuditError::Place { path: "nodir".into(), source }).to_string();
        assert_eq!(told, format!("nodir: {}", io::Error::from(io::ErrorKind::NotFound)));
    }
}
