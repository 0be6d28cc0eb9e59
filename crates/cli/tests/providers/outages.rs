//! What callers are told while a provider is ill, in each protocol; and what is left when a server is killed.

use std::time::Duration;

use serde_json::Value;

use crate::cloud::{Cloud, SECRET};
use crate::fault_proxy::{Fault, FaultProxy};
use crate::signer::{Ask, Client, Signer};
use crate::support::{OWNER, Reply, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// A server whose provider is behind a proxy.
async fn behind_proxy(settings: &[(&str, &str)]) -> (FaultProxy, Cloud, Server) {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud =
        settings.iter().fold(Cloud::s3(proxy.address()), |cloud, (key, value)| cloud.with(key, value));
    let server = cloud.serve();
    server.bucket(ME, "box", "private").await;
    // Looked at past the proxy.
    (proxy, Cloud { endpoint: moto.endpoint, ..cloud }, server)
}

async fn put(server: &Server, place: &str) -> Reply {
    server.call(ME, "PUT", &format!("/object/{place}")).body(pattern(100_000)).send().await
}

/// That an answer tells of provider and operation, and when to come back.
#[track_caller]
pub(crate) fn told(reply: &Reply, operation: &str) -> Value {
    let body = reply.json();
    assert_eq!((&body["provider"], &body["operation"]), (&"cloud".into(), &operation.into()), "{body}");
    assert_eq!(body["retryable"], true, "{body}");
    if reply.status == 503 {
        let seconds = reply.header("retry-after").parse::<u64>().unwrap();
        assert!(seconds >= 1);
        assert_eq!(body["retry_after"], seconds, "{body}");
    }
    assert!(!reply.text().contains(SECRET) && !reply.text().contains("127.0.0.1"), "{body}");
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_told_and_ends() {
    let settings = [
        ("RETRY_ATTEMPTS", "2"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "4"),
        ("CIRCUIT_BREAKER_TIMEOUT", "1s"),
    ];
    let (proxy, cloud, server) = behind_proxy(&settings).await;
    put(&server, "box/before").await.expect_status(200);
    proxy.otherwise(Fault::Answer(503));
    proxy.forget_requests();
    told(&put(&server, "box/a").await.expect_error(503, "PROVIDER_UNAVAILABLE"), "write");
    assert_eq!(proxy.count("PUT"), 2);
    // What is left of that is deleted, or tried to be: which counts, too.
    let mut more = 0;
    while put(&server, "box/b").await.json()["code"] != "CIRCUIT_OPEN" {
        more += 1;
        assert!(more < 4, "the circuit does not open: {}", server.log());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let asked = proxy.requests().len();
    let open = told(&put(&server, "box/c").await.expect_error(503, "CIRCUIT_OPEN"), "write");
    assert!(open["retry_after"].as_u64().unwrap() >= 1);
    let read = server.call(ME, "GET", "/object/box/before").send().await;
    told(&read.expect_error(503, "CIRCUIT_OPEN"), "read");
    // The same in S3's words.
    let key = Signer { token: Some(server.token(ME)), ..Signer::new("any-project", &server.key("anon_key")) };
    let s3 =
        Client::new(server.address).signed(&key, Ask::new("GET", "/box/before")).await.expect_status(503);
    assert!(s3.text().contains("<Code>ServiceUnavailable</Code>"), "{}", s3.text());
    assert!(s3.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert_eq!(proxy.requests().len(), asked);
    let metrics = server.request(Who::Service, "GET", "/metrics").send().await.text();
    for figure in [
        "storage_backend_circuit_state{backend=\"cloud\"} 2",
        "storage_backend_circuit_opened_total{backend=\"cloud\"} 1",
        "storage_backend_retries_total{operation=\"write\",backend=\"cloud\"}",
    ] {
        assert!(metrics.contains(figure), "{figure} in {metrics}");
    }
    let log = server.log_until("circuit opened").await;
    let opened = log.lines().find(|line| line.contains("circuit opened")).unwrap();
    assert!(opened.contains("the store answered 503"), "{opened}");
    assert!(log.contains("retry 2 of 2") && !log.contains(SECRET), "{log}");

    proxy.otherwise(Fault::Pass);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    put(&server, "box/after").await.expect_status(200);
    assert_eq!(server.content("box/before").await.unwrap(), pattern(100_000));
    server.log_until("circuit closed").await;
    server.expect_clean().await;
    assert_eq!(cloud.kept().await.len(), 2, "of what failed, nothing is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_stands_still_is_given_up() {
    let settings = [("RETRY_ATTEMPTS", "1"), ("UPLOAD_TIMEOUT", "1s"), ("DOWNLOAD_TIMEOUT", "1s")];
    let (proxy, _, server) = behind_proxy(&settings).await;
    put(&server, "box/before").await.expect_status(200);
    proxy.plan("PUT", [Fault::Stall]);
    told(&put(&server, "box/a").await.expect_error(504, "OPERATION_TIMEOUT"), "write");
    proxy.plan("GET", [Fault::Stall]);
    let read = server.call(ME, "GET", "/object/box/before").send().await;
    told(&read.expect_error(504, "OPERATION_TIMEOUT"), "read");
    put(&server, "box/a").await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_queue_callers_are_told_to_come_back() {
    let settings = [
        ("MAX_CONCURRENT_UPLOADS", "1"),
        ("MAX_WAITING", "1"),
        ("UPLOAD_TIMEOUT", "5s"),
        ("RETRY_ATTEMPTS", "1"),
    ];
    let (proxy, _, server) = behind_proxy(&settings).await;
    // What a start writes is written before it.
    put(&server, "box/before").await.expect_status(200);
    proxy.plan("PUT", [Fault::Stall]);
    let [waiting, refused] = ["waiting", "overloaded_total"]
        .map(|what| format!("storage_backend_{what}{{operation=\"upload\",backend=\"cloud\"}}"));
    let (first, second, third) = tokio::join!(
        put(&server, "box/a"),
        async {
            while !proxy.is_done() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            put(&server, "box/b").await
        },
        async {
            server.until_figure(&waiting, |uploads| uploads == 1.0).await;
            put(&server, "box/c").await
        }
    );
    told(&third.expect_error(503, "OVERLOADED"), "write");
    first.expect_error(504, "OPERATION_TIMEOUT");
    second.expect_status(200);
    assert_eq!(server.figure(&refused).await, Some(1.0));
    assert_eq!(server.figure(&waiting).await, Some(0.0));
    put(&server, "box/b").await.expect_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_leaves_no_unfinished_upload() {
    let (proxy, cloud, server) = behind_proxy(&[]).await;
    proxy.plan("partNumber=2", [Fault::Stall]);
    let upload = server.call(ME, "PUT", "/object/box/large").body(pattern(12_000_000));
    let upload = tokio::spawn(upload.start());
    while proxy.count("partNumber") < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cloud.unfinished().await.len(), 1);
    upload.abort();
    server.kill();
    let server = Server::start_in(server.stop(), &cloud.settings(true));
    server.log_until("gave up an upload that a crash cut off").await;
    assert_eq!(cloud.unfinished().await, [""; 0]);
    assert_eq!(cloud.kept().await, [""; 0]);
    server.bucket(ME, "other", "private").await;
    put(&server, "other/a").await.expect_status(200);
}
