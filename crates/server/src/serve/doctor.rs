//! What `aerostore doctor` looks at: what commonly goes wrong, and what to do about it. Changes nothing, but for the small blob
//! that a remote provider is asked to take, give back and delete.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use file_storage::executor::postgres::{Diagnosis, PostgresAddress, PostgresExecutor};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use super::{check, open, providers};
use crate::config::{Config, Database};

/// How long anything on another machine may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// File descriptors that are needed beside those of connections.
const SPARE_DESCRIPTORS: u64 = 300;
/// How far the database's clock may be off before somebody should look, in milliseconds.
const CLOCK_TOLERANCE_MS: u64 = 2000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// It works, and will bring trouble.
    Warning,
    /// The server can't start, or can't do its work.
    Error,
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was looked at.
    pub about: &'static str,
    /// What was found.
    pub found: String,
    /// What to do, where something is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<&'static str>,
}

impl Finding {
    fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { severity: Severity::Ok, about, found: found.into(), advice: None }
    }

    fn warning(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { severity: Severity::Warning, about, found: found.into(), advice: Some(advice) }
    }

    fn error(about: &'static str, found: impl Into<String>, advice: &'static str) -> Self {
        Self { severity: Severity::Error, about, found: found.into(), advice: Some(advice) }
    }
}

/// Looks at all that a server with this configuration needs. The slow parts, on other machines, come last.
pub async fn doctor(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut of_start: Vec<_> = check(config)
        .into_iter()
        .map(|error| {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            Finding::error(
                "start",
                format!("{error}{cause}"),
                "a server with this configuration does not start",
            )
        })
        .collect();
    if of_start.is_empty() {
        of_start.push(Finding::ok("start", "nothing on this machine is in the way of a start"));
    }
    findings.append(&mut of_start);
    findings.extend(permissions(&config.data_dir));
    for (place, path) in open::disks(config) {
        findings.extend(disk(place, existing(&path)));
    }
    findings.extend(network_disk(config));
    findings.push(descriptors(config));
    findings.extend(exposure(config));
    if let Database::Postgres(address) = &config.database {
        findings.extend(database(config, address).await);
    }
    for (name, opened) in providers::open_remote(config) {
        findings.push(match opened {
            Err(error) => Finding::error("provider", error.to_string(), "correct it below `providers`"),
            Ok(provider) => match tokio::time::timeout(PATIENCE, provider.backend().probe()).await {
                Ok(Ok(())) => Finding::ok("provider", format!("{name} takes, gives and deletes a small blob")),
                Ok(Err(error)) => Finding::error(
                    "provider",
                    format!("{name}: {error}"),
                    "see that it can be reached, that the bucket is there, and that the key may read, write and delete",
                ),
                Err(_) => Finding::error(
                    "provider",
                    format!("{name} did not answer within {} s", PATIENCE.as_secs()),
                    "see that it can be reached from this machine",
                ),
            },
        });
    }
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

fn disk(place: &'static str, path: &Path) -> Option<Finding> {
    let found = rustix::fs::statvfs(path).ok()?;
    let percent = found.f_bavail.saturating_mul(100) / found.f_blocks.max(1);
    let mib = found.f_bavail.saturating_mul(found.f_frsize) >> 20;
    let shown = format!("the disk of the {place} has {percent}% left ({mib} MiB)");
    let advice = "make room: on a full disk uploads are refused, and deletions alone go on";
    Some(match percent {
        0..2 => Finding::error("disk", shown, advice),
        2..10 => Finding::warning("disk", shown, advice),
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

/// A server that others can reach is behind a proxy, or should be: it speaks no TLS itself.
fn exposure(config: &Config) -> Option<Finding> {
    let host = config.listen.0.rsplit_once(':').map_or("", |(host, _)| host);
    let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    match &config.server.public_url {
        Some(url) if url.0.starts_with("http://") && !is_loopback => Some(Finding::warning(
            "public URL",
            format!("server.public_url is {}", url.0),
            "tokens travel in the clear: put a proxy with TLS in front, and its https:// address here",
        )),
        Some(url) => Some(Finding::ok("public URL", url.0.clone())),
        None if is_loopback => None,
        None => Some(Finding::warning(
            "public URL",
            format!("the server listens on {}, and server.public_url is not set", config.listen.0),
            "set it to what clients call the server: URLs in answers, and S3 signatures behind a proxy, depend on it",
        )),
    }
}

async fn database(config: &Config, address: &PostgresAddress) -> Vec<Finding> {
    const ABOUT: &str = "database";
    let looked = PostgresExecutor::diagnose(open::postgres(config, address));
    match tokio::time::timeout(PATIENCE, looked).await {
        Ok(Ok(diagnosis)) => fitness(&diagnosis),
        Ok(Err(error)) => {
            let cause =
                std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            let advice = "see that PostgreSQL runs, that its address and password are right, and that it lets this machine in";
            vec![Finding::error(ABOUT, format!("{error}{cause}"), advice)]
        }
        Err(_) => vec![Finding::error(
            ABOUT,
            format!("PostgreSQL did not answer within {} s", PATIENCE.as_secs()),
            "see that it can be reached from this machine",
        )],
    }
}

fn fitness(found: &Diagnosis) -> Vec<Finding> {
    const ABOUT: &str = "database";
    let (major, minor) = (found.server_version / 10_000, found.server_version % 10_000);
    let latency = found.latency.as_micros() as f64 / 1000.0;
    let mut findings =
        vec![Finding::ok(ABOUT, format!("PostgreSQL {major}.{minor} answers in {latency:.1} ms"))];
    if found.schema_version > found.known_schema_version {
        findings.push(Finding::error(
            ABOUT,
            format!(
                "its schema has version {}; this program knows {}",
                found.schema_version, found.known_schema_version
            ),
            "run the newer Aerostore that made it",
        ));
    }
    if found.clock_ahead_ms.unsigned_abs() > CLOCK_TOLERANCE_MS {
        findings.push(Finding::warning(
            "clock",
            format!("the database's clock is {} ms ahead of this machine's", found.clock_ahead_ms),
            "keep both by NTP: tokens, signed URLs and graces are compared with clocks",
        ));
    }
    if found.bypasses_row_security {
        findings.push(Finding::ok(
            ABOUT,
            "the login may bypass row-level security; requests run as roles that may not",
        ));
    }
    if found.is_pooled_by_transaction {
        findings.push(Finding::error(
            ABOUT,
            "a pooler gives each transaction another connection",
            "set it to session mode, or connect to PostgreSQL itself: prepared statements and notifications need a session",
        ));
    }
    findings
}

/// The path, or the next directory above it that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> Diagnosis {
        Diagnosis {
            server_version: 170_002,
            latency: Duration::from_micros(1500),
            clock_ahead_ms: 10,
            schema_version: 14,
            known_schema_version: 14,
            bypasses_row_security: false,
            is_pooled_by_transaction: false,
        }
    }

    #[test]
    fn what_is_wrong_with_a_database_is_told_with_what_to_do() {
        let check = |found: Diagnosis, severity: Severity, words: &str| {
            let findings = fitness(&found);
            let worst = findings.iter().max_by_key(|finding| finding.severity).unwrap();
            assert!(worst.severity == severity && worst.found.contains(words), "{findings:?}");
            assert_eq!(worst.advice.is_some(), severity > Severity::Ok);
        };
        check(found(), Severity::Ok, "PostgreSQL 17.2 answers in 1.5 ms");
        check(Diagnosis { schema_version: 99, ..found() }, Severity::Error, "version 99");
        check(Diagnosis { clock_ahead_ms: -9000, ..found() }, Severity::Warning, "-9000 ms");
        check(Diagnosis { is_pooled_by_transaction: true, ..found() }, Severity::Error, "pooler");
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xEF53), None, "ext4");
    }
}
