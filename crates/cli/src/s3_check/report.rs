//! What the checks said, for people and for scripts.

use std::collections::HashSet;

use serde::Serialize;

use super::difference::Difference;
use super::endpoint::Endpoint;
use super::finding::{Finding, Status};
use super::signer::Signer;
use crate::failure::{FAILED, Failure};

/// What all checks said.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    url: String,
    access_key_id: String,
    region: String,
    ok: bool,
    checks: Vec<Check>,
    #[serde(skip)]
    exit_codes: Vec<u8>,
    /// Advice that was given: a proxy that changes one thing changes it in all requests.
    #[serde(skip)]
    given: HashSet<String>,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    status: Status,
    message: String,
    differences: Vec<Difference>,
    advice: Vec<String>,
}

impl Report {
    pub(super) fn new(endpoint: &Endpoint, signer: &Signer) -> Self {
        Self {
            url: endpoint.url().to_string(),
            access_key_id: signer.access_key_id.clone(),
            region: signer.region.clone(),
            ok: true,
            checks: Vec::new(),
            exit_codes: Vec::new(),
            given: HashSet::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'static str, result: Result<String, Finding>) {
        let check = match result {
            Ok(message) => {
                Check { name, status: Status::Passed, message, differences: Vec::new(), advice: Vec::new() }
            }
            Err(found) => {
                if found.status == Status::Failed {
                    self.ok = false;
                    self.exit_codes.push(found.exit_code);
                }
                let Finding { status, message, differences, advice, .. } = found;
                Check { name, status, message, differences, advice }
            }
        };
        self.checks.push(check);
    }

    pub(super) fn skip(&mut self, name: &'static str, why: &str) {
        let (status, message) = (Status::Skipped, why.to_owned());
        self.checks.push(Check { name, status, message, differences: Vec::new(), advice: Vec::new() });
    }

    /// The report as people read it: advice that stands above is not given again.
    pub(crate) fn text(&mut self) -> String {
        let mut text =
            format!("S3 at {}, access key id {}, region {}\n\n", self.url, self.access_key_id, self.region);
        for check in &self.checks {
            let word = match check.status {
                Status::Passed => "ok",
                Status::Warning => "warning",
                Status::Failed => "FAILED",
                Status::Skipped => "skipped",
            };
            text.push_str(&format!("{word:<8} {:<14} {}\n", check.name, check.message));
            let mut indented = |line: &str| text.push_str(&format!("{:24}{line}\n", ""));
            for difference in &check.differences {
                if !self.given.insert(difference.advice.clone()) {
                    continue;
                }
                let arrived =
                    if difference.arrived.is_empty() { "(nothing)" } else { difference.arrived.as_str() };
                indented(&difference.what);
                indented(&format!("  signed   {}", difference.signed));
                indented(&format!("  arrived  {arrived}"));
                indented(&format!("  {}", difference.advice));
            }
            for advice in check.advice.iter().filter(|advice| self.given.insert((*advice).clone())) {
                indented(advice);
            }
        }
        text
    }

    /// Success, unless a check failed.
    ///
    /// # Errors
    /// With the exit code that all failed checks have, or else 1.
    pub(crate) fn outcome(&self) -> Result<(), Failure> {
        let Some(&first) = self.exit_codes.first() else { return Ok(()) };
        let exit_code = if self.exit_codes.iter().all(|code| *code == first) { first } else { FAILED };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        // One check is told as a sum, too: the report stands above.
        let total = count(self.checks.len()).max(2);
        Err(Failure::Several { failed: count(self.exit_codes.len()), total, exit_code })
    }
}
