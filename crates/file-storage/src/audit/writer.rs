//! The one who writes: numbers lines, chains them, begins files, and lets old ones go.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use chrono::{Datelike as _, Utc};

use super::line::{self, Found, NOTHING};
use super::{AuditError, AuditOptions, Entry, Event, Line, hold, log, series};
use crate::file::Sha256;

/// Writes lines of one server, and is the only one who does.
pub(super) struct Writer {
    options: AuditOptions,
    /// Number and hash of the last line.
    last: (u64, Sha256),
    file: Current,
    buffer: Vec<u8>,
    looked_for_old: Option<Instant>,
    /// Held, never read.
    _held: File,
}

/// The file that lines go to.
enum Current {
    /// None: one is begun with the next line.
    None,
    /// This one, which is as long as it should be.
    Open { file: File, path: PathBuf, length: u64, day: i32 },
    /// This one failed: what of it counts is so long, and what is behind that must go before anything else.
    Failed { path: PathBuf, length: u64 },
}

impl Writer {
    /// Takes the server's name, finds its last line, cuts off what a crash left behind it, and says that the server starts: by a
    /// line, or by the entry for it, where it can't be written yet and changes go on all the same.
    pub(super) fn open(options: AuditOptions) -> Result<(Self, Option<Entry>), AuditError> {
        let directory = &options.directory;
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(AuditError::at(directory))?;
        let held = hold::take(&options)?;
        let files = series::all(directory).map_err(AuditError::at(directory))?;
        let mut last = (0, NOTHING);
        let mut torn = 0;
        for path in files.get(&options.server).into_iter().flat_map(|files| files.values().rev()) {
            let end = End::of(path)?;
            if end.is_torn {
                torn += cut(path, end.length).map_err(AuditError::at(path))?;
            }
            if let Some(found) = end.last {
                last = found;
                break;
            }
        }
        let mut writer = Self {
            last,
            file: Current::None,
            buffer: Vec::new(),
            looked_for_old: None,
            _held: held,
            options,
        };
        let start = Entry { subject: Some(env!("CARGO_PKG_VERSION").to_owned()), ..Entry::new(Event::Start) };
        let start = if torn > 0 { start.bytes(torn) } else { start };
        if let Err(error) = writer.append(std::slice::from_ref(&start)) {
            if !writer.options.continues_on_failure {
                return Err(AuditError::at(&writer.options.directory)(error));
            }
            tracing::error!(%error, "the audit log can't be written; starting all the same");
            return Ok((writer, Some(start)));
        }
        match writer.prune() {
            Err(error) if writer.options.continues_on_failure => {
                tracing::warn!(%error, "old files of the audit log are not deleted");
            }
            pruned => pruned.map_err(AuditError::at(&writer.options.directory))?,
        }
        Ok((writer, None))
    }

    /// Writes entries as lines: all of them, or none.
    pub(super) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let last = self.format(entries)?;
        match self.write() {
            Ok(()) => {
                self.last = last;
                Ok(())
            }
            Err(error) => {
                // NOTE: after a failed sync it is unknown what of the file is there: it is not gone on with.
                if let Current::Open { path, length, .. } = std::mem::replace(&mut self.file, Current::None) {
                    self.file = Current::Failed { path, length };
                }
                Err(error)
            }
        }
    }

    /// Makes lines of entries, and gives number and hash of the last one.
    fn format(&mut self, entries: &[Entry]) -> io::Result<(u64, Sha256)> {
        self.buffer.clear();
        let (mut sequence, mut hash) = self.last;
        for entry in entries {
            sequence += 1;
            let line = Line {
                sequence,
                server: self.options.server.clone(),
                entry: entry.clone(),
                previous: hash.to_hex(),
            };
            let begin = self.buffer.len();
            serde_json::to_writer(&mut self.buffer, &line)?;
            hash = Sha256::of(self.buffer.get(begin..).unwrap_or_default());
            self.buffer.push(b'\n');
        }
        Ok((sequence, hash))
    }

    /// Writes what is in the buffer.
    fn write(&mut self) -> io::Result<()> {
        self.options.failpoints.hit("audit.write")?;
        self.repair()?;
        self.turn()?;
        let Current::Open { file, length, .. } = &mut self.file else {
            return Err(io::Error::other("no file is open"));
        };
        if file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted"));
        }
        file.write_all(&self.buffer)?;
        if self.options.sync {
            self.options.failpoints.hit("audit.sync")?;
            file.sync_data()?;
        }
        *length += self.buffer.len() as u64;
        Ok(())
    }

    /// Cuts off what a failure left behind the last good line of its file.
    fn repair(&mut self) -> io::Result<()> {
        let Current::Failed { path, length } = &self.file else { return Ok(()) };
        match OpenOptions::new().write(true).open(path) {
            Ok(file) => {
                file.set_len(*length)?;
                file.sync_all()?;
                if *length == 0 {
                    fs::remove_file(path)?;
                }
            }
            // Somebody deleted it: that shows, as lines are missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.file = Current::None;
        Ok(())
    }

    /// Begins the next file where the last one is long enough, or of another day.
    fn turn(&mut self) -> io::Result<()> {
        let today = Utc::now().num_days_from_ce();
        if let Current::Open { length, day, .. } = &self.file
            && *length < self.options.max_file_size
            && *day == today
        {
            return Ok(());
        }
        let path = series::file(&self.options.directory, &self.options.server, self.last.0 + 1);
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        // Of its name only empty files are left behind, by a start that could not write.
        if file.metadata()?.len() > 0 {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the next file is there, and has lines",
            ));
        }
        if self.options.sync {
            File::open(&self.options.directory)?.sync_all()?;
        }
        self.file = Current::Open { file, path, length: 0, day: today };
        let (sequence, hash) = self.last;
        tracing::info!(sequence, hash = hash.to_hex(), "the audit log begins a file behind this line");
        Ok(())
    }

    /// Deletes files whose time is over, and says so before.
    pub(super) fn prune(&mut self) -> io::Result<()> {
        let Some(keep) = self.options.keep else { return Ok(()) };
        if self.looked_for_old.is_some_and(|looked| looked.elapsed() < log::PRUNE) {
            return Ok(());
        }
        self.looked_for_old = Some(Instant::now());
        let files = series::all(&self.options.directory)?;
        let Some(files) = files.get(&self.options.server) else { return Ok(()) };
        let Some(oldest) = SystemTime::now().checked_sub(keep) else { return Ok(()) };
        let mut old = Vec::new();
        let mut next = files.iter().peekable();
        let mut through = None;
        while let (Some((_, path)), Some((first, behind))) = (next.next(), next.peek()) {
            if fs::metadata(path)?.modified()? > oldest {
                break;
            }
            let Some(line) = first_line(behind)? else { break };
            through = Some((**first - 1, line.previous));
            old.push(path.clone());
        }
        let Some((sequence, hash)) = through else { return Ok(()) };
        self.append(&[Entry::new(Event::Prune).count(sequence).subject(hash)])?;
        for path in old {
            fs::remove_file(&path)?;
        }
        Ok(())
    }
}

/// The first line of a file.
fn first_line(path: &Path) -> io::Result<Option<Line>> {
    let mut buffer = Vec::new();
    let found = line::read(&mut BufReader::new(File::open(path)?), &mut buffer)?;
    Ok(matches!(found, Found::Whole).then(|| Line::parse(&buffer)).flatten())
}

/// How a file ends.
pub(super) struct End {
    /// Number and hash of its last line.
    pub(super) last: Option<(u64, Sha256)>,
    /// Where that ends.
    length: u64,
    /// Whether something is behind it that is no line.
    is_torn: bool,
}

impl End {
    pub(super) fn of(path: &Path) -> Result<Self, AuditError> {
        let read = || {
            let mut reader = BufReader::new(File::open(path)?);
            let (mut buffer, mut last, mut length) = (Vec::new(), None, 0);
            loop {
                match line::read(&mut reader, &mut buffer)? {
                    Found::Whole => {
                        length += buffer.len() as u64 + 1;
                        std::mem::swap(last.get_or_insert_default(), &mut buffer);
                    }
                    Found::Torn | Found::TooLong => break Ok((last, length, true)),
                    Found::End => break Ok((last, length, false)),
                }
            }
        };
        let (last, length, is_torn): (Option<Vec<u8>>, u64, bool) = read().map_err(AuditError::at(path))?;
        let last = match last {
            None => None,
            Some(bytes) => {
                let line =
                    Line::parse(&bytes).ok_or_else(|| AuditError::Damaged { path: path.to_owned() })?;
                Some((line.sequence, Sha256::of(&bytes)))
            }
        };
        Ok(Self { last, length, is_torn })
    }
}

/// Cuts a file off at this length; gives how many bytes went.
fn cut(path: &Path, length: u64) -> io::Result<u64> {
    let file = OpenOptions::new().write(true).open(path)?;
    let whole = file.metadata()?.len();
    file.set_len(length)?;
    file.sync_all()?;
    tracing::warn!(file = %path.display(), bytes = whole - length, "cut a line off the audit log that a crash left torn");
    Ok(whole - length)
}
