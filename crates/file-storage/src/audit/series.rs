//! Files of one server, in their order.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Ends the names of files with lines.
const EXTENSION: &str = "jsonl";

/// Ends the name of the file by which a process holds its server's name.
const LOCK: &str = "lock";

/// Files of each server in a directory: the number of their first line, and where they are.
pub(super) type AllSeries = BTreeMap<String, BTreeMap<u64, PathBuf>>;

/// Where the file is whose first line has this number.
pub(super) fn file(directory: &Path, server: &str, first: u64) -> PathBuf {
    directory.join(format!("{server}.{first:020}.{EXTENSION}"))
}

/// Where the file is by which a process holds its server's name.
pub(super) fn lock(directory: &Path, server: &str) -> PathBuf {
    directory.join(format!("{server}.{LOCK}"))
}

/// All files with lines in a directory; others are none of ours.
pub(super) fn all(directory: &Path) -> io::Result<AllSeries> {
    let mut found = AllSeries::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let parts = name.strip_suffix(EXTENSION).and_then(|name| name.strip_suffix('.'));
        let Some((server, first)) = parts.and_then(|name| name.rsplit_once('.')) else { continue };
        if let Ok(first) = first.parse() {
            found.entry(server.to_owned()).or_default().insert(first, path);
        }
    }
    Ok(found)
}
