//! What objects take, by what is asked for: everybody's own, and everything for the service role.

use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Server, Who, pattern};

const ME: Who = Who::User(OWNER);
const USAGE: &str = "/api/v1/storage/usage";

async fn ask(server: &Server, who: Who, rest: &str) -> Value {
    server.request(who, "GET", &format!("{USAGE}{rest}")).send().await.expect_status(200).json()
}

/// Name, number, bytes, average.
fn figures(entries: &Value) -> Vec<(Value, u64, u64, u64)> {
    let number = |entry: &Value, key: &str| entry[key].as_u64().unwrap();
    let figures = |entry: &Value| {
        let numbers = ["file_count", "total_bytes", "average_bytes"].map(|key| number(entry, key));
        (entry["name"].clone(), numbers[0], numbers[1], numbers[2])
    };
    entries.as_array().unwrap().iter().map(figures).collect()
}

#[tokio::test]
async fn usage_is_told_by_user_bucket_provider_and_folder() {
    let server = Server::start();
    server.bucket(Who::Service, "box", "authenticated").await;
    server.bucket(ME, "own", "private").await;
    server.put(ME, "box/a/1", "1234").await;
    server.put(ME, "box/a/2", "12").await;
    server.put(Who::User(OTHER), "box/a/3", "123456").await;
    server.put(Who::User(OTHER), "box/ab", "1").await;
    server.put(ME, "own/large", pattern(100_000)).await;

    let by_user = ask(&server, Who::Service, "?by=user").await;
    let expected = [(json!(OWNER.to_string()), 3, 100_006, 33_335), (json!(OTHER.to_string()), 2, 7, 3)];
    assert_eq!(figures(&by_user["entries"]), expected, "{by_user}");
    let by_bucket = ask(&server, Who::Service, "?by=bucket").await;
    assert_eq!(
        figures(&by_bucket["entries"]),
        [(json!("own"), 1, 100_000, 100_000), (json!("box"), 4, 13, 3)]
    );
    let by_provider = ask(&server, Who::Service, "?by=provider").await;
    assert_eq!(
        figures(&by_provider["entries"]),
        [(json!("local"), 1, 100_000, 100_000), (Value::Null, 4, 13, 3)]
    );
    // Users are told of what is theirs, and of nothing else.
    let own = ask(&server, ME, "?by=bucket").await;
    assert_eq!(figures(&own["entries"]), [(json!("own"), 1, 100_000, 100_000), (json!("box"), 2, 6, 3)]);
    let other = ask(&server, Who::User(OTHER), "?by=user").await;
    assert_eq!(figures(&other["entries"]), [(json!(OTHER.to_string()), 2, 7, 3)]);
    let refused = server.request(ME, "GET", &format!("{USAGE}?by=provider")).send().await;
    assert_eq!(refused.status, 403, "{}", refused.text());

    let unknown = server.request(ME, "GET", &format!("{USAGE}?by=folder")).send().await;
    assert!(
        unknown.text().contains("querystring/by must be one of user, bucket, provider"),
        "{}",
        unknown.text()
    );

    let folder = ask(&server, Who::Service, "/box/a").await;
    assert_eq!(
        figures(&json!([folder])),
        [(json!("box/a"), 3, 12, 4)],
        "no other of which the name begins alike"
    );
    let exact = "2026-11-21T05:00:00.123456Z".len();
    assert!(folder["as_of"].as_str().unwrap().len() <= exact, "in microseconds, as all else: {folder}");
    assert!(folder["oldest"].as_str().unwrap() < folder["newest"].as_str().unwrap(), "{folder}");
    assert_eq!(figures(&json!([ask(&server, ME, "/box/a").await])), [(json!("box/a"), 2, 6, 3)]);
    assert_eq!(figures(&json!([ask(&server, ME, "/own/").await])), [(json!("own"), 1, 100_000, 100_000)]);
    let nothing = ask(&server, Who::User(OTHER), "/own").await;
    let told = ["file_count", "total_bytes", "average_bytes", "oldest"].map(|key| nothing[key].clone());
    assert_eq!(told, [json!(0), json!(0), Value::Null, Value::Null], "{nothing}");

    // An answer is good for a while, and fresh for who wants that.
    server.put(ME, "box/a/4", "1").await;
    assert_eq!(ask(&server, ME, "/box/a").await["file_count"], 2);
    assert_eq!(ask(&server, ME, "/box/a?refresh=true").await["file_count"], 3);
    assert_eq!(ask(&server, ME, "/box/a").await["file_count"], 3);
}
