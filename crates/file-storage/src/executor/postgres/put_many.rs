//! Making many objects visible in one transaction: those that are refused are undone alone.

use std::sync::Arc;

use super::decide::{LOCK, LOCK_ROWS, blob_place, place, sorted};
use super::errors::Fault;
use super::pool::Pool;
use super::put::{Along, Failed, put_on};
use super::put_together::{Outcomes, put_together};
use super::rls::{Caller, refused};
use super::session::{Session, Step};
use crate::errors::StorageError;
use crate::executor::Written;
use crate::executor::write::{TOGETHER, is_of_one_object};
use crate::file::{NewObject, PutMode, Segment};
use crate::permissions::Access;

/// When quotas of folders and of everything are held to what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// At the commit, to the sum: others need not wait for their counters until then.
    AtTheEnd,
    /// To each object, so that it is known which one is too much.
    ToEach,
}

/// Writes objects together where that can be, else one after the other; each is decided as if those before it were there, and those that
/// were refused were not.
pub(super) async fn put_many(
    pool: &Arc<Pool>,
    access: &Access,
    objects: &[NewObject],
    mode: &PutMode,
    held: Held,
) -> Result<Vec<Result<Written, StorageError>>, Fault> {
    let mut session = Session::start(pool, "put_objects").await?;
    // All at once, in the order that everybody has: one after the other, two batches would wait for each other.
    let mut places: Vec<i64> = objects.iter().map(|new| place(&new.bucket, &new.path)).collect();
    places.extend(objects.iter().flat_map(|new| &new.segments).filter_map(Segment::blob_key).map(blob_place));
    places.sort_unstable();
    // All are of one bucket, as far as callers go: of others, rows are locked as they are written.
    let in_order = sorted(objects.iter().map(|new| &new.path));
    let mut locks = Some((places, in_order));
    let mut outcomes = Vec::with_capacity(objects.len());
    for some in objects.chunks(TOGETHER) {
        let are_of_one_bucket = some.windows(2).all(|two| match two {
            [one, next] => one.bucket == next.bucket,
            _ => true,
        });
        let together = match held {
            Held::AtTheEnd if are_of_one_bucket => {
                let (places, rows) = locks.take().unwrap_or_default();
                put_together(pool, &mut session, access, some, mode, (&places, &rows)).await?
            }
            Held::AtTheEnd | Held::ToEach => None,
        };
        if let (Some((places, rows)), Some(first)) = (locks.take(), some.first()) {
            let (keeper, rows) = (Caller::keeper(), [&first.bucket.as_str() as _, &rows as _]);
            let lock = [Step::As(&keeper), Step::Run(LOCK, &[&places]), Step::Run(LOCK_ROWS, &rows)];
            session.run(&lock).await?;
        }
        match together {
            Some(written) => outcomes.extend(written),
            None => outcomes.extend(put_each(pool, &mut session, access, some, mode, held).await?),
        }
    }
    // Refusals are worded before the commit, so that a fault among them undoes it; what that takes of the database is asked elsewhere.
    let mut worded = Vec::with_capacity(outcomes.len());
    for (outcome, new) in outcomes.into_iter().zip(objects) {
        match outcome {
            Ok(written) => worded.push(Ok(written)),
            Err(Failed { fault, asked }) => {
                let fault = match asked {
                    Some(permission) => refused(fault, pool, access.context(), permission, &new.bucket).await,
                    None => fault,
                };
                match fault.into_storage("put_objects") {
                    error if is_of_one_object(&error) => worded.push(Err(error)),
                    error => return Err(error.into()),
                }
            }
        }
    }
    session.run(&[Step::Commit]).await?;
    Ok(worded)
}

/// Writes objects one after the other, in a transaction that has begun and holds their places.
async fn put_each(
    pool: &Arc<Pool>,
    session: &mut Session,
    access: &Access,
    objects: &[NewObject],
    mode: &PutMode,
    held: Held,
) -> Result<Outcomes, Fault> {
    let along = Along { goes_on: true, ..Along::default() };
    let mut outcomes = Vec::with_capacity(objects.len());
    for new in objects {
        session.run(&[Step::Once("SAVEPOINT one_object")]).await?;
        let mut written = put_on(pool, session, access, new, mode, &along).await;
        if written.is_ok() && held == Held::ToEach {
            let at_once =
                [Step::Once("SET CONSTRAINTS ALL IMMEDIATE"), Step::Once("SET CONSTRAINTS ALL DEFERRED")];
            if let Err(fault) = session.run(&at_once).await {
                written = Err(Failed { fault, asked: None });
            }
        }
        match written {
            Ok(written) => outcomes.push(Ok(written)),
            Err(failed) if failed.fault.lost_a_race() || failed.fault.breaks_connection() => {
                return Err(failed.fault);
            }
            Err(failed) => {
                session.run(&[Step::Once("ROLLBACK TO SAVEPOINT one_object")]).await?;
                outcomes.push(Err(failed));
            }
        }
        session.run(&[Step::Once("RELEASE SAVEPOINT one_object")]).await?;
    }
    Ok(outcomes)
}
