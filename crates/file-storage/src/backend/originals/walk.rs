//! A walk through a directory, in the byte order of names, from any name on: so that nothing needs to be kept between two pages.
//! Links are not followed, wherever they stand; each directory is opened by its name in the one above.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::{Found, OriginalName, OriginalPage, PROVIDERS};
use crate::backend::place::WORD;

/// Directories within each other, beyond which none is looked into: each is a descriptor.
const DEEPEST: usize = 128;

/// A directory on the way, and what of it is to come, the next one last.
struct Level {
    directory: OwnedFd,
    prefix: Vec<u8>,
    entries: Vec<Entry>,
}

/// A name in a directory; that of a directory ends with a slash, so that the order is that of whole names.
struct Entry {
    name: Vec<u8>,
    kind: FileType,
}

/// How directories are opened: those that a link stands for are not.
pub(super) const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Device and number of a directory.
pub(super) type Identity = (u64, u64);

pub(super) fn identity(directory: &OwnedFd) -> Result<Identity, Errno> {
    let stat = fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Whether a provider of some Aerostore is there, and says so: all below is its own.
pub(super) fn is_providers(directory: &OwnedFd) -> bool {
    let word = statat(directory, WORD, AtFlags::SYMLINK_NOFOLLOW);
    word.is_ok_and(|word| FileType::from_raw_mode(word.st_mode) == FileType::RegularFile)
}

/// What follows a name below a directory. `own` are directories that are passed over. May block.
pub(super) fn page(
    root: OwnedFd,
    after: Option<&[u8]>,
    limit: usize,
    own: &[Identity],
) -> Result<OriginalPage, Errno> {
    let after = after.unwrap_or_default();
    let mut levels = vec![Level::read(root, Vec::new(), after)?];
    let mut page = OriginalPage::default();
    while page.found.len() < limit {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else {
            page.is_last = true;
            return Ok(page);
        };
        let Some(entry) = level.entries.pop() else {
            levels.pop();
            continue;
        };
        let name = [level.prefix.as_slice(), &entry.name].concat();
        let unusable = match entry.kind {
            FileType::RegularFile => None,
            FileType::Directory => match level.enter(&entry, &name, after, depth, own) {
                Ok(below) => {
                    levels.extend(below);
                    continue;
                }
                Err(reason) => Some(reason),
            },
            FileType::Symlink => Some("it is a symbolic link, which is not followed"),
            _ => Some("it is neither a file nor a directory"),
        };
        page.found.push(Found { name: OriginalName::new(name), unusable });
    }
    Ok(page)
}

impl Level {
    fn read(directory: OwnedFd, prefix: Vec<u8>, after: &[u8]) -> Result<Self, Errno> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let mut name = entry.file_name().to_bytes().to_vec();
            if matches!(name.as_slice(), b"." | b"..") {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => match statat(&directory, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(error) => return Err(error),
                },
                kind => kind,
            };
            if kind == FileType::Directory {
                name.push(b'/');
            }
            if !is_past(&prefix, &name, after) {
                entries.push(Entry { name, kind });
            }
        }
        entries.sort_unstable_by(|one, other| other.name.cmp(&one.name));
        Ok(Self { directory, prefix, entries })
    }

    /// A directory of this one; `None` where it is gone. An error is why it is not looked into.
    fn enter(
        &self,
        entry: &Entry,
        name: &[u8],
        after: &[u8],
        depth: usize,
        own: &[Identity],
    ) -> Result<Option<Self>, &'static str> {
        if depth >= DEEPEST {
            return Err("it lies too deep");
        }
        let plain = entry.name.strip_suffix(b"/").unwrap_or(&entry.name);
        let opened = openat(&self.directory, plain, DIRECTORY, Mode::empty());
        let read = opened.and_then(|directory| match own.contains(&identity(&directory)?) {
            true => Ok(Err("it is the server's own directory")),
            false if is_providers(&directory) => Ok(Err(PROVIDERS)),
            false => Self::read(directory, name.to_vec(), after).map(Ok),
        });
        match read {
            Ok(level) => level.map(Some),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(Errno::ACCESS | Errno::PERM) => Err("the server may not look into it"),
            Err(error) => {
                tracing::warn!(%error, "a directory of originals can't be read");
                Err("reading it failed")
            }
        }
    }
}

/// Whether all that a name stands for comes before a place, or is it.
fn is_past(prefix: &[u8], name: &[u8], after: &[u8]) -> bool {
    let whole = [prefix, name].concat();
    // A directory that holds the place is not past; one that is the place itself was told of.
    let holds = name.ends_with(b"/") && after.len() > whole.len() && after.starts_with(&whole);
    !after.is_empty() && whole.as_slice() <= after && !holds
}
