//! Errors of stores and of the network, folded into the backend's: the only place where that happens. What a store says in
//! its own words is left out, but for its code: it may repeat signatures and signed addresses.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use object_store::client::{HttpError, HttpErrorKind};

use crate::backend::BackendError;

/// Why a request did not succeed. Travels through `object_store` as the source of its errors.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Fault {
    /// The store says no, and will again.
    #[error("the store answered {status}{}", named(code))]
    Refused { status: u16, code: String },
    /// The store can't just now.
    #[error("the store answered {status}{}", named(code))]
    Busy { status: u16, code: String, retry_after: Option<Duration> },
    /// No answer, or half of one.
    #[error("{0}")]
    Network(String),
    /// Nothing came for too long.
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    /// The store is still at it.
    #[error("the store has not finished yet")]
    Pending,
    /// An answer that can't be.
    #[error("the store gave a wrong answer: {0}")]
    Wrong(&'static str),
}

/// A store's word for an error, where it has one.
fn named(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(" {code}") }
}

impl Fault {
    pub(super) fn of_status(status: u16, code: Option<&str>, retry_after: Option<Duration>) -> Self {
        let code = code.unwrap_or_default().to_owned();
        // S3 says with 400 that a request came too slowly, or by a token that has just ended.
        let for_now =
            matches!(code.as_str(), "RequestTimeout" | "SlowDown" | "ServerBusy" | "OperationTimedOut");
        if status >= 500 && status != 501 || matches!(status, 408 | 425 | 429) || for_now {
            return Self::Busy { status, code, retry_after };
        }
        Self::Refused { status, code }
    }

    /// What the network says, innermost last, without addresses.
    pub(super) fn network(error: &HttpError) -> Self {
        let kind = match error.kind() {
            HttpErrorKind::Connect => "no connection",
            HttpErrorKind::Timeout => "no answer in time",
            HttpErrorKind::Interrupted | HttpErrorKind::Request => "the connection broke",
            HttpErrorKind::Decode => "a wrong answer",
            _ => "the request failed",
        };
        let sources = std::iter::successors(error.source(), |cause| (*cause).source());
        match sources.last() {
            Some(innermost) => {
                Self::Network(format!("{kind}: {}", without_addresses(&innermost.to_string())))
            }
            None => Self::Network(kind.to_owned()),
        }
    }
}

/// Leaves out what looks like an address, which could be a signed one.
fn without_addresses(text: &str) -> String {
    let words = text
        .split_whitespace()
        .map(|word| if word.contains("://") || word.contains('?') { "[address]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Says which operation an error belongs to.
pub(super) fn during(operation: &'static str) -> impl FnOnce(object_store::Error) -> BackendError {
    move |error| fold(operation, &error)
}

fn fold(operation: &'static str, error: &object_store::Error) -> BackendError {
    if let object_store::Error::NotFound { .. } = error {
        return BackendError::NotFound;
    }
    let outermost: &(dyn Error + 'static) = error;
    let chain = || std::iter::successors(Some(outermost), |cause| (*cause).source());
    // A fault of ours stands inside of an error of HTTP's; an error of HTTP's alone is one of a body on its way.
    let known = chain().find_map(|cause| cause.downcast_ref::<Fault>().cloned());
    let known = known.or_else(|| chain().find_map(|cause| cause.downcast_ref().map(Fault::network)));
    match (known, error) {
        (Some(fault), _) => of(operation, fault),
        // Answers of 200 with an error inside, which S3 gives where a copy or a completion breaks off.
        (None, object_store::Error::Generic { .. }) if says_broken(error) => {
            of(operation, Fault::Busy { status: 200, code: "InternalError".into(), retry_after: None })
        }
        (None, _) => {
            let source = Arc::new(Fault::Network(without_addresses(&head(error))));
            BackendError::Refused { operation, source }
        }
    }
}

/// Whether `object_store` found an error in an answer that looked like a success.
fn says_broken(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("InternalError") || text.contains("SlowDown")
}

/// The first words of an error that is none of ours: what kind it is, without what the store said.
fn head(error: &object_store::Error) -> String {
    let text = match error {
        object_store::Error::PermissionDenied { .. } => "no permission".to_owned(),
        object_store::Error::Unauthenticated { .. } => "not authenticated".to_owned(),
        object_store::Error::AlreadyExists { .. } => "a conflict with another request".to_owned(),
        object_store::Error::Precondition { .. } => "a precondition failed".to_owned(),
        other => other.to_string(),
    };
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

/// A fault, as the backend's error.
pub(super) fn of(operation: &'static str, fault: Fault) -> BackendError {
    let retry_after = match &fault {
        Fault::Refused { .. } => return BackendError::Refused { operation, source: Arc::new(fault) },
        Fault::Busy { retry_after, .. } => *retry_after,
        Fault::Network(_) | Fault::Stalled(_) | Fault::Pending | Fault::Wrong(_) => None,
    };
    BackendError::Unavailable { operation, retry_after, source: Arc::new(fault) }
}

/// An answer that can't be: the next one may be right.
pub(super) fn wrong_answer(operation: &'static str, what: &'static str) -> BackendError {
    of(operation, Fault::Wrong(what))
}

/// A client that can't be made of its configuration.
pub(super) fn open(error: &object_store::Error) -> BackendError {
    BackendError::Io { operation: "open", source: Arc::new(Fault::Network(head(error))) }
}

/// A range that lies outside of its blob.
pub(super) fn outside(range: &std::ops::Range<u64>, size: u64) -> BackendError {
    let message = format!("bytes {}..{} of a blob of {size} bytes", range.start, range.end);
    let source = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, message);
    BackendError::Io { operation: "read", source: Arc::new(source) }
}
