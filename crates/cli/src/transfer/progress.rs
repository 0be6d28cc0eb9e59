//! The progress bar on stderr, and the meters that move it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar for all files of a run. Grows as files are found; silent where nobody looks.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    done: AtomicU64,
}

impl Progress {
    pub(super) fn new(visible: bool) -> Self {
        let bar = ProgressBar::with_draw_target(
            Some(0),
            if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() },
        );
        let template =
            "{bar:30} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} eta {eta} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        if visible {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self { bar, done: AtomicU64::new(0) }
    }

    /// There is one more file, of `size` bytes.
    pub(super) fn found(&self, size: u64) {
        self.bar.inc_length(size);
    }

    /// One more file is done, well or not.
    pub(super) fn finished(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.bar.set_message(format!("{done} files"));
    }

    /// Prints without tearing the bar.
    pub(super) fn suspend(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// A meter for one attempt at one file.
    pub(super) fn meter(&self) -> Meter {
        Meter { bar: self.bar.clone(), counted: std::sync::Arc::new(AtomicU64::new(0)) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Counts the bytes of one attempt, so that a failed one can be taken back.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    bar: ProgressBar,
    counted: std::sync::Arc<AtomicU64>,
}

impl Meter {
    pub(super) fn add(&self, bytes: u64) {
        self.counted.fetch_add(bytes, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    /// Takes back what was counted: it will be sent again, or is counted again by a resumed attempt.
    pub(super) fn reset(&self) {
        self.bar.dec(self.counted.swap(0, Ordering::Relaxed));
    }
}

/// The bar of a job on the server: what is done, of how many where that is known.
#[derive(Debug)]
pub(crate) struct JobProgress {
    bar: ProgressBar,
}

impl JobProgress {
    pub(crate) fn new(visible: bool) -> Self {
        let target =
            if visible { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        Self { bar: ProgressBar::with_draw_target(None, target) }
    }

    /// So much is done.
    pub(crate) fn set(&self, done: u64, total: Option<u64>) {
        let template = match total {
            Some(total) => {
                self.bar.set_length(total);
                "{bar:30} {pos}/{len} objects {per_sec} eta {eta}"
            }
            None => "{spinner} {pos} objects {per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_position(done);
    }
}

impl Drop for JobProgress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
