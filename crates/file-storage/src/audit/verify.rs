//! Whether all lines are there that were written, and none was changed.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::line::{self, Found, NOTHING};
use super::{AuditError, Event, Line, series};
use crate::Timestamp;
use crate::file::Sha256;

/// Problems that are named at most; more are counted.
const MOST_NAMED: usize = 100;

/// What was found in a directory with an audit log.
#[derive(Debug, Clone, Default)]
pub struct VerifiedAudit {
    /// Lines of each server.
    pub series: Vec<AuditedSeries>,
    /// What is wrong, as far as it is named.
    pub problems: Vec<AuditProblem>,
    /// How much is wrong.
    pub problem_count: u64,
}

/// Lines of one server.
#[derive(Debug, Clone)]
pub struct AuditedSeries {
    /// The server.
    pub server: String,
    /// Its files.
    pub files: u64,
    /// Its lines.
    pub lines: u64,
    /// Number of the first line.
    pub first: u64,
    /// Number of the last line.
    pub last: u64,
    /// SHA-256 of the last line, which says all that is before it: note it elsewhere, to see later that nothing was cut off.
    pub hash: String,
    /// When the first line was written.
    pub from: Option<Timestamp>,
    /// When the last line was written.
    pub until: Option<Timestamp>,
    /// Whether the last line is torn: the server was killed, and nobody was told that it is there.
    pub is_torn: bool,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditProblem {
    /// In which file.
    pub file: PathBuf,
    /// At which line of it, from 1; 0 for all of it.
    pub line: u64,
    /// What.
    pub problem: String,
}

/// Reads all lines, and compares each with the one before. With `head`, a line with that hash must be there.
///
/// # Errors
/// [`AuditError::Place`]: something can't be read.
pub fn verify(directory: &Path, head: Option<&str>) -> Result<VerifiedAudit, AuditError> {
    let mut found = VerifiedAudit::default();
    let mut sought = head.and_then(Sha256::from_hex);
    for (server, files) in series::all(directory).map_err(AuditError::at(directory))? {
        let mut reading = Reading::new(server, sought, &mut found);
        for (first, path) in &files {
            reading.file(path, *first)?;
        }
        sought = reading.end(&files);
    }
    if let (Some(head), true) = (head, sought.is_some() || head.and_then(Sha256::from_hex).is_none()) {
        found.complain(directory, 0, format!("no line has the hash {head}"));
    }
    Ok(found)
}

impl VerifiedAudit {
    fn complain(&mut self, file: &Path, line: u64, problem: impl Into<String>) {
        self.problem_count += 1;
        if self.problems.len() < MOST_NAMED {
            self.problems.push(AuditProblem { file: file.to_owned(), line, problem: problem.into() });
        }
    }
}

/// Lines of one server, as they are read.
struct Reading<'a> {
    found: &'a mut VerifiedAudit,
    series: AuditedSeries,
    /// Hash of the last line.
    hash: Sha256,
    /// What the first line names as the one before it.
    before_first: Option<Sha256>,
    /// Beginnings that were deleted in order: their last numbers and hashes.
    pruned: BTreeMap<u64, String>,
    /// A hash that must be somewhere.
    sought: Option<Sha256>,
}

impl<'a> Reading<'a> {
    fn new(server: String, sought: Option<Sha256>, found: &'a mut VerifiedAudit) -> Self {
        let series = AuditedSeries {
            server,
            files: 0,
            lines: 0,
            first: 0,
            last: 0,
            hash: String::new(),
            from: None,
            until: None,
            is_torn: false,
        };
        Self { found, series, hash: NOTHING, before_first: None, pruned: BTreeMap::new(), sought }
    }

    fn file(&mut self, path: &Path, first: u64) -> Result<(), AuditError> {
        self.series.files += 1;
        if self.series.is_torn {
            self.found.complain(path, 0, "the file before it ends within a line");
            self.series.is_torn = false;
        }
        let mut reader = BufReader::new(File::open(path).map_err(AuditError::at(path))?);
        let (mut buffer, mut number) = (Vec::new(), 0);
        loop {
            number += 1;
            match line::read(&mut reader, &mut buffer).map_err(AuditError::at(path))? {
                Found::End => return Ok(()),
                Found::Torn => {
                    self.series.is_torn = true;
                    return Ok(());
                }
                Found::TooLong => self.found.complain(path, number, "is too long for a line"),
                Found::Whole => self.line(path, number, first, &buffer),
            }
        }
    }

    fn line(&mut self, path: &Path, number: u64, first: u64, bytes: &[u8]) {
        let hash = Sha256::of(bytes);
        let Some(line) = Line::parse(bytes) else {
            self.found.complain(path, number, "is no line of an audit log");
            return;
        };
        if number == 1 && line.sequence != first {
            self.found.complain(path, number, "is not the line that the file's name says");
        }
        if line.server != self.series.server {
            self.found.complain(path, number, format!("is a line of {}", line.server));
        }
        let previous = line.previous_hash();
        if self.series.lines == 0 {
            self.series.first = line.sequence;
            self.series.from = Some(line.entry.time);
            self.before_first = previous;
        } else {
            let expected = self.series.last + 1;
            if line.sequence != expected {
                let (last, found) = (self.series.last, line.sequence);
                self.found.complain(path, number, format!("has the number {found}, and follows {last}"));
            } else if previous != Some(self.hash) {
                let problem = format!("does not follow from line {}: one of them was changed", expected - 1);
                self.found.complain(path, number, problem);
            }
        }
        if line.entry.event == Event::Prune
            && let (Some(through), Some(hash)) = (line.entry.count, &line.entry.subject)
        {
            self.pruned.insert(through, hash.clone());
        }
        if self.sought == Some(hash) {
            self.sought = None;
        }
        self.hash = hash;
        self.series.lines += 1;
        self.series.last = line.sequence;
        self.series.until = Some(line.entry.time);
    }

    /// What is known when all was read; gives the hash that is still sought.
    fn end(mut self, files: &BTreeMap<u64, PathBuf>) -> Option<Sha256> {
        let before = self.series.first.saturating_sub(1);
        let begins_well = match (before, self.before_first) {
            (0, before_first) => before_first.is_none_or(|hash| hash == NOTHING),
            (_, None) => true,
            (_, Some(hash)) => self.pruned.get(&before) == Some(&hash.to_hex()),
        };
        if let (false, Some(path)) = (begins_well, files.values().next()) {
            let problem = if before == 0 {
                "the first line names one before it".to_owned()
            } else {
                format!("lines 1 to {before} are missing, and were not deleted by the server for their age")
            };
            self.found.complain(path, 1, problem);
        }
        self.series.hash = self.hash.to_hex();
        self.found.series.push(self.series);
        self.sought
    }
}
