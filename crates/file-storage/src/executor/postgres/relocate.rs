//! Moving an object's row: no byte is touched. The segments follow the row by themselves.

use std::sync::Arc;

use super::decide::{LOCK, TARGET_TO_WRITE, place, target};
use super::errors::Fault;
use super::pool::Pool;
use super::rls::{Caller, Subject};
use super::rows::now;
use super::session::{Session, Step};
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::decide;
use crate::file::{PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::{Access, Permission};

/// Whether the caller may replace a row, by the policies of the table: who may not, locks nothing.
const MAY_REPLACE: &str = "SELECT 1 FROM {schema}.storage_objects \
     WHERE bucket_id = $1 AND path = $2 AND version = $3 FOR UPDATE";

/// Says that a row goes because another takes its place: then there is no event of its own.
const REPLACING: &str = "SELECT set_config('aerostore.reason', 'replaced', true)";

const REMOVE: &str = "DELETE FROM {schema}.storage_objects WHERE version = $1";

const MOVE: &str = "UPDATE {schema}.storage_objects SET bucket_id = $1, path = $2, version = $3, updated_at = $4 \
     WHERE bucket_id = $5 AND path = $6 AND version = $7";

/// Moves an object.
pub(super) async fn relocate(
    pool: &Arc<Pool>,
    access: &Access,
    from: (&BucketName, &ObjectPath),
    to: (&BucketName, &ObjectPath),
    mode: &PutMode,
) -> Result<StorageObject, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let mut session = Session::start(pool, "move_object").await?;
    let mut places = vec![place(from.0, from.1), place(to.0, to.1)];
    places.sort_unstable();
    let Subject { role, user } = Subject::from(context);
    let source_at = [&role as _, &user as _, &from.0.as_str() as _, &from.1.as_str() as _];
    let target_at = [&role as _, &user as _, &to.0.as_str() as _, &to.1.as_str() as _];
    let seen = session
        .run(&[
            Step::As(&Caller::keeper()),
            Step::Run(LOCK, &[&places]),
            Step::Run(&TARGET_TO_WRITE, &source_at),
            Step::Run(&TARGET_TO_WRITE, &target_at),
        ])
        .await?;
    let row = |at: usize| seen.get(at).and_then(|answer| answer.rows.first());
    let source = decide::source(access, from, target(row(1), from.0, from.1)?)?;
    if from == to {
        return Ok(source);
    }
    let target = decide::write(access, to, mode, target(row(2), to.0, to.1)?)?;
    if from.0 != to.0 {
        decide::takes(access, &target.bucket, &source)?;
    }

    let caller = Caller::of(context);
    let denied = |fault: Fault, permission| match fault {
        fault if fault.is_denial() => {
            decide::refusal(context, permission, to.0, DenialReason::BucketPolicy).into()
        }
        fault if fault.is_taken() => Fault::Overtaken,
        fault => fault,
    };
    if let Some(old) = &target.existing {
        replace(&mut session, &caller, old)
            .await
            .map_err(|fault| denied(fault, Permission::ObjectOverwrite))?;
    }
    let moved = source.moved(to, now());
    let values = [
        &moved.bucket.as_str() as _,
        &moved.path.as_str() as _,
        &moved.version as _,
        &moved.updated_at as _,
        &from.0.as_str() as _,
        &from.1.as_str() as _,
        &source.version as _,
    ];
    let steps = [Step::As(&caller), Step::Run(MOVE, &values), Step::Commit];
    let answers = session.run(&steps).await.map_err(|fault| denied(fault, Permission::ObjectCreate))?;
    if answers.first().is_some_and(|answer| answer.affected == 1) { Ok(moved) } else { Err(Fault::Overtaken) }
}

/// Takes away what is at the target, if the caller may replace it. Deleting a row is more than replacing it, so that
/// the keeper does it, after the policies have let the caller through.
async fn replace(session: &mut Session, caller: &Caller, old: &StorageObject) -> Result<(), Fault> {
    let values = [&old.bucket.as_str() as _, &old.path.as_str() as _, &old.version as _];
    let may = session.run(&[Step::As(caller), Step::Run(MAY_REPLACE, &values)]).await?;
    if may.first().is_none_or(|answer| answer.rows.is_empty()) {
        return Err(Fault::Overtaken);
    }
    let keeper = Caller::keeper();
    let removed = [Step::As(&keeper), Step::Run(REPLACING, &[]), Step::Run(REMOVE, &[&old.version])];
    session.run(&removed).await.map(drop)
}
