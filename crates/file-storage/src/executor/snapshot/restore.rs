//! Putting metadata into a database, wholly or not at all.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::{AHEAD, Database, TableName, blocking, line};
use crate::errors::StorageError;
use crate::executor::migrate::cell::{Cell, Keeper, Row, Tally};
use crate::executor::migrate::tables::Table;
use crate::executor::{postgres, sqlite};
use crate::permissions::{Access, AccessRules, Operation, RlsContext};
use crate::webhooks::WebhookStatus;

/// Lines of a table that are put into a database.
pub struct Fill {
    /// The table.
    pub table: TableName,
    /// Its lines. An error ends everything.
    pub lines: mpsc::Receiver<Result<Vec<String>, StorageError>>,
    /// How many they are.
    pub rows: u64,
    /// The number that its next row gets.
    pub next: Option<i64>,
}

/// A database into which metadata is put, wholly or not at all.
pub struct Restore {
    database: Database,
    /// The provider that has all blobs now.
    provider: Arc<str>,
}

impl Restore {
    /// Into this database, for blobs that are all on this provider.
    pub fn new(database: Database, provider: Arc<str>) -> Self {
        Self { database, provider }
    }

    /// Whether the database would take metadata. Changes nothing.
    ///
    /// # Errors
    /// [`StorageError::Internal`], saying what is in the way.
    pub async fn survey(&self) -> Result<(), StorageError> {
        match &self.database {
            Database::Sqlite(path) if path.exists() => {
                Err(StorageError::internal(format!("the database {} is there already", path.display())))
            }
            Database::Sqlite(_) => Ok(()),
            Database::Postgres(options) => {
                let mut target = postgres::import::Target::connect(*options.clone()).await?;
                let surveyed = target.survey().await;
                target.close().await;
                surveyed
            }
        }
    }

    /// Puts tables in, one after the other, and commits; until then, and where anything fails, nobody sees any of it.
    ///
    /// # Errors
    /// [`StorageError::Internal`] for lines that are no rows, counters that are wrong, and what came out other than it went in;
    /// what the lines say; and those of the engine.
    pub async fn run(&self, fills: impl Stream<Item = Fill> + Send + Unpin) -> Result<(), StorageError> {
        match self.database.clone() {
            Database::Sqlite(path) => self.fill_sqlite(path, fills).await,
            Database::Postgres(options) => {
                let mut target = postgres::import::Target::connect(*options).await?;
                let done = self.fill_postgres(&mut target, fills).await;
                target.close().await;
                done
            }
        }
    }

    async fn fill_sqlite(
        &self,
        path: PathBuf,
        mut fills: impl Stream<Item = Fill> + Send + Unpin,
    ) -> Result<(), StorageError> {
        let import = Arc::new(blocking(move || sqlite::import::Import::begin(&path)).await?);
        while let Some(fill) = fills.next().await {
            let (table, restart) = (fill.table.0, fill.next);
            let (send, mut rows) = mpsc::channel(AHEAD);
            let writer = Arc::clone(&import);
            let write = blocking(move || {
                writer.fill(table, &mut rows)?;
                restart.map_or(Ok(()), |next| writer.restart(table, next))?;
                writer.tally(table)
            });
            let (read, written) = tokio::join!(self.rows(fill, send), write);
            // A failed write closes the channel, which ends the reading.
            let written = written?;
            compare(table, &read?, &written)?;
        }
        let import =
            Arc::into_inner(import).ok_or_else(|| StorageError::internal("a table is being filled"))?;
        let access = maintenance()?;
        blocking(move || {
            import.leave_events_behind()?;
            import.finish(&access)
        })
        .await
    }

    async fn fill_postgres(
        &self,
        target: &mut postgres::import::Target,
        mut fills: impl Stream<Item = Fill> + Send + Unpin,
    ) -> Result<(), StorageError> {
        let import = target.begin().await?;
        while let Some(fill) = fills.next().await {
            let (table, restart) = (fill.table.0, fill.next);
            let (send, rows) = mpsc::channel(AHEAD);
            let (read, written) = tokio::join!(self.rows(fill, send), import.fill(table, rows, &|_| ()));
            written?;
            let read = read?;
            if let Some(next) = restart {
                import.restart(table, next).await?;
            }
            compare(table, &read, &import.tally(table, &|_| ()).await?)?;
        }
        import.leave_events_behind().await?;
        import.finish().await
    }

    /// Makes rows of lines, whose blobs are where they are now.
    async fn rows(&self, mut fill: Fill, rows: mpsc::Sender<Vec<Row>>) -> Result<Tally, StorageError> {
        let (table, mut tally) = (fill.table, Tally::default());
        let keeper = match self.database {
            Database::Sqlite(_) => Keeper::Anything,
            Database::Postgres(_) => Keeper::Postgres,
        };
        let column = |name: &str| table.0.columns.iter().position(|(column, _)| *column == name);
        let place = column("provider");
        // The server that was backed up may still tell the same receivers: this one tells nobody before it is told to.
        let status = column("status").filter(|_| table.0.name == "storage_webhooks");
        let mut disabled = 0_u64;
        while let Some(lines) = fill.lines.recv().await {
            let lines = lines?;
            let mut batch = Vec::with_capacity(lines.len());
            for line in lines {
                let mut row = line::read(table.0, &line).ok_or_else(|| table.no_line())?;
                if let Some(Cell::Text(provider)) = place.and_then(|place| row.get_mut(place)) {
                    *provider = self.provider.to_string();
                }
                if let Some(Cell::Text(status)) = status.and_then(|at| row.get_mut(at))
                    && status.as_str() == WebhookStatus::Active.as_str()
                {
                    *status = WebhookStatus::Disabled.as_str().to_owned();
                    disabled = disabled.saturating_add(1);
                }
                tally.add_for(&row, keeper).map_err(|reason| {
                    StorageError::internal(format!("a row of {} can't be restored: {reason}", table.0.name))
                })?;
                batch.push(row);
            }
            if rows.send(batch).await.is_err() {
                // Whoever takes them no more says why.
                return Ok(tally);
            }
        }
        if tally.rows() != fill.rows {
            let context = format!("{} has {} rows, and not {}", table.0.name, tally.rows(), fill.rows);
            return Err(StorageError::internal(context));
        }
        if disabled > 0 {
            tracing::warn!(
                webhooks = disabled,
                "webhooks were restored disabled: enable those that are to be told"
            );
        }
        Ok(tally)
    }
}

fn compare(table: &Table, read: &Tally, written: &Tally) -> Result<(), StorageError> {
    if (read.rows(), read.digest()) == (written.rows(), written.digest()) {
        return Ok(());
    }
    Err(StorageError::internal(format!(
        "{} came out different: {} rows instead of {}; nothing was restored",
        table.name,
        written.rows(),
        read.rows()
    )))
}

fn maintenance() -> Result<Access, StorageError> {
    Access::check(&RlsContext::system("restore"), Operation::Maintain, None, AccessRules::default())
}
