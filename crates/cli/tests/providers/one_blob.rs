//! One blob that its store does not give, while the store is well otherwise: that is no outage, its copy is read, and a scrub
//! names it.

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::copies::until_copied;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::scrub::{expect, scrub};
use crate::support::{OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// More than anybody asks.
const ALWAYS: usize = 1000;

/// A server with two files, of which the store gives one no more, and how the store calls that one.
async fn with_a_bad_blob(fault: Fault, copies: bool, delay: &str) -> (FaultProxy, Server, String) {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud = Cloud::s3(proxy.address()).with("RETRY_INITIAL_DELAY", delay);
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_SCRUB_RATE", "0"));
    if copies {
        settings.push(("AEROSTORE_STORAGE_BACKUP_PROVIDERS", "local"));
    }
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    server.put(ME, "box/bad", pattern(700_000)).await;
    let names = Cloud { endpoint: moto.endpoint, ..cloud }.kept().await;
    assert_eq!(names.len(), 1, "{names:?}");
    let bad = names[0].clone();
    server.put(ME, "box/good", pattern(30_000)).await;
    if copies {
        until_copied(&server, "local", 2).await;
    }
    proxy.plan(&format!("GET /aerostore/{bad}"), vec![fault; ALWAYS]);
    proxy.forget_requests();
    (proxy, server, bad)
}

async fn health(server: &Server) -> Value {
    server.request(Who::Service, "GET", "/api/v1/storage/health/cloud").send().await.expect_status(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_no_outage_and_a_scrub_names_it() {
    let (proxy, server, bad) = with_a_bad_blob(Fault::Answer(500), false, "20ms").await;
    for _ in 0..6 {
        let read = server.call(ME, "GET", "/object/box/bad").send().await;
        read.expect_error(503, "PROVIDER_UNAVAILABLE");
        assert_eq!(server.content("box/good").await.unwrap(), pattern(30_000));
    }
    // Nor where nothing else is asked for.
    for _ in 0..6 {
        let read = server.call(ME, "GET", "/object/box/bad").send().await;
        read.expect_error(503, "PROVIDER_UNAVAILABLE");
    }
    assert!(proxy.count(&format!("GET /aerostore/{bad}")) >= 36);
    let health = health(&server).await;
    assert_eq!((&health["circuit"], &health["error"]), (&json!("closed"), &Value::Null), "{health}");
    assert!(!server.log().contains("circuit opened"), "{}", server.log());

    let found = expect(&scrub(&server, &[]), 1);
    assert_eq!((&found["done"], &found["report"]["left"]), (&json!(2), &json!(1)), "{found}");
    assert_eq!(found["report"]["skipped"], Value::Null, "{found}");
    let finding = &found["report"]["findings"][0];
    assert_eq!((&finding["path"], &finding["problem"]), (&json!("bad"), &json!("read_error")), "{found}");
    assert!(!server.log().contains("circuit opened"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_copy_is_read_after_one_attempt() {
    // Half a body: what was given stays, and the rest is the copy's.
    for fault in [Fault::Answer(500), Fault::Drop, Fault::ResetAfter(300_000)] {
        let (proxy, server, bad) = with_a_bad_blob(fault, true, "5s").await;
        for _ in 0..3 {
            assert!(server.content("box/bad").await.unwrap() == pattern(700_000), "{fault:?}");
        }
        assert_eq!(proxy.count(&format!("GET /aerostore/{bad}")), 3, "{fault:?}");
        assert_eq!(health(&server).await["circuit"], "closed");
        server.log_until("served from a copy").await;
    }
}
