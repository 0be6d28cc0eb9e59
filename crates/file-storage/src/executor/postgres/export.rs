//! Reading all metadata at one instant, to back it up: in one transaction that sees nothing of what is committed later.

use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_postgres::Client;

use super::decide::blob_hold_place;
use super::errors::Fault;
use super::pool::Pool;
use super::rls::KEEPER;
use super::upkeep::{BEGIN_TURN, TAKE_TURN};
use super::{PostgresOptions, migrations};
use crate::errors::StorageError;
use crate::executor::migrate::cell::{Cell, Keeper, Row, Tally};
use crate::executor::migrate::tables::Table;

/// Most rows that go together.
const ROWS: usize = 512;

/// Bytes that go together, more or less: one row may have more.
const BYTES: usize = 1 << 20;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
     SET LOCAL idle_in_transaction_session_timeout = 0";

/// Readers of events go by positions, which are not numbers of rows here, and are elsewhere: an event's position is its
/// number in a backup, and what has none yet comes behind all that have.
const EVENT_NUMBER: &str = "coalesce(position, greatest((SELECT max(e.position) FROM {schema}.storage_events e), \
     (SELECT max(g.position) FROM {schema}.storage_events_gone g), 0) \
     + row_number() OVER (PARTITION BY position IS NULL ORDER BY sequence)) AS sequence";

/// Numbers below which no row of a table may get one any more.
const LAST_EVENT: &str = "SELECT greatest((SELECT max(position) FROM {schema}.storage_events), \
     (SELECT max(position) FROM {schema}.storage_events_gone), 0) + \
     (SELECT count(*) FROM {schema}.storage_events WHERE position IS NULL)";

/// A database that is read and not changed.
pub(in crate::executor) struct Export {
    pool: Pool,
    client: Client,
}

impl Export {
    /// Takes the view that all reads have.
    pub(in crate::executor) async fn open(options: PostgresOptions) -> Result<Self, StorageError> {
        let open = async {
            let pool = Pool::new(&options)?;
            let client = pool.unpooled().await?;
            migrations::check_server(&client).await?;
            client.batch_execute(BEGIN).await?;
            check(&client, &pool).await?;
            client.batch_execute(&format!("SET LOCAL ROLE {KEEPER}")).await?;
            Ok(Self { pool, client })
        };
        open.await.map_err(|fault: Fault| fault.into_storage("export"))
    }

    /// Sends the rows of a table, as they lie. Ends early where nobody takes them any more.
    pub(in crate::executor) async fn read(
        &self,
        table: &Table,
        rows: &mpsc::Sender<Vec<Row>>,
    ) -> Result<Tally, StorageError> {
        let read = async {
            let columns = match table.name {
                "storage_events" => table.list().replace("\"sequence\"", EVENT_NUMBER),
                _ => table.list(),
            };
            let sql = self.pool.schema().fill(&format!("SELECT {columns} FROM {{schema}}.{}", table.name));
            let none: [&str; 0] = [];
            let mut found = std::pin::pin!(self.client.query_raw(&sql, none).await?);
            let (mut tally, mut batch, mut weight) = (Tally::default(), Vec::new(), 0_usize);
            while let Some(row) = found.try_next().await? {
                let cells: Result<Row, _> = (0..row.len()).map(|at| row.try_get::<_, Cell>(at)).collect();
                let cells = cells?;
                tally.add_for(&cells, Keeper::Anything).map_err(|_| Fault::corrupt(table.name))?;
                weight = cells.iter().fold(weight, |sum, cell| sum.saturating_add(cell.weight()));
                batch.push(cells);
                if batch.len() >= ROWS || weight >= BYTES {
                    weight = 0;
                    if rows.send(std::mem::take(&mut batch)).await.is_err() {
                        return Ok(tally);
                    }
                }
            }
            if !batch.is_empty() {
                // Whoever takes them no more knows why.
                let _ = rows.send(batch).await;
            }
            Ok(tally)
        };
        read.await.map_err(|fault: Fault| fault.into_storage("export"))
    }

    /// A number that the next row of a table may have.
    pub(in crate::executor) async fn next_in_sequence(&self, table: &Table) -> Result<i64, StorageError> {
        let next = async {
            let last = match (table.name, table.sequence) {
                ("storage_events", _) => LAST_EVENT.to_owned(),
                (name, Some(column)) => {
                    format!("SELECT coalesce(max({column}), 0)::bigint FROM {{schema}}.{name}")
                }
                (_, None) => return Ok(1),
            };
            let last = self.client.query_one(&self.pool.schema().fill(&last), &[]).await?;
            Ok(last.try_get::<_, i64>(0)?.saturating_add(1))
        };
        next.await.map_err(|fault: Fault| fault.into_storage("export"))
    }

    /// Ends the transaction and the connection.
    pub(in crate::executor) async fn close(self) {
        let Self { pool, client } = self;
        drop(client);
        pool.close().await;
    }
}

/// The schema must be the one that is known: what is not known would be left out.
async fn check(client: &Client, pool: &Pool) -> Result<(), Fault> {
    let schema = pool.schema();
    let ledger = schema.fill("{schema}.schema_migrations");
    let there = client.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&ledger]).await?;
    if !there.try_get::<_, bool>(0)? {
        return Err(StorageError::internal(format!("the schema {schema} has no metadata of ours")).into());
    }
    let version = schema.fill("SELECT coalesce(max(version), 0) FROM {schema}.schema_migrations");
    let (found, known): (i32, i32) =
        (client.query_one(&version, &[]).await?.try_get(0)?, migrations::newest());
    if found != known {
        let context = format!(
            "the database has schema version {found}, and this Aerostore knows version {known}: back it up with the version \
             that serves it"
        );
        return Err(StorageError::internal(context).into());
    }
    Ok(())
}

/// While this lives, no server deletes a blob that rows let go of since. It is a lock of a transaction that looks at nothing,
/// on a connection of its own, and ends with that.
pub(in crate::executor) struct BlobHold {
    _client: Client,
    _pool: Pool,
}

impl BlobHold {
    /// Takes it; `None` where somebody else has it.
    pub(in crate::executor) async fn take(options: &PostgresOptions) -> Result<Option<Self>, StorageError> {
        let take = async {
            let pool = Pool::new(options)?;
            let client = pool.unpooled().await?;
            client.batch_execute(BEGIN_TURN).await?;
            // Servers share the lock for the time of a statement.
            for _ in 0..100 {
                let place = blob_hold_place(pool.schema());
                if client.query_one(TAKE_TURN, &[&place]).await?.try_get(0)? {
                    return Ok(Some(Self { _client: client, _pool: pool }));
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            Ok(None)
        };
        take.await.map_err(|fault: Fault| fault.into_storage("hold blobs"))
    }
}
