//! What is at a path, as the predicates judge it, for the decisions of [`crate::executor::decide`].

use std::sync::LazyLock;

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, flag, text};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, opt_count};
use crate::bucket::BucketName;
use crate::executor::Admission;
use crate::executor::decide::{self, Target};
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission, RlsContext};

static TARGET: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {} FROM storage_buckets b \
         LEFT JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket",
        flag(Permission::ObjectRead),
        flag(Permission::ObjectCreate),
        flag(Permission::ObjectOverwrite),
        flag(Permission::ObjectDelete),
    )
});

/// Looks at a path under the predicates of all permissions; `None` where there is no such bucket.
pub(super) fn look(
    conn: &Connection,
    context: &RlsContext,
    bucket: &BucketName,
    path: &ObjectPath,
) -> Result<Option<Target>, Fault> {
    let caller = Caller::from(context);
    let mut statement = conn.prepare_cached(&TARGET)?;
    let mut rows = statement.query(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let there = row.get_ref(BUCKET_WIDTH)? != rusqlite::types::ValueRef::Null;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    Ok(Some(Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible: there && row.get(flags)?,
        creatable: row.get(flags + 1)?,
        overwritable: there && row.get(flags + 2)?,
        deletable: there && row.get(flags + 3)?,
    }))
}

/// Decides whether a write in this mode is let in, and gives what it would meet.
pub(super) fn write(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Target, Fault> {
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let target = look(conn, context, bucket, path)?;
    Ok(decide::write(access, (bucket, path), mode, target)?)
}

/// Leave to write, before a byte was read.
pub(super) fn admit(
    conn: &Connection,
    access: &Access,
    bucket: &BucketName,
    path: &ObjectPath,
    mode: &PutMode,
) -> Result<Admission, Fault> {
    let target = write(conn, access, bucket, path, mode)?;
    let owner = match &target.existing {
        Some(object) => object.owner_id,
        None => access.context().user_id(),
    };
    let user = match owner {
        Some(owner) => user_quota(conn, &text(owner))?,
        None => None,
    };
    Ok(decide::admission(target, user))
}

/// What a user has in use, and may have, where that is limited.
fn user_quota(conn: &Connection, user: &str) -> Result<Option<(u64, u64)>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT total_bytes, quota_bytes FROM storage_usage WHERE user_id = :user")?;
    let mut rows = statement.query(named_params! { ":user": user })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    opt_count(row, 1)?.map(|limit| Ok((rows::count(row, 0)?, limit))).transpose()
}
