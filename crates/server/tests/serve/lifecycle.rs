//! Start and end.

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
