//! Buckets: created, shown, listed, changed, emptied, deleted. Each as the caller; the keeper says why not.

use std::sync::{Arc, LazyLock};

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::emptying;
use super::errors::Fault;
use super::multipart::{self, DISCARD_OF_BUCKET};
use super::pool::Pool;
use super::quotas;
use super::rls::{Caller, Subject, flag, refused};
use super::rows::{self, BUCKET, BUCKET_WIDTH, int, now};
use super::rules;
use super::session::{Session, Step, Values, alone, read};
use crate::bucket::{Bucket, BucketConfig, BucketName, BucketUpdate, MimePattern};
use crate::errors::{DenialReason, StorageError};
use crate::executor::{BucketListing, BucketSort, Emptied, SortOrder, decide};
use crate::multipart::GoneUpload;
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::Versioning;

const CREATE: &str = "INSERT INTO {schema}.storage_buckets (id, uuid, owner_id, policy, allowed_mime_types, \
     max_file_size, quota_bytes, created_at, updated_at, versioning) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9)";

const UPDATE: &str = "UPDATE {schema}.storage_buckets SET policy = $2, allowed_mime_types = $3, \
     max_file_size = $4, quota_bytes = $5, updated_at = $6, versioning = $7 WHERE id = $1";

/// The part of a bucket that is deleted at a time: how many rows were found after a path, up to which, and of those that went the
/// sizes, paths and versions, in one order.
const EMPTY: &str = "WITH found AS (SELECT path FROM {schema}.storage_objects \
         WHERE bucket_id = $1 AND path > $3 ORDER BY path LIMIT $2), \
     gone AS (DELETE FROM {schema}.storage_objects \
         WHERE bucket_id = $1 AND path IN (SELECT path FROM found) RETURNING path, version, size) \
     SELECT (SELECT count(*) FROM found), (SELECT max(path) FROM found), ARRAY(SELECT size FROM gone ORDER BY version), \
         ARRAY(SELECT path FROM gone ORDER BY version), ARRAY(SELECT version FROM gone ORDER BY version)";

const DELETE: &str = "DELETE FROM {schema}.storage_buckets WHERE id = $1";

/// Creates a bucket that belongs to the caller's user.
pub(super) async fn create(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
    config: &BucketConfig,
) -> Result<Bucket, Fault> {
    let context = access.on_rows(Permission::BucketCreate, Some(name))?;
    let bucket = Bucket::new(name, context.user_id(), config, now());
    let mimes = mimes(config.allowed_mime_types.as_deref());
    let values = [
        &name.as_str() as _,
        &bucket.uuid as _,
        &bucket.owner_id as _,
        &config.policy.as_str() as _,
        &mimes as _,
        &int(config.max_file_size) as _,
        &config.quota_bytes.map(int) as _,
        &bucket.created_at as _,
        &config.versioning.as_str() as _,
    ];
    match alone(pool, "create_bucket", &Caller::of(context), CREATE, &values).await {
        Ok(_) => Ok(bucket),
        Err(fault) if fault.is_taken() => Err(StorageError::BucketExists { bucket: name.clone() }.into()),
        Err(fault) => Err(denial(fault, context, Permission::BucketCreate, name)),
    }
}

/// Shows a bucket.
pub(super) async fn show(pool: &Arc<Pool>, access: &Access, name: &BucketName) -> Result<Bucket, Fault> {
    static SHOW: LazyLock<String> =
        LazyLock::new(|| format!("SELECT {BUCKET} FROM {{schema}}.storage_buckets b WHERE b.id = $1"));
    let permission = Permission::BucketRead;
    let context = access.on_rows(permission, Some(name))?;
    let found = read(pool, "bucket", &Caller::of(context), &SHOW, &[&name.as_str()]).await?;
    match found.first() {
        Some(row) => rows::bucket(row, 0),
        None => Ok(decide::reach(context, permission, name, look(pool, context, permission, name).await?)?),
    }
}

fn one(permission: Permission, lock: &str) -> String {
    format!(
        "SELECT {BUCKET}, {}, $2::uuid FROM {{schema}}.storage_buckets b WHERE b.id = $3 {lock}",
        flag(permission)
    )
}

/// A bucket, and whether the permission's predicate holds for it, as the keeper sees it.
pub(super) async fn look(
    pool: &Arc<Pool>,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
) -> Result<Option<(Bucket, bool)>, Fault> {
    static READ: LazyLock<String> = LazyLock::new(|| one(Permission::BucketRead, ""));
    static UPDATE: LazyLock<String> = LazyLock::new(|| one(Permission::BucketUpdate, ""));
    let sql = match permission {
        Permission::BucketUpdate | Permission::BucketDelete => &UPDATE,
        _ => &READ,
    };
    let Subject { role, user } = Subject::from(context);
    let values = [&role as _, &user as _, &name.as_str() as _];
    let found = read(pool, "look", &Caller::keeper(), sql, &values).await?;
    seen(found.first())
}

fn seen(row: Option<&Row>) -> Result<Option<(Bucket, bool)>, Fault> {
    row.map(|row| Ok((rows::bucket(row, 0)?, row.try_get(BUCKET_WIDTH)?))).transpose()
}

/// The bucket, if the permission holds for it; nobody else changes it until the session's transaction ends.
pub(super) async fn reach(
    session: &mut Session,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
) -> Result<Bucket, Fault> {
    static REACH: LazyLock<String> =
        LazyLock::new(|| one(Permission::BucketUpdate, "FOR NO KEY UPDATE OF b"));
    reach_by(session, context, permission, name, &REACH).await
}

/// The same, and nobody writes objects in it meanwhile: a transaction that writes goes on with versions as it began.
async fn reach_alone(
    session: &mut Session,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
) -> Result<Bucket, Fault> {
    static REACH: LazyLock<String> = LazyLock::new(|| one(Permission::BucketUpdate, "FOR UPDATE OF b"));
    reach_by(session, context, permission, name, &REACH).await
}

async fn reach_by(
    session: &mut Session,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
    sql: &'static str,
) -> Result<Bucket, Fault> {
    let Subject { role, user } = Subject::from(context);
    let values = [&role as _, &user as _, &name.as_str() as _];
    let answers = session.run(&[Step::As(&Caller::keeper()), Step::Run(sql, &values)]).await?;
    let seen = seen(answers.first().and_then(|answer| answer.rows.first()))?;
    Ok(decide::reach(context, permission, name, seen)?)
}

/// Lists the buckets that the caller may see.
pub(super) async fn list(
    pool: &Arc<Pool>,
    access: &Access,
    listing: &BucketListing,
) -> Result<Vec<Bucket>, Fault> {
    let context = access.on_rows(Permission::BucketRead, None)?;
    // No name has that character, and PostgreSQL's text can't.
    if [&listing.search, &listing.prefix, &listing.after].into_iter().any(|text| text.contains('\0')) {
        return Ok(Vec::new());
    }
    let (limit, offset) = (i64::from(listing.limit), int(listing.offset));
    let values = [
        &listing.search as _,
        &limit as _,
        &offset as _,
        &listing.prefix as _,
        &listing.after as _,
        &listing.of_user as _,
    ];
    let found = read(pool, "list_buckets", &Caller::of(context), list_statement(listing), &values).await?;
    found.iter().map(|row| rows::bucket(row, 0)).collect()
}

fn list_statement(listing: &BucketListing) -> &'static str {
    static STATEMENTS: LazyLock<[String; 6]> = LazyLock::new(|| {
        [
            ("id", "ASC"),
            ("id", "DESC"),
            ("created_at", "ASC"),
            ("created_at", "DESC"),
            ("updated_at", "ASC"),
            ("updated_at", "DESC"),
        ]
        .map(|(column, way)| {
            format!(
                "SELECT {BUCKET} FROM {{schema}}.storage_buckets b WHERE strpos(b.id, $1) > 0 \
                 AND starts_with(b.id, $4) AND b.id > $5 \
                 AND ($6::uuid IS NULL OR b.owner_id = $6 OR b.owner_id IS NULL) \
                 ORDER BY b.{column} {way}, b.id {way} LIMIT $2 OFFSET $3"
            )
        })
    });
    let [id, id_down, created, created_down, updated, updated_down] = &*STATEMENTS;
    match listing.sort {
        (BucketSort::Name, SortOrder::Ascending) => id,
        (BucketSort::Name, SortOrder::Descending) => id_down,
        (BucketSort::CreatedAt, SortOrder::Ascending) => created,
        (BucketSort::CreatedAt, SortOrder::Descending) => created_down,
        (BucketSort::UpdatedAt, SortOrder::Ascending) => updated,
        (BucketSort::UpdatedAt, SortOrder::Descending) => updated_down,
    }
}

/// Changes a bucket.
pub(super) async fn update(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
    update: &BucketUpdate,
) -> Result<Bucket, Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    let mut session = Session::start(pool, "update_bucket").await?;
    let mut bucket = match update.versioning {
        Some(_) => Box::pin(reach_alone(&mut session, context, permission, name)).await?,
        None => reach(&mut session, context, permission, name).await?,
    };
    let before = bucket.config.quota_bytes;
    bucket.update(context, update, now())?;
    Box::pin(quotas::tell_of_bucket(&mut session, &bucket, before)).await?;
    let mimes = mimes(bucket.config.allowed_mime_types.as_deref());
    let values = [
        &name.as_str() as _,
        &bucket.config.policy.as_str() as _,
        &mimes as _,
        &int(bucket.config.max_file_size) as _,
        &bucket.config.quota_bytes.map(int) as _,
        &bucket.updated_at as _,
        &bucket.config.versioning.as_str() as _,
    ];
    change(&mut session, context, permission, name, UPDATE, &values).await?;
    Ok(bucket)
}

/// Deletes up to `limit` objects and versions; gives them.
pub(super) async fn empty(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
    limit: u32,
) -> Result<Vec<Emptied>, Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    access.on_rows(Permission::ObjectDelete, Some(name))?;
    let bucket = decide::reach(context, permission, name, look(pool, context, permission, name).await?)?;
    let keeps = bucket.config.versioning != Versioning::Off;
    let limit = u64::from(limit);
    // Old versions first: what is under an object must not come up when it goes.
    let mut deleted = match keeps {
        true => Box::pin(emptying::versions(pool, context, name, limit)).await?,
        false => Vec::new(),
    };
    let mut after = String::new();
    // Rows that policies keep from being deleted are passed over.
    while let wanted @ 1.. = limit.saturating_sub(deleted.len() as u64) {
        let values = [&name.as_str() as _, &int(wanted) as _, &after as _];
        let emptied = match Box::pin(emptying::part(pool, context, name, (EMPTY, &values), true)).await {
            Ok(emptied) => emptied,
            // What went is told of; who asks again meets the fault.
            Err(_) if !deleted.is_empty() => return Ok(deleted),
            Err(fault) => return Err(refused(fault, pool, context, Permission::ObjectDelete, name).await),
        };
        let Some(row) = emptied.rows.first() else { break };
        deleted.extend(emptying::gone(row, (3, 4))?);
        match row.try_get(1)? {
            Some(last) if rows::count(row, 0)? == wanted => after = last,
            _ => break,
        }
    }
    Ok(deleted)
}

/// Gives up to `limit` uploads of a bucket up. Whoever policies speak of may not be let delete what others bring: theirs
/// stay.
pub(super) async fn discard_uploads(
    pool: &Arc<Pool>,
    access: &Access,
    name: &BucketName,
    limit: u32,
) -> Result<Vec<GoneUpload>, Fault> {
    let permission = Permission::BucketUpdate;
    let context = access.on_rows(permission, Some(name))?;
    access.on_rows(Permission::ObjectDelete, Some(name))?;
    decide::reach(context, permission, name, look(pool, context, permission, name).await?)?;
    let everybodys = !rules::current(pool).await?.speak_of(context);
    let Subject { role, user } = Subject::from(context);
    let (bucket, limit) = (name.as_str(), i64::from(limit));
    let values = [&bucket as _, &everybodys as _, &role as _, &user as _, &limit as _];
    let gone = alone(pool, "discard_uploads", &Caller::keeper(), DISCARD_OF_BUCKET, &values).await?;
    multipart::given_up(&gone)
}

/// Deletes an empty bucket. What the caller has begun to upload goes with it, and what others have keeps it.
pub(super) async fn delete(pool: &Arc<Pool>, access: &Access, name: &BucketName) -> Result<(), Fault> {
    let permission = Permission::BucketDelete;
    let context = access.on_rows(permission, Some(name))?;
    let mut session = Session::start(pool, "delete_bucket").await?;
    reach(&mut session, context, permission, name).await?;
    let Subject { role, user } = Subject::from(context);
    let (bucket, everybodys) = (name.as_str(), false);
    let own: [&(dyn ToSql + Sync); 5] = [&bucket, &everybodys, &role, &user, &i64::MAX];
    session.run(&[Step::Run(DISCARD_OF_BUCKET, &own)]).await?;
    change(&mut session, context, permission, name, DELETE, &[&name.as_str()]).await.map_err(|fault| {
        if fault.breaks_reference() {
            StorageError::BucketNotEmpty { bucket: name.clone() }.into()
        } else {
            fault
        }
    })
}

/// Changes the bucket that was reached, as the caller, and commits.
pub(super) async fn change(
    session: &mut Session,
    context: &RlsContext,
    permission: Permission,
    name: &BucketName,
    sql: &'static str,
    values: Values<'_>,
) -> Result<(), Fault> {
    let caller = Caller::of(context);
    let steps = [Step::As(&caller), Step::Run(sql, values), Step::Commit];
    let answers = session.run(&steps).await.map_err(|fault| denial(fault, context, permission, name))?;
    match answers.first() {
        Some(answer) if answer.affected == 1 => Ok(()),
        _ => Err(decide::refusal(context, permission, name, DenialReason::BucketPolicy).into()),
    }
}

/// A refusal by the table's policies, in the domain's words; another fault as it is.
fn denial(fault: Fault, context: &RlsContext, permission: Permission, name: &BucketName) -> Fault {
    if fault.is_denial() {
        decide::refusal(context, permission, name, DenialReason::BucketPolicy).into()
    } else {
        fault
    }
}

/// MIME patterns as the database has them.
fn mimes(patterns: Option<&[MimePattern]>) -> Option<Vec<&str>> {
    patterns.map(|patterns| patterns.iter().map(MimePattern::as_str).collect())
}
