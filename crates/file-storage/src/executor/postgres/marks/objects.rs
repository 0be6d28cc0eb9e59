//! Marks of objects: the transactions that wrote the object's row and its segments last, and what was set of the bucket
//! (`migrations/0025_marks_of_objects.sql`). What else happens in the bucket leaves them as they are.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::together::Question;
use super::{Told, rules_as_told};
use crate::bucket::BucketName;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::read;
use crate::path::ObjectPath;

/// Most segments of an object that has a mark: of more, to tell their marks costs as much as to read them.
const MOST_SEGMENTS: i64 = 16;

/// What is not there has another mark each time: one that came back when an object goes again would have it be given after that.
///
/// IMPORTANT: all that a reader's answer is made of stands here (`read.rs`), and all that native policies ask of it. Tables are gone into
/// once for each object, by their keys, however small they were when the statement was planned.
static MARKS: LazyLock<String> = LazyLock::new(|| {
    let one_more = MOST_SEGMENTS + 1;
    format!(
        "WITH {} SELECT w.at, r.by_hand, r.version, CASE WHEN s.count <= {MOST_SEGMENTS} THEN \
             concat_ws(' ', b.uuid, b.settings_version, o.id, coalesce(o.version, gen_random_uuid()), o.xmin, s.written, r.catalog) END \
         FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(bucket, path, at) CROSS JOIN rules r \
         LEFT JOIN LATERAL (SELECT b.uuid, b.settings_version FROM {{schema}}.storage_buckets b \
             WHERE b.id = w.bucket LIMIT 1) b ON true \
         LEFT JOIN LATERAL (SELECT o.id, o.version, o.xmin FROM {{schema}}.storage_objects o \
             WHERE o.bucket_id = w.bucket AND o.path = w.path LIMIT 1) o ON true \
         LEFT JOIN LATERAL (SELECT count(*) AS count, \
                 string_agg(concat(s.ordinal, '.', s.xmin), ' ' ORDER BY s.ordinal) AS written \
             FROM (SELECT s.ordinal, s.xmin FROM {{schema}}.storage_segments s WHERE s.version = o.version \
                 ORDER BY s.ordinal LIMIT {one_more}) s) s ON true",
        rules_as_told()
    )
});

/// Where an object is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct ObjectAt {
    pub(super) bucket: BucketName,
    pub(super) path: ObjectPath,
}

impl Question for ObjectAt {
    type Answer = Told;

    async fn ask(pool: &Arc<Pool>, all: &[Self]) -> Result<HashMap<i64, Told>, Fault> {
        let buckets: Vec<&str> = all.iter().map(|at| at.bucket.as_str()).collect();
        let paths: Vec<&str> = all.iter().map(|at| at.path.as_str()).collect();
        let rows = read(pool, "mark", &Caller::keeper_by_keys(), &MARKS, &[&buckets, &paths]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, Told::of(row)?))).collect()
    }
}
