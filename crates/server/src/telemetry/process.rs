//! Figures of the process itself.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Resource, getrlimit};

struct Start {
    moment: Instant,
    at: SystemTime,
}

static START: LazyLock<Start> = LazyLock::new(|| Start { moment: Instant::now(), at: SystemTime::now() });

/// Notes the moment of the start.
pub(super) fn started() {
    LazyLock::force(&START);
}

/// When the process started.
pub(super) fn started_at() -> SystemTime {
    START.at
}

/// How long the process has been running.
pub fn uptime() -> Duration {
    START.moment.elapsed()
}

/// Takes the figures anew.
pub(super) fn measure() {
    metrics::gauge!("aerostore_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let started_at = START.at.duration_since(UNIX_EPOCH).unwrap_or_default();
    metrics::gauge!("process_start_time_seconds").set(started_at.as_secs_f64());
    metrics::gauge!("process_uptime_seconds").set(START.moment.elapsed().as_secs_f64());
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("process_resident_memory_bytes").set(bytes as f64);
    }
    if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(descriptors.count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
}

/// Resident memory by Linux's account; none elsewhere.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    fn resident_memory_is_known_on_linux() {
        assert_eq!(super::resident_bytes().is_some_and(|bytes| bytes > 100_000), cfg!(target_os = "linux"));
    }
}
