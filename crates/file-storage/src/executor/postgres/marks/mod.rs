//! Marks: by what the database says of rows that it changed, an answer that was kept is known to be still the right one.
//!
//! The transaction that wrote a row last tells one state of it from every other, whoever wrote, and none comes back. To that come the
//! policies, ours and native ones, under which rows are shown. There is no `NOTIFY`, for which all commits of a database stand in
//! one line, and so there is no message that could be late, or lost.

mod buckets;
mod objects;
mod together;

use std::sync::Arc;

use tokio_postgres::Row;
use uuid::Uuid;

use objects::ObjectAt;
use together::Together;

use super::errors::Fault;
use super::policies::IS_BY_HAND;
use super::pool::Pool;
use super::rules;
use crate::bucket::BucketName;
use crate::executor::Mark;
use crate::path::ObjectPath;
use crate::permissions::{PolicySet, RlsContext};

/// Who waits to be told of marks.
#[derive(Debug, Default)]
pub(super) struct Marks {
    of_buckets: Arc<Together<BucketName>>,
    of_objects: Arc<Together<ObjectAt>>,
}

impl Marks {
    /// The mark of a bucket, for one who sees it under the policies in force.
    pub(super) async fn of_bucket(
        &self,
        pool: &Arc<Pool>,
        context: &RlsContext,
        bucket: &BucketName,
    ) -> Result<Option<Mark>, Fault> {
        let told = Together::tell(&self.of_buckets, pool, bucket.clone()).await?;
        let role = context.role();
        told.mark(pool, |policies| policies.follow_the_clock(role)).await
    }

    /// The mark of an object, for one who sees it under the policies in force.
    pub(super) async fn of_object(
        &self,
        pool: &Arc<Pool>,
        context: &RlsContext,
        bucket: &BucketName,
        path: &ObjectPath,
    ) -> Result<Option<Mark>, Fault> {
        let at = ObjectAt { bucket: bucket.clone(), path: path.clone() };
        let told = Together::tell(&self.of_objects, pool, at).await?;
        let role = context.role();
        told.mark(pool, |policies| policies.follow_the_clock(role) || policies.look_at_others(role)).await
    }
}

/// The policies in force, as `rules`: ours by their version, and native ones and tables by who wrote them last, with which start of the
/// database it is: numbers of transactions are told apart within one. `by_hand`: the server did not make all of them itself, and others'
/// work may look wherever it likes.
fn rules_as_told() -> String {
    let objects = "'{schema}.storage_objects'::regclass";
    let segments = "'{schema}.storage_segments'::regclass";
    format!(
        "rules AS MATERIALIZED (SELECT f.version, coalesce(p.by_hand, false) AS by_hand, \
             encode(sha256(convert_to(concat_ws(' ', pg_postmaster_start_time(), p.written, c.written), 'UTF8')), 'hex') \
                 AS catalog \
             FROM {{inner}}.policies_in_force f \
             CROSS JOIN (SELECT string_agg(concat(p.oid, '.', p.xmin), ' ' ORDER BY p.oid) AS written, \
                 bool_or(CASE p.polrelid WHEN {objects} THEN {IS_BY_HAND} \
                     ELSE p.polname::text <> ALL (ARRAY['keeper', 'service', 'segment_read']) END) AS by_hand \
                 FROM pg_catalog.pg_policy p WHERE p.polrelid IN ({objects}, {segments})) p \
             CROSS JOIN (SELECT string_agg(concat(c.oid, '.', c.xmin), ' ' ORDER BY c.oid) AS written \
                 FROM pg_catalog.pg_class c \
                 WHERE c.oid IN ({objects}, {segments}, '{{schema}}.storage_buckets'::regclass)) c)"
    )
}

/// What the database told of something.
#[derive(Debug, Clone)]
struct Told {
    by_hand: bool,
    version: Uuid,
    /// What it is like; `None` where that is more than a mark tells of.
    like: Option<Arc<str>>,
}

impl Told {
    /// From the columns `by_hand`, `version`, and `like` with the catalog's part.
    fn of(row: &Row) -> Result<Self, Fault> {
        let like: Option<&str> = row.try_get(3)?;
        Ok(Self { by_hand: row.try_get(1)?, version: row.try_get(2)?, like: like.map(Into::into) })
    }

    /// The mark, unless the policies in force keep it from being one. Rules of a later version than was asked for belong to a later
    /// mark, too.
    async fn mark(
        self,
        pool: &Arc<Pool>,
        prevent: impl FnOnce(&PolicySet) -> bool,
    ) -> Result<Option<Mark>, Fault> {
        let Some(like) = self.like.filter(|_| !self.by_hand) else { return Ok(None) };
        if prevent(rules::at(pool, self.version).await?.policies()) {
            return Ok(None);
        }
        Ok(Some(Mark(format!("{} {like}", self.version.simple()).into())))
    }
}
