//! Start and end.

use file_storage::RlsContext;
use file_storage::executor::Executor;
use file_storage::executor::sqlite::{SqliteExecutor, SqliteOptions};
use file_storage::permissions::{Access, AccessRules, Operation};
use file_storage::quota::QuotaScope;
use server::{Server, ServerError};

use crate::support::{TestServer, config};

#[tokio::test]
async fn keys_are_shown_by_the_first_start_alone() {
    let data_dir = tempfile::tempdir().unwrap();
    let first = Server::open(config(data_dir.path(), &[])).await.unwrap();
    let service_key = first.new_keys().unwrap().service_key.clone();
    assert!(service_key.split('.').count() == 3, "a JWT");
    drop(first);
    let second = Server::open(config(data_dir.path(), &[])).await.unwrap();
    assert!(second.new_keys().is_none());
}

#[tokio::test]
async fn a_server_stops_and_starts_again_on_the_same_data() {
    let data_dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let server = TestServer::start(data_dir.path(), &[]).await;
        assert_eq!(server.get("/healthz", None).await, (200, "ok\n".to_owned()));
        server.stop().await;
    }
    let left: Vec<_> = std::fs::read_dir(data_dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("-wal") || name.ends_with("-shm"))
        .collect();
    assert!(left.is_empty(), "the database was closed: {left:?}");
}

#[tokio::test]
async fn an_address_in_use_is_said_and_nothing_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let parent = tempfile::tempdir().unwrap();
    let data_dir = parent.path().join("data");
    let refused = Server::open(config(&data_dir, &[("listen", &address)])).await.err().unwrap();
    assert!(matches!(refused, ServerError::Listen { .. }), "{refused}");
    assert!(refused.to_string().contains(&address), "{refused}");
    assert!(!data_dir.exists());
}

/// The quota of everything that the database knows.
async fn global_quota(database: &std::path::Path) -> Option<u64> {
    let executor: Box<dyn Executor> = Box::new(SqliteExecutor::open(SqliteOptions::new(database)).unwrap());
    let caller = RlsContext::system("test");
    let access = Access::check(&caller, Operation::ManageQuotas, None, AccessRules::default()).unwrap();
    executor.quota(&access, &QuotaScope::Global).await.unwrap().limit
}

#[tokio::test]
async fn a_server_that_does_not_start_changes_nobodys_quotas() {
    let (data_dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("metadata.sqlite");
    let database = format!("sqlite:{}", file.display());
    let open = async |quota: &str| {
        let settings = [("database", &*database), ("quotas.global", quota)];
        Server::open(config(data_dir.path(), &settings)).await
    };
    drop(open("1MB").await.unwrap());
    assert_eq!(global_quota(&file).await, Some(1_000_000));
    let identity = data_dir.path().join("provider-id");
    let said = std::fs::read(&identity).unwrap();
    std::fs::write(&identity, "something else").unwrap();
    assert!(open("2MB").await.is_err());
    assert_eq!(global_quota(&file).await, Some(1_000_000));
    std::fs::write(&identity, said).unwrap();
    drop(open("2MB").await.unwrap());
    assert_eq!(global_quota(&file).await, Some(2_000_000));
}
