//! Whose files are that root makes beside a server: root's own, in the directory of another user, would be in that server's way.
//!
//! IMPORTANT: that other user owns the directory, and may be anybody's by now. Nothing in it may lead root to a file elsewhere: what is
//! opened there is no link, and what is given away has no other name.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown, lchown};
use std::path::Path;

/// Has a file be opened only where its name is no symbolic link.
pub(crate) fn no_link(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
}

/// Gives an open file to whoever owns `like`, where this process is root's and that one is somebody else. Nobody but root can give
/// a file away: of another user's process it is left as it is, and so is what has more names than one.
///
/// # Errors
/// Those of the file system, where root may not give files away either.
pub fn hand_over(file: &File, like: &Path) -> io::Result<()> {
    let Some((user, group)) = owner(like)? else { return Ok(()) };
    let found = file.metadata()?;
    match found.uid() != user && found.is_file() && found.nlink() == 1 {
        true => fchown(file, Some(user), Some(group)),
        false => Ok(()),
    }
}

/// As [`hand_over`], of a directory.
///
/// # Errors
/// As [`hand_over`].
pub fn hand_over_path(path: &Path, like: &Path) -> io::Result<()> {
    let Some((user, group)) = owner(like)? else { return Ok(()) };
    let found = fs::symlink_metadata(path)?;
    match found.uid() != user && found.is_dir() {
        true => lchown(path, Some(user), Some(group)),
        false => Ok(()),
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
        if lchown(folder.path(), Some(12_345), Some(12_346)).is_err() {
            return;
        }
        let second = folder.path().join("second");
        fs::hard_link(&path, &second).unwrap();
        hand_over(&file, folder.path()).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), made_by, "it may be somebody else's, too");
        fs::remove_file(second).unwrap();
        hand_over(&file, folder.path()).unwrap();
        // A link that leads elsewhere is neither opened nor given away.
        let (link, elsewhere) = (folder.path().join("link"), tempfile::tempdir().unwrap());
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        hand_over_path(&link, folder.path()).unwrap();
        assert_eq!(fs::metadata(elsewhere.path()).unwrap().uid(), made_by);
        assert!(no_link(OpenOptions::new().read(true)).open(&link).is_err());
        let below = folder.path().join("below");
        fs::create_dir(&below).unwrap();
        hand_over_path(&below, folder.path()).unwrap();
        for made in [&path, &below] {
            let made = fs::metadata(made).unwrap();
            assert_eq!((made.uid(), made.gid()), (12_345, 12_346));
        }
    }
}
