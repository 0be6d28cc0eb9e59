//! Who has a server's name in the log's directory: one process, by the file that it holds for as long as it lives. In the file it says
//! which data directory it is the server of, so that whoever looks at the place beside a running server can tell whether that is his own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{AuditError, AuditOptions, series};

/// How often, and how long after each other, a start asks for a name that is taken: whoever looks at it has it for a moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Most bytes that are read of what a holder says.
const MOST: u64 = 4096;

/// Who writes lines of a server's name now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// No process.
    Nobody,
    /// The server of the same data directory.
    Ours,
    /// Some process, which does not say of which data directory it is the server: one of an older version.
    Unknown,
}

/// A data directory, as nothing else on any machine is called.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owner {
    /// Which machine it is, since it was booted; `None` where a sandbox hides that.
    boot: Option<String>,
    device: u64,
    inode: u64,
}

impl Owner {
    /// Whose a server of this data directory is; `None` where the directory is not there.
    fn of(data_dir: &Path) -> io::Result<Option<Self>> {
        let found = match fs::metadata(data_dir) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
        let boot = boot.map(|id| id.trim().to_owned());
        Ok(Some(Self { boot, device: found.dev(), inode: found.ino() }))
    }

    /// Whether both are the same, as far as they know.
    fn is(&self, other: &Self) -> bool {
        let boots = self.boot.as_ref().zip(other.boot.as_ref());
        (self.device, self.inode) == (other.device, other.inode) && boots.is_none_or(|(one, two)| one == two)
    }
}

/// Takes the server's name for as long as the file is open.
pub(super) fn take(options: &AuditOptions) -> Result<File, AuditError> {
    let path = series::lock(&options.directory, &options.server);
    let held = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let held = held.map_err(AuditError::at(&path))?;
    for tried in 1.. {
        match flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => break,
            Err(Errno::WOULDBLOCK) if tried < TRIES => std::thread::sleep(PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(taken(options)),
            Err(error) => return Err(AuditError::Place { path, source: error.into() }),
        }
    }
    // What the holder before said is not so any more. Nothing needs the rest: on a full disk it is left out.
    held.set_len(0).map_err(AuditError::at(&path))?;
    if let Ok(Some(owner)) = Owner::of(&options.data_dir) {
        let _ = serde_json::to_vec(&owner).map_err(io::Error::from).and_then(|said| (&held).write_all(&said));
    }
    Ok(held)
}

/// Who has the server's name now. Keeps it from nobody: a start that comes meanwhile asks again.
///
/// # Errors
/// [`AuditError::Taken`], where the server of another data directory has it; [`AuditError::Place`].
pub fn holder(options: &AuditOptions) -> Result<Holder, AuditError> {
    let path = series::lock(&options.directory, &options.server);
    let mut file = match OpenOptions::new().read(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holder::Nobody),
        // Whoever can't be a holder can't tell, either; what that is, the look at the place says.
        Err(error) => return Err(AuditError::at(&path)(error)),
    };
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => return Ok(Holder::Nobody),
        Err(Errno::WOULDBLOCK) => {}
        Err(error) => return Err(AuditError::Place { path, source: error.into() }),
    }
    let mut said = Vec::new();
    (&mut file).take(MOST).read_to_end(&mut said).map_err(AuditError::at(&path))?;
    let Ok(said) = serde_json::from_slice::<Owner>(&said) else { return Ok(Holder::Unknown) };
    match Owner::of(&options.data_dir) {
        Ok(Some(ours)) if ours.is(&said) => Ok(Holder::Ours),
        Ok(_) => Err(taken(options)),
        Err(_) => Ok(Holder::Unknown),
    }
}

fn taken(options: &AuditOptions) -> AuditError {
    AuditError::Taken { server: options.server.clone(), directory: options.directory.clone() }
}
