//! Lines of all servers in the order of their times, those that somebody wants.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::line::{self, Found};
use super::{AuditError, Line, series};
use crate::Timestamp;

/// Which lines are wanted. Each field narrows.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Not before this moment.
    pub from: Option<Timestamp>,
    /// Before this moment.
    pub to: Option<Timestamp>,
    /// What this user did.
    pub user: Option<Uuid>,
    /// What happened in this bucket, or to what came from it.
    pub bucket: Option<String>,
    /// The same of paths that begin so.
    pub path: Option<String>,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFormat {
    /// As they are: one JSON object each.
    JsonLines,
    /// As a table (RFC 4180), with a line of names.
    Csv,
}

/// Columns of a table, in their order.
const COLUMNS: [&str; 26] = [
    "sequence",
    "server",
    "time",
    "event",
    "operation",
    "action",
    "outcome",
    "code",
    "role",
    "user_id",
    "credential",
    "signed_url",
    "client",
    "request_id",
    "purpose",
    "rule",
    "bucket",
    "path",
    "from_bucket",
    "from_path",
    "version",
    "bytes",
    "count",
    "subject",
    "settings",
    "previous",
];

/// Writes the lines that are wanted; gives how many. What is no line is passed over: to find it is for
/// [`verify`](super::verify()).
///
/// # Errors
/// [`AuditError::Place`]: something can't be read, or not be written, which then names the directory.
pub fn export(
    directory: &Path,
    filter: &AuditFilter,
    format: AuditFormat,
    out: &mut dyn Write,
) -> Result<u64, AuditError> {
    let all = series::all(directory).map_err(AuditError::at(directory))?;
    let mut heads = Vec::new();
    for files in all.into_values() {
        let mut reader = Reader { files: files.into_values().collect(), current: None };
        if let Some(head) = reader.next()? {
            heads.push((head, reader));
        }
    }
    let written = |outcome: io::Result<()>| outcome.map_err(AuditError::at(directory));
    if format == AuditFormat::Csv {
        written(row(out, COLUMNS.map(str::to_owned)))?;
    }
    let mut count = 0;
    let earliest = |heads: &[(Read, Reader)]| {
        let times = heads.iter().map(|((line, _), _)| line.entry.time).enumerate();
        times.min_by_key(|(_, time)| *time).map(|(at, _)| at)
    };
    while let Some(at) = earliest(&heads) {
        let (head, mut reader) = heads.swap_remove(at);
        if filter.wants(&head.0) {
            count += 1;
            written(tell(out, format, &head))?;
        }
        if let Some(next) = reader.next()? {
            heads.push((next, reader));
        }
    }
    Ok(count)
}

/// A line, and its bytes.
type Read = (Line, Vec<u8>);

/// Lines of one server.
struct Reader {
    files: VecDeque<PathBuf>,
    current: Option<(PathBuf, BufReader<File>)>,
}

impl Reader {
    fn next(&mut self) -> Result<Option<Read>, AuditError> {
        let mut buffer = Vec::new();
        loop {
            let Some((path, reader)) = &mut self.current else {
                let Some(path) = self.files.pop_front() else { return Ok(None) };
                let file = File::open(&path).map_err(AuditError::at(&path))?;
                self.current = Some((path, BufReader::new(file)));
                continue;
            };
            match line::read(reader, &mut buffer).map_err(AuditError::at(path))? {
                Found::End | Found::Torn => self.current = None,
                Found::TooLong => {}
                Found::Whole => {
                    if let Some(line) = Line::parse(&buffer) {
                        return Ok(Some((line, buffer)));
                    }
                }
            }
        }
    }
}

impl AuditFilter {
    fn wants(&self, line: &Line) -> bool {
        let entry = &line.entry;
        let at = |bucket: &Option<String>, path: &Option<String>| {
            let bucket = self.bucket.as_ref().is_none_or(|wanted| bucket.as_ref() == Some(wanted));
            let below = |wanted: &String| path.as_ref().is_some_and(|path| path.starts_with(wanted.as_str()));
            bucket && self.path.as_ref().is_none_or(below)
        };
        self.from.is_none_or(|from| entry.time >= from)
            && self.to.is_none_or(|to| entry.time < to)
            && self.user.is_none_or(|user| entry.user_id == Some(user))
            && (at(&entry.bucket, &entry.path) || at(&entry.from_bucket, &entry.from_path))
    }
}

fn tell(out: &mut dyn Write, format: AuditFormat, (line, bytes): &Read) -> io::Result<()> {
    match format {
        AuditFormat::JsonLines => {
            out.write_all(bytes)?;
            out.write_all(b"\n")
        }
        AuditFormat::Csv => {
            let value = serde_json::to_value(line)?;
            row(
                out,
                COLUMNS.map(|column| match value.get(column) {
                    None | Some(serde_json::Value::Null) => String::new(),
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                }),
            )
        }
    }
}

fn row(out: &mut dyn Write, cells: [String; COLUMNS.len()]) -> io::Result<()> {
    out.write_all(cells.map(cell).join(",").as_bytes())?;
    out.write_all(b"\r\n")
}

/// A cell that no spreadsheet takes for a formula: paths are their callers' words.
fn cell(mut text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        text.insert(0, '\'');
    }
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
