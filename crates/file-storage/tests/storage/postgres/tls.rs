//! Encrypted connections, and whom they trust.

use file_storage::errors::StorageError;
use file_storage::executor::Executor;
use file_storage::executor::postgres::{PostgresAddress, PostgresExecutor, PostgresOptions};
use tokio_postgres::NoTls;

use super::cluster::Cluster;

/// Connects with these words after the address; gives whether the connection was encrypted.
async fn encrypted(url: &str, words: &str) -> Result<bool, StorageError> {
    let address = PostgresAddress::parse(&format!("{url}?{words}")).unwrap();
    let executor = PostgresExecutor::open(PostgresOptions::new(address)).await?;
    executor.ping().await?;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let sql = "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) \
         WHERE a.application_name = 'aerostore'";
    let encrypted = client.query_one(sql, &[]).await.unwrap().get(0);
    executor.close().await;
    drop(client);
    driver.await.unwrap().unwrap();
    Ok(encrypted)
}

#[tokio::test]
async fn certificates_are_verified_where_tls_is_required() {
    let (cluster, url) = Cluster::start();
    assert!(!encrypted(&url, "sslmode=prefer").await.unwrap(), "the server has no TLS yet");
    encrypted(&url, "sslmode=require").await.unwrap_err();
    let certificate = cluster.take_tls();
    let trusted = format!("sslmode=verify-full&sslrootcert={certificate}");
    for (words, expected) in [("sslmode=disable", false), ("sslmode=prefer", true), (&trusted, true)] {
        assert_eq!(encrypted(&url, words).await.unwrap(), expected, "{words}");
    }
    encrypted(&url, "sslmode=require").await.expect_err("the system's authorities don't know it");
    let other_name = url.replace("127.0.0.1", "localhost");
    encrypted(&other_name, &trusted).await.expect_err("the certificate is for another name");
}
