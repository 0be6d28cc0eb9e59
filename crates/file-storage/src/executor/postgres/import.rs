//! Taking the metadata of another engine in, as one transaction.
//!
//! The tables' owner does it, and for its transaction alone takes two things off them: row-level security, which `COPY`
//! does not work under, and our triggers, which would count what is counted already and tell of old objects as news
//! (`session_replication_role` would do that too, and takes a superuser). Both stand again before the commit; until
//! then the tables are locked, and nobody sees them otherwise. References and constraints are checked as always.

use futures_util::TryStreamExt;
use tokio::sync::mpsc;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::{Client, Transaction};

use super::errors::Fault;
use super::pool::Pool;
use super::rls::KEEPER;
use super::schema::SchemaName;
use super::{PostgresOptions, migrations, policies, usage};
use crate::errors::StorageError;
use crate::executor::event::restored_floor;
use crate::executor::migrate::cell::{Cell, Row, Tally};
use crate::executor::migrate::tables::{TABLES, Table};
use crate::permissions::Policy;

/// Rows after which progress is told while they are read back.
const ROWS: usize = 512;

/// What no setting of the database may end half-way, and how long servers on it are waited for.
const SETTINGS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; \
     SET LOCAL lock_timeout = '10s'; SET CONSTRAINTS ALL IMMEDIATE";

const OPEN: &str = "ALTER TABLE {schema}.{table} NO FORCE ROW LEVEL SECURITY; \
     ALTER TABLE {schema}.{table} DISABLE TRIGGER USER";

const CLOSE: &str = "ALTER TABLE {schema}.{table} ENABLE TRIGGER USER; \
     ALTER TABLE {schema}.{table} FORCE ROW LEVEL SECURITY; ANALYZE {schema}.{table}";

/// Readers of events go on where they were.
const PLACE_EVENTS: &str = "UPDATE {schema}.storage_events SET position = sequence";

/// The last number that an event had, also one that is gone. Positions are not given yet: they will be these numbers.
const LAST_EVENT: &str = "SELECT greatest((SELECT max(sequence) FROM {schema}.storage_events), \
     (SELECT max(position) FROM {schema}.storage_events_gone), 0)";

const EVENTS_GONE: &str = "INSERT INTO {schema}.storage_events_gone (id, position) VALUES (1, $1) \
     ON CONFLICT (id) DO UPDATE SET position = excluded.position";

/// The owner, where it is somebody whose rights we don't have.
const FOREIGN_OWNER: &str = "SELECT pg_get_userbyid(relowner)::text, quote_ident(current_user) FROM pg_class \
     WHERE oid = to_regclass($1::text) AND NOT pg_has_role(relowner, 'USAGE')";

/// A database that may take rows in.
pub(in crate::executor) struct Target {
    pool: Pool,
    client: Client,
}

impl Target {
    pub(in crate::executor) async fn connect(options: PostgresOptions) -> Result<Self, StorageError> {
        let connect = async {
            let pool = Pool::new(&options)?;
            let client = pool.unpooled().await?;
            Ok(Self { pool, client })
        };
        connect.await.map_err(|fault: Fault| fault.into_storage("connect"))
    }

    /// Whether everything is as an import wants it. Changes nothing.
    pub(in crate::executor) async fn survey(&mut self) -> Result<(), StorageError> {
        let survey = async {
            migrations::check_server(&self.client).await?;
            let schema = self.pool.schema().clone();
            check_place(&self.client, &schema).await?;
            let transaction = self.client.transaction().await?;
            let filled = filled(&transaction, &schema, Some(KEEPER)).await?;
            transaction.rollback().await?;
            refuse(&schema, &filled)
        };
        survey.await.map_err(|fault: Fault| fault.into_storage("survey"))
    }

    /// Makes the schema where it is missing, and begins. Servers on the database wait until the end.
    pub(in crate::executor) async fn begin(&mut self) -> Result<Import<'_>, StorageError> {
        // Before anything is made.
        self.survey().await?;
        let begin = async {
            let schema = self.pool.schema().clone();
            migrations::prepare(&mut self.client, &schema).await?;
            check_place(&self.client, &schema).await?;
            let transaction = self.client.transaction().await?;
            transaction.batch_execute(SETTINGS).await?;
            for table in TABLES {
                transaction.batch_execute(&fill(&schema, table, OPEN)).await?;
            }
            // Asked again, now that nobody else can write.
            let filled = filled(&transaction, &schema, None).await?;
            refuse(&schema, &filled)?;
            Ok(Import { transaction, schema })
        };
        begin.await.map_err(|fault: Fault| fault.into_storage("begin"))
    }

    /// Ends the connection; a transaction that is not committed is undone.
    pub(in crate::executor) async fn close(self) {
        let Self { pool, client } = self;
        drop(client);
        pool.close().await;
    }
}

/// The transaction. Nothing of it remains where it is not finished.
pub(in crate::executor) struct Import<'t> {
    transaction: Transaction<'t>,
    schema: SchemaName,
}

impl Import<'_> {
    /// Fills a table with rows, and tells of each batch.
    pub(in crate::executor) async fn fill(
        &self,
        table: &Table,
        mut rows: mpsc::Receiver<Vec<Row>>,
        watch: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<(), StorageError> {
        let copy = format!("COPY {{schema}}.{{table}} ({}) FROM STDIN (FORMAT binary)", table.list());
        let copy = async {
            let sink = self.transaction.copy_in(&fill(&self.schema, table, &copy)).await?;
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &table.types()));
            while let Some(batch) = rows.recv().await {
                for row in &batch {
                    writer.as_mut().write_raw(row.iter()).await?;
                }
                watch(batch.len());
            }
            writer.as_mut().finish().await?;
            Ok(())
        };
        copy.await.map_err(|fault: Fault| named(fault, table))
    }

    /// What a table holds now.
    pub(in crate::executor) async fn tally(
        &self,
        table: &Table,
        watch: &(dyn Fn(usize) + Send + Sync),
    ) -> Result<Tally, StorageError> {
        let read = async {
            let sql =
                fill(&self.schema, table, &format!("SELECT {} FROM {{schema}}.{{table}}", table.list()));
            let none: [&str; 0] = [];
            let mut rows = std::pin::pin!(self.transaction.query_raw(&sql, none).await?);
            let (mut tally, mut untold) = (Tally::default(), 0_usize);
            while let Some(row) = rows.try_next().await? {
                let cells: Result<Row, _> = (0..row.len()).map(|at| row.try_get::<_, Cell>(at)).collect();
                tally.add(&cells?).map_err(|_| Fault::corrupt(table.name))?;
                untold = untold.saturating_add(1);
                if untold == ROWS {
                    watch(std::mem::take(&mut untold));
                }
            }
            watch(untold);
            Ok(tally)
        };
        read.await.map_err(|fault: Fault| named(fault, table))
    }

    /// Sets the number that the next row of a table gets.
    pub(in crate::executor) async fn restart(&self, table: &Table, next: i64) -> Result<(), StorageError> {
        let Some(column) = table.sequence else { return Ok(()) };
        // Unlike `setval`, this is undone with the transaction.
        let restart = format!("ALTER TABLE {{schema}}.{{table}} ALTER COLUMN {column} RESTART WITH {next}");
        let restarted = self.transaction.batch_execute(&fill(&self.schema, table, &restart)).await;
        restarted.map_err(|error| named(error.into(), table))
    }

    /// Has events go on far ahead of all that may have been told of since they were read: whoever comes back with such a number hears
    /// that what came between is gone. For a restore alone: who moves from one engine to the other leaves nobody behind.
    pub(in crate::executor) async fn leave_events_behind(&self) -> Result<(), StorageError> {
        let leave = async {
            let row = self.transaction.query_one(&self.schema.fill(LAST_EVENT), &[]).await?;
            let floor = restored_floor(row.try_get(0)?);
            self.transaction.execute(&self.schema.fill(EVENTS_GONE), &[&floor]).await?;
            Ok(())
        };
        leave.await.map_err(|fault: Fault| fault.into_storage("import"))
    }

    /// Counts anew, and where the counters are right puts policies into force and everything back on the tables, and
    /// commits.
    pub(in crate::executor) async fn finish(self) -> Result<(), StorageError> {
        let finish = async {
            let differences = usage::counted_otherwise(&self.transaction, &self.schema).await?;
            if let Some(first) = differences.first() {
                let context = format!(
                    "counters are wrong ({} of them, first {} '{}'), and were so before: set them right on the source \
                     with `aerostore usage --repair`; nothing was moved",
                    differences.len(),
                    first.scope,
                    first.name
                );
                return Err(StorageError::internal(context).into());
            }
            self.enforce_policies().await?;
            self.transaction.batch_execute(&self.schema.fill(PLACE_EVENTS)).await?;
            for table in TABLES {
                self.transaction.batch_execute(&fill(&self.schema, table, CLOSE)).await?;
            }
            let changed =
                format!("SET LOCAL ROLE {KEEPER}; {}; RESET ROLE", self.schema.fill(policies::CHANGED));
            self.transaction.batch_execute(&changed).await?;
            Ok(self.transaction.commit().await?)
        };
        finish.await.map_err(|fault: Fault| fault.into_storage("finish"))
    }
}

impl Import<'_> {
    /// Makes native policies of the SQL policies that came along.
    async fn enforce_policies(&self) -> Result<(), Fault> {
        let kept = self.schema.fill("SELECT name, definition FROM {schema}.storage_policies ORDER BY name");
        let shown = self.schema.fill(
            "UPDATE {schema}.storage_policies SET using_expression = $2, check_expression = $3 WHERE name = $1",
        );
        for row in self.transaction.query(&kept, &[]).await? {
            let (name, definition): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
            let refuse = |why: String| {
                StorageError::internal(format!("the policy {name} can't be moved: {why}; nothing was moved"))
            };
            let policy = Policy::parse(definition).map_err(|fault| refuse(fault.to_string()))?;
            if &*policy.name != name {
                return Err(refuse(format!("its statement makes {}", policy.name)).into());
            }
            let schema = self.schema.as_str();
            let native = policy.for_postgres(schema);
            self.transaction.batch_execute(&native).await.map_err(|error| match error.as_db_error() {
                Some(said) => refuse(said.message().to_owned()).into(),
                None => Fault::from(error),
            })?;
            let (using, check) = policies::shown(&policy);
            self.transaction.execute(&shown, &[&name, &using, &check]).await?;
        }
        self.transaction.execute(&self.schema.fill(policies::MIRROR), &[]).await?;
        Ok(())
    }
}

/// Puts the names of our own schema and table into a statement.
fn fill(schema: &SchemaName, table: &Table, statement: &str) -> String {
    schema.fill(statement).replace("{table}", table.name)
}

fn named(fault: Fault, table: &Table) -> StorageError {
    match fault.into_storage("import") {
        StorageError::Internal { context, source } => {
            StorageError::Internal { context: format!("{}: {context}", table.name), source }
        }
        other => other,
    }
}

/// Whether we may make the schema, or own the tables that are there.
async fn check_place(client: &Client, schema: &SchemaName) -> Result<(), Fault> {
    let row = client
        .query_one(
            "SELECT quote_ident(current_user), quote_ident(current_database()), \
             has_database_privilege(current_database(), 'CREATE') OR EXISTS ( \
                 SELECT 1 FROM pg_namespace WHERE nspname = $1::text)",
            &[&schema.as_str()],
        )
        .await?;
    let (user, database, may): (&str, &str, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !may {
        let context = format!(
            "{user} may not make schemas; an administrator must run: GRANT CREATE ON DATABASE {database} TO {user}"
        );
        return Err(StorageError::internal(context).into());
    }
    let table = schema.fill("{schema}.storage_buckets");
    if let Some(row) = client.query_opt(FOREIGN_OWNER, &[&table]).await? {
        let (owner, user): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
        let context = format!(
            "the tables belong to {owner}, and only their owner can fill them: connect as {owner}, not as {user}"
        );
        return Err(StorageError::internal(context).into());
    }
    Ok(())
}

/// Tables that have rows, asked as `role`, where that is not ourselves: row-level security holds for owners, too.
async fn filled(
    transaction: &Transaction<'_>,
    schema: &SchemaName,
    role: Option<&str>,
) -> Result<Vec<&'static str>, Fault> {
    let mut there = Vec::new();
    for table in TABLES {
        let name = fill(schema, table, "{schema}.{table}");
        let found = transaction.query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&name]).await?;
        if found.try_get(0)? {
            there.push(table);
        }
    }
    if let Some(role) = role.filter(|_| !there.is_empty()) {
        transaction.batch_execute(&format!("SET LOCAL ROLE {role}")).await?;
    }
    let mut filled = Vec::new();
    for table in there {
        let exists = fill(schema, table, "SELECT EXISTS (SELECT 1 FROM {schema}.{table})");
        if transaction.query_one(&exists, &[]).await?.try_get(0)? {
            filled.push(table.name);
        }
    }
    Ok(filled)
}

fn refuse(schema: &SchemaName, filled: &[&str]) -> Result<(), Fault> {
    if filled.is_empty() {
        return Ok(());
    }
    let context = format!(
        "the schema {schema} is not empty ({}): choose another one, or an empty database; nothing was moved",
        filled.join(", ")
    );
    Err(StorageError::internal(context).into())
}
