//! Quotas: what a write meets, and those who set them. What is counted, and held to them, is the work of triggers.

use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::buckets;
use super::errors::Fault;
use super::pool::Pool;
use super::rls::Caller;
use super::rows::{count, int, opt_count};
use super::session::{Session, Step, Values, alone, read};
use super::usage::{COUNT_TO_THE_END, STILL};
use crate::bucket::{Bucket, BucketName, BucketUpdate};
use crate::executor::bounds::successor;
use crate::executor::decide;
use crate::executor::quota::{Limits, WARNING, set_step, too_many_folders};
use crate::permissions::{Access, Permission};
use crate::quota::{FolderPath, MAX_FOLDER_QUOTAS, Quota, QuotaEnforcement, QuotaScope, QuotaSettings};

/// What a look at a path asks besides, of buckets `b` and objects `o`: the caller is `$2`, the path `$4`.
pub(super) const OVER: (&str, &str) = (
    ", coalesce(s.enforcement, 'enforce'), coalesce(u.total_bytes + u.unfinished_bytes, 0), \
     CASE WHEN w.id IS NOT NULL THEN coalesce(u.quota_bytes, s.default_user_bytes) END, \
     f.used_bytes, f.quota_bytes, s.global_used_bytes, coalesce(s.global_bytes, s.configured_global_bytes), \
     f.prefix",
    "CROSS JOIN LATERAL (SELECT CASE WHEN o.id IS NULL THEN $2::uuid ELSE o.owner_id END AS id) w \
     LEFT JOIN {schema}.storage_usage u ON u.user_id = w.id \
     LEFT JOIN {schema}.storage_quota_settings s ON true \
     CROSS JOIN LATERAL (SELECT array_agg(q.used_bytes) AS used_bytes, array_agg(q.quota_bytes) AS quota_bytes, \
        array_agg(q.prefix) AS prefix FROM {schema}.storage_folder_quotas q \
        WHERE q.bucket_id = b.id AND starts_with($4, q.prefix)) f",
);

/// What they say, from the column `at` on.
pub(super) fn limits(row: &Row, at: usize) -> Result<Limits, Fault> {
    let pair = |used: usize| -> Result<Option<(u64, u64)>, Fault> {
        Ok(opt_count(row, at + used)?.zip(opt_count(row, at + used + 1)?))
    };
    let enforcement = QuotaEnforcement::from_word(row.try_get(at)?).unwrap_or_default();
    let prefixes: Option<Vec<String>> = row.try_get(at + 7)?;
    let folders = match prefixes {
        Some(prefixes) => {
            let (used, limits): (Vec<i64>, Vec<i64>) = (row.try_get(at + 3)?, row.try_get(at + 4)?);
            let number = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
            let counted = used.into_iter().zip(limits).map(|(used, limit)| (number(used), number(limit)));
            prefixes.into_iter().zip(counted).collect()
        }
        None => Vec::new(),
    };
    Ok(Limits { enforcement, user: pair(1)?, folders, global: pair(5)? })
}

const CONFIGURED: &str = "SELECT enforcement, default_user_bytes, configured_global_bytes \
     FROM {schema}.storage_quota_settings";

const CONFIGURE: &str = "INSERT INTO {schema}.storage_quota_settings \
     (id, enforcement, default_user_bytes, configured_global_bytes) VALUES (1, $1, $2, $3) \
     ON CONFLICT (id) DO UPDATE SET enforcement = excluded.enforcement, \
     default_user_bytes = excluded.default_user_bytes, configured_global_bytes = excluded.configured_global_bytes";

/// Counts everything while there is a quota for it.
const COUNT_EVERYTHING: &str = "UPDATE {schema}.storage_quota_settings SET global_used_bytes = CASE \
     WHEN coalesce(global_bytes, configured_global_bytes) IS NOT NULL THEN (SELECT coalesce( \
        sum(total_bytes + unfinished_bytes), 0)::bigint FROM {schema}.storage_buckets) END";

/// Tells the owner of the bucket `$2` of a quota that fills up as it is set.
const TELL: &str = "INSERT INTO {schema}.storage_events (kind, bucket_id, owner_id, payload) \
     SELECT $1::text, b.id, b.owner_id, $3::jsonb FROM {schema}.storage_buckets b \
     WHERE b.id = $2 AND {inner}.quota_enforcement() <> 'off'";

/// Has the configuration's word hold. Nobody is waited for where it holds already.
pub(super) async fn configure(pool: &Arc<Pool>, settings: &QuotaSettings) -> Result<(), Fault> {
    let found = read(pool, "configure_quotas", &Caller::keeper(), CONFIGURED, &[]).await?;
    let there = match found.first() {
        Some(row) => QuotaSettings {
            enforcement: QuotaEnforcement::from_word(row.try_get(0)?).unwrap_or_default(),
            default_user: opt_count(row, 1)?,
            global: opt_count(row, 2)?,
        },
        // Without a row, all is as if nothing were configured.
        None => QuotaSettings::default(),
    };
    if there == *settings {
        return Ok(());
    }
    let (word, user, global) =
        (settings.enforcement.as_str(), settings.default_user.map(int), settings.global.map(int));
    change_settings(pool, CONFIGURE, &[&word, &user, &global]).await
}

/// Changes the settings while nobody writes, and counts everything if that is to be counted.
async fn change_settings(pool: &Arc<Pool>, sql: &'static str, values: Values<'_>) -> Result<(), Fault> {
    let mut session = Session::start(pool, "change_quotas").await?;
    let keeper = Caller::keeper();
    let steps = [
        Step::As(&keeper),
        Step::Run(STILL, &[]),
        Step::Once(COUNT_TO_THE_END),
        Step::Run(sql, values),
        Step::Run(COUNT_EVERYTHING, &[]),
        Step::Commit,
    ];
    session.run(&steps).await.map(drop)
}

/// Tells of a bucket whose quota is set to what its bytes are a step towards, in the session that sets it.
pub(super) async fn tell_of_bucket(
    session: &mut Session,
    bucket: &Bucket,
    before: Option<u64>,
) -> Result<(), Fault> {
    let (scope, limits) = (QuotaScope::Bucket(bucket.name.clone()), (before, bucket.config.quota_bytes));
    let Some(payload) = set_step(&scope, bucket.used_bytes(), limits) else { return Ok(()) };
    let keeper = Caller::keeper();
    let values = [&WARNING as _, &bucket.name.as_str() as _, &payload as _];
    session.run(&[Step::As(&keeper), Step::Run(TELL, &values)]).await.map(drop)
}

const GLOBAL: &str = "SELECT s.global_bytes, s.configured_global_bytes, \
     (SELECT coalesce(sum(total_bytes + unfinished_bytes), 0)::bigint FROM {schema}.storage_buckets) \
     FROM (SELECT 1) one LEFT JOIN {schema}.storage_quota_settings s ON true";

const USER: &str = "SELECT u.quota_bytes, (SELECT default_user_bytes FROM {schema}.storage_quota_settings), \
     coalesce(u.total_bytes + u.unfinished_bytes, 0) \
     FROM (SELECT 1) one LEFT JOIN {schema}.storage_usage u ON u.user_id = $1";

/// Bytes in a folder `$2` up to `$3` of the bucket `$1`: of objects, of old versions and of unfinished uploads.
macro_rules! used {
    () => {
        "((SELECT coalesce(sum(size), 0) FROM {schema}.storage_objects \
            WHERE bucket_id = $1 AND path >= $2 AND path < $3) \
        + (SELECT coalesce(sum(size), 0) FROM {schema}.storage_object_versions \
            WHERE bucket_id = $1 AND path >= $2 AND path < $3 AND NOT is_delete_marker) \
        + (SELECT coalesce(sum(held_bytes), 0) FROM {schema}.multipart_uploads \
            WHERE bucket_id = $1 AND path >= $2 AND path < $3))::bigint"
    };
}

const FOLDER: &str = concat!(
    "SELECT q.quota_bytes, coalesce(q.used_bytes, ",
    used!(),
    ") FROM (SELECT 1) one LEFT JOIN {schema}.storage_folder_quotas q ON q.bucket_id = $1 AND q.prefix = $2"
);

/// The quota of a folder before a statement that sets it: what that statement itself did, it does not see.
macro_rules! before {
    () => {
        "(SELECT b.quota_bytes FROM {schema}.storage_folder_quotas b WHERE b.bucket_id = $1 AND b.prefix = $2)"
    };
}

const SET_FOLDER: &str = concat!(
    "INSERT INTO {schema}.storage_folder_quotas (bucket_id, prefix, quota_bytes, used_bytes) VALUES ($1, $2, $4, ",
    used!(),
    ") ON CONFLICT (bucket_id, prefix) DO UPDATE SET quota_bytes = excluded.quota_bytes, \
     used_bytes = excluded.used_bytes, updated_at = now() RETURNING used_bytes, ",
    before!()
);

/// A quota and what is in use of it.
pub(super) async fn show(pool: &Arc<Pool>, access: &Access, scope: &QuotaScope) -> Result<Quota, Fault> {
    let keeper = Caller::keeper();
    let quota = |limit, used, is_default| Quota { scope: scope.clone(), limit, used, is_default };
    match scope {
        QuotaScope::Global | QuotaScope::User(_) => {
            let context = access.on_rows(Permission::UsageRead, None)?;
            let found = match scope {
                QuotaScope::User(user) => {
                    if !context.is_service() && context.user_id() != Some(*user) {
                        access.on_rows(Permission::Maintain, None)?;
                    }
                    read(pool, "quota", &keeper, USER, &[user]).await?
                }
                _ => {
                    access.on_rows(Permission::Maintain, None)?;
                    read(pool, "quota", &keeper, GLOBAL, &[]).await?
                }
            };
            let Some(row) = found.first() else { return Ok(quota(None, 0, true)) };
            let (own, configured) = (opt_count(row, 0)?, opt_count(row, 1)?);
            Ok(quota(own.or(configured), count(row, 2)?, own.is_none()))
        }
        QuotaScope::Bucket(name) => {
            let bucket = reach(pool, access, name).await?;
            Ok(quota(bucket.config.quota_bytes, bucket.used_bytes(), false))
        }
        QuotaScope::Folder(name, folder) => {
            reach(pool, access, name).await?;
            let values = [&name.as_str() as _, &folder.as_str() as _, &end(folder) as _];
            let found = read(pool, "quota", &keeper, FOLDER, &values).await?;
            let Some(row) = found.first() else { return Ok(quota(None, 0, false)) };
            Ok(quota(opt_count(row, 0)?, count(row, 1)?, false))
        }
    }
}

/// The bucket, for those who may change it.
async fn reach(pool: &Arc<Pool>, access: &Access, name: &BucketName) -> Result<Bucket, Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    let seen = buckets::look(pool, context, permission, name).await?;
    Ok(decide::reach(context, permission, name, seen)?)
}

/// What comes after all paths of a folder.
fn end(folder: &FolderPath) -> String {
    // It ends with a slash, after which there is more.
    successor(folder.as_str()).unwrap_or_default()
}

const ALL: &str = "\
    SELECT scope, name, prefix, quota, used, is_default FROM ( \
    SELECT 'global' AS scope, '' AS name, '' AS prefix, coalesce(global_bytes, configured_global_bytes) AS quota, \
        coalesce(global_used_bytes, 0) AS used, global_bytes IS NULL AS is_default, 0 AS turn \
        FROM {schema}.storage_quota_settings \
        WHERE $1 AND coalesce(global_bytes, configured_global_bytes) IS NOT NULL \
    UNION ALL \
    SELECT 'user', user_id::text, '', quota_bytes, total_bytes + unfinished_bytes, false, 1 \
        FROM {schema}.storage_usage WHERE quota_bytes IS NOT NULL AND ($1 OR user_id = $2) \
    UNION ALL \
    SELECT 'bucket', id, '', quota_bytes, total_bytes + unfinished_bytes, false, 2 FROM {schema}.storage_buckets \
        WHERE quota_bytes IS NOT NULL AND ($1 OR owner_id = $2) \
    UNION ALL \
    SELECT 'folder', q.bucket_id, q.prefix, q.quota_bytes, q.used_bytes, false, 3 \
        FROM {schema}.storage_folder_quotas q \
        JOIN {schema}.storage_buckets b ON b.id = q.bucket_id WHERE $1 OR b.owner_id = $2) every \
    ORDER BY turn, name COLLATE \"C\", prefix COLLATE \"C\" LIMIT $3";

/// The quotas that are set, of which the caller is told.
pub(super) async fn all(pool: &Arc<Pool>, access: &Access, limit: u32) -> Result<Vec<Quota>, Fault> {
    access.on_rows(Permission::BucketUpdate, None)?;
    let context = access.on_rows(Permission::UsageRead, None)?;
    let values = [&context.is_service() as _, &context.user_id() as _, &i64::from(limit) as _];
    let found = read(pool, "quotas", &Caller::keeper(), ALL, &values).await?;
    found.iter().map(quota).collect()
}

fn quota(row: &Row) -> Result<Quota, Fault> {
    let name: &str = row.try_get(1)?;
    let scope = match row.try_get(0)? {
        "global" => QuotaScope::Global,
        "user" => QuotaScope::User(Uuid::try_parse(name).map_err(|_| Fault::corrupt("user"))?),
        "bucket" => QuotaScope::Bucket(BucketName::parse(name)?),
        _ => QuotaScope::Folder(BucketName::parse(name)?, FolderPath::parse(row.try_get(2)?)?),
    };
    Ok(Quota { scope, limit: opt_count(row, 3)?, used: count(row, 4)?, is_default: row.try_get(5)? })
}

const SET_GLOBAL: &str = "INSERT INTO {schema}.storage_quota_settings (id, global_bytes) VALUES (1, $1) \
     ON CONFLICT (id) DO UPDATE SET global_bytes = excluded.global_bytes";

const SET_USER: &str = "INSERT INTO {schema}.storage_usage (user_id, quota_bytes, last_calculated_at) \
     VALUES ($1, $2, now()) \
     ON CONFLICT (user_id) DO UPDATE SET quota_bytes = excluded.quota_bytes, updated_at = now()";

const KEEP_BUCKET: &str = "SELECT 1 FROM {schema}.storage_buckets WHERE id = $1 FOR KEY SHARE";

const CHANGE_FOLDER: &str = concat!(
    "UPDATE {schema}.storage_folder_quotas SET quota_bytes = $3, updated_at = now() \
     WHERE bucket_id = $1 AND prefix = $2 RETURNING used_bytes, ",
    before!()
);

const DROP_FOLDER: &str = "DELETE FROM {schema}.storage_folder_quotas WHERE bucket_id = $1 AND prefix = $2";

const FOLDERS: &str = "SELECT count(*) FROM {schema}.storage_folder_quotas WHERE bucket_id = $1";

/// Sets a quota, or takes it off.
pub(super) async fn set(
    pool: &Arc<Pool>,
    access: &Access,
    scope: &QuotaScope,
    limit: Option<u64>,
) -> Result<Quota, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (bytes, keeper) = (limit.map(int), Caller::keeper());
    match scope {
        QuotaScope::Global => change_settings(pool, SET_GLOBAL, &[&bytes]).await?,
        QuotaScope::User(user) => {
            alone(pool, "set_quota", &keeper, SET_USER, &[user, &bytes]).await?;
        }
        QuotaScope::Bucket(name) => {
            let update = BucketUpdate { quota_bytes: Some(limit), ..BucketUpdate::default() };
            buckets::update(pool, access, name, &update).await?;
        }
        QuotaScope::Folder(name, folder) => {
            reach(pool, access, name).await?;
            let at = [&name.as_str() as _, &folder.as_str() as _];
            match limit {
                Some(limit) => set_folder(pool, scope, (name, folder), limit).await?,
                None => drop(alone(pool, "set_quota", &keeper, DROP_FOLDER, &at).await?),
            }
        }
    }
    show(pool, access, scope).await
}

/// Sets a folder's quota, and tells its bucket's owner where it fills up by that. Where it has none, it is counted while nobody
/// writes, once: that takes as long as the folder is big.
async fn set_folder(
    pool: &Arc<Pool>,
    scope: &QuotaScope,
    (bucket, folder): (&BucketName, &FolderPath),
    limit: u64,
) -> Result<(), Fault> {
    let (keeper, name, bytes) = (Caller::keeper(), bucket.as_str(), int(limit));
    let changed = [&name as _, &folder.as_str() as _, &bytes as _];
    let mut session = Session::start(pool, "set_quota").await?;
    let answers = session.run(&[Step::As(&keeper), Step::Run(CHANGE_FOLDER, &changed)]).await?;
    if let Some(row) = answers.first().and_then(|answer| answer.rows.first()) {
        return tell_and_commit(&mut session, (scope, name), row, limit).await;
    }
    session.run(&[Step::Commit]).await?;
    let set = [&name as _, &folder.as_str() as _, &end(folder) as _, &bytes as _];
    // The bucket first: whoever deletes it locks it before the tables.
    let steps = [
        Step::As(&keeper),
        Step::Run(KEEP_BUCKET, &[&name]),
        Step::Run(STILL, &[]),
        Step::Once(COUNT_TO_THE_END),
        Step::Run(SET_FOLDER, &set),
        Step::Run(FOLDERS, &[&name]),
    ];
    let answers = session.run(&steps).await?;
    let folders = match answers.last().and_then(|answer| answer.rows.first()) {
        Some(row) => count(row, 0)?,
        None => 0,
    };
    if folders > MAX_FOLDER_QUOTAS {
        return Err(too_many_folders().into());
    }
    match answers.get(2).and_then(|answer| answer.rows.first()) {
        Some(row) => tell_and_commit(&mut session, (scope, name), row, limit).await,
        None => Err(Fault::corrupt("folder")),
    }
}

/// Ends a transaction that has set a folder's quota, of which the row says what is in use and the limit before; tells of it first, where
/// there is anything to tell.
async fn tell_and_commit(
    session: &mut Session,
    (scope, bucket): (&QuotaScope, &str),
    row: &Row,
    limit: u64,
) -> Result<(), Fault> {
    let payload = set_step(scope, count(row, 0)?, (opt_count(row, 1)?, Some(limit)));
    let values: [&(dyn ToSql + Sync); 3] = [&WARNING, &bucket, &payload];
    let told = payload.is_some().then_some(Step::Run(TELL, &values));
    let steps: Vec<Step<'_>> = told.into_iter().chain([Step::Commit]).collect();
    session.run(&steps).await.map(drop)
}
