//! Marks of buckets: the transaction that wrote a bucket's row last, which is the last one that changed the bucket or an object in
//! it (`migrations/0023_marks.sql`).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use super::together::Question;
use super::{Told, rules_as_told};
use crate::bucket::BucketName;
use crate::executor::postgres::errors::Fault;
use crate::executor::postgres::pool::Pool;
use crate::executor::postgres::rls::Caller;
use crate::executor::postgres::session::read;

/// A bucket that is not there has another mark each time: one that came back would tell of what was made meanwhile, and is gone again.
static MARKS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "WITH {} SELECT w.at, r.by_hand, r.version, concat_ws(' ', coalesce(b.uuid, gen_random_uuid()), b.xmin, r.catalog) \
         FROM unnest($1::text[]) WITH ORDINALITY AS w(name, at) CROSS JOIN rules r \
         LEFT JOIN {{schema}}.storage_buckets b ON b.id = w.name",
        rules_as_told()
    )
});

impl Question for BucketName {
    type Answer = Told;

    async fn ask(pool: &Arc<Pool>, all: &[Self]) -> Result<HashMap<i64, Told>, Fault> {
        let names: Vec<&str> = all.iter().map(Self::as_str).collect();
        let rows = read(pool, "mark", &Caller::keeper(), &MARKS, &[&names]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, Told::of(row)?))).collect()
    }
}
