//! Webhooks, for the server's upkeep alone.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Row, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::rls::text;
use super::rows::{count, int, json, micros, now, str, time, uuid};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::displaced::span;
use crate::executor::webhooks::{Recorded, WEBHOOK, too_many_webhooks};
use crate::executor::{SealedWebhook, WebhookClaim};
use crate::permissions::{Access, Permission};
use crate::webhooks::{MAX_WEBHOOKS, Webhook, WebhookStatus, WebhookStep, WebhookUpdate};

/// Ends what a server had that does not run any more: asked where nobody else has the database open.
pub(super) fn end_claims(conn: &Connection) -> Result<(), Fault> {
    conn.execute(
        "UPDATE storage_webhooks SET leased_by = NULL, leased_until = NULL WHERE leased_by IS NOT NULL",
        [],
    )?;
    Ok(())
}

/// Adds a webhook.
pub(super) fn create(conn: &Connection, access: &Access, new: &SealedWebhook) -> Result<Webhook, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let hook = &new.webhook;
    let sql = format!(
        "INSERT INTO storage_webhooks (id, url, kinds, bucket_id, prefix, status, position, sealed_secret, created_at, updated_at) \
         SELECT :id, :url, :kinds, :bucket, :prefix, :status, :position, :sealed, :now, :now \
         WHERE (SELECT count(*) FROM storage_webhooks) < {MAX_WEBHOOKS} RETURNING {WEBHOOK}"
    );
    let values = named_params! {
        ":id": text(hook.id), ":url": hook.url, ":kinds": words(&hook.kinds),
        ":bucket": hook.bucket.as_ref().map(BucketName::as_str), ":prefix": hook.prefix,
        ":status": hook.status.as_str(), ":position": int(hook.position), ":sealed": new.secret,
        ":now": micros(hook.created_at),
    };
    let made = one(conn, &sql, values)?;
    made.map(|made| made.webhook).ok_or_else(|| too_many_webhooks().into())
}

/// All of them, oldest first.
pub(super) fn all(conn: &Connection, access: &Access) -> Result<Vec<Webhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!("SELECT {WEBHOOK} FROM storage_webhooks ORDER BY created_at, id");
    let found = many(conn, &sql, &[])?;
    Ok(found.into_iter().map(|found| found.webhook).collect())
}

/// One of them, with its sealed secrets.
pub(super) fn find(conn: &Connection, access: &Access, id: Uuid) -> Result<Option<SealedWebhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!("SELECT {WEBHOOK} FROM storage_webhooks WHERE id = :id");
    one(conn, &sql, named_params! { ":id": text(id) })
}

/// Changes it. A claim ends with most changes: see [`WebhookUpdate::ends_claim`].
pub(super) fn update(
    conn: &Connection,
    access: &Access,
    id: Uuid,
    update: &WebhookUpdate,
) -> Result<Option<Webhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!(
        "UPDATE storage_webhooks SET url = coalesce(:url, url), kinds = coalesce(:kinds, kinds), \
         bucket_id = CASE WHEN :has_bucket THEN :bucket ELSE bucket_id END, prefix = coalesce(:prefix, prefix), \
         status = CASE WHEN :enabled IS NULL THEN status WHEN :enabled THEN 'active' ELSE 'disabled' END, \
         attempts = CASE WHEN :enabled OR :url IS NOT NULL THEN 0 ELSE attempts END, \
         next_attempt_at = CASE WHEN :enabled OR :url IS NOT NULL THEN NULL ELSE next_attempt_at END, \
         leased_by = iif(:ends_claim, NULL, leased_by), leased_until = iif(:ends_claim, NULL, leased_until), \
         updated_at = :now WHERE id = :id RETURNING {WEBHOOK}"
    );
    let bucket = update.bucket.as_ref().and_then(Option::as_ref).map(BucketName::as_str);
    let values = named_params! {
        ":id": text(id), ":url": update.url, ":kinds": update.kinds.as_deref().map(words),
        ":has_bucket": update.bucket.is_some(), ":bucket": bucket, ":prefix": update.prefix,
        ":enabled": update.enabled, ":ends_claim": update.ends_claim(), ":now": micros(now()),
    };
    Ok(one(conn, &sql, values)?.map(|changed| changed.webhook))
}

/// Gives it another secret.
pub(super) fn rotate(
    conn: &Connection,
    access: &Access,
    id: Uuid,
    sealed: &str,
    until: Timestamp,
) -> Result<Option<Webhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!(
        "UPDATE storage_webhooks SET sealed_previous = sealed_secret, previous_until = :until, sealed_secret = :sealed, \
         updated_at = :now WHERE id = :id RETURNING {WEBHOOK}"
    );
    let values = named_params! {
        ":id": text(id), ":sealed": sealed, ":until": micros(until), ":now": micros(now()),
    };
    Ok(one(conn, &sql, values)?.map(|changed| changed.webhook))
}

/// Deletes it; `false` where there is none.
pub(super) fn delete(conn: &Connection, access: &Access, id: Uuid) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let gone = conn
        .prepare_cached("DELETE FROM storage_webhooks WHERE id = :id")?
        .execute(named_params! { ":id": text(id) })?;
    Ok(gone > 0)
}

/// Takes what is due.
pub(super) fn claim(
    conn: &Connection,
    access: &Access,
    claim: &WebhookClaim,
) -> Result<Vec<SealedWebhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!(
        "UPDATE storage_webhooks SET leased_by = :claim, leased_until = :until, \
         sealed_previous = CASE WHEN previous_until > :now THEN sealed_previous END, \
         previous_until = CASE WHEN previous_until > :now THEN previous_until END \
         WHERE status = 'active' AND position < :last AND (next_attempt_at IS NULL OR next_attempt_at <= :now) \
         AND (leased_until IS NULL OR leased_until <= :now) RETURNING {WEBHOOK}"
    );
    let now = micros(now());
    let values = named_params! {
        ":claim": text(claim.id), ":until": now.saturating_add(span(claim.lease)), ":now": now,
        ":last": int(claim.last),
    };
    many(conn, &sql, values)
}

/// Writes down how far it has come.
pub(super) fn record(
    conn: &Connection,
    access: &Access,
    id: Uuid,
    claim: Uuid,
    step: &WebhookStep,
    lease: Option<Duration>,
) -> Result<Option<SealedWebhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let sql = format!(
        "UPDATE storage_webhooks SET position = max(position, coalesce(:position, position)), \
         attempts = CASE WHEN :error IS NOT NULL THEN attempts + 1 WHEN :position IS NOT NULL THEN 0 ELSE attempts END, \
         next_attempt_at = CASE WHEN :error IS NOT NULL THEN :next WHEN :position IS NOT NULL THEN NULL ELSE next_attempt_at END, \
         last_success_at = CASE WHEN :delivered THEN :now ELSE last_success_at END, \
         last_error = coalesce(:error, last_error), \
         last_error_at = CASE WHEN :error IS NOT NULL THEN :now ELSE last_error_at END, \
         status = CASE WHEN status = 'active' THEN coalesce(:status, status) ELSE status END, \
         leased_by = CASE WHEN :until IS NOT NULL AND status = 'active' THEN leased_by END, \
         leased_until = CASE WHEN status = 'active' THEN :until END \
         WHERE id = :id AND leased_by = :claim RETURNING {WEBHOOK}"
    );
    let (now, recorded) = (micros(now()), Recorded::of(step));
    let values = named_params! {
        ":id": text(id), ":claim": text(claim), ":position": recorded.position.map(int),
        ":delivered": recorded.delivered, ":error": recorded.error,
        ":next": recorded.wait.map(|wait| now.saturating_add(span(wait))), ":status": recorded.status,
        ":until": lease.map(|lease| now.saturating_add(span(lease))), ":now": now,
    };
    one(conn, &sql, values)
}

type Values<'v> = &'v [(&'v str, &'v dyn rusqlite::ToSql)];

fn one(conn: &Connection, sql: &str, values: Values<'_>) -> Result<Option<SealedWebhook>, Fault> {
    let found = conn.prepare_cached(sql)?.query_row(values, |row| Ok(webhook(row))).optional()?;
    found.transpose()
}

fn many(conn: &Connection, sql: &str, values: Values<'_>) -> Result<Vec<SealedWebhook>, Fault> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(webhook(row)?);
    }
    Ok(found)
}

fn words(words: &[String]) -> String {
    serde_json::Value::from(words).to_string()
}

fn webhook(row: &Row<'_>) -> Result<SealedWebhook, Fault> {
    let bucket: Option<String> = row.get(3)?;
    let moment = |at: usize| -> Result<Option<Timestamp>, Fault> {
        let found: Option<i64> = row.get(at)?;
        found.map(|_| time(row, at)).transpose()
    };
    let webhook = Webhook {
        id: uuid(row, 0)?,
        url: row.get(1)?,
        kinds: json(row, 2, "list of kinds")?,
        bucket: bucket.map(|bucket| BucketName::parse(&bucket)).transpose()?,
        prefix: row.get(4)?,
        status: WebhookStatus::parse(str(row, 5)?).ok_or_else(|| Fault::corrupt("status"))?,
        position: count(row, 6)?,
        attempts: row.get(7)?,
        next_attempt_at: moment(8)?,
        last_success_at: moment(9)?,
        last_error: row.get(10)?,
        last_error_at: moment(11)?,
        previous_until: moment(12)?,
        created_at: time(row, 13)?,
        updated_at: time(row, 14)?,
    };
    Ok(SealedWebhook { webhook, secret: row.get(15)?, previous: row.get(16)? })
}
