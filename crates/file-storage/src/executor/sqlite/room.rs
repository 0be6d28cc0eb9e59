//! Room on the disk that holds the database: who may take it, and a reserve for writes that give some back.
//!
//! A deletion is a write, too: where the log can't grow by a page, nothing could ever be cleared. So a file beside the
//! database holds some room. It is given up when a write that frees room meets a full disk, and made again when there
//! is room; as long as it is missing, writes that take room are refused. Those are also refused while what is free
//! would not hold what the log has yet to move into the database: so that the log can always be moved, and shortened.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use super::checkpoint::checkpoint;
use super::errors::Fault;
use crate::failpoint::Scope;
use crate::ownership;

/// Bytes of the reserve; on a small disk, an eighth of it.
const RESERVE: u64 = 8 << 20;

/// Bytes of the reserve on the smallest disk: what a few deletions need.
const LEAST: u64 = 256 << 10;

/// What a write does to the room on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It takes room: refused where there is little.
    Takes,
    /// It takes next to nothing, and reading depends on it: tried in any case.
    Keeps,
    /// It gives room back: it may have the reserve.
    Frees,
}

/// The room beside one database.
#[derive(Debug)]
pub(super) struct Room {
    folder: PathBuf,
    log: PathBuf,
    reserve: PathBuf,
    /// Bytes of the reserve.
    size: u64,
    held: AtomicBool,
    /// Held while the reserve is made or given up.
    changing: Mutex<()>,
    refusing: AtomicBool,
    failpoints: Scope,
}

impl Room {
    /// Looks at the disk, before the database is opened: what that takes on a full one, the reserve gives.
    pub(super) fn open(database: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        let folder = match database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            Some(_) | None => PathBuf::from("."),
        };
        let total = statvfs(&folder).map_or(0, |disk| disk.f_blocks.saturating_mul(disk.f_frsize));
        let size = if total == 0 { RESERVE } else { (total / 8).clamp(LEAST, RESERVE) };
        let reserve = beside("-reserve");
        let held = fs::metadata(&reserve).is_ok_and(|file| file.len() == size);
        let room = Self {
            folder,
            log: beside("-wal"),
            reserve,
            size,
            held: AtomicBool::new(held),
            changing: Mutex::default(),
            refusing: AtomicBool::new(false),
            failpoints: Scope::new(database),
        };
        if held && room.available() < room.least() {
            room.give_up();
        }
        if !held {
            room.restore();
            room.refuse(!room.is_held());
        }
        room
    }

    /// Whether a write that takes room may begin. Costs nothing while there is room, and a look at the disk else.
    pub(super) fn lets_in(&self) -> bool {
        // What has come back is seen at once: the reserve is made again before the write.
        !self.is_refusing() || if self.is_held() { self.is_ample() } else { self.has_room_for_the_reserve() }
    }

    /// Whether writes that take room are refused just now.
    pub(super) fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Acquire)
    }

    /// Whether the reserve is there.
    pub(super) fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Whether the log should be as short as it can be.
    pub(super) fn is_short(&self) -> bool {
        self.is_refusing() || !self.is_ample()
    }

    /// Decides anew whether writes that take room are let in. Between transactions only.
    pub(super) fn reconsider(&self, conn: &Connection) -> bool {
        if !self.is_held() {
            self.restore();
        }
        let admits = self.is_held() && self.fits(conn).unwrap_or(false);
        self.refuse(!admits);
        admits
    }

    /// Says so when it changes.
    fn refuse(&self, refusing: bool) {
        match (refusing, self.refusing.swap(refusing, Ordering::AcqRel)) {
            (true, false) => {
                tracing::warn!("the database's disk is nearly full: uploads are refused, deletions go on");
            }
            (false, true) => {
                tracing::info!("there is room on the database's disk again: uploads are taken");
            }
            (true, true) | (false, false) => {}
        }
    }

    /// Whether what is free would hold the whole log.
    fn is_ample(&self) -> bool {
        self.available() >= self.log_length().saturating_add(self.floor())
    }

    /// Whether what is free would hold the log's pages when they move into the database, and a little more.
    fn fits(&self, conn: &Connection) -> Result<bool, Fault> {
        if self.is_ample() {
            return Ok(true);
        }
        // Little is left: the bound above was only one. The log is moved and cut off, unless somebody reads in it.
        let number = |pragma: &str| -> Result<u64, Fault> {
            let number: i64 = conn.query_row(pragma, [], |row| row.get(0))?;
            Ok(u64::try_from(number).unwrap_or(0))
        };
        let patience = Duration::from_millis(number("PRAGMA busy_timeout")?);
        conn.busy_timeout(Duration::ZERO)?;
        let log = checkpoint(conn, "TRUNCATE");
        conn.busy_timeout(patience)?;
        let unmoved = log?.unmoved();
        let page = number("PRAGMA page_size")?;
        let free = number("PRAGMA freelist_count")?.saturating_mul(page);
        let (available, floor) = (self.available(), self.floor());
        let needed = unmoved.saturating_mul(page).saturating_add(floor);
        Ok(available >= self.least() && available.saturating_add(free) >= needed)
    }

    /// Gives the reserve up; `false` where there is none any more.
    pub(super) fn give_up(&self) -> bool {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.held.swap(false, Ordering::AcqRel) {
            return false;
        }
        self.refusing.store(true, Ordering::Release);
        // A file system with a journal lets go of the blocks when the removal is written down.
        let removed = fs::remove_file(&self.reserve).and_then(|()| File::open(&self.folder)?.sync_all());
        match removed {
            Ok(()) => tracing::warn!(
                bytes = self.size,
                "the database's disk is full: the reserve is given up for deletions, uploads are refused"
            ),
            Err(error) => tracing::error!(%error, "the database's disk is full, and its reserve stays"),
        }
        true
    }

    /// Makes the reserve where there is room for it, and some more.
    fn restore(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_held() || !self.has_room_for_the_reserve() {
            return;
        }
        match allocate(&self.reserve, self.size) {
            Ok(()) => {
                self.held.store(true, Ordering::Release);
                self.refuse(false);
            }
            Err(error) => {
                tracing::debug!(%error, "no reserve could be made on the database's disk");
                // Half a reserve is none.
                let _gone = fs::remove_file(&self.reserve);
            }
        }
    }

    /// Whether the reserve could be made, and some more would stay.
    fn has_room_for_the_reserve(&self) -> bool {
        self.available() >= self.size.saturating_add(self.least())
    }

    /// What must stay free beside the reserve: half of it, for what is under way.
    fn floor(&self) -> u64 {
        self.size / 2
    }

    /// What is enough for the log while it is moved again and again.
    fn least(&self) -> u64 {
        self.floor() / 2
    }

    fn log_length(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |log| log.len())
    }

    /// Bytes that this process may still write; a disk that does not say has no end.
    fn available(&self) -> u64 {
        if self.failpoints.hit("sqlite.room").is_err() {
            return 0;
        }
        match statvfs(&self.folder) {
            Ok(disk) if disk.f_blocks > 0 => disk.f_bavail.saturating_mul(disk.f_frsize),
            Ok(_) | Err(_) => u64::MAX,
        }
    }
}

/// Makes a file whose blocks are all there.
fn allocate(path: &Path, size: u64) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = ownership::no_link(&mut options).open(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    // A reserve that can't be given away can still be deleted by whoever owns its directory.
    let _ = ownership::hand_over(&file, folder.unwrap_or(Path::new(".")));
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP) => {
            let zeros = [0_u8; 64 << 10];
            for _ in 0..size.div_ceil(zeros.len() as u64) {
                file.write_all(&zeros)?;
            }
            file.set_len(size)?;
            file.sync_data()
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_start_with_room_has_refused_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::open(&folder.path().join("metadata.sqlite"));
        assert!(room.is_held() && !room.is_refusing());
    }
}
