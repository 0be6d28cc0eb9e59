//! A database of one test's own, gone when the test is over.

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

use crate::executor::postgres::PostgresAddress;

/// An empty database.
pub(super) struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// Makes one on the server that tests have.
    pub(super) async fn new() -> Self {
        let server = std::env::var("AEROSTORE_TEST_POSTGRES").expect(
            "AEROSTORE_TEST_POSTGRES is not set: run scripts/test, or \
             export AEROSTORE_TEST_POSTGRES=$(scripts/postgres start DIR)",
        );
        let name = format!("test_{}", Uuid::new_v4().simple());
        let admin = connect(&server).await;
        admin.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        Self { server, name }
    }

    pub(super) fn url(&self) -> String {
        let (place, _) = self.server.rsplit_once('/').unwrap();
        format!("{place}/{}", self.name)
    }

    pub(super) fn address(&self) -> PostgresAddress {
        PostgresAddress::parse(&self.url()).unwrap()
    }

    /// A connection past the server of ours, as an administrator has it.
    pub(super) async fn admin(&self) -> Client {
        connect(&self.url()).await
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL does not answer");
    tokio::spawn(connection);
    client
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // On a thread with a runtime of its own, as the test's may be busy or gone.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let admin = connect(&server).await;
                admin.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).await.unwrap();
            });
        });
        drop(dropped.join());
    }
}
