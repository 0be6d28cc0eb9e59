//! Has rows refer to a good blob where they referred to a bad one on the same provider.

use std::sync::Arc;

use super::claims::{FLIP_PART, FLIP_SEGMENT, HOLD};
use crate::executor::ReferredBlob;
use crate::executor::postgres::decide::{LOCK, blob_place};
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::{Session, Step};
use crate::file::BlobKey;
use crate::permissions::{Access, Permission};

/// The row of a copy: old key, provider, new key.
const FLIP_COPY: &str = "UPDATE {schema}.blob_copies SET copy_key = $3, verified_at = now() \
     WHERE copy_key = $1 AND provider = $2";

const FOLLOW_WAITING: &str =
    "UPDATE {schema}.upload_queue SET blob_key = $2 WHERE blob_key = $1 AND status <> 'completed'";

const FOLLOW: &str = "UPDATE {schema}.blob_copies SET blob_key = $2 WHERE blob_key = $1";

const DISCARD: &str = "INSERT INTO {schema}.blob_deletions (blob_key, provider, size) VALUES ($1, $2, $3) \
     ON CONFLICT DO NOTHING";

/// Has what refers to a bad blob refer to a good one; what follows the blob, follows, and the bad one goes.
pub(in crate::executor::postgres) async fn replace(
    pool: &Arc<Pool>,
    access: &Access,
    bad: &ReferredBlob,
    good: &BlobKey,
) -> Result<bool, Fault> {
    access.on_rows(Permission::Maintain, None)?;
    let (old, new, provider) = (bad.key.as_str(), good.as_str(), bad.provider.as_ref());
    let size = i64::try_from(bad.size).unwrap_or(i64::MAX);
    let places = vec![blob_place(good)];
    let (flip, follow) = ([&old as _, &provider as _, &new as _], [&old as _, &new as _]);
    let of_part = [&old as _];
    let keeper = Caller::keeper();
    let mut session = Session::start(pool, "replace_blob").await?;
    let begin = [Step::As(&keeper), Step::Run(LOCK, &[&places])];
    let flips = match &bad.copy_of {
        Some(_) => vec![Step::Run(FLIP_COPY, &flip)],
        // A part may become a segment while its upload is waited for: then it is looked for there again.
        None => vec![
            Step::Run(FLIP_SEGMENT, &flip),
            Step::Run(HOLD, &of_part),
            Step::Run(FLIP_PART, &flip),
            Step::Run(FLIP_SEGMENT, &flip),
        ],
    };
    let steps: Vec<Step<'_>> = begin.into_iter().chain(flips).collect();
    let answers = session.run(&steps).await?;
    // HOLD changes nothing: it counts what it finds.
    let changes = match &bad.copy_of {
        Some(_) => &[1][..],
        None => &[1, 3, 4][..],
    };
    let changed: u64 = changes.iter().filter_map(|at| answers.get(*at)).map(|answer| answer.affected).sum();
    if changed != 1 {
        session.run(&[Step::Once("ROLLBACK")]).await?;
        return Ok(false);
    }
    let end = [
        Step::Run(FOLLOW_WAITING, &follow),
        Step::Run(FOLLOW, &follow),
        Step::Run(DISCARD, &[&old, &provider, &size]),
        Step::Commit,
    ];
    session.run(&end).await?;
    Ok(true)
}
