//! Log lines: how they look, and which are written.

use std::io;

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::log_file::{LogFlush, LogWriter};
use super::traces::{self, TraceLayer};
use crate::config::{LogFormat, LogLevel};

/// Sets which lines are written.
#[derive(Clone)]
pub struct LogControl(reload::Handle<Targets, Registry>);

impl LogControl {
    /// Writes lines from this level up, from now on.
    pub fn set_level(&self, level: LogLevel) {
        // It fails where nothing logs any more: then there is nothing to set, and nowhere to say so.
        let _ = self.0.reload(targets(level));
    }
}

/// Sends all log lines of the process, panics among them, to standard error, and spans of traces to who collects them. Keep the guard until the process ends.
///
/// # Errors
/// The system gives no thread, or something else logs already.
pub fn init_logs(
    format: LogFormat,
    level: LogLevel,
    traces: Option<TraceLayer>,
) -> io::Result<(LogFlush, LogControl)> {
    let (writer, flush) = LogWriter::new(io::stderr())?;
    let (subscriber, control) = subscriber(format, level, writer);
    traces::with(subscriber, traces).try_init().map_err(io::Error::other)?;
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, message = panic.payload_as_str().unwrap_or("panic"), "panic");
        if cfg!(debug_assertions) {
            default(panic);
        }
    }));
    Ok((flush, control))
}

/// What turns events into lines, and what says which.
pub fn subscriber(
    format: LogFormat,
    level: LogLevel,
    writer: LogWriter,
) -> (impl Subscriber + for<'span> LookupSpan<'span> + Send + Sync, LogControl) {
    let (filter, control) = reload::Layer::new(targets(level));
    let layer = fmt::layer().with_writer(writer).with_ansi(false);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => {
            layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    };
    (tracing_subscriber::registry().with(layer.with_filter(filter)), LogControl(control))
}

/// Which lines are written. Libraries are heard from `warn` up, whatever the level.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets = ["server", "file_storage", "aerostore", "operation"].map(|target| (target, level));
    // What that library says of each refused request, our own line says, and at debug it writes whole requests.
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_targets(targets)
        .with_target("s3s", LevelFilter::OFF)
}
