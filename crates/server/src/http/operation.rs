//! One log line and one measurement per operation.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::{Method, StatusCode};
use metrics::Histogram;
use tracing::Span;
use uuid::Uuid;

use crate::telemetry::traces;

/// What a handler tells the harness about its operation, in the extensions of its answer. Holds names and sizes;
/// never a token, a query string or a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationLog {
    /// The operation's name, as in `file_storage::Operation::name`.
    pub operation: &'static str,
    /// The bucket it was about.
    pub bucket: Option<String>,
    /// The path it was about.
    pub path: Option<String>,
    /// The object's size, in bytes.
    pub size: Option<u64>,
    /// How many files or paths a batch had.
    pub files: Option<u64>,
    /// How many of them failed.
    pub failures: Option<u64>,
    /// The user who asked.
    pub user_id: Option<Uuid>,
    /// The error's code.
    pub code: Option<&'static str>,
    /// What lies behind a fault of the server. Never sent to a client.
    pub cause: Option<String>,
    /// The status that it is judged by, where the answer's own does not say how it went: it was sent before that was known, or
    /// stands for many.
    pub judged: Option<StatusCode>,
}

impl OperationLog {
    /// An operation of which nothing else is known yet.
    pub fn new(operation: &'static str) -> Self {
        Self {
            operation,
            bucket: None,
            path: None,
            size: None,
            files: None,
            failures: None,
            user_id: None,
            code: None,
            cause: None,
            judged: None,
        }
    }

    /// For a request whose handler said nothing: named after its method, the only thing that is no client's word.
    pub(super) fn unnamed(method: &Method) -> Self {
        Self::new(match method.as_str() {
            "GET" => "http_get",
            "HEAD" => "http_head",
            "POST" => "http_post",
            "PUT" => "http_put",
            "PATCH" => "http_patch",
            "DELETE" => "http_delete",
            "OPTIONS" => "http_options",
            _ => "http_other",
        })
    }
}

/// The operation of a request of which it is not known yet whose it is.
pub(crate) const AT_THE_DOOR: &str = "authenticate";

/// Where a handler leaves what the log line shall say, so that a refusal on the way says it, too.
#[derive(Debug, Clone)]
pub(crate) struct LogSlot(Arc<Mutex<OperationLog>>);

impl Default for LogSlot {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(OperationLog::new(AT_THE_DOOR))))
    }
}

impl LogSlot {
    /// Says more.
    pub(crate) fn update(&self, change: impl FnOnce(&mut OperationLog)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Why it failed, as far as that was said.
    pub(crate) fn code_and_cause(&self) -> (Option<&'static str>, Option<String>) {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (log.code, log.cause.clone())
    }

    /// What is known by now.
    pub(super) fn so_far(&self) -> OperationLog {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known at the end.
    pub(crate) fn finish(self, code: Option<&'static str>, cause: Option<String>) -> OperationLog {
        let log = match Arc::try_unwrap(self.0) {
            Ok(log) => log.into_inner().unwrap_or_else(PoisonError::into_inner),
            Err(shared) => shared.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        OperationLog { code, cause, ..log }
    }
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The answer was handed over as a whole.
    Complete,
    /// The client went away before the answer's end.
    Interrupted,
    /// The bytes failed before the answer's end: too late for another answer.
    Broken,
}

/// An operation whose answer is on its way.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) started: Instant,
    pub(super) request_id: Arc<str>,
    pub(super) status: StatusCode,
    pub(super) log: OperationLog,
    /// What is said of it while its answer is on its way, instead.
    pub(super) late: Option<LogSlot>,
    /// Ends with this.
    pub(super) span: Span,
}

impl Ongoing {
    /// Writes the operation's line and takes its measure. `sent` counts bytes that were handed to the connection.
    pub(super) fn finish(mut self, end: End, sent: u64) {
        let elapsed = self.started.elapsed();
        if let Some(late) = self.late.take() {
            let known = late.so_far();
            let cause = self.log.cause.take().or(known.cause);
            self.log = OperationLog { cause, ..known };
        }
        observe(self.log.operation, self.class(), elapsed.as_secs_f64());
        if end != End::Complete {
            metrics::counter!("http_interrupted_total", "operation" => self.log.operation).increment(1);
        }
        let has_failed = self.has_failed();
        let outcome = self.outcome(end);
        let is_error = has_failed || end == End::Broken;
        traces::end(&self.span, self.log.operation, outcome, self.status, is_error);
        // The level is part of a call site, hence twice the same line. At a quieter level, nothing is formatted.
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "operation",
                    operation = self.log.operation,
                    bucket = self.log.bucket.as_deref(),
                    path = self.log.path.as_deref(),
                    size = self.log.size,
                    files = self.log.files,
                    failures = self.log.failures,
                    user_id = self.log.user_id.map(tracing::field::display),
                    duration_ms = (elapsed.as_micros() as f64) / 1000.0,
                    request_id = &*self.request_id,
                    status = self.status.as_u16(),
                    sent,
                    code = self.log.code,
                    cause = self.log.cause.as_deref(),
                    outcome,
                )
            };
        }
        if is_error { line!(error) } else { line!(info) }
    }

    /// How it went, in a word.
    fn outcome(&self, end: End) -> &'static str {
        match (end, self.judged().as_u16()) {
            (End::Interrupted | End::Broken, _) => "interrupted",
            (End::Complete, _) if self.has_failed() => "failed",
            (End::Complete, 400..) => "refused",
            (End::Complete, _) if self.log.failures.is_some_and(|failures| failures > 0) => "partial",
            (End::Complete, _) => "ok",
        }
    }

    fn judged(&self) -> StatusCode {
        self.log.judged.unwrap_or(self.status)
    }

    /// Whether the server is to blame.
    fn has_failed(&self) -> bool {
        self.class() == "5xx"
    }

    /// The class of the status, as figures tell it. What the server does not have, and whose quota is used up, is asked for by
    /// clients: that is refused, and none of the server's failures. A full disk has the same status as a full quota, and is one.
    fn class(&self) -> &'static str {
        match self.judged().as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            501 => "501",
            _ if self.log.code == Some("QUOTA_EXCEEDED") => "quota",
            _ => "5xx",
        }
    }
}

/// Takes the measure of a request. The registry's lookup by labels costs more than the measurement, so each thread
/// keeps the few handles it uses.
fn observe(operation: &'static str, class: &'static str, seconds: f64) {
    thread_local! {
        static HANDLES: RefCell<Vec<(&'static str, &'static str, Histogram)>> = const { RefCell::new(Vec::new()) };
    }
    HANDLES.with_borrow_mut(|handles| {
        let known = handles.iter().find(|(name, of, _)| *name == operation && *of == class);
        match known {
            Some((_, _, histogram)) => histogram.record(seconds),
            None => {
                let histogram = metrics::histogram!(
                    "http_request_duration_seconds", "operation" => operation, "status" => class
                );
                histogram.record(seconds);
                handles.push((operation, class, histogram));
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_cause_is_none_of_the_servers_failures() {
        let check = |status: u16, code: Option<&'static str>, class: &str, has_failed: bool| {
            let ongoing = Ongoing {
                started: Instant::now(),
                request_id: "1".into(),
                status: StatusCode::from_u16(status).unwrap(),
                log: OperationLog { code, ..OperationLog::new("upload") },
                late: None,
                span: Span::none(),
            };
            assert_eq!((ongoing.class(), ongoing.has_failed()), (class, has_failed), "{status} {code:?}");
        };
        check(201, None, "2xx", false);
        check(304, None, "3xx", false);
        check(404, Some("OBJECT_NOT_FOUND"), "4xx", false);
        check(403, Some("QUOTA_EXCEEDED"), "4xx", false);
        check(507, Some("QUOTA_EXCEEDED"), "quota", false);
        check(507, Some("DISK_FULL"), "5xx", true);
        check(507, None, "5xx", true);
        check(501, Some("NOT_IMPLEMENTED"), "501", false);
        check(500, Some("INTERNAL"), "5xx", true);
        check(503, Some("PROVIDER_UNAVAILABLE"), "5xx", true);
    }

    #[test]
    fn a_batch_is_judged_by_what_became_of_its_files() {
        let check = |failures: u64, judged: Option<u16>, outcome: &str, class: &str| {
            let judged = judged.map(|status| StatusCode::from_u16(status).unwrap());
            let (files, failures) = (Some(3), Some(failures));
            let ongoing = Ongoing {
                started: Instant::now(),
                request_id: "1".into(),
                status: StatusCode::MULTI_STATUS,
                log: OperationLog { files, failures, judged, ..OperationLog::new("upload_batch") },
                late: None,
                span: Span::none(),
            };
            assert_eq!((ongoing.outcome(End::Complete), ongoing.class()), (outcome, class), "{judged:?}");
            assert_eq!(ongoing.outcome(End::Interrupted), "interrupted");
        };
        check(0, None, "ok", "2xx");
        check(1, None, "partial", "2xx");
        check(3, Some(403), "refused", "4xx");
        check(3, Some(503), "failed", "5xx");
    }
}
