//! A PostgreSQL database of one test's own, gone when the test is over. The server is the one of
//! `AEROSTORE_TEST_POSTGRES`, as `scripts/test` starts it.

#![allow(clippy::expect_used, reason = "tests")]

use std::future::Future;

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

/// An empty database.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    server: String,
    name: String,
}

impl TestDatabase {
    /// Makes one.
    pub(crate) fn new() -> Self {
        let server = std::env::var("AEROSTORE_TEST_POSTGRES").expect(
            "AEROSTORE_TEST_POSTGRES is not set: run scripts/test, or \
             export AEROSTORE_TEST_POSTGRES=$(scripts/postgres start DIR)",
        );
        Self::on(server)
    }

    /// Makes one on a server of the test's own.
    pub(crate) fn on(server: String) -> Self {
        let database = Self { server, name: format!("test_{}", Uuid::new_v4().simple()) };
        database.administer(format!("CREATE DATABASE {}", database.name));
        database
    }

    /// Makes one where the tests are run over PostgreSQL (`AEROSTORE_TEST_ENGINE=postgres`).
    pub(crate) fn if_asked_for() -> Option<Self> {
        match std::env::var("AEROSTORE_TEST_ENGINE").as_deref() {
            Ok("postgres") => Some(Self::new()),
            Ok("sqlite") | Err(_) => None,
            Ok(other) => panic!("AEROSTORE_TEST_ENGINE is '{other}', which is no engine"),
        }
    }

    pub(crate) fn url(&self) -> String {
        let (place, _) = self.server.rsplit_once('/').unwrap();
        format!("{place}/{}", self.name)
    }

    /// A connection past the server of ours, as an administrator has it.
    pub(crate) async fn admin(&self) -> Client {
        connect(&self.url()).await
    }

    fn administer(&self, statement: String) {
        let server = self.server.clone();
        wait(async move { connect(&server).await.batch_execute(&statement).await.unwrap() });
    }
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL does not answer");
    tokio::spawn(connection);
    client
}

/// Waits on a thread with a runtime of its own, as the test's may be busy, gone or not there.
fn wait(work: impl Future<Output = ()> + Send + 'static) {
    let thread = std::thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
    });
    drop(thread.join());
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        self.administer(format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }
}
