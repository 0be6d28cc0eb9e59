//! What rows keep on each provider, and which directory each is.

use std::sync::Arc;

use uuid::Uuid;

use crate::executor::ProviderUsage;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::rows::count;
use crate::executor::postgres::session::{Session, Step, read};
use crate::permissions::{Access, Permission};

const USAGE: &str = "SELECT provider, sum(blobs)::bigint, sum(bytes)::bigint, sum(segments)::bigint, sum(copies)::bigint, \
     sum(copy_bytes)::bigint, sum(deletions)::bigint FROM ( \
     SELECT provider, count(*) AS blobs, sum(size) AS bytes, count(*) AS segments, 0 AS copies, 0 AS copy_bytes, \
         0 AS deletions FROM {schema}.storage_segments WHERE blob_key IS NOT NULL GROUP BY provider \
     UNION ALL SELECT provider, count(*), sum(size), 0, 0, 0, 0 FROM {schema}.multipart_parts \
         WHERE blob_key IS NOT NULL GROUP BY provider \
     UNION ALL SELECT provider, 0, 0, 0, count(*), sum(size), 0 FROM {schema}.blob_copies GROUP BY provider \
     UNION ALL SELECT provider, 0, 0, 0, 0, 0, count(*) FROM {schema}.blob_deletions GROUP BY provider) kept \
     GROUP BY provider ORDER BY provider";

const IS_NAMED: &str = "SELECT \
     EXISTS (SELECT 1 FROM {schema}.storage_segments WHERE provider = $1 AND blob_key IS NOT NULL) \
     OR EXISTS (SELECT 1 FROM {schema}.multipart_parts WHERE provider = $1 AND blob_key IS NOT NULL) \
     OR EXISTS (SELECT 1 FROM {schema}.blob_copies WHERE provider = $1) \
     OR EXISTS (SELECT 1 FROM {schema}.blob_deletions WHERE provider = $1)";

const IDENTITY: &str = "SELECT identity FROM {schema}.provider_identities WHERE provider = $1";

const SAY_IDENTITY: &str = "INSERT INTO {schema}.provider_identities (provider, identity) VALUES ($1, $2) \
     ON CONFLICT DO NOTHING";

/// What rows keep on each provider that they name.
pub(in crate::executor::postgres) async fn usage(
    pool: &Arc<Pool>,
    access: &Access,
) -> Result<Vec<ProviderUsage>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "provider_usage", &Caller::keeper(), USAGE, &[]).await?;
    let usage = |row: &tokio_postgres::Row| {
        Ok(ProviderUsage {
            provider: row.try_get::<_, &str>(0)?.into(),
            blobs: count(row, 1)?,
            bytes: count(row, 2)?,
            segments: count(row, 3)?,
            copies: count(row, 4)?,
            copy_bytes: count(row, 5)?,
            pending_deletions: count(row, 6)?,
        })
    };
    found.iter().map(usage).collect()
}

/// Whether rows name a provider.
pub(in crate::executor::postgres) async fn is_named(
    pool: &Arc<Pool>,
    access: &Access,
    provider: &str,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "is_named", &Caller::keeper(), IS_NAMED, &[&provider]).await?;
    found.first().map_or(Ok(false), |row| Ok(row.try_get(0)?))
}

/// Says which directory a provider is, where nobody has; gives the one that counts.
pub(in crate::executor::postgres) async fn identity(
    pool: &Arc<Pool>,
    access: &Access,
    provider: &str,
    said: Option<Uuid>,
) -> Result<Option<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let keeper = Caller::keeper();
    let (named, values) = ([&provider as _], [&provider as _, &said as _]);
    let mut steps = vec![Step::As(&keeper)];
    if said.is_some() {
        steps.push(Step::Run(SAY_IDENTITY, &values));
    }
    steps.extend([Step::Run(IDENTITY, &named), Step::Commit]);
    let answers = Session::start(pool, "provider_identity").await?.run(&steps).await?;
    let found = answers.last().and_then(|answer| answer.rows.first());
    found.map(|row| Ok(row.try_get(0)?)).transpose()
}
