//! Why somebody may do something, or not: every rule is computed by the engine, each in a statement of its own, with the
//! claims of whoever it is about.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use tokio_postgres::types::ToSql;

use super::decide::{TARGET, seen, version};
use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, Subject};
use super::rules::Rules;
use super::session::{Session, Step};
use crate::executor::explanation::{Asked, Findings, Inquiry};
use crate::executor::proposal::Purpose;
use crate::executor::{Explanation, Question};
use crate::permissions::{Access, Permission, bucket_missing};
use crate::sql::{Expr, Names, Postgres};

/// Keeps a condition that fails from ending the transaction.
const ASK: &str = "SAVEPOINT asked";
const GO_ON: &str = "ROLLBACK TO SAVEPOINT asked";

/// A row of which only its place and its owner are known. OFFSET keeps the planner from computing ahead, where it may fail,
/// what a condition need not ask.
const NEW_ROW: &str = "(SELECT NULL::uuid AS id, $1::text COLLATE \"C\" AS bucket_id, $2::text COLLATE \"C\" AS path, \
     NULL::bigint AS size, NULL::text AS content_type, NULL::text AS cache_control, NULL::text AS checksum, \
     NULL::text AS etag, $3::uuid AS owner_id, NULL::jsonb AS metadata, NULL::uuid AS version, \
     NULL::timestamptz AS created_at, NULL::timestamptz AS updated_at OFFSET 0) o";

/// The row that is there.
const OLD_ROW: &str =
    "{schema}.storage_objects o WHERE o.bucket_id = $1 AND o.path = $2 AND $3::uuid IS NOT DISTINCT FROM $3";

/// Answers a question.
pub(super) async fn explain(
    pool: &Arc<Pool>,
    access: &Access,
    question: &Question,
) -> Result<Explanation, Fault> {
    let asker = access.on_rows(Permission::Explain, Some(&question.bucket))?;
    let context = &question.caller;
    let mut session = Session::start(pool, "explain").await?;
    session.begin_reading(&Caller::keeper_for(context), pool.statement_timeout()).await?;

    let Subject { role, user } = Subject::from(context);
    let at = [&role as _, &user as _, &question.bucket.as_str() as _, &question.path.as_str() as _];
    let found =
        session.run(&[Step::As(&Caller::keeper_for(context).by_keys()), Step::Run(&TARGET, &at)]).await?;
    let Some(row) = found.first().and_then(|answer| answer.rows.first()) else {
        return Err(bucket_missing(context, question.permission, &question.bucket).into());
    };
    let rules = pool.rules().within(&mut session, version(row)?).await?;
    // What the table says: what policies say is asked one by one.
    let place = (&question.bucket, &question.path);
    let Some(seen) = seen(Some(row), &Rules::default(), context, Purpose::Write, place)? else {
        return Err(bucket_missing(context, question.permission, &question.bucket).into());
    };
    let target = &seen.target;
    let there = target.existing.is_some();
    let inquiry = Inquiry::new(rules.policies(), question);
    // The rules may have been read as the keeper alone.
    session.run(&[Step::As(&Caller::keeper_for(context))]).await?;
    let mut all = Vec::new();
    for asked in inquiry.asked().iter().filter(|_| there || inquiry.creates()) {
        let table = match asked.permission {
            Permission::ObjectRead => target.visible,
            Permission::ObjectCreate => target.creatable,
            Permission::ObjectOverwrite => target.overwritable,
            Permission::ObjectDelete => target.deletable,
            _ => false,
        };
        let values = ask(pool, &session, question, asked).await?;
        all.push(Findings { table, values });
    }
    Ok(inquiry.answer(asker.is_service(), target.bucket.config.policy, there, &all))
}

/// What the conditions of one permission come to.
async fn ask(
    pool: &Pool,
    session: &Session,
    question: &Question,
    asked: &Asked<'_>,
) -> Result<Vec<Json>, Fault> {
    let mut values = Vec::with_capacity(asked.conditions.len());
    for (_, condition) in &asked.conditions {
        values.push(compute(pool, session, question, asked.permission, condition).await?);
    }
    Ok(values)
}

async fn compute(
    pool: &Pool,
    session: &Session,
    question: &Question,
    permission: Permission,
    condition: &Expr,
) -> Result<Json, Fault> {
    let schema = pool.schema();
    let of_row = |column: crate::sql::ColumnRef| format!("o.{}", column.column.name);
    let condition =
        Postgres { names: Names::Schema(schema.as_str()), column: Some(&of_row) }.render(condition);
    let row = if permission == Permission::ObjectCreate { NEW_ROW.to_owned() } else { schema.fill(OLD_ROW) };
    let owner = question.caller.user_id();
    let values: [&(dyn ToSql + Sync); 3] = [&question.bucket.as_str(), &question.path.as_str(), &owner];
    let client = session.client()?;
    client.batch_execute(ASK).await?;
    let found = client.query_opt(&format!("SELECT {condition} FROM {row}"), &values).await;
    match found.map_err(Fault::from) {
        Ok(found) => Ok(match found {
            Some(row) => row.try_get::<_, Option<bool>>(0)?.map_or(Json::Null, Json::Bool),
            None => Json::Null,
        }),
        Err(fault) => match fault.of_policy() {
            Some(why) => {
                client.batch_execute(GO_ON).await?;
                Ok(json!({ "error": why }))
            }
            None => Err(fault),
        },
    }
}
