//! What an operator sees: log lines on standard error, figures for Prometheus, traces for OpenTelemetry (SPEC 10).
//!
//! Knows neither routes nor the domain: those log by `tracing` and count by `metrics`, wherever they run.

mod describe;
mod figures;
mod log_file;
mod logs;
mod process;
mod snapshot;
mod times;
pub mod traces;

pub use describe::{DESCRIPTIONS, Description, Kind};
pub use figures::{Figures, FiguresError};
pub use log_file::{LogFlush, LogWriter};
pub use logs::{LogControl, init_logs, subscriber};
pub use process::uptime;
pub use snapshot::{Distribution, Snapshot};
