//! A database of a test's own, on the server that tests may use.

use tokio_postgres::{Client, NoTls};
use uuid::Uuid;

pub(crate) struct Database {
    pub(crate) client: Client,
    admin: Client,
    name: String,
}

impl Database {
    /// An empty one, in UTF-8.
    pub(crate) async fn create(url: &str, locale: &str) -> Self {
        let admin = connect(url, None).await;
        let name = format!("aerostore_oracle_{}", Uuid::new_v4().simple());
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE '{locale}'");
        admin.batch_execute(&create).await.unwrap();
        let client = connect(url, Some(&name)).await;
        Self { client, admin, name }
    }

    pub(crate) async fn drop(self) {
        drop(self.client);
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.admin.batch_execute(&drop).await.unwrap();
    }
}

async fn connect(url: &str, database: Option<&str>) -> Client {
    let mut config: tokio_postgres::Config = url.parse().unwrap();
    if let Some(database) = database {
        config.dbname(database);
    }
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(async move {
        // Ends with the client.
        let _ended = connection.await;
    });
    client
}
