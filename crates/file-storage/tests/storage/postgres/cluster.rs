//! A PostgreSQL of a test's own, which may be stopped and killed (`scripts/postgres`).

#![allow(clippy::expect_used, reason = "tests")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// A PostgreSQL that lives as long as the test.
pub(crate) struct Cluster(TempDir);

impl Cluster {
    /// Starts one, with fsync, and gives its URL.
    pub(crate) fn start() -> (Self, String) {
        let cluster = Self(TempDir::new().unwrap());
        let url = cluster.control(&["start"], &["durable"]).expect("PostgreSQL starts");
        (cluster, url)
    }

    fn control(&self, before: &[&str], after: &[&str]) -> Option<String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/postgres");
        let done = Command::new(script).args(before).arg(self.0.path()).args(after).output().unwrap();
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    }

    /// Stops it in order, and starts it again.
    pub(crate) fn restart(&self) {
        self.control(&["stop"], &[]).expect("PostgreSQL stops");
        std::thread::sleep(Duration::from_millis(300));
        self.come_back();
    }

    /// As a crash of the machine's would be, but for its page cache.
    pub(crate) fn kill(&self) {
        let pid = self.control(&["pid"], &[]).unwrap();
        assert!(Command::new("kill").args(["-9", &pid]).status().unwrap().success());
        self.come_back();
    }

    /// Takes TLS from now on; gives the file of its certificate.
    pub(crate) fn take_tls(&self) -> String {
        self.control(&["tls"], &[]).expect("PostgreSQL takes TLS")
    }

    fn come_back(&self) {
        // After a kill, the last of its processes may still be on their way out.
        for _ in 0..50 {
            if self.control(&["restart"], &[]).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("PostgreSQL does not come back");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.control(&["stop"], &["immediate"]));
    }
}
