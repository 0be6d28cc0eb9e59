//! What rows keep on each provider, and which directory each is.

use rusqlite::{Connection, named_params};
use uuid::Uuid;

use crate::executor::ProviderUsage;
use crate::executor::sqlite::errors::Fault;
use crate::executor::sqlite::rls::text;
use crate::executor::sqlite::rows::{count, str, uuid};
use crate::permissions::{Access, Permission};

/// By the index of blobs, so that what is inline is not read.
const USAGE: &str = "SELECT provider, sum(blobs), sum(bytes), sum(segments), sum(copies), sum(copy_bytes), \
     sum(deletions) FROM ( \
     SELECT provider, count(*) AS blobs, sum(size) AS bytes, count(*) AS segments, 0 AS copies, 0 AS copy_bytes, \
         0 AS deletions FROM storage_segments WHERE blob_key > '' GROUP BY provider \
     UNION ALL SELECT provider, count(*), sum(size), 0, 0, 0, 0 FROM multipart_parts WHERE blob_key > '' \
         GROUP BY provider \
     UNION ALL SELECT provider, 0, 0, 0, count(*), sum(size), 0 FROM blob_copies GROUP BY provider \
     UNION ALL SELECT provider, 0, 0, 0, 0, 0, count(*) FROM blob_deletions GROUP BY provider) \
     GROUP BY provider ORDER BY provider";

/// What rows keep on each provider that they name.
pub(in crate::executor::sqlite) fn usage(
    conn: &Connection,
    access: &Access,
) -> Result<Vec<ProviderUsage>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(USAGE)?;
    let mut rows = statement.query([])?;
    let mut usage = Vec::new();
    while let Some(row) = rows.next()? {
        usage.push(ProviderUsage {
            provider: str(row, 0)?.into(),
            blobs: count(row, 1)?,
            bytes: count(row, 2)?,
            segments: count(row, 3)?,
            copies: count(row, 4)?,
            copy_bytes: count(row, 5)?,
            pending_deletions: count(row, 6)?,
        });
    }
    Ok(usage)
}

/// Whether rows name a provider.
pub(in crate::executor::sqlite) fn is_named(
    conn: &Connection,
    access: &Access,
    provider: &str,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM storage_segments WHERE provider = :provider AND blob_key IS NOT NULL) \
         OR EXISTS (SELECT 1 FROM multipart_parts WHERE provider = :provider AND blob_key IS NOT NULL) \
         OR EXISTS (SELECT 1 FROM blob_copies WHERE provider = :provider) \
         OR EXISTS (SELECT 1 FROM blob_deletions WHERE provider = :provider)",
    )?;
    Ok(statement.query_row(named_params! { ":provider": provider }, |row| row.get(0))?)
}

/// Which directory a provider is, where somebody has said so.
pub(in crate::executor::sqlite) fn identity(
    conn: &Connection,
    access: &Access,
    provider: &str,
) -> Result<Option<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut statement =
        conn.prepare_cached("SELECT identity FROM provider_identities WHERE provider = :provider")?;
    let mut rows = statement.query(named_params! { ":provider": provider })?;
    rows.next()?.map(|row| uuid(row, 0)).transpose()
}

/// Says which directory a provider is, where nobody has; gives the one that counts.
pub(in crate::executor::sqlite) fn say_identity(
    conn: &Connection,
    access: &Access,
    provider: &str,
    said: Uuid,
) -> Result<Option<Uuid>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    conn.prepare_cached(
        "INSERT INTO provider_identities (provider, identity) VALUES (:provider, :identity) ON CONFLICT DO NOTHING",
    )?
    .execute(named_params! { ":provider": provider, ":identity": text(said) })?;
    identity(conn, access, provider)
}
