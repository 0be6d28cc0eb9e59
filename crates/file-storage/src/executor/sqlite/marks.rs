//! Marks of buckets: how often each has changed, as triggers count it in the transaction that changes it, and which rules are in
//! force.

use rusqlite::{Connection, OptionalExtension, named_params};
use uuid::Uuid;

use super::errors::Fault;
use super::rules::Rules;
use crate::bucket::BucketName;
use crate::executor::Mark;
use crate::permissions::{Access, Permission};

/// The mark of a bucket. A bucket that was made anew has another UUID; one that is not there has another mark each time, as one that came
/// back would tell of what was made meanwhile, and is gone again.
///
/// IMPORTANT: the rules are those in force before this reads, so that an answer is never kept under rules that it was not made by.
pub(super) fn tell(
    conn: &Connection,
    rules: &Rules,
    access: &Access,
    bucket: &BucketName,
) -> Result<Option<Mark>, Fault> {
    let context = access.on_rows(Permission::ObjectRead, Some(bucket))?;
    if rules.policies().follow_the_clock(context.role()) {
        return Ok(None);
    }
    let number = rules.number();
    let mark = conn
        .prepare_cached("SELECT uuid, changes FROM storage_buckets WHERE id = :bucket")?
        .query_row(named_params! { ":bucket": bucket.as_str() }, |row| {
            let uuid = row.get_ref(0)?.as_str()?;
            Ok(format!("{number} {uuid} {}", row.get::<_, i64>(1)?))
        })
        .optional()?;
    Ok(Some(Mark(mark.unwrap_or_else(|| format!("{number} {}", Uuid::new_v4())).into())))
}
