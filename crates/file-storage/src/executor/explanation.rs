//! Why somebody may do something, or not (SPEC 3.5): the rules that were asked, and what each one said.

use crate::bucket::BucketName;
use crate::path::ObjectPath;
use crate::permissions::{Permission, RlsContext};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Whether this may be done …
    pub permission: Permission,
    /// … in this bucket …
    pub bucket: BucketName,
    /// … at this path …
    pub path: ObjectPath,
    /// … by this caller.
    pub caller: RlsContext,
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// Whether it may be done.
    pub allowed: bool,
    /// What each rule said, in the order in which rules are asked.
    pub because: Vec<Reason>,
}

/// What one rule said.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// Its name: of the policy, or the bucket's own rule.
    pub rule: String,
    /// What it does where it holds, or does not.
    pub effect: Effect,
    /// What was asked, in SQL.
    pub expression: String,
    /// What it was: true, false, NULL, or that it failed.
    pub value: serde_json::Value,
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Where it holds, it grants.
    Grants,
    /// Where it does not hold, it refuses.
    Restricts,
    /// It must hold for the rest to matter.
    Requires,
}

impl Effect {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grants => "grants",
            Self::Restricts => "restricts",
            Self::Requires => "requires",
        }
    }
}
