//! What lies in a cloud store already becomes objects: without travelling where it lies beside the blobs.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cloud::Cloud;
use crate::support::{Server, Who};

/// Puts objects into a store, as somebody would who knows nothing of Aerostore.
async fn fill(cloud: &Cloud, names: &[(&str, &str)]) {
    for (name, bytes) in names {
        cloud.put(name, bytes).await;
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
async fn is_adopted(cloud: Cloud, active: bool) {
    let large = "large ".repeat(500_000);
    let small = [("old/a/1", "one"), ("old/a%20b", "two"), ("old/large", &large), ("beside", "beside")];
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
    let left: Vec<_> = cloud.kept().await;
    assert!(left.iter().all(|name| !name.contains("/old/") && !name.contains("beside")), "{left:?}");
    assert_eq!(left.len(), if active { 3 } else { 0 }, "what is left are blobs: {left:?}");
    for (place, bytes) in [("box/all/old/large", large.as_str()), ("box/all/beside", "beside")] {
        assert_eq!(server.content(place).await.unwrap(), bytes.as_bytes(), "{place}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn a_store_copies_what_it_keeps_already() {
    is_adopted(Cloud::moto(), true).await;
}

#[tokio::test]
async fn what_is_kept_elsewhere_is_brought() {
    is_adopted(Cloud::moto(), false).await;
}

#[tokio::test]
async fn azure_copies_what_it_keeps_already() {
    is_adopted(Cloud::azurite(), true).await;
}

#[tokio::test]
async fn what_azure_keeps_is_brought() {
    is_adopted(Cloud::azurite(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn google_copies_what_it_keeps_already() {
    is_adopted(Cloud::gcs().await, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_google_keeps_is_brought() {
    is_adopted(Cloud::gcs().await, false).await;
}

/// Names that begin with a slash, or have an empty segment, are other objects' than those without, and can't be asked for: they are told
/// of, each of them, and hide nothing.
async fn odd_names_are_told_of(cloud: Cloud) {
    let cloud = cloud.alone().await;
    let server = Server::start_with(&cloud.settings(false));
    server.bucket(Who::Service, "box", "private").await;
    let asked = |path: &str| json!({ "provider": "cloud", "path": path, "bucket": "box" });
    let told = |job: &Value| -> Vec<(String, String)> {
        let failures = job["report"]["failures"].as_array().unwrap().iter();
        let text = |failure: &Value, name: &str| failure[name].as_str().unwrap().to_owned();
        failures.map(|failure| (text(failure, "path"), text(failure, "message"))).collect()
    };
    let names = |job: &Value| told(job).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    // Nothing else is there.
    fill(&cloud, &[("%2Fa", "slashed"), ("%2Fold/1", "slashed")]).await;
    let job = adopt(&server, asked("")).await;
    assert_eq!((&job["done"], names(&job)), (&json!(0), vec!["/a".to_owned(), "/old/1".to_owned()]), "{job}");
    let job = adopt(&server, asked("old")).await;
    assert_eq!((&job["done"], names(&job)), (&json!(0), vec!["/old/".to_owned()]), "{job}");
    assert!(told(&job)[0].1.contains("begin with a slash"), "{job}");

    fill(&cloud, &[("-b", "b"), ("a", "plain"), ("old/1", "one"), ("old/%2F2", "two"), ("z", "z")]).await;
    let job = adopt(&server, asked("")).await;
    assert_eq!((&job["done"], names(&job).join(" ")), (&json!(4), "/a /old/1 old//2".to_owned()), "{job}");
    assert!(told(&job)[0].1.contains("begins or ends with a slash"), "{job}");
    for (place, bytes) in [("box/-b", "b"), ("box/a", "plain"), ("box/old/1", "one"), ("box/z", "z")] {
        assert_eq!(server.content(place).await.unwrap(), bytes.as_bytes(), "{place}");
    }
    let again =
        adopt(&server, json!({ "provider": "cloud", "path": "old", "bucket": "box", "prefix": "new" })).await;
    assert_eq!((&again["done"], names(&again).join(" ")), (&json!(1), "/2 /old/".to_owned()), "{again}");
    // They stay, where the others go.
    let mut moved = asked("");
    moved["move"] = json!(true);
    let moved = adopt(&server, moved).await;
    assert_eq!((&moved["done"], &moved["report"]["present"]), (&json!(0), &json!(4)), "{moved}");
    assert_eq!(cloud.kept().await, ["/a", "/old/1", "old//2"]);
}

#[tokio::test]
async fn odd_names_of_s3_are_told_of() {
    odd_names_are_told_of(Cloud::moto()).await;
}

#[tokio::test]
async fn odd_names_of_azure_are_told_of() {
    odd_names_are_told_of(Cloud::azurite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_names_of_google_are_told_of() {
    odd_names_are_told_of(Cloud::gcs().await).await;
}
