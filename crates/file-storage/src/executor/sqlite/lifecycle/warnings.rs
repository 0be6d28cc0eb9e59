//! Objects that were told of before their time.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use crate::Timestamp;
use crate::executor::lifecycle::EXPIRING;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::events;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{self, OBJECT, micros, time, uuid};
use crate::executor::{Warned, Warning};
use crate::lifecycle::LifecycleAction;
use crate::permissions::{Access, Permission};

/// The warnings that were given of versions.
pub(in crate::executor::sqlite) fn given(
    conn: &Connection,
    access: &Access,
    versions: &[Uuid],
) -> Result<Vec<Warned>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT version, rule_id, due_at, warned_at, action FROM lifecycle_warnings WHERE version = :version",
    )?;
    let mut found = Vec::new();
    for version in versions {
        let mut rows = statement.query(named_params! { ":version": text(*version) })?;
        while let Some(row) = rows.next()? {
            found.push(Warned {
                version: uuid(row, 0)?,
                rule: uuid(row, 1)?,
                due_at: time(row, 2)?,
                warned_at: time(row, 3)?,
                action: row.get::<_, Option<String>>(4)?.as_deref().and_then(LifecycleAction::from_word),
            });
        }
    }
    Ok(found)
}

/// Tells of objects that were not told of for this time.
pub(in crate::executor::sqlite) fn warn(
    conn: &Connection,
    access: &Access,
    warnings: &[Warning],
    now: Timestamp,
) -> Result<Vec<(Uuid, Uuid)>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut told = Vec::new();
    for warning in warnings {
        let mut statement = conn
            .prepare_cached(&format!("SELECT {OBJECT} FROM storage_objects o WHERE o.version = :version"))?;
        let mut rows = statement.query(named_params! { ":version": text(warning.version) })?;
        let Some(object) = rows.next()?.map(|row| rows::object(row, 0)).transpose()? else { continue };
        drop(rows);
        let is_new = conn
            .prepare_cached(
                "INSERT INTO lifecycle_warnings AS w (version, rule_id, due_at, warned_at, action) \
                 VALUES (:version, :rule, :due, :now, :action) ON CONFLICT (version, rule_id) DO UPDATE SET \
                 due_at = excluded.due_at, warned_at = excluded.warned_at, action = excluded.action \
                 WHERE w.due_at <> excluded.due_at OR w.action <> excluded.action",
            )?
            .execute(named_params! {
                ":version": text(warning.version), ":rule": text(warning.rule),
                ":due": micros(warning.due_at), ":now": micros(now), ":action": warning.action.as_str(),
            })?;
        if is_new == 1 {
            let (rule, at) = (warning.rule.to_string(), warning.goes_at_in_words());
            let more = [("rule", &*rule), ("action", warning.action.as_str()), ("expires_at", &*at)];
            events::object(conn, EXPIRING, &object, &more, now)?;
            told.push((warning.version, warning.rule));
        }
    }
    Ok(told)
}

/// Looks at a page of warnings, and forgets those that are about nothing any more.
pub(in crate::executor::sqlite) fn forget(
    conn: &Connection,
    access: &Access,
    after: Option<Uuid>,
    rules: &[Uuid],
    limit: u32,
) -> Result<Option<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let after = after.map(text).unwrap_or_default();
    // Whole versions: a page ends between two.
    let last: Option<String> = conn
        .prepare_cached(
            "SELECT max(version) FROM (SELECT DISTINCT version FROM lifecycle_warnings WHERE version > :after \
             ORDER BY version LIMIT :limit)",
        )?
        .query_row(named_params! { ":after": after, ":limit": limit }, |row| row.get(0))?;
    let Some(last) = last else { return Ok(None) };
    let rules: Vec<String> = rules.iter().copied().map(text).collect();
    let rules = serde_json::to_string(&rules).map_err(|_| Fault::corrupt("list of rules"))?;
    conn.prepare_cached(
        "DELETE FROM lifecycle_warnings WHERE version > :after AND version <= :last AND ( \
         rule_id NOT IN (SELECT value FROM json_each(:rules)) \
         OR NOT EXISTS (SELECT 1 FROM storage_objects o WHERE o.version = lifecycle_warnings.version))",
    )?
    .execute(named_params! { ":after": after, ":last": last, ":rules": rules })?;
    Uuid::try_parse(&last).map(Some).map_err(|_| Fault::corrupt("uuid"))
}
