//! Marks of buckets: the transaction that wrote a bucket's row last, which is the last one that changed the bucket or an object in
//! it (`migrations/0023_marks.sql`), and the policies, ours and native ones, under which rows are shown.
//!
//! A process asks for the marks of all who wait in one statement, and for those who come meanwhile in the next: each is told what
//! the database said after he asked. There is no `NOTIFY`, for which all commits of a database stand in one line, and so there is
//! no message that could be late, or lost.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

use super::errors::{Fault, unavailable};
use super::policies::IS_BY_HAND;
use super::pool::Pool;
use super::rls::Caller;
use super::rules;
use super::session::read;
use crate::bucket::BucketName;
use crate::errors::StorageError;
use crate::executor::Mark;
use crate::permissions::RlsContext;

/// Most buckets that are asked for at a time.
const AT_ONCE: usize = 256;

/// Native policies and tables by who wrote them last, and which start of the database it is: numbers of transactions are told
/// apart within one. Policies that the server did not make itself are others' work: those may look wherever they like.
static MARKS: LazyLock<String> = LazyLock::new(|| {
    let objects = "'{schema}.storage_objects'::regclass";
    format!(
        "WITH rules AS MATERIALIZED (SELECT f.version, concat_ws(' ', pg_postmaster_start_time(), \
             (SELECT string_agg(concat(p.oid, '.', p.xmin), ' ' ORDER BY p.oid) FROM pg_catalog.pg_policy p \
                 WHERE p.polrelid = {objects}), \
             (SELECT string_agg(concat(c.oid, '.', c.xmin), ' ' ORDER BY c.oid) FROM pg_catalog.pg_class c \
                 WHERE c.oid IN ({objects}, '{{schema}}.storage_buckets'::regclass))) AS catalog, \
             EXISTS (SELECT 1 FROM pg_catalog.pg_policy p WHERE p.polrelid = {objects} \
                 AND {IS_BY_HAND}) AS by_hand \
             FROM {{inner}}.policies_in_force f) \
         SELECT w.name, r.by_hand, r.version, r.catalog, concat_ws(' ', b.uuid, b.xmin) AS bucket \
         FROM unnest($1::text[]) AS w(name) CROSS JOIN rules r \
         LEFT JOIN {{schema}}.storage_buckets b ON b.id = w.name"
    )
});

/// Who waits to be told of marks.
#[derive(Debug, Default)]
pub(super) struct Marks(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    asked: Vec<Asked>,
    /// Somebody asks the database.
    is_asked: bool,
}

#[derive(Debug)]
struct Asked {
    bucket: BucketName,
    answer: oneshot::Sender<Result<Told, StorageError>>,
}

/// What the database told.
#[derive(Debug, Clone)]
struct Told {
    by_hand: bool,
    version: Uuid,
    text: Box<str>,
}

impl Marks {
    /// The mark of a bucket, for one who sees it under the policies in force.
    pub(super) async fn tell(
        marks: &Arc<Self>,
        pool: &Arc<Pool>,
        context: &RlsContext,
        bucket: &BucketName,
    ) -> Result<Option<Mark>, Fault> {
        let (answer, told) = oneshot::channel();
        if marks.wait(Asked { bucket: bucket.clone(), answer }) {
            let (marks, asker) = (marks.clone(), pool.clone());
            pool.tasks().spawn(async move { marks.ask(&asker).await });
        }
        let told = told.await.map_err(|_gone| unavailable("mark"))??;
        if told.by_hand || follow_the_clock(pool, context, told.version).await? {
            return Ok(None);
        }
        Ok(Some(Mark(told.text)))
    }

    /// Takes one in; whether nobody asks the database yet.
    fn wait(&self, asked: Asked) -> bool {
        let mut waiting = self.waiting();
        waiting.asked.push(asked);
        !std::mem::replace(&mut waiting.is_asked, true)
    }

    /// Asks for those who wait, until nobody does.
    async fn ask(&self, pool: &Arc<Pool>) {
        while let Some(asked) = self.next() {
            let found = look(pool, &asked).await.map_err(|fault| fault.into_storage("mark"));
            for asked in asked {
                let told = found.as_ref().map_err(Clone::clone).and_then(|all| {
                    all.get(asked.bucket.as_str()).cloned().ok_or_else(|| unavailable("mark"))
                });
                // Who has gone needs no answer.
                let _gone = asked.answer.send(told);
            }
        }
    }

    /// The next ones; after the last, nobody asks any more.
    fn next(&self) -> Option<Vec<Asked>> {
        let mut waiting = self.waiting();
        waiting.asked.retain(|asked| !asked.answer.is_closed());
        let count = waiting.asked.len().min(AT_ONCE);
        waiting.is_asked = count > 0;
        (count > 0).then(|| waiting.asked.drain(..count).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the database tells of these buckets. No longer than an operation: others wait behind it.
async fn look(pool: &Arc<Pool>, asked: &[Asked]) -> Result<HashMap<String, Told>, Fault> {
    let mut names: Vec<&str> = asked.iter().map(|asked| asked.bucket.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let (keeper, values) = (Caller::keeper(), [&names as _]);
    let told = read(pool, "mark", &keeper, &MARKS, &values);
    match tokio::time::timeout(pool.operation_timeout(), told).await {
        Ok(rows) => rows?.iter().map(Told::of).collect(),
        Err(_) => Err(StorageError::OperationTimeout { operation: "mark" }.into()),
    }
}

impl Told {
    fn of(row: &Row) -> Result<(String, Self), Fault> {
        let version: Uuid = row.try_get(2)?;
        let (catalog, bucket): (&str, &str) = (row.try_get(3)?, row.try_get(4)?);
        let text = format!("{bucket} {version} {catalog}").into();
        Ok((row.try_get(0)?, Self { by_hand: row.try_get(1)?, version, text }))
    }
}

/// Whether the caller's policies do. Rules of a later version than was asked for belong to a later mark, too.
async fn follow_the_clock(pool: &Arc<Pool>, context: &RlsContext, version: Uuid) -> Result<bool, Fault> {
    Ok(rules::at(pool, version).await?.policies().follow_the_clock(context.role()))
}
