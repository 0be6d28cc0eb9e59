//! What is at a path, as the predicates judge it, for the decisions of [`crate::executor::decide`].

use rusqlite::{Connection, named_params};

use super::errors::Fault;
use super::rls::{Caller, builtin, is_true};
use super::rows::{self, BUCKET, BUCKET_WIDTH, OBJECT, OBJECT_WIDTH, micros, now};
use super::rules::{RoleRules, Rules, Statement};
use super::{history, quotas};
use crate::Timestamp;
use crate::bucket::BucketName;
use crate::executor::decide::{self, Freed, PolicyView, Target};
use crate::executor::proposal::{self, Proposed, Purpose, Seen};
use crate::executor::{Admission, Announced};
use crate::file::PutMode;
use crate::path::ObjectPath;
use crate::permissions::policy::{Candidate, asks_more};
use crate::permissions::{Access, Permission, RlsContext};
use crate::versions::Versioning;

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

/// Looks at a path under the predicates of the permissions; `None` where there is no such bucket.
pub(super) fn look(
    conn: &Connection,
    rules: &Rules,
    context: &RlsContext,
    purpose: Purpose,
    (bucket, path): (&BucketName, &ObjectPath),
) -> Result<Option<Seen>, Fault> {
    let statement = match purpose {
        Purpose::Write => Statement::ToWrite,
        Purpose::Remove => Statement::ToRemove,
    };
    let caller = Caller::under(rules, context);
    let sql = rules.of(context).sql(statement, |rules| target_sql(rules, purpose));
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(&*caller.with(named_params! {
        ":bucket": bucket.as_str(), ":path": path.as_str(), ":role": caller.role, ":uid": caller.uid,
    }))?;
    let row = match rows.next().map_err(Fault::from) {
        // Which condition failed, and what it was asked for, is found out one by one.
        Err(fault) if fault.of_policy().is_some() => {
            let now = micros(now());
            let seen = look(conn, &Rules::of_table(), context, purpose, (bucket, path))?;
            return Ok(seen.map(|mut seen| {
                seen.target.policy = proposal::view(rules.policies(), context, bucket);
                seen.ask_of_old_row(rules.policies(), context, now, purpose);
                seen
            }));
        }
        row => row?,
    };
    let Some(row) = row else { return Ok(None) };
    let there = row.get_ref(BUCKET_WIDTH)? != rusqlite::types::ValueRef::Null;
    let flags = BUCKET_WIDTH + OBJECT_WIDTH;
    let visible = there && row.get(flags)?;
    let policy = match rules.of(context).has_policies() {
        true => proposal::view(rules.policies(), context, bucket),
        false => PolicyView::default(),
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

/// Decides whether a write in this mode is let in, and gives what it would meet. `now` is the time of the write, also to
/// policies.
pub(super) fn write(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    (bucket, path): (&BucketName, &ObjectPath),
    mode: &PutMode,
    row: Proposed<'_>,
    now: Timestamp,
) -> Result<Target, Fault> {
    let context = access.on_object(decide::first_permission(mode), bucket, path)?;
    let mut seen = look(conn, rules, context, Purpose::Write, (bucket, path))?;
    if let Some(seen) = &mut seen
        && rules.of(context).has_policies()
    {
        seen.ask_policies(rules.policies(), context, micros(now), row);
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
    let seen = seen.map(|seen| {
        let mut seen = seen.without_unseen();
        if rules.of(context).has_policies() {
            let candidate = Candidate::announced(bucket, path, None, None).whole();
            seen.ask_policies(rules.policies(), context, micros(now()), Proposed::Own(&candidate));
        }
        seen
    });
    Ok(decide::sign(access, (bucket, path), mode, seen.map(|seen| seen.target))?)
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
    let target = write(conn, rules, access, (bucket, path), mode, Proposed::Own(&candidate), now())?;
    let limits = quotas::over(conn, decide::charged(access, &target), (bucket, path))?;
    let asks_more = asks_more(rules.policies(), access.context(), &candidate);
    let freed = match target.bucket.config.versioning {
        Versioning::Suspended => history::null_to_go(conn, rules, access.context(), (bucket, path))?,
        Versioning::Off | Versioning::Enabled => None,
    };
    let freed = freed.map(|(null, _)| Freed { bytes: null.size, owner: null.owner_id });
    Ok(Admission { asks_more, ..decide::admission(access, target, &limits, freed) })
}
