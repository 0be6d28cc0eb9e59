//! A storage that begins on the disk and goes on in a cloud: each object stays where it is, and is served from there.

use crate::cloud::Cloud;
use crate::life::emptied;
use crate::queue::expect_on_disk;
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

#[tokio::test]
async fn old_files_are_read_where_they_are() {
    let cloud = Cloud::moto();
    let server = Server::start_with(&cloud.settings(false));
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/old", pattern(100_000)).await;
    server.put(ME, "box/older", pattern(200_000)).await;
    expect_on_disk(&server, 2).await;
    assert_eq!(cloud.kept().await.len(), 0);

    let server = Server::start_in(server.stop(), &cloud.settings(true));
    server.put(ME, "box/new", pattern(300_000)).await;
    expect_on_disk(&server, 2).await;
    assert_eq!(cloud.kept().await.len(), 1);
    assert_eq!(server.content("box/old").await.unwrap(), pattern(100_000));
    assert_eq!(server.content("box/new").await.unwrap(), pattern(300_000));
    // What is overwritten moves; what is deleted goes from where it was.
    server.put(ME, "box/old", pattern(400_000)).await;
    server.call(ME, "DELETE", "/object/box/older").send().await.expect_status(204);
    emptied(&server).await;
    expect_on_disk(&server, 0).await;
    assert_eq!(cloud.kept().await.len(), 2);

    // Back again: the cloud is read as long as it is configured, and is said to be missing when it is not.
    let server = Server::start_in(server.stop(), &cloud.settings(false));
    server.put(ME, "box/newest", pattern(500_000)).await;
    assert_eq!(server.content("box/new").await.unwrap(), pattern(300_000));
    expect_on_disk(&server, 1).await;
    assert_eq!(cloud.kept().await.len(), 2);
    server.expect_clean().await;
    let server = Server::start_in(server.stop(), &[]);
    assert_eq!(server.content("box/newest").await.unwrap(), pattern(500_000));
    let missing = server.call(ME, "GET", "/object/box/new").send().await;
    let missing = missing.expect_error(503, "PROVIDER_UNAVAILABLE").json();
    assert_eq!((&missing["provider"], &missing["operation"]), (&"cloud".into(), &"read".into()));
    // Nor is anything forgotten for that.
    server.call(ME, "DELETE", "/object/box/new").send().await.expect_status(204);
    let server = Server::start_in(server.stop(), &cloud.settings(false));
    // On PostgreSQL the server that was killed may have claimed the deletion, for 30 s; the next round looks 10 s after that.
    for _ in 0..1200 {
        if cloud.kept().await.len() == 1 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("a blob whose provider was away is never deleted: {}", server.log());
}
