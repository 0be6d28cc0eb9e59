//! Objects that were told of before their time.

use std::sync::Arc;

use uuid::Uuid;

use crate::Timestamp;
use crate::executor::lifecycle::EXPIRING;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::{alone, read};
use crate::executor::{Warned, Warning};
use crate::lifecycle::LifecycleAction;
use crate::permissions::{Access, Permission};

const GIVEN: &str = "SELECT version, rule_id, due_at, warned_at, action FROM {schema}.lifecycle_warnings \
     WHERE version = ANY ($1::uuid[])";

const WARN: &str = "WITH asked AS ( \
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[]) \
            a (version, rule_id, due_at, goes_at, action)), \
    told AS (INSERT INTO {schema}.lifecycle_warnings AS w (version, rule_id, due_at, warned_at, action) \
        SELECT a.version, a.rule_id, a.due_at, $6, a.action FROM asked a \
        JOIN {schema}.storage_objects o ON o.version = a.version ORDER BY a.version, a.rule_id \
        ON CONFLICT (version, rule_id) DO UPDATE SET due_at = excluded.due_at, warned_at = excluded.warned_at, \
            action = excluded.action \
        WHERE w.due_at <> excluded.due_at OR w.action <> excluded.action RETURNING version, rule_id), \
    events AS (INSERT INTO {schema}.storage_events (kind, bucket_id, path, owner_id, payload) \
        SELECT $7::text, o.bucket_id, o.path, o.owner_id, {inner}.told(o.id, o.version, o.size, o.content_type, o.etag) \
            || jsonb_build_object('rule', a.rule_id, 'action', a.action, 'expires_at', a.goes_at) \
        FROM told t JOIN asked a ON a.version = t.version AND a.rule_id = t.rule_id \
        JOIN {schema}.storage_objects o ON o.version = t.version ORDER BY o.bucket_id, o.path) \
    SELECT version, rule_id FROM told";

/// Whole versions: a page ends between two.
const LAST: &str = "SELECT version FROM (SELECT DISTINCT version FROM {schema}.lifecycle_warnings \
     WHERE version > $1 ORDER BY version LIMIT $2) page ORDER BY version DESC LIMIT 1";

const FORGET: &str = "DELETE FROM {schema}.lifecycle_warnings w WHERE w.version > $1 AND w.version <= $2 \
     AND (NOT w.rule_id = ANY ($3::uuid[]) \
        OR NOT EXISTS (SELECT 1 FROM {schema}.storage_objects o WHERE o.version = w.version))";

/// The warnings that were given of versions.
pub(in crate::executor::postgres) async fn given(
    pool: &Arc<Pool>,
    access: &Access,
    versions: &[Uuid],
) -> Result<Vec<Warned>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "lifecycle_warnings", &Caller::keeper(), GIVEN, &[&versions]).await?;
    let warned = |row: &tokio_postgres::Row| {
        Ok(Warned {
            version: row.try_get(0)?,
            rule: row.try_get(1)?,
            due_at: row.try_get(2)?,
            warned_at: row.try_get(3)?,
            action: row.try_get::<_, Option<&str>>(4)?.and_then(LifecycleAction::from_word),
        })
    };
    found.iter().map(warned).collect()
}

/// Tells of objects that were not told of for this time.
pub(in crate::executor::postgres) async fn warn(
    pool: &Arc<Pool>,
    access: &Access,
    warnings: &[Warning],
    now: Timestamp,
) -> Result<Vec<(Uuid, Uuid)>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let versions: Vec<Uuid> = warnings.iter().map(|warning| warning.version).collect();
    let rules: Vec<Uuid> = warnings.iter().map(|warning| warning.rule).collect();
    let due: Vec<Timestamp> = warnings.iter().map(|warning| warning.due_at).collect();
    let goes: Vec<String> = warnings.iter().map(Warning::goes_at_in_words).collect();
    let actions: Vec<&str> = warnings.iter().map(|warning| warning.action.as_str()).collect();
    let values =
        [&versions as _, &rules as _, &due as _, &goes as _, &actions as _, &now as _, &EXPIRING as _];
    let told = alone(pool, "warn_of_versions", &Caller::keeper(), WARN, &values).await?;
    told.rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Looks at a page of warnings, and forgets those that are about nothing any more.
pub(in crate::executor::postgres) async fn forget(
    pool: &Arc<Pool>,
    access: &Access,
    after: Option<Uuid>,
    rules: &[Uuid],
    limit: u32,
) -> Result<Option<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let after = after.unwrap_or_default();
    let page = [&after as _, &i64::from(limit) as _];
    let found = read(pool, "forget_warnings", &Caller::keeper(), LAST, &page).await?;
    let Some(row) = found.first() else { return Ok(None) };
    let last: Uuid = row.try_get(0)?;
    let values = [&after as _, &last as _, &rules as _];
    alone(pool, "forget_warnings", &Caller::keeper(), FORGET, &values).await?;
    Ok(Some(last))
}
