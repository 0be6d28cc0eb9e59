//! Moving an object's row: no byte is touched. The segments follow the row by themselves.

use std::sync::Arc;

use tokio_postgres::types::{Json, ToSql};
use uuid::Uuid;

use super::decide::{LOCK, TARGET_TO_WRITE, began, look, place, seen, version, write};
use super::errors::Fault;
use super::pool::Pool;
use super::put::{self, Along, CREATE, LET_NULL_GO, extra};
use super::rls::{Caller, Subject, refused};
use super::rows::{int, now};
use super::session::{Session, Step};
use crate::bucket::BucketName;
use crate::errors::DenialReason;
use crate::executor::proposal::{Proposed, Purpose};
use crate::executor::{Relocation, Written, decide};
use crate::file::{NewObject, PutMode, StorageObject};
use crate::path::ObjectPath;
use crate::permissions::policy::Candidate;
use crate::permissions::{Access, Permission};
use crate::versions::Versioning;

/// Whether the caller may replace a row, by the policies of the table: who may not, locks nothing.
const MAY_REPLACE: &str = "SELECT 1 FROM {schema}.storage_objects \
     WHERE bucket_id = $1 AND path = $2 AND version = $3 FOR UPDATE";

/// Says that a row goes because another takes its place: then there is no event of its own.
const REPLACING: &str = "SELECT set_config('aerostore.reason', 'replaced', true)";

const REMOVE: &str = "DELETE FROM {schema}.storage_objects WHERE version = $1";

const MOVE: &str = "UPDATE {schema}.storage_objects SET bucket_id = $1, path = $2, version = $3, updated_at = $4, \
     versioned = $8 WHERE bucket_id = $5 AND path = $6 AND version = $7";

/// What is done natively to see whether policies let it happen, and then undone.
const TRY: &str = "SAVEPOINT tried";
const UNDO: &str = "ROLLBACK TO SAVEPOINT tried";

/// Moves an object; where a version is named, only while it is this one. It takes SELECT and DELETE at its source and INSERT at
/// its target.
pub(super) async fn relocate(
    pool: &Arc<Pool>,
    access: &Access,
    (from, expected): ((&BucketName, &ObjectPath), Option<Uuid>),
    to: (&BucketName, &ObjectPath),
    mode: &PutMode,
) -> Result<Relocation, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let mut session = Session::start(pool, "move_object").await?;
    let mut places = vec![place(from.0, from.1), place(to.0, to.1)];
    places.sort_unstable();
    let Subject { role, user } = Subject::from(context);
    let source_at = [&role as _, &user as _, &from.0.as_str() as _, &from.1.as_str() as _];
    let target_at = [&role as _, &user as _, &to.0.as_str() as _, &to.1.as_str() as _];
    let looked = session
        .run(&[
            Step::As(&Caller::keeper_by_keys()),
            Step::Run(LOCK, &[&places]),
            Step::Run(&TARGET_TO_WRITE, &source_at),
            Step::Run(&TARGET_TO_WRITE, &target_at),
        ])
        .await?;
    let row = |at: usize| looked.get(at).and_then(|answer| answer.rows.first());
    let (rules, now) = match row(1) {
        Some(row) => (pool.rules().within(&mut session, version(row)?).await?, began(row)?),
        None => (Arc::default(), now()),
    };
    let source = seen(row(1), &rules, context, Purpose::Remove, from)?;
    let keeps = source.as_ref().is_some_and(|seen| seen.target.bucket.config.versioning != Versioning::Off);
    let source = decide::source(access, from, source.map(|seen| seen.target))?;
    decide::is_still(expected, &source)?;
    if from == to {
        return Ok(Relocation::Moved(Box::new(source)));
    }
    if keeps {
        return Ok(Relocation::KeepsVersions);
    }
    let moved = source.moved(to, now);
    let candidate = Candidate::object(&moved);
    let target = write(row(2), &rules, access, to, mode, Proposed::Moved(&candidate))?;
    if from.0 != to.0 {
        decide::takes(access, &target.bucket, &source)?;
    }

    let versioning = target.bucket.config.versioning;
    let moved = moved.within(versioning);
    let caller = Caller::of(context);
    let is_own = source.owner_id == context.user_id();
    let mut moving =
        Moving { session: &mut session, caller: &caller, source: &source, moved: &moved, is_own, versioning };
    let done = moving.run(target.existing.as_ref(), rules.speak_of(context)).await;
    let (permission, fault) = match done {
        Ok(()) => return Ok(Relocation::Moved(Box::new(moved))),
        Err(failed) => failed,
    };
    match fault {
        fault if fault.is_denial() => {
            Err(decide::refusal(context, permission, to.0, DenialReason::BucketPolicy).into())
        }
        fault if fault.is_taken() => Err(Fault::Overtaken),
        fault if rules.speak_of(context) => {
            // The connection is needed for the log.
            drop(session);
            Err(refused(fault, pool, context, permission, to.0).await)
        }
        fault => Err(fault),
    }
}

/// Moves an object out of a bucket that keeps versions: its bytes are copied already, and a delete marker hides it.
pub(super) async fn copied(
    pool: &Arc<Pool>,
    access: &Access,
    (from, version): ((&BucketName, &ObjectPath), Uuid),
    object: &NewObject,
    mode: &PutMode,
) -> Result<Written, Fault> {
    let context = access.on_object(Permission::ObjectRead, from.0, from.1)?;
    let (row, rules) = look(pool, access, from.0, from.1).await?;
    let source = seen(row.as_ref(), &rules, context, Purpose::Remove, from)?;
    let source = decide::source(access, from, source.map(|seen| seen.target))?;
    decide::is_still(Some(version), &source)?;
    let session = Session::start(pool, "move_object").await?;
    let leaves = Some((from.0.as_str(), from.1.as_str(), version));
    let along = Along { leaves, ..Along::default() };
    put::put_within(pool, session, access, object, mode, &along).await
}

/// A move that was let in.
struct Moving<'a> {
    session: &'a mut Session,
    caller: &'a Caller,
    source: &'a StorageObject,
    moved: &'a StorageObject,
    /// Whether the row is the caller's own.
    is_own: bool,
    /// What the target's bucket keeps.
    versioning: Versioning,
}

impl Moving<'_> {
    /// Does it; or says which permission was missing, and what failed.
    async fn run(
        &mut self,
        replaced: Option<&StorageObject>,
        under_policies: bool,
    ) -> Result<(), (Permission, Fault)> {
        let failed = |fault| (Permission::ObjectCreate, fault);
        if self.versioning == Versioning::Suspended {
            let at = [&self.moved.bucket.as_str() as _, &self.moved.path.as_str() as _];
            let gone = [Step::As(self.caller), Step::Run(LET_NULL_GO, &at)];
            self.session.run(&gone).await.map_err(failed)?;
        }
        if let Some(old) = replaced {
            self.replace(old).await.map_err(|fault| (Permission::ObjectOverwrite, fault))?;
        }
        if !under_policies {
            return self.change(self.caller).await.map_err(failed);
        }
        // To PostgreSQL a move is an UPDATE, about which policies may say something else. So the caller deletes the row
        // here and makes it there, for a try, and the keeper moves it.
        self.rehearse().await.map_err(|fault| (Permission::ObjectDelete, fault))?;
        self.change(&Caller::keeper()).await.map_err(failed)
    }

    /// Takes away what is at the target, if the caller may replace it. Deleting a row is more than replacing it, so that
    /// the keeper does it, after the policies have let the caller through.
    async fn replace(&mut self, old: &StorageObject) -> Result<(), Fault> {
        let values = [&old.bucket.as_str() as _, &old.path.as_str() as _, &old.version as _];
        let may = self.session.run(&[Step::As(self.caller), Step::Run(MAY_REPLACE, &values)]).await?;
        if may.first().is_none_or(|answer| answer.rows.is_empty()) {
            return Err(Fault::Overtaken);
        }
        let keeper = Caller::keeper();
        let removed = [Step::As(&keeper), Step::Run(REPLACING, &[]), Step::Run(REMOVE, &[&old.version])];
        self.session.run(&removed).await.map(drop)
    }

    /// Deletes the row as the caller, makes it anew at its target where it is the caller's own, and takes both back. A row
    /// of somebody else nobody makes; that it may be moved there was decided before.
    async fn rehearse(&mut self) -> Result<(), Fault> {
        let (source, moved) = (self.source, self.moved);
        let gone = [&source.version as _];
        let (size, checksum, metadata) =
            (int(moved.size), moved.checksum.map(|checksum| checksum.to_hex()), Json(&moved.metadata));
        let extra = extra(&moved.extra);
        let made: [&(dyn ToSql + Sync); 15] = [
            &moved.bucket.as_str(),
            &moved.path.as_str(),
            &size,
            &moved.content_type,
            &moved.cache_control,
            &checksum,
            &moved.etag,
            &metadata,
            &moved.version,
            &moved.updated_at,
            &extra,
            &moved.versioned,
            &moved.id,
            &moved.owner_id,
            &moved.created_at,
        ];
        let mut steps = vec![Step::As(self.caller), Step::Once(TRY), Step::Run(REMOVE, &gone)];
        if self.is_own {
            steps.push(Step::Run(CREATE, &made));
        }
        steps.push(Step::Once(UNDO));
        match self.session.run(&steps).await {
            Ok(tried) if tried.first().is_some_and(|answer| answer.affected == 1) => Ok(()),
            Ok(_) => Err(Fault::Overtaken),
            // Policies are asked before quotas, and a move may need none: it is asked itself.
            Err(fault) if fault.is_over_quota() => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Moves the row as somebody, and commits.
    async fn change(&mut self, caller: &Caller) -> Result<(), Fault> {
        let (source, moved) = (self.source, self.moved);
        let values = [
            &moved.bucket.as_str() as _,
            &moved.path.as_str() as _,
            &moved.version as _,
            &moved.updated_at as _,
            &source.bucket.as_str() as _,
            &source.path.as_str() as _,
            &source.version as _,
            &moved.versioned as _,
        ];
        let steps = [Step::As(caller), Step::Run(MOVE, &values), Step::Commit];
        let answers = self.session.run(&steps).await?;
        match answers.first() {
            Some(answer) if answer.affected == 1 => Ok(()),
            _ => Err(Fault::Overtaken),
        }
    }
}
