//! Webhooks, for the server's upkeep alone: the table is the keeper's.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{count, int};
use super::session::{Values, alone, read};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::displaced::span;
use crate::executor::webhooks::{Recorded, WEBHOOK, too_many_webhooks};
use crate::executor::{SealedWebhook, WebhookClaim};
use crate::permissions::{Access, Permission};
use crate::webhooks::{MAX_WEBHOOKS, Webhook, WebhookStatus, WebhookStep, WebhookUpdate};

/// Two that are made at once may be one more than there may be, which does no harm.
static CREATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO {{schema}}.storage_webhooks \
             (id, url, kinds, bucket_id, prefix, status, position, sealed_secret, created_at, updated_at) \
         SELECT $1::uuid, $2::text, $3::text[], $4::text, $5::text, $6::text, $7::bigint, $8::text, \
             $9::timestamptz, $9::timestamptz \
         WHERE (SELECT count(*) FROM {{schema}}.storage_webhooks) < {MAX_WEBHOOKS} RETURNING {WEBHOOK}"
    )
});

static ALL: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {WEBHOOK} FROM {{schema}}.storage_webhooks ORDER BY created_at, id"));

static FIND: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {WEBHOOK} FROM {{schema}}.storage_webhooks WHERE id = $1"));

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.storage_webhooks SET url = coalesce($2::text, url), kinds = coalesce($3::text[], kinds), \
         bucket_id = CASE WHEN $4::boolean THEN $5::text ELSE bucket_id END, prefix = coalesce($6::text, prefix), \
         status = CASE WHEN $7::boolean IS NULL THEN status WHEN $7::boolean THEN 'active' ELSE 'disabled' END, \
         attempts = CASE WHEN $7::boolean OR $2::text IS NOT NULL THEN 0 ELSE attempts END, \
         next_attempt_at = CASE WHEN $7::boolean OR $2::text IS NOT NULL THEN NULL ELSE next_attempt_at END, \
         leased_by = CASE WHEN $8::boolean THEN NULL ELSE leased_by END, \
         leased_until = CASE WHEN $8::boolean THEN NULL ELSE leased_until END, \
         updated_at = now() WHERE id = $1 RETURNING {WEBHOOK}"
    )
});

static ROTATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.storage_webhooks SET sealed_previous = sealed_secret, previous_until = $3, \
         sealed_secret = $2, updated_at = now() WHERE id = $1 RETURNING {WEBHOOK}"
    )
});

const DELETE: &str = "DELETE FROM {schema}.storage_webhooks WHERE id = $1";

/// What others are about to take, or change, is passed over.
static CLAIM: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.storage_webhooks SET leased_by = $1, \
         leased_until = now() + $2::bigint * interval '1 microsecond', \
         sealed_previous = CASE WHEN previous_until > now() THEN sealed_previous END, \
         previous_until = CASE WHEN previous_until > now() THEN previous_until END \
         WHERE id = ANY (ARRAY(SELECT id FROM {{schema}}.storage_webhooks WHERE status = 'active' AND position < $3 \
             AND (next_attempt_at IS NULL OR next_attempt_at <= now()) \
             AND (leased_until IS NULL OR leased_until <= now()) FOR UPDATE SKIP LOCKED)) RETURNING {WEBHOOK}"
    )
});

static RECORD: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE {{schema}}.storage_webhooks SET position = greatest(position, $3::bigint), \
         attempts = CASE WHEN $5::text IS NOT NULL THEN attempts + 1 WHEN $3::bigint IS NOT NULL THEN 0 ELSE attempts END, \
         next_attempt_at = CASE WHEN $5::text IS NOT NULL THEN now() + $6::bigint * interval '1 microsecond' \
             WHEN $3::bigint IS NOT NULL THEN NULL ELSE next_attempt_at END, \
         last_success_at = CASE WHEN $4::boolean THEN now() ELSE last_success_at END, \
         last_error = coalesce($5::text, last_error), \
         last_error_at = CASE WHEN $5::text IS NOT NULL THEN now() ELSE last_error_at END, \
         status = CASE WHEN status = 'active' THEN coalesce($7::text, status) ELSE status END, \
         leased_by = CASE WHEN $8::bigint IS NOT NULL AND status = 'active' THEN leased_by END, \
         leased_until = CASE WHEN status = 'active' THEN now() + $8::bigint * interval '1 microsecond' END \
         WHERE id = $1 AND leased_by = $2 RETURNING {WEBHOOK}"
    )
});

/// Adds a webhook.
pub(super) async fn create(pool: &Arc<Pool>, access: &Access, new: &SealedWebhook) -> Result<Webhook, Fault> {
    let hook = &new.webhook;
    let values = [
        &hook.id as _,
        &hook.url as _,
        &hook.kinds as _,
        &hook.bucket.as_ref().map(BucketName::as_str) as _,
        &hook.prefix as _,
        &hook.status.as_str() as _,
        &int(hook.position) as _,
        &new.secret as _,
        &hook.created_at as _,
    ];
    let made = change(pool, access, &CREATE, &values).await?.into_iter().next();
    made.map(|made| made.webhook).ok_or_else(|| too_many_webhooks().into())
}

/// All of them, oldest first.
pub(super) async fn all(pool: &Arc<Pool>, access: &Access) -> Result<Vec<Webhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let rows = read(pool, "webhooks", &Caller::keeper(), &ALL, &[]).await?;
    rows.iter().map(|row| Ok(webhook(row)?.webhook)).collect()
}

/// One of them, with its sealed secrets.
pub(super) async fn find(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
) -> Result<Option<SealedWebhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let rows = read(pool, "webhook", &Caller::keeper(), &FIND, &[&id]).await?;
    rows.first().map(webhook).transpose()
}

/// Changes it. A claim ends where it goes elsewhere, or is enabled: what the old receiver says late is not the new one's.
pub(super) async fn update(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
    update: &WebhookUpdate,
) -> Result<Option<Webhook>, Fault> {
    let bucket = update.bucket.as_ref().and_then(Option::as_ref).map(BucketName::as_str);
    let values = [
        &id as _,
        &update.url as _,
        &update.kinds as _,
        &update.bucket.is_some() as _,
        &bucket as _,
        &update.prefix as _,
        &update.enabled as _,
        &update.ends_claim() as _,
    ];
    Ok(change(pool, access, &UPDATE, &values).await?.into_iter().next().map(|changed| changed.webhook))
}

/// Gives it another secret.
pub(super) async fn rotate(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
    sealed: &str,
    until: Timestamp,
) -> Result<Option<Webhook>, Fault> {
    let changed = change(pool, access, &ROTATE, &[&id, &sealed, &until]).await?;
    Ok(changed.into_iter().next().map(|changed| changed.webhook))
}

/// Deletes it; `false` where there is none.
pub(super) async fn delete(pool: &Arc<Pool>, access: &Access, id: Uuid) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    Ok(alone(pool, "webhook", &Caller::keeper(), DELETE, &[&id]).await?.affected > 0)
}

/// Takes what is due.
pub(super) async fn claim(
    pool: &Arc<Pool>,
    access: &Access,
    claim: &WebhookClaim,
) -> Result<Vec<SealedWebhook>, Fault> {
    change(pool, access, &CLAIM, &[&claim.id, &span(claim.lease), &int(claim.last)]).await
}

/// Writes down how far it has come.
pub(super) async fn record(
    pool: &Arc<Pool>,
    access: &Access,
    id: Uuid,
    claim: Uuid,
    step: &WebhookStep,
    lease: Option<Duration>,
) -> Result<Option<SealedWebhook>, Fault> {
    let recorded = Recorded::of(step);
    // PostgreSQL's text has no such character.
    let error = recorded.error.map(|error| error.replace('\0', ""));
    let values = [
        &id as _,
        &claim as _,
        &recorded.position.map(int) as _,
        &recorded.delivered as _,
        &error as _,
        &recorded.wait.map(span) as _,
        &recorded.status as _,
        &lease.map(span) as _,
    ];
    Ok(change(pool, access, &RECORD, &values).await?.into_iter().next())
}

async fn change(
    pool: &Arc<Pool>,
    access: &Access,
    sql: &'static str,
    values: Values<'_>,
) -> Result<Vec<SealedWebhook>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let done = alone(pool, "webhook", &Caller::keeper(), sql, values).await?;
    done.rows.iter().map(webhook).collect()
}

fn webhook(row: &Row) -> Result<SealedWebhook, Fault> {
    let bucket: Option<&str> = row.try_get(3)?;
    let webhook = Webhook {
        id: row.try_get(0)?,
        url: row.try_get(1)?,
        kinds: row.try_get(2)?,
        bucket: bucket.map(BucketName::parse).transpose()?,
        prefix: row.try_get(4)?,
        status: WebhookStatus::parse(row.try_get(5)?).ok_or_else(|| Fault::corrupt("status"))?,
        position: count(row, 6)?,
        attempts: u32::try_from(row.try_get::<_, i32>(7)?).map_err(|_| Fault::corrupt("counter"))?,
        next_attempt_at: row.try_get(8)?,
        last_success_at: row.try_get(9)?,
        last_error: row.try_get(10)?,
        last_error_at: row.try_get(11)?,
        previous_until: row.try_get(12)?,
        created_at: row.try_get(13)?,
        updated_at: row.try_get(14)?,
    };
    Ok(SealedWebhook { webhook, secret: row.try_get(15)?, previous: row.try_get(16)? })
}
