//! A look at a database that changes nothing: what its rows say of providers, and of what went wrong.

use std::sync::Arc;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::count;
use super::session::read;
use super::{PostgresExecutor, PostgresOptions, diagnose, lifecycle, migrations, queue, upkeep, usage};
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::look::{Books, COUNTED, Look};
use crate::file::BlobKey;
use crate::identities::{Known, SAMPLES, Sampling};
use crate::permissions::Access;

const TROUBLES: &str = "SELECT (SELECT count(*) FROM {schema}.upload_queue WHERE status = 'failed'), \
     (SELECT count(*) FROM {schema}.storage_webhooks WHERE status IN ('disabled', 'paused')), \
     (SELECT coalesce(sum(file_count), 0)::bigint FROM {schema}.storage_buckets), \
     (SELECT held_until FROM {schema}.lifecycle_state)";

const MISSING: &str = "SELECT n.id FROM unnest($1::text[]) AS n (id) \
     WHERE NOT EXISTS (SELECT 1 FROM {schema}.storage_buckets b WHERE b.id = n.id) ORDER BY n.id";

impl PostgresExecutor {
    /// See [`crate::executor::look::look`].
    pub(in crate::executor) async fn look(
        options: PostgresOptions,
        access: &Access,
        providers: &[Arc<str>],
        buckets: &[BucketName],
    ) -> Result<Look, StorageError> {
        books(&options, access, providers, buckets).await.map_err(|fault| fault.into_storage("look"))
    }
}

async fn books(
    options: &PostgresOptions,
    access: &Access,
    providers: &[Arc<str>],
    buckets: &[BucketName],
) -> Result<Look, Fault> {
    let pool = Arc::new(Pool::new(options)?);
    let client = pool.unpooled().await?;
    match diagnose::schema_version(&client, pool.schema()).await? {
        0 => return Ok(Look::Nothing),
        // What is newer is said by the diagnosis.
        version if version != migrations::newest() => return Ok(Look::Older),
        _ => {}
    }
    drop(client);
    let keeper = Caller::keeper();
    let mut books = Books::default();
    for provider in providers {
        let known = Known {
            identity: queue::identity(&pool, access, provider, None).await?,
            is_named: queue::is_named(&pool, access, provider).await?,
            samples: samples(&pool, access, provider).await?,
        };
        books.providers.insert(provider.clone(), known);
    }
    if let Some(row) = read(&pool, "look", &keeper, TROUBLES, &[]).await?.first() {
        (books.failed_entries, books.silent_webhooks) = (count(row, 0)?, count(row, 1)?);
        books.lifecycle_held_until = row.try_get(3)?;
        if count(row, 2)? <= COUNTED {
            books.wrong_counters = Some(usage::differences(&pool, access).await?);
        }
    }
    books.lifecycle_rules = lifecycle::all(&pool, access, None).await?;
    let names: Vec<&str> = buckets.iter().map(BucketName::as_str).collect();
    for row in read(&pool, "look", &keeper, MISSING, &[&names]).await? {
        books.missing_buckets.push(BucketName::parse(row.try_get(0)?)?);
    }
    Ok(Look::Books(books))
}

/// The blobs that a start would look for.
async fn samples(pool: &Arc<Pool>, access: &Access, provider: &str) -> Result<Vec<BlobKey>, Fault> {
    let (mut blobs, mut copies) = (Sampling::new(), Sampling::new());
    while blobs.goes_on() {
        let page = upkeep::segment_blobs(pool, access, provider, blobs.after(), SAMPLES).await?;
        blobs.take(page.into_iter().map(|blob| blob.key));
    }
    while copies.goes_on() {
        let page = queue::blob_copies(pool, access, provider, copies.after(), SAMPLES).await?;
        copies.take(page.into_iter().map(|copy| copy.key));
    }
    Ok([blobs.into_samples(), copies.into_samples()].concat())
}
