//! Usage: what the counters say, and whether a recount confirms it.

use std::sync::Arc;

use tokio_postgres::{Row, Transaction};
use uuid::Uuid;

use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{count, int, opt_count};
use super::schema::SchemaName;
use super::session::{Answer, Session, Step, read};
use crate::executor::{UsageDifference, UserUsage};
use crate::permissions::{Access, Permission};

const OWN: &str = "SELECT u.user_id, u.total_bytes, u.file_count, u.quota_bytes, \
     u.unfinished_bytes FROM {schema}.storage_usage u WHERE u.user_id = $1";

const ALL: &str = "SELECT u.user_id, u.total_bytes, u.file_count, u.quota_bytes, u.unfinished_bytes FROM {schema}.storage_usage u \
     ORDER BY u.total_bytes DESC, u.user_id LIMIT $1";

/// Counters and recount side by side, where they differ. A folder's paths are a range, which indexes know: its prefix ends with
/// a slash, after which `0` comes next.
const DIFFERENCES: &str = "\
    WITH held AS ( \
        SELECT bucket_id, owner_id, count(*) AS files, sum(size) AS bytes, 0 AS pending \
        FROM {schema}.storage_objects GROUP BY bucket_id, owner_id \
        UNION ALL \
        SELECT bucket_id, owner_id, 0, sum(size), 0 FROM {schema}.storage_object_versions \
        WHERE NOT is_delete_marker GROUP BY bucket_id, owner_id \
        UNION ALL \
        SELECT m.bucket_id, m.owner_id, 0, 0, sum(p.size) FROM {schema}.multipart_uploads m \
        JOIN {schema}.multipart_parts p ON p.upload_id = m.id GROUP BY m.bucket_id, m.owner_id), \
    sides AS ( \
        SELECT 'bucket' AS scope, b.id AS name, b.total_bytes, b.file_count, b.unfinished_bytes, \
            coalesce(c.bytes, 0)::bigint AS bytes, coalesce(c.files, 0)::bigint AS files, \
            coalesce(c.pending, 0)::bigint AS pending \
        FROM {schema}.storage_buckets b LEFT JOIN ( \
            SELECT bucket_id, sum(files) AS files, sum(bytes) AS bytes, sum(pending) AS pending FROM held \
            GROUP BY bucket_id) c ON c.bucket_id = b.id \
        UNION ALL \
        SELECT 'folder', q.bucket_id || '/' || q.prefix, q.used_bytes, 0, 0, ( \
            (SELECT coalesce(sum(o.size), 0) FROM {schema}.storage_objects o WHERE o.bucket_id = q.bucket_id \
                AND o.path >= q.prefix AND o.path < left(q.prefix, -1) || '0') \
            + (SELECT coalesce(sum(v.size), 0) FROM {schema}.storage_object_versions v \
                WHERE v.bucket_id = q.bucket_id AND NOT v.is_delete_marker AND v.path >= q.prefix AND v.path < left(q.prefix, -1) || '0') \
            + (SELECT coalesce(sum(p.size), 0) FROM {schema}.multipart_uploads m \
                JOIN {schema}.multipart_parts p ON p.upload_id = m.id \
                WHERE m.bucket_id = q.bucket_id AND m.path >= q.prefix AND m.path < left(q.prefix, -1) || '0'))::bigint, 0, 0 \
        FROM {schema}.storage_folder_quotas q \
        UNION ALL \
        SELECT 'global', '', s.global_used_bytes, 0, 0, \
            (SELECT coalesce(sum(bytes), 0) + coalesce(sum(pending), 0) FROM held)::bigint, 0, 0 \
        FROM {schema}.storage_quota_settings s WHERE s.global_used_bytes IS NOT NULL \
        UNION ALL \
        SELECT 'user', coalesce(u.user_id, c.owner_id)::text, coalesce(u.total_bytes, 0), \
            coalesce(u.file_count, 0), coalesce(u.unfinished_bytes, 0), \
            coalesce(c.bytes, 0)::bigint, coalesce(c.files, 0)::bigint, coalesce(c.pending, 0)::bigint \
        FROM {schema}.storage_usage u FULL JOIN ( \
            SELECT owner_id, sum(files) AS files, sum(bytes) AS bytes, sum(pending) AS pending FROM held \
            WHERE owner_id IS NOT NULL GROUP BY owner_id) c \
            ON c.owner_id = u.user_id) \
    SELECT scope, name, total_bytes, bytes, file_count, files, unfinished_bytes, pending FROM sides \
    WHERE (total_bytes <> bytes OR file_count <> files OR unfinished_bytes <> pending) \
    ORDER BY scope, name";

/// Waits until nobody writes, and keeps it so.
pub(super) const STILL: &str = "LOCK TABLE {schema}.multipart_uploads, {schema}.multipart_parts, {schema}.storage_objects, {schema}.storage_object_versions \
     IN SHARE ROW EXCLUSIVE MODE";

/// What was counted half-way is of no use, however many rows there are. Comes after [`STILL`]: those who write hold a count up for
/// no longer than a statement may take.
pub(super) const COUNT_TO_THE_END: &str = "SET LOCAL statement_timeout = 0";

const SET_BUCKET: &str = "UPDATE {schema}.storage_buckets SET file_count = $2, total_bytes = $3, unfinished_bytes = $4 WHERE id = $1";

const SET_FOLDER: &str =
    "UPDATE {schema}.storage_folder_quotas SET used_bytes = $3 WHERE bucket_id = $1 AND prefix = $2";

const SET_GLOBAL: &str = "UPDATE {schema}.storage_quota_settings SET global_used_bytes = $1";

const SET_USER: &str = "INSERT INTO {schema}.storage_usage (user_id, file_count, total_bytes, unfinished_bytes, \
     last_calculated_at) VALUES ($1, $2, $3, $4, now()) \
     ON CONFLICT (user_id) DO UPDATE SET file_count = $2, total_bytes = $3, unfinished_bytes = $4, \
     last_calculated_at = now(), updated_at = now()";

fn usage(row: &Row) -> Result<UserUsage, Fault> {
    Ok(UserUsage {
        user_id: row.try_get(0)?,
        total_bytes: count(row, 1)?,
        file_count: count(row, 2)?,
        quota_bytes: opt_count(row, 3)?,
        unfinished_bytes: count(row, 4)?,
    })
}

/// The caller's own.
pub(super) async fn own(pool: &Arc<Pool>, access: &Access) -> Result<UserUsage, Fault> {
    let context = access.on_rows(Permission::UsageRead, None)?;
    let user_id = context.user_id();
    let found = read(pool, "own_usage", &Caller::of(context), OWN, &[&user_id]).await?;
    match found.first() {
        Some(row) => usage(row),
        None => {
            Ok(UserUsage { user_id, total_bytes: 0, file_count: 0, quota_bytes: None, unfinished_bytes: 0 })
        }
    }
}

/// Everybody's, those that use most first.
pub(super) async fn all(pool: &Arc<Pool>, access: &Access, limit: u32) -> Result<Vec<UserUsage>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let found = read(pool, "all_usage", &Caller::keeper(), ALL, &[&i64::from(limit)]).await?;
    found.iter().map(usage).collect()
}

/// Counts anew and says where counters are wrong.
pub(super) async fn differences(pool: &Arc<Pool>, access: &Access) -> Result<Vec<UsageDifference>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let keeper = Caller::keeper();
    let mut session = Session::start(pool, "recount_usage").await?;
    let counted =
        [Step::As(&keeper), Step::Once(COUNT_TO_THE_END), Step::Run(DIFFERENCES, &[]), Step::Commit];
    let answers = session.run(&counted).await?;
    told(answers.first().map_or(&[], |Answer { rows, .. }| rows))
}

/// The same in a transaction that sees all rows.
pub(super) async fn counted_otherwise(
    transaction: &Transaction<'_>,
    schema: &SchemaName,
) -> Result<Vec<UsageDifference>, Fault> {
    told(&transaction.query(&schema.fill(DIFFERENCES), &[]).await?)
}

fn told(rows: &[Row]) -> Result<Vec<UsageDifference>, Fault> {
    let difference = |row: &Row| {
        Ok(UsageDifference {
            scope: UsageDifference::scope(row.try_get(0)?),
            name: row.try_get(1)?,
            bytes: (count(row, 2)?, count(row, 3)?),
            files: (count(row, 4)?, count(row, 5)?),
            unfinished: (count(row, 6)?, count(row, 7)?),
        })
    };
    rows.iter().map(difference).collect()
}

/// Counts anew while nobody writes, says where counters are wrong, and sets those right.
pub(super) async fn repair(pool: &Arc<Pool>, access: &Access) -> Result<Vec<UsageDifference>, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let mut session = Session::start(pool, "recount_usage").await?;
    let keeper = Caller::keeper();
    let counted =
        [Step::As(&keeper), Step::Run(STILL, &[]), Step::Once(COUNT_TO_THE_END), Step::Run(DIFFERENCES, &[])];
    let answers = session.run(&counted).await?;
    let differences = told(answers.last().map_or(&[], |Answer { rows, .. }| rows))?;
    for wrong in &differences {
        let (files, bytes) = (int(wrong.files.1), int(wrong.bytes.1));
        let unfinished = int(wrong.unfinished.1);
        if wrong.scope == "global" {
            session.run(&[Step::Run(SET_GLOBAL, &[&bytes])]).await?;
        } else if wrong.scope == "folder" {
            let (bucket, prefix) = wrong.name.split_once('/').ok_or_else(|| Fault::corrupt("folder"))?;
            session.run(&[Step::Run(SET_FOLDER, &[&bucket, &prefix, &bytes])]).await?;
        } else if wrong.scope == "bucket" {
            session.run(&[Step::Run(SET_BUCKET, &[&wrong.name, &files, &bytes, &unfinished])]).await?;
        } else {
            let user = Uuid::try_parse(&wrong.name).map_err(|_| Fault::corrupt("user"))?;
            session.run(&[Step::Run(SET_USER, &[&user, &files, &bytes, &unfinished])]).await?;
        }
    }
    session.run(&[Step::Commit]).await?;
    Ok(differences)
}
