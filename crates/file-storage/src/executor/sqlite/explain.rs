//! Why somebody may do something, or not: every rule is computed by the engine, each in a statement of its own.

use rusqlite::{Connection, named_params};
use serde_json::{Value as Json, json};

use super::decide::look;
use super::errors::Fault;
use super::functions::{self, IN_EXPRESSION};
use super::rls::{Caller, builtin};
use super::rows::{micros, now};
use super::rules::Rules;
use crate::executor::explanation::{Findings, Inquiry};
use crate::executor::proposal::Purpose;
use crate::executor::{Explanation, Question};
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission, bucket_missing};
use crate::sql::{Expr, Sqlite};

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
    let nothing = Rules::of_table();
    let Some(seen) = look(conn, &nothing, context, Purpose::Write, at)? else {
        return Err(bucket_missing(context, question.permission, &question.bucket).into());
    };
    let there = seen.target.existing.is_some();
    let inquiry = Inquiry::new(rules.policies(), question);
    let mut found = Vec::new();
    for asked in inquiry.asked().iter().filter(|_| there || inquiry.creates()) {
        let values = asked.conditions.iter().map(|(_, condition)| match inquiry.creates() {
            true => Ok(of_new_row(question, condition)),
            false => of_old_row(conn, question, condition),
        });
        let values = values.collect::<Result<_, Fault>>()?;
        found.push(Findings { table: table(conn, question, asked.permission)?, values });
    }
    Ok(inquiry.answer(asker.is_service(), seen.target.bucket.config.policy, there, &found))
}

/// What the table alone says.
fn table(conn: &Connection, question: &Question, permission: Permission) -> Result<bool, Fault> {
    let caller = Caller::from(&question.caller);
    let sql = format!(
        "SELECT ({}) IS TRUE FROM storage_buckets b LEFT JOIN storage_objects o \
         ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket AND :uid IS :uid AND :role IS :role",
        builtin(permission)
    );
    Ok(conn.prepare_cached(&sql)?.query_row(
        named_params! {
            ":bucket": question.bucket.as_str(), ":path": question.path.as_str(),
            ":role": caller.role, ":uid": caller.uid,
        },
        |row| row.get(0),
    )?)
}

/// A condition of the row that would be made of what is known of it.
fn of_new_row(question: &Question, condition: &Expr) -> Json {
    let context = &question.caller;
    let row = Candidate::announced(&question.bucket, &question.path, None, None).for_caller(context);
    match condition.evaluate(&context.asker(micros(now())), &row) {
        Ok(crate::sql::Value::Bool(value)) => value.into(),
        Ok(_) => Json::Null,
        Err(error) => json!({ "error": error.to_string() }),
    }
}

/// A condition of the row that is there.
fn of_old_row(conn: &Connection, question: &Question, condition: &Expr) -> Result<Json, Fault> {
    let context = &question.caller;
    let caller = Caller::from(context);
    let sql = format!(
        "SELECT {} FROM storage_objects o WHERE o.bucket_id = :bucket AND o.path = :path \
         AND :uid IS :uid AND :role IS :role AND :caller IS :caller",
        Sqlite { column: &|column| format!("o.{}", column.column.name) }.render(condition)
    );
    // Not kept: nobody asks twice.
    let mut statement = conn.prepare(&sql)?;
    let value = statement.query_row(
        named_params! {
            ":bucket": question.bucket.as_str(), ":path": question.path.as_str(),
            ":role": caller.role, ":uid": caller.uid, ":caller": functions::caller(context, micros(now())),
        },
        |row| row.get::<_, Option<bool>>(0),
    );
    match value.map_err(Fault::from) {
        Ok(value) => Ok(value.map_or(Json::Null, Json::Bool)),
        Err(fault) => match fault.of_policy() {
            // The condition itself is told beside it.
            Some(why) => Ok(json!({ "error": why.split_once(IN_EXPRESSION).map_or(why, |(why, _)| why) })),
            None => Err(fault),
        },
    }
}
