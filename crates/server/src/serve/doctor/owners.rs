//! Files in the server's directories that its user can't use: mostly ones that a command left there which another user ran.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::Finding;
use crate::config::Config;
use crate::serve::open;

/// Files that are named at most.
const NAMED: usize = 5;

/// The file that tells whose the server is: nobody else can read it.
const SECRETS: &str = "secrets.json";

/// What a server has at the tops of its directories, and what it needs of it at least. What else lies there is not its own.
const OURS: [(&str, u32); 6] = [
    ("blobs", ALL),
    ("staging", ALL),
    ("unfinished", ALL),
    ("provider-id", READ),
    ("last-backup.json", READ),
    ("storage.yml", READ),
];

/// Files of SQLite's, by what they add to the database's name.
const OF_SQLITE: [&str; 6] = ["", "-wal", "-shm", "-lock", "-hold", "-reserve"];

const READ: u32 = 4;
const READ_AND_WRITE: u32 = 6;
const ALL: u32 = 7;

/// Looks at the tops of the data directory and of the directories of providers, and at the database's files.
pub(super) fn look(config: &Config) -> Option<Finding> {
    let server = fs::metadata(config.data_dir.join(SECRETS)).ok()?;
    let mut places: Vec<PathBuf> = vec![config.data_dir.clone()];
    places.extend(config.providers.values().filter_map(|provider| provider.path.clone()));
    let of_place = |place: &PathBuf| OURS.map(|(name, needed)| (place.join(name), needed));
    let mut files: Vec<(PathBuf, u32)> = places.iter().flat_map(of_place).collect();
    files.extend(database(config).into_iter().map(|path| (path, READ_AND_WRITE)));
    let foreign = files.iter().filter(|(path, needed)| {
        fs::metadata(path).is_ok_and(|found| !is_usable((server.uid(), server.gid()), &found, *needed))
    });
    let foreign: Vec<String> = foreign.map(|(path, _)| path.display().to_string()).collect();
    let named = foreign.get(..NAMED).unwrap_or(&foreign).join(", ");
    let rest = match foreign.len().saturating_sub(NAMED) {
        0 => String::new(),
        rest => format!(", and {rest} more"),
    };
    (!foreign.is_empty()).then(|| {
        Finding::error(
            "data directory",
            format!("the server's user ({}) can't use what another user owns: {named}{rest}", server.uid()),
            "chown it to the server's user: it does not start, or deletes nothing, where it can't open its own files",
        )
    })
}

/// The database's files, whether or not they are there.
fn database(config: &Config) -> Vec<PathBuf> {
    let Some(path) = open::database_path(config) else { return Vec::new() };
    let beside = |ending: &&str| {
        let mut name = path.clone().into_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    OF_SQLITE.iter().map(beside).collect()
}

/// Whether a user of a group may do that to a file.
fn is_usable((user, group): (u32, u32), file: &Metadata, needed: u32) -> bool {
    let mode = file.mode();
    let allowed = if user == 0 || file.uid() == user {
        // Root may do everything, and an owner can give himself leave.
        ALL
    } else if file.gid() == group {
        mode >> 3
    } else {
        mode
    };
    allowed & needed == needed
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_another_user_owns_is_usable_as_far_as_its_mode_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        File::create(&path).unwrap();
        let check = |mode: u32, needed: u32, expected: [bool; 3]| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let file = fs::metadata(&path).unwrap();
            let (owner, group) = (file.uid(), file.gid());
            let users = [(owner, group + 1), (owner + 1, group), (owner + 1, group + 1)];
            assert_eq!(users.map(|user| is_usable(user, &file, needed)), expected, "{mode:o}");
        };
        check(0o600, READ, [true, false, false]);
        check(0o640, READ, [true, true, false]);
        check(0o640, READ_AND_WRITE, [true, false, false]);
        check(0o644, READ, [true, true, true]);
        check(0o666, READ_AND_WRITE, [true, true, true]);
    }
}
