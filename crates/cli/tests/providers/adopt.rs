//! What lies in a cloud store already becomes objects: without travelling where it lies beside the blobs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Server, Who};

/// Puts objects into a store, as somebody would who knows nothing of Aerostore.
async fn fill(cloud: &Cloud, names: &[(&str, &str)]) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (name, bytes) in names {
        let url = format!("{}/aerostore/{}/{name}", cloud.endpoint, cloud.prefix);
        let put = client.put(url).header("content-type", "text/x-old").header("cache-control", "max-age=7");
        let put = put.header("content-language", "de").body((*bytes).to_owned()).send();
        assert!(put.await.unwrap().status().is_success(), "{name}");
    }
}

async fn adopt(server: &Server, asked: Value) -> Value {
    let asked = server.request(Who::Service, "POST", "/api/v1/storage/adopt").json(&asked).send().await;
    let id = asked.expect_status(202).json()["id"].as_str().unwrap().to_owned();
    for _ in 0..1200 {
        let path = format!("/api/v1/storage/jobs/{id}");
        let job = server.request(Who::Service, "GET", &path).send().await.expect_status(200).json();
        if !["pending", "running"].contains(&job["status"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the job never ends: {}", server.log());
}

/// `active`: the objects' own bytes go to the same store, which copies them by itself.
async fn is_adopted(active: bool) {
    let cloud = Cloud::moto();
    let large = "large ".repeat(500_000);
    let small = [("old/a/1", "one"), ("old/a b", "two"), ("old/large", &large), ("beside", "beside")];
    fill(&cloud, &small).await;
    // What another server's provider says of itself, deeper in the bucket.
    fill(&cloud, &[("old/its/provider-id", "0198c1d2-0000-7000-8000-000000000001")]).await;
    let server = Server::start_with(&cloud.settings(active));
    server.bucket(Who::Service, "box", "private").await;
    server.put(Who::Service, "box/ours", "o".repeat(5000)).await;
    let asked = |more: Value| {
        let mut asked = json!({ "provider": "cloud", "path": "old", "bucket": "box", "prefix": "new" });
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        asked
    };
    let looked = adopt(&server, asked(json!({ "dry_run": true }))).await;
    assert_eq!((&looked["done"], &looked["failures"]), (&json!(3), &json!(0)), "{looked}");
    let job = adopt(&server, asked(json!({}))).await;
    assert_eq!((&job["done"], &job["failures"], &job["status"]), (&json!(3), &json!(0), &json!("completed")));
    let again = adopt(&server, asked(json!({}))).await;
    assert_eq!((&again["done"], &again["report"]["present"]), (&json!(0), &json!(3)), "{again}");
    assert_eq!(server.content("box/new/a%20b").await.unwrap(), b"two");
    assert_eq!(server.content("box/new/large").await.unwrap(), large.as_bytes());
    let info =
        server.call(Who::Service, "GET", "/object/info/box/new/a/1").send().await.expect_status(200).json();
    assert_eq!(info["content_type"], "text/x-old", "{info}");
    assert_eq!(info["cache_control"], "max-age=7", "{info}");

    // All of the provider: its blobs are nobody's originals, and the rest goes when it is moved.
    let all = json!({ "provider": "cloud", "bucket": "box", "prefix": "all", "move": true });
    let job = adopt(&server, all).await;
    assert_eq!((&job["done"], &job["failures"]), (&json!(4), &json!(0)), "{job}");
    let left: Vec<_> = cloud.names().await;
    assert!(left.iter().all(|name| !name.contains("/old/") && !name.contains("beside")), "{left:?}");
    assert_eq!(left.len(), if active { 3 } else { 0 }, "what is left are blobs: {left:?}");
    for (place, bytes) in [("box/all/old/large", large.as_str()), ("box/all/beside", "beside")] {
        assert_eq!(server.content(place).await.unwrap(), bytes.as_bytes(), "{place}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn a_store_copies_what_it_keeps_already() {
    is_adopted(true).await;
}

#[tokio::test]
async fn what_is_kept_elsewhere_is_brought() {
    is_adopted(false).await;
}
