//! Why somebody may do something, or not: every rule is computed by the engine, each in a statement of its own.

use rusqlite::{Connection, named_params};
use serde_json::{Value as Json, json};

use super::decide::{Purpose, Seen, look};
use super::errors::Fault;
use super::functions;
use super::rls::{Caller, builtin};
use super::rows::{micros, now};
use super::rules::Rules;
use crate::executor::{Effect, Explanation, Question, Reason};
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission, Policy, bucket_missing};
use crate::sql::{Expr, Names, Postgres, Sqlite};

/// Answers a question.
pub(super) fn explain(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    question: &Question,
) -> Result<Explanation, Fault> {
    let asker = access.on_rows(Permission::Explain, Some(&question.bucket))?;
    let context = &question.caller;
    let at = (&question.bucket, &question.path);
    // Only for what is there: what policies say is asked one by one.
    let nothing = Rules::new(crate::permissions::PolicySet::default());
    let Some(seen) = look(conn, &nothing, context, Purpose::Write, at)? else {
        return Err(bucket_missing(context, question.permission, &question.bucket).into());
    };
    let asking = Asking { conn, rules, question, seen: &seen, is_told_all: asker.is_service() };
    let mut because = Vec::new();
    let allowed = asking.permission(question.permission, &mut because)?;
    Ok(Explanation { allowed, because })
}

struct Asking<'a> {
    conn: &'a Connection,
    rules: &'a Rules,
    question: &'a Question,
    seen: &'a Seen,
    /// Others are told nothing of a row that they can't see, not even that it is there.
    is_told_all: bool,
}

impl Asking<'_> {
    fn permission(&self, permission: Permission, because: &mut Vec<Reason>) -> Result<bool, Fault> {
        let there = self.seen.target.existing.is_some();
        if permission != Permission::ObjectCreate {
            let found =
                there && (self.is_told_all || self.combined(Permission::ObjectRead, &mut Vec::new())?);
            let expression =
                if self.is_told_all { "an object at this path" } else { "an object to be seen at this path" };
            because.push(Reason {
                rule: "object".to_owned(),
                effect: Effect::Requires,
                expression: expression.to_owned(),
                value: found.into(),
            });
            if !found {
                return Ok(false);
            }
        }
        // Who changes or deletes a row must find it first.
        let found = match permission {
            Permission::ObjectOverwrite | Permission::ObjectDelete => {
                self.combined(Permission::ObjectRead, because)?
            }
            _ => true,
        };
        Ok(self.combined(permission, because)? && found)
    }

    /// What the table and the policies say of one permission, each of them.
    fn combined(&self, permission: Permission, because: &mut Vec<Reason>) -> Result<bool, Fault> {
        let context = &self.question.caller;
        let role = context.role();
        let table = self.table(permission)?;
        because.push(Reason {
            rule: format!("bucket policy {}", self.seen.target.bucket.config.policy.as_str()),
            effect: Effect::Grants,
            expression: permission.to_string(),
            value: table.into(),
        });
        let (mut granted, mut refused) = (table, false);
        for policy in self.rules.policies().of(role) {
            let condition = match permission {
                Permission::ObjectCreate => policy.of_new_row(permission),
                _ => policy.of_old_row(permission),
            };
            let Some(condition) = condition else { continue };
            let value = self.condition(permission, condition)?;
            let holds = value == Json::Bool(true);
            if policy.permissive {
                granted |= holds;
            } else {
                refused |= !holds;
            }
            because.push(reason(policy, condition, value));
        }
        Ok(granted && !refused)
    }

    fn table(&self, permission: Permission) -> Result<bool, Fault> {
        let caller = Caller::from(&self.question.caller);
        let sql = format!(
            "SELECT ({}) IS TRUE FROM storage_buckets b LEFT JOIN storage_objects o \
             ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket AND :uid IS :uid AND :role IS :role",
            builtin(permission)
        );
        Ok(self.conn.prepare_cached(&sql)?.query_row(
            named_params! {
                ":bucket": self.question.bucket.as_str(), ":path": self.question.path.as_str(),
                ":role": caller.role, ":uid": caller.uid,
            },
            |row| row.get(0),
        )?)
    }

    /// One condition: of the row that is there, or of a row that would be made of what is known of it.
    fn condition(&self, permission: Permission, condition: &Expr) -> Result<Json, Fault> {
        let context = &self.question.caller;
        let now = micros(now());
        if permission == Permission::ObjectCreate {
            let at = (&self.question.bucket, &self.question.path);
            let row = Candidate::announced(at.0, at.1, None, None).for_caller(context);
            return Ok(match condition.evaluate(&context.asker(now), &row) {
                Ok(crate::sql::Value::Bool(value)) => value.into(),
                Ok(_) => Json::Null,
                Err(error) => json!({ "error": error.to_string() }),
            });
        }
        let caller = Caller::from(context);
        let sql = format!(
            "SELECT {} FROM storage_objects o WHERE o.bucket_id = :bucket AND o.path = :path \
             AND :uid IS :uid AND :role IS :role AND :caller IS :caller",
            Sqlite { column: &|column| format!("o.{}", column.column.name) }.render(condition)
        );
        // Not kept: nobody asks twice.
        let mut statement = self.conn.prepare(&sql)?;
        let value = statement.query_row(
            named_params! {
                ":bucket": self.question.bucket.as_str(), ":path": self.question.path.as_str(),
                ":role": caller.role, ":uid": caller.uid, ":caller": functions::caller(context, now),
            },
            |row| row.get::<_, Option<bool>>(0),
        );
        match value.map_err(Fault::from) {
            Ok(value) => Ok(value.map_or(Json::Null, Json::Bool)),
            Err(fault) => match fault.of_policy() {
                Some(why) => Ok(json!({ "error": why })),
                None => Err(fault),
            },
        }
    }
}

fn reason(policy: &Policy, condition: &Expr, value: Json) -> Reason {
    Reason {
        rule: format!("policy {}", policy.name),
        effect: if policy.permissive { Effect::Grants } else { Effect::Restricts },
        expression: Postgres { names: Names::Public, column: None }.render(condition),
        value,
    }
}
