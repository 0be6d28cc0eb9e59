//! What is at a path, as the predicates judge it, for the decisions of [`crate::executor::decide`].

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, builtin, is_true, refused, text};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, micros, now, opt_count};
use super::rules::{RoleRules, Rules, Statement};
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide::{self, PolicyView, Target};
use crate::executor::{Admission, Announced};
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::policy::{Candidate, Writing, judge};
use crate::permissions::{Access, Permission, RlsContext};

/// What is to happen at a path: only what that takes is asked, as a policy that is not asked can't fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Make or replace an object.
    Write,
    /// Delete it, or move it away.
    Remove,
}

fn target_sql(rules: &RoleRules, purpose: Purpose) -> String {
    let asked = |of: Purpose, permission| {
        if of == purpose { is_true(rules.predicate(permission)) } else { "0".to_owned() }
    };
    format!(
        "SELECT {BUCKET}, {OBJECT}, {}, {}, {}, {}, {}, {} FROM storage_buckets b \
         LEFT JOIN storage_objects o ON o.bucket_id = b.id AND o.path = :path WHERE b.id = :bucket",
        is_true(rules.predicate(Permission::ObjectRead)),
        is_true(builtin(Permission::ObjectCreate)),
        asked(Purpose::Write, Permission::ObjectOverwrite),
        asked(Purpose::Remove, Permission::ObjectDelete),
        is_true(builtin(Permission::ObjectRead)),
        is_true(builtin(Permission::ObjectOverwrite)),
    )
}

/// What was seen at a path, and what the table alone would say of it.
pub(super) struct Seen {
    pub(super) target: Target,
    reads: bool,
    overwrites: bool,
}

/// Looks at a path under the predicates of the permissions; `None` where there is no such bucket.
pub(super) fn look(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    purpose: Purpose,
    (bucket, path): (&BucketName, &ObjectPath),
) -> Result<Option<Seen>, Fault> {
    let (statement, permission) = match purpose {
        Purpose::Write => (Statement::ToWrite, Permission::ObjectCreate),
        Purpose::Remove => (Statement::ToRemove, Permission::ObjectDelete),
    };
    let caller = Caller::under(rules, context);
    let sql = rules.of(context).sql(statement, |rules| target_sql(rules, purpose));
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    let row = rows.next().map_err(|error| refused(error.into(), context, permission, bucket))?;
    let Some(row) = row else { return Ok(None) };
    let there = row.get_ref(BUCKET_WIDTH)? != rusqlite::types::ValueRef::Null;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    let visible = there && row.get(flags)?;
    let opens = |permission| rules.policies().opens(context.role(), permission, bucket);
    let has_policies = rules.of(context).has_policies();
    let policy = PolicyView {
        opens_reads: has_policies && opens(Permission::ObjectRead),
        opens_writes: has_policies && (opens(Permission::ObjectCreate) || opens(Permission::ObjectOverwrite)),
        ..PolicyView::default()
    };
    let target = Target {
        bucket: rows::bucket(row, 0)?,
        existing: if there { Some(rows::object_at(row, BUCKET_WIDTH, bucket, path)?) } else { None },
        visible,
        creatable: row.get(flags + 1)?,
        overwritable: there && row.get(flags + 2)?,
        // What can't be seen can't be found to be deleted.
        deletable: visible && row.get(flags + 3)?,
        policy,
    };
    Ok(Some(Seen { target, reads: there && row.get(flags + 4)?, overwrites: there && row.get(flags + 5)? }))
}

/// A row that is about to be written: a new one, or one that comes from elsewhere and keeps its owner.
#[derive(Clone, Copy)]
pub(super) enum Row<'a> {
    /// Of the caller's, as far as it is known.
    Own(&'a Candidate),
    /// As it will be.
    Moved(&'a Candidate),
}

/// Decides whether a write in this mode is let in, and gives what it would meet.
pub(super) fn write(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
    row: Row<'_>,
) -> Result<Target, Fault> {
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let mut seen = look(conn, rules, context, Purpose::Write, (bucket, path))?;
    if let Some(seen) = &mut seen
        && rules.of(context).has_policies()
    {
        ask_policies(rules, context, seen, row);
    }
    Ok(decide::write(access, (bucket, path), mode, seen.map(|seen| seen.target))?)
}

/// Decides whether a URL may be signed that writes in this mode. What the upload will be is not known now: policies
/// that ask for it refuse.
pub(super) fn sign(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
) -> Result<(), Fault> {
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let seen = look(conn, rules, context, Purpose::Write, (bucket, path))?;
    let seen = seen.map(|seen| Seen { target: seen.target.without_unseen(), ..seen });
    let seen = seen.map(|mut seen| {
        if rules.of(context).has_policies() {
            let candidate = Candidate::announced(bucket, path, None, None).whole();
            ask_policies(rules, context, &mut seen, Row::Own(&candidate));
        }
        seen
    });
    Ok(decide::sign(access, (bucket, path), mode, seen.map(|seen| seen.target))?)
}

/// Asks policies about the row as it would be.
fn ask_policies(rules: &Rules, context: &RlsContext, seen: &mut Seen, row: Row<'_>) {
    let (candidate, moved) = match row {
        Row::Own(candidate) => (candidate, false),
        Row::Moved(candidate) => (candidate, true),
    };
    let target = &mut seen.target;
    let writing = Writing {
        existing: target.existing.as_ref(),
        creates: target.creatable,
        overwrites: seen.overwrites,
        reads: seen.reads,
    };
    let (create, overwrite) = judge(rules.policies(), context, micros(now()), writing, candidate, moved);
    target.creatable = create.is_ok();
    target.policy.refuses_create = create.err();
    let overwrite = match overwrite {
        _ if target.overwritable && !target.visible => Err(DenialReason::MissingSelect),
        overwrite => overwrite,
    };
    target.overwritable &= overwrite.is_ok();
    target.policy.refuses_overwrite = overwrite.err();
}

/// Leave to write, before a byte was read.
pub(super) fn admit(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
    announced: &Announced,
) -> Result<Admission, Fault> {
    let candidate = Candidate::announced(bucket, path, announced.attributes.as_ref(), announced.size);
    let candidate = if announced.is_final { candidate.whole() } else { candidate };
    let target = write(conn, rules, access, (bucket, path), mode, Row::Own(&candidate))?;
    let owner = match &target.existing {
        Some(object) => object.owner_id,
        None => access.context().user_id(),
    };
    let user = match owner {
        Some(owner) => user_quota(conn, &text(owner))?,
        None => None,
    };
    let asks_more = rules.of(access.context()).has_policies();
    Ok(Admission { asks_more, ..decide::admission(target, user) })
}

/// What a user has in use, and may have, where that is limited.
fn user_quota(conn: &Connection, user: &str) -> Result<Option<(u64, u64)>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT total_bytes, quota_bytes FROM storage_usage WHERE user_id = :user")?;
    let mut rows = statement.query(named_params! { ":user": user })?;
    let Some(row) = rows.next()? else { return Ok(None) };
    opt_count(row, 1)?.map(|limit| Ok((rows::count(row, 0)?, limit))).transpose()
}
