//! Whose files are that root makes beside a server: root's own, in the directory of another user, would be in that server's way.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, chown, fchown};
use std::path::Path;

/// Gives an open file to whoever owns `like`, where this process is root's and that one is somebody else. Nobody but root can give
/// a file away: of another user's process it is left as it is.
///
/// # Errors
/// Those of the file system, where root may not give files away either.
pub fn hand_over(file: &File, like: &Path) -> io::Result<()> {
    match owner(like)? {
        Some((user, group)) if file.metadata()?.uid() != user => fchown(file, Some(user), Some(group)),
        Some(_) | None => Ok(()),
    }
}

/// As [`hand_over`], of a directory, or of a file that is not open.
///
/// # Errors
/// As [`hand_over`].
pub fn hand_over_path(path: &Path, like: &Path) -> io::Result<()> {
    match owner(like)? {
        Some((user, group)) if fs::metadata(path)?.uid() != user => chown(path, Some(user), Some(group)),
        Some(_) | None => Ok(()),
    }
}

/// User and group that files beside this one go to; `None` where they stay with who makes them.
fn owner(like: &Path) -> io::Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = fs::metadata(like)?;
    Ok((found.uid() != 0).then(|| (found.uid(), found.gid())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_root_makes_belongs_to_the_directorys_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        let made_by = file.metadata().unwrap().uid();
        hand_over(&file, folder.path()).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), made_by, "the directory is whose the file is");
        // Only root can have a directory that is another user's.
        if chown(folder.path(), Some(12_345), Some(12_346)).is_err() {
            return;
        }
        hand_over(&file, folder.path()).unwrap();
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        hand_over_path(&below, folder.path()).unwrap();
        for made in [&path, &below] {
            let made = fs::metadata(made).unwrap();
            assert_eq!((made.uid(), made.gid()), (12_345, 12_346));
        }
    }
}
