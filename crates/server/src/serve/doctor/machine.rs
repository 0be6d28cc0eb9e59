//! What this machine gives a server: who may look into its files, room on its disks, file descriptors.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::{Config, Loaded};
use crate::serve::open;

/// File descriptors that are needed beside those of connections.
const SPARE_DESCRIPTORS: u64 = 300;

/// On a small disk a share says little: below this the next uploads may fill it, in MiB.
const LEAST_MIB: u64 = 32;

/// Where the same is near, in MiB.
const SCARCE_MIB: u64 = 256;

/// What to do about a disk that gets full: of files, and of the audit log.
const DISK: &str =
    "make room, or take a larger disk: on a full one uploads are refused, and deletions alone go on";
const AUDIT_DISK: &str = "make room, or take a larger disk: on a full one changes are refused, deletions among them, or go on without lines";

/// Everything about the machine.
pub(super) fn look(loaded: &Loaded) -> Vec<Finding> {
    let config = &loaded.config;
    let mut findings: Vec<Finding> = permissions(&config.data_dir).into_iter().collect();
    findings.extend(secrets_in_sight(loaded));
    for (place, path) in open::disks(config) {
        let (place, advice) = if place == "audit" { ("audit log", AUDIT_DISK) } else { (place, DISK) };
        findings.extend(disk(place, existing(&path), advice));
    }
    for (name, provider) in &config.providers {
        findings.extend(provider.path.as_deref().and_then(|path| disk(name, existing(path), DISK)));
    }
    findings.extend(network_disk(config));
    findings.push(descriptors(config));
    findings
}

/// The data directory is for the server alone: others could read what lies in it, whatever policies say.
fn permissions(data_dir: &Path) -> Option<Finding> {
    let mode = std::fs::metadata(data_dir).ok()?.permissions().mode();
    let shown = format!("{} has mode {:o}", data_dir.display(), mode & 0o777);
    Some(match mode & 0o777 {
        open if open & 0o022 != 0 => {
            Finding::error("data directory", format!("{shown}: others can write there"), "chmod 700 it")
        }
        open if open & 0o055 != 0 => {
            Finding::warning("data directory", format!("{shown}: others can look into it"), "chmod 700 it")
        }
        _ => Finding::ok("data directory", shown),
    })
}

fn disk(place: &str, path: &Path, advice: &'static str) -> Option<Finding> {
    let found = rustix::fs::statvfs(path).ok()?;
    let percent = found.f_bavail.saturating_mul(100) / found.f_blocks.max(1);
    let mib = found.f_bavail.saturating_mul(found.f_frsize) >> 20;
    let shown = format!("the disk of the {place} has {mib} MiB left ({percent}%)");
    Some(match (percent, mib) {
        (0..2, _) | (_, 0..LEAST_MIB) => Finding::error("disk", shown, advice),
        (2..10, _) | (_, LEAST_MIB..SCARCE_MIB) => Finding::warning("disk", shown, advice),
        _ => Finding::ok("disk", shown),
    })
}

/// SQLite relies on locks and on shared memory, which network file systems have in name only.
fn network_disk(config: &Config) -> Option<Finding> {
    let path = open::database_path(config)?;
    let kind = rustix::fs::statfs(existing(&path)).ok()?.f_type;
    let name = network_file_system(u32::try_from(kind & 0xFFFF_FFFF).unwrap_or_default())?;
    Some(Finding::error(
        "file system",
        format!("{} is on {name}", path.display()),
        "put SQLite's file on a disk of this machine (`database: sqlite:PATH`), or use PostgreSQL",
    ))
}

/// The name of a network file system by the number that Linux knows it by.
fn network_file_system(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B | 0xFE53_4D42 | 0xFF53_4D42 => "SMB",
        0x00C3_6400 => "CephFS",
        0x5346_414F => "AFS",
        0x0102_1997 => "9P",
        0x6573_5546 => "FUSE, which may be a network file system",
        _ => return None,
    })
}

fn descriptors(config: &Config) -> Finding {
    let needed = u64::from(config.server.max_connections) + SPARE_DESCRIPTORS;
    match getrlimit(Resource::Nofile).current {
        Some(most) if most < needed => Finding::warning(
            "file descriptors",
            format!("ulimit -n is {most}, and {needed} are needed for server.max_connections"),
            "raise it for the server (LimitNOFILE in systemd), or lower server.max_connections",
        ),
        Some(most) => Finding::ok("file descriptors", format!("ulimit -n is {most}")),
        None => Finding::ok("file descriptors", "ulimit -n is unlimited"),
    }
}

/// Files that hold secrets, and that others on this machine can read.
fn secrets_in_sight(loaded: &Loaded) -> Vec<Finding> {
    let of_providers = loaded.config.providers.values().flat_map(|provider| {
        [&provider.secret_access_key_file, &provider.account_key_file, &provider.service_account_file]
    });
    let files = of_providers.flatten().map(AsRef::as_ref).chain(loaded.file_with_secrets());
    let exposed = files.filter_map(|file: &Path| {
        let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
        (mode & 0o044 != 0).then(|| {
            Finding::warning(
                "secrets",
                format!(
                    "{} holds secrets, and has mode {mode:o}: others on this machine can read them",
                    file.display()
                ),
                "chmod 600 it, and give it to the server's user",
            )
        })
    });
    exposed.collect()
}

/// The path, or the next directory above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xEF53), None, "ext4");
    }
}
