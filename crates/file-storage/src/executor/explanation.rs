//! Why somebody may do something, or not (SPEC 3.5): the rules that were asked, and what each one said.

use crate::bucket::{BucketName, BucketPolicy};
use crate::path::ObjectPath;
use crate::permissions::{Permission, Policy, PolicySet, RlsContext};
use crate::sql::{Expr, Names, Postgres};

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

/// What an engine has to find out for an answer, and what the answer then is.
pub(super) struct Inquiry<'a> {
    question: &'a Question,
    asked: Vec<Asked<'a>>,
}

/// One permission, and the conditions that policies put to it.
pub(super) struct Asked<'a> {
    pub(super) permission: Permission,
    pub(super) conditions: Vec<(&'a Policy, &'a Expr)>,
}

/// What the rules of one permission came to.
pub(super) struct Findings {
    /// Whether the table alone gives it.
    pub(super) table: bool,
    /// The value of each condition, in their order: true, false, NULL, or why it failed.
    pub(super) values: Vec<serde_json::Value>,
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(policies: &'a PolicySet, question: &'a Question) -> Self {
        // Who changes or deletes a row must find it first.
        let permissions = match question.permission {
            permission @ (Permission::ObjectOverwrite | Permission::ObjectDelete) => {
                vec![Permission::ObjectRead, permission]
            }
            permission => vec![permission],
        };
        let of = |policy: &'a Policy, permission| match permission {
            Permission::ObjectCreate => policy.of_new_row(permission),
            _ => policy.of_old_row(permission),
        };
        let asked = |permission| {
            let policies = policies.of(question.caller.role());
            let conditions = policies.filter_map(|policy| Some((policy, of(policy, permission)?)));
            Asked { permission, conditions: conditions.collect() }
        };
        Self { question, asked: permissions.into_iter().map(asked).collect() }
    }

    /// What is to be found out, one after the other. Conditions of creating are of a row of which only its place and
    /// its owner are known, all others of the row that is there; where there is none, nothing is.
    pub(super) fn asked(&self) -> &[Asked<'a>] {
        &self.asked
    }

    /// Whether it is about a row that has yet to be made.
    pub(super) fn creates(&self) -> bool {
        self.question.permission == Permission::ObjectCreate
    }

    /// The answer. `there` says whether there is a row; others than the service role are told nothing of one that they
    /// can't see, not even that it is there.
    pub(super) fn answer(
        &self,
        is_told_all: bool,
        bucket: BucketPolicy,
        there: bool,
        found: &[Findings],
    ) -> Explanation {
        let mut because = Vec::new();
        if !self.creates() {
            let mut of_reading = self.asked.iter().zip(found).take(1);
            let seen = there
                && (is_told_all
                    || of_reading.any(|(asked, found)| combined(asked, bucket, found, &mut Vec::new())));
            let expression =
                if is_told_all { "an object at this path" } else { "an object to be seen at this path" };
            because.push(Reason {
                rule: "object".to_owned(),
                effect: Effect::Requires,
                expression: expression.to_owned(),
                value: seen.into(),
            });
            if !seen {
                return Explanation { allowed: false, because };
            }
        }
        let mut allowed = true;
        for (asked, found) in self.asked.iter().zip(found) {
            allowed &= combined(asked, bucket, found, &mut because);
        }
        Explanation { allowed, because }
    }
}

/// What the table and the policies say of one permission, each of them.
fn combined(asked: &Asked<'_>, bucket: BucketPolicy, found: &Findings, because: &mut Vec<Reason>) -> bool {
    because.push(Reason {
        rule: format!("bucket policy {}", bucket.as_str()),
        effect: Effect::Grants,
        expression: asked.permission.to_string(),
        value: found.table.into(),
    });
    let (mut granted, mut refused) = (found.table, false);
    for ((policy, condition), value) in asked.conditions.iter().zip(&found.values) {
        let holds = *value == serde_json::Value::Bool(true);
        if policy.permissive {
            granted |= holds;
        } else {
            refused |= !holds;
        }
        because.push(Reason {
            rule: format!("policy {}", policy.name),
            effect: if policy.permissive { Effect::Grants } else { Effect::Restricts },
            expression: Postgres { names: Names::Public, column: None }.render(condition),
            value: value.clone(),
        });
    }
    granted && !refused
}
