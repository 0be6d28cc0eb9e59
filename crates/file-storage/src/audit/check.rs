//! Whether a log could be kept, before one is; also beside a server that keeps it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use uuid::Uuid;

use super::writer::End;
use super::{AuditError, AuditOptions, holder, series};

/// Bytes that are tried: more than a file system keeps beside the file's name.
const PROBE: usize = 4096;

/// Looks for what a start would stumble over at the log's place: tries to write there, and leaves nothing behind. The server's
/// name may be taken by the server of the same data directory, or by a process that can't be told from it ([`holder`] says which).
///
/// # Errors
/// [`AuditError`]: its place can't be used, another server has its name, or its last line is none.
pub fn check(options: &AuditOptions) -> Result<(), AuditError> {
    let directory = &options.directory;
    // A name of its own, not the log's: a server may be starting meanwhile.
    let probe = format!(".probe-{}", Uuid::new_v4());
    if let Some(above) = above(directory).map_err(AuditError::at(directory))? {
        let probe = above.join(probe);
        let made = fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe));
        return made.map_err(AuditError::at(directory));
    }
    let lock = series::lock(directory, &options.server);
    let has_lock = match OpenOptions::new().write(true).open(&lock) {
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(AuditError::Place { path: lock, source: error }),
    };
    let probe = directory.join(probe);
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    // A full disk may have room for a name, and none for a line.
    let written = made.and_then(|mut file| {
        let written = file.write_all(&[b'\n'; PROBE]);
        fs::remove_file(&probe).and(written)
    });
    match written {
        // Its lines come later, then.
        Err(_) if options.continues_on_failure && has_lock => {}
        written => written.map_err(AuditError::at(directory))?,
    }
    holder(options)?;
    let files = series::all(directory).map_err(AuditError::at(directory))?;
    for path in files.get(&options.server).into_iter().flat_map(|files| files.values().rev()) {
        match End::of(path) {
            Ok(End { last: None, .. }) => {}
            // A running server lets old files go.
            Err(AuditError::Place { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            end => return end.map(drop),
        }
    }
    Ok(())
}

/// The directory in which a missing one would be begun; `None` where it is there.
fn above(directory: &Path) -> io::Result<Option<&Path>> {
    for place in directory.ancestors() {
        let named = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        match fs::metadata(named) {
            Ok(found) if !found.is_dir() => return Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => return Ok((place != directory).then_some(named)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
