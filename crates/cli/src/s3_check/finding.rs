//! What a check found wrong.

use reqwest::header::HeaderName;
use serde::Serialize;

use super::difference::Difference;
use crate::failure::FAILED;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// All is as it should be.
    Passed,
    /// Some clients, or some requests, will not work.
    Warning,
    /// Clients will not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// What a check found wrong.
#[derive(Debug, Clone)]
pub(crate) struct Finding {
    pub(super) status: Status,
    /// What is wrong, in a line.
    pub(super) message: String,
    /// What was sent, and what arrived instead.
    pub(super) differences: Vec<Difference>,
    /// What to do.
    pub(super) advice: Vec<String>,
    /// What scripts see.
    pub(super) exit_code: u8,
    /// Whether it is the key, the secret or the time that is wrong: no other check could tell anything.
    pub(super) is_about_the_key: bool,
}

impl Finding {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self {
            status: Status::Failed,
            message: message.into(),
            differences: Vec::new(),
            advice: Vec::new(),
            exit_code: FAILED,
            is_about_the_key: false,
        }
    }

    pub(super) fn warning(message: impl Into<String>) -> Self {
        Self { status: Status::Warning, ..Self::failed(message) }
    }

    pub(super) fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    pub(super) fn exit_code(self, exit_code: u8) -> Self {
        Self { exit_code, ..self }
    }

    /// The key, its secret or the time is wrong.
    pub(super) fn of_the_key(message: impl Into<String>, exit_code: u8) -> Self {
        Self { is_about_the_key: true, exit_code, ..Self::failed(message) }
    }

    /// What was signed is not what arrived.
    pub(super) fn changed(differences: Vec<Difference>) -> Self {
        let names: Vec<_> = differences.iter().map(|difference| difference.what.as_str()).collect();
        let (verb, mild) =
            (if names.len() == 1 { "was" } else { "were" }, differences.iter().all(|one| one.is_mild));
        let message = format!("{} {verb} changed on the way", names.join(", "));
        let found = if mild { Self::warning(message) } else { Self::failed(message) };
        Self { differences, ..found }
    }

    /// A header that a client needs is not in an answer, or is another one.
    pub(super) fn of_answer(name: &HeaderName, wanted: &str, came: &str) -> Self {
        let came = if came.is_empty() { "nothing" } else { came };
        Self::failed(format!("the answer's {name} should be {wanted:?}, and is {came}")).advice(
            "The proxy changes answers. Have it pass S3's as they are, without compressing or caching them.",
        )
    }
}
