//! How a command can fail, and the exit code that scripts see for it.
//!
//! The codes are a promise (`docs/cli.md`): add one, never change one.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::output::plain;

/// Something failed that no other code names.
pub(crate) const FAILED: u8 = 1;
/// The command line was wrong. (clap exits with the same number.)
pub(crate) const USAGE: u8 = 2;
/// The bucket or the object is not there.
pub(crate) const NOT_FOUND: u8 = 3;
/// The server refused the caller: 401 or 403.
pub(crate) const DENIED: u8 = 4;
/// No server answered.
pub(crate) const UNREACHABLE: u8 = 5;
/// `explain` and `policy test`: what was asked about would be refused.
pub(crate) const REFUSED: u8 = 6;
/// The user pressed Ctrl-C (128 + SIGINT, as shells count it).
pub(crate) const INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line asks for something that makes no sense.
    Usage(String),
    /// The server answered with an error.
    Server(Box<ServerError>),
    /// No answer came from the server: it is not there, or the connection broke.
    Unreachable { url: String, reason: String },
    /// What was named is not there; said by the command itself, not by the server.
    NotFound(String),
    /// What was named is there, and stays: the caller may not do that to it; said by the command itself.
    Denied(String),
    /// What a job of the server says of an object: why it could not do it.
    Reported { code: String, message: String },
    /// Some of many items failed; each was reported when it did.
    Several { failed: u64, total: u64, exit_code: u8 },
    /// What was asked about would be refused. The answer was given, and is no error.
    Refused,
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-C, while a job of the server was waited for.
    Left { job: String },
    /// The reader of our output went away (`| head`). Not an error.
    PipeClosed,
    /// Everything else: local files, odd answers, the server's own start.
    Other(anyhow::Error),
}

/// An error as the server said it.
#[derive(Debug, Clone)]
pub(crate) struct ServerError {
    /// The true status: `statusCode` of the body where there is one (the `supabase` dialect wraps
    /// errors in 400), else that of the response.
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
    /// How long the server asks to wait, where it does.
    pub(crate) retry_after: Option<Duration>,
    /// What to try, where the command knows better than the server.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Server(error) => match error.status {
                404 => NOT_FOUND,
                401 | 403 => DENIED,
                _ => FAILED,
            },
            Self::Unreachable { .. } => UNREACHABLE,
            Self::NotFound(_) => NOT_FOUND,
            Self::Denied(_) => DENIED,
            Self::Reported { code, .. } => match code.as_str() {
                "STORAGE_UNAUTHORIZED" | "AUTH_REQUIRED" => DENIED,
                code if code.ends_with("_NOT_FOUND") => NOT_FOUND,
                _ => FAILED,
            },
            Self::Several { exit_code, .. } => *exit_code,
            Self::Refused => REFUSED,
            Self::Interrupted | Self::Left { .. } => INTERRUPTED,
            Self::PipeClosed => 0,
            Self::Other(_) => FAILED,
        }
    }

    /// The status the server answered with, if it answered.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Server(error) => Some(error.status),
            Self::Usage(_)
            | Self::Unreachable { .. }
            | Self::NotFound(_)
            | Self::Denied(_)
            | Self::Reported { .. }
            | Self::Several { .. }
            | Self::Refused
            | Self::Interrupted
            | Self::Left { .. }
            | Self::PipeClosed
            | Self::Other(_) => None,
        }
    }

    /// Whether nothing else is to be tried: somebody wants it to end, or there is no server.
    pub(crate) fn ends_all(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Left { .. } | Self::Unreachable { .. })
    }

    /// Whether the same request may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Server(error) => matches!(error.status, 429 | 502 | 503 | 504),
            Self::Unreachable { .. } => true,
            Self::Usage(_)
            | Self::NotFound(_)
            | Self::Denied(_)
            | Self::Reported { .. }
            | Self::Several { .. }
            | Self::Refused
            | Self::Interrupted
            | Self::Left { .. }
            | Self::PipeClosed
            | Self::Other(_) => false,
        }
    }

    /// The error as `--json` prints it.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = json!({ "message": self.to_string(), "exit_code": self.exit_code() });
        let Value::Object(map) = &mut body else { return body };
        match self {
            Self::Server(error) => {
                map.insert("message".into(), error.message.clone().into());
                map.insert("code".into(), error.code.clone().into());
                map.insert("status".into(), error.status.into());
                map.insert("request_id".into(), error.request_id.clone().into());
            }
            Self::Reported { code, message } => {
                map.insert("message".into(), message.clone().into());
                map.insert("code".into(), code.clone().into());
            }
            Self::Left { job } => {
                map.insert("job".into(), job.clone().into());
            }
            _ => {}
        }
        body
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(message) | Self::NotFound(message) | Self::Denied(message) => f.write_str(message),
            Self::Server(error) => {
                // It may name what somebody else named.
                write!(f, "{} ({}", plain(&error.message), error.status)?;
                if !error.code.is_empty() {
                    write!(f, " {}", error.code)?;
                }
                if let Some(id) = &error.request_id {
                    write!(f, ", request {id}")?;
                }
                f.write_str(")")?;
                error.hint.as_ref().map_or(Ok(()), |hint| write!(f, "\nhint: {hint}"))
            }
            Self::Unreachable { url, reason } => write!(f, "no answer from {url}: {reason}"),
            Self::Reported { code, message } => write!(f, "{} ({code})", plain(message)),
            Self::Several { failed, total, .. } => write!(f, "{failed} of {total} failed"),
            Self::Refused => f.write_str("refused"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Left { job } => write!(
                f,
                "interrupted; the server goes on with it: aerostore job wait {job}; aerostore job cancel {job} ends it"
            ),
            Self::PipeClosed => f.write_str("output closed"),
            Self::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

/// The exit code for a run in which several items failed: theirs if they agree, else 1.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    failed: u64,
    exit_code: Option<u8>,
}

impl Tally {
    /// Counts one failed item.
    pub(crate) fn add(&mut self, failure: &Failure) {
        self.add_many(1, failure);
    }

    /// Counts items that all failed like this; none of them is no failure.
    pub(crate) fn add_many(&mut self, items: u64, failure: &Failure) {
        let exit_code = (items > 0).then(|| failure.exit_code());
        self.join(&Self { failed: items, exit_code });
    }

    /// Counts what another one has counted.
    pub(crate) fn join(&mut self, other: &Self) {
        self.failed += other.failed;
        self.exit_code = match (self.exit_code, other.exit_code) {
            (Some(seen), Some(code)) if seen != code => Some(FAILED),
            (seen, code) => seen.or(code),
        };
    }

    /// How many failed so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// Success if nothing failed, else [`Failure::Several`].
    pub(crate) fn finish(&self, total: u64) -> Result<(), Failure> {
        match self.exit_code {
            None => Ok(()),
            Some(exit_code) => Err(Failure::Several { failed: self.failed, total, exit_code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(status: u16) -> Failure {
        Failure::Server(Box::new(ServerError {
            status,
            code: "CODE".into(),
            message: "Words".into(),
            request_id: Some("r1".into()),
            retry_after: None,
            hint: None,
        }))
    }

    #[test]
    fn what_a_server_says_stands_on_one_line() {
        let error = ServerError {
            status: 409,
            code: "OBJECT_EXISTS".into(),
            message: "There is an object box/a\nerror: b".into(),
            request_id: None,
            retry_after: None,
            hint: None,
        };
        let told = Failure::Server(Box::new(error)).to_string();
        assert_eq!(told, "There is an object box/a\\nerror: b (409 OBJECT_EXISTS)");
    }

    #[test]
    fn exit_codes_are_fixed() {
        let check = |failure: Failure, code: u8| assert_eq!(failure.exit_code(), code, "{failure}");
        check(server(404), 3);
        check(server(401), 4);
        check(server(403), 4);
        check(server(409), 1);
        check(server(503), 1);
        check(Failure::Usage(String::new()), 2);
        check(Failure::NotFound(String::new()), 3);
        check(Failure::Denied(String::new()), 4);
        check(Failure::Unreachable { url: String::new(), reason: String::new() }, 5);
        check(Failure::Refused, 6);
        check(Failure::Interrupted, 130);
        check(Failure::PipeClosed, 0);
    }

    #[test]
    fn a_tally_keeps_the_code_its_failures_share() {
        let check = |failures: &[Failure], code: Option<u8>| {
            let mut tally = Tally::default();
            failures.iter().for_each(|failure| tally.add(failure));
            assert_eq!(tally.finish(9).err().map(|failure| failure.exit_code()), code);
        };
        check(&[], None);
        check(&[server(404), server(404)], Some(3));
        check(&[server(404), server(403)], Some(1));
    }

    #[test]
    fn many_failures_are_counted_at_once() {
        let mut tally = Tally::default();
        tally.add_many(0, &server(403));
        assert!(tally.finish(0).is_ok());
        tally.add_many(30, &server(404));
        let ended = tally.finish(40).unwrap_err();
        assert_eq!((ended.to_string().as_str(), ended.exit_code()), ("30 of 40 failed", 3));
    }

    #[test]
    fn a_server_error_says_its_words_code_and_request() {
        assert_eq!(server(404).to_string(), "Words (404 CODE, request r1)");
        assert_eq!(server(404).to_json()["request_id"], "r1");
    }
}
