//! `?lifecycle`: rules as S3 says them, kept beside those of the API; and nothing that would not be followed.

use serde_json::json;

use crate::signer::Ask;
use crate::support::{OTHER, OWNER, Server, Who};
use crate::{client, expect, signer};

fn ask(method: &'static str) -> Ask {
    Ask::new(method, "/logs").query("lifecycle", "")
}

fn rule(inner: &str) -> String {
    format!("<LifecycleConfiguration><Rule><Status>Enabled</Status>{inner}</Rule></LifecycleConfiguration>")
}

const EXPIRES: &str =
    "<ID>old</ID><Filter><Prefix>a/</Prefix></Filter><Expiration><Days>30</Days></Expiration>";

#[tokio::test]
async fn rules_are_put_shown_and_taken_away_beside_those_of_the_api() {
    let server = Server::start();
    let (s3, service) = (client(&server), signer(&server, Who::Service));
    let (owner, other) = (signer(&server, Who::User(OWNER)), signer(&server, Who::User(OTHER)));
    server.bucket(Who::User(OWNER), "logs", "private").await;
    expect(&s3.signed(&owner, ask("GET")).await, 404, "NoSuchLifecycleConfiguration");
    expect(&s3.signed(&owner, ask("PUT").body(rule(EXPIRES))).await, 403, "AccessDenied");
    expect(&s3.signed(&service, ask("PUT").body(rule(EXPIRES))).await, 200, "");
    let shown = s3.signed(&owner, ask("GET")).await;
    expect(&shown, 200, "");
    for part in ["<ID>old</ID>", "<Prefix>a/</Prefix>", "<Days>30</Days>", "<Status>Enabled</Status>"] {
        assert!(shown.text().contains(part), "{part}: {}", shown.text());
    }
    expect(&s3.signed(&other, ask("GET")).await, 403, "AccessDenied");
    expect(&s3.signed(&owner, ask("DELETE")).await, 403, "AccessDenied");
    expect(&s3.send(ask("GET")).await, 403, "AccessDenied");
    // The API shows both, and S3 its own.
    let api = json!({ "bucket": "logs", "name": "old", "max_age_days": 9 });
    let made = server.request(Who::Service, "POST", "/api/v1/storage/lifecycle").json(&api).send().await;
    made.expect_status(201);
    let all = server.request(Who::Service, "GET", "/api/v1/storage/lifecycle?bucket=logs").send().await;
    let all = all.expect_status(200).json();
    let sources: Vec<_> = all.as_array().unwrap().iter().map(|rule| rule["source"].clone()).collect();
    assert_eq!(sources, [json!("s3"), json!("api")]);
    expect(&s3.signed(&service, ask("DELETE")).await, 204, "");
    expect(&s3.signed(&service, ask("GET")).await, 404, "NoSuchLifecycleConfiguration");
    let left = server.request(Who::Service, "GET", "/api/v1/storage/lifecycle").send().await;
    assert_eq!(left.expect_status(200).json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_would_not_be_followed_is_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::User(OWNER), "logs", "private").await;
    let filter = "<Filter><Prefix/></Filter>";
    for (inner, status, code) in [
        (format!("{EXPIRES}<Transition><Days>3</Days><StorageClass>GLACIER</StorageClass></Transition>"), 501, "NotImplemented"),
        (format!("{filter}<Expiration><Date>2030-01-01T00:00:00Z</Date></Expiration>"), 501, "NotImplemented"),
        ("<Filter><ObjectSizeLessThan>3</ObjectSizeLessThan></Filter><Expiration><Days>3</Days></Expiration>".to_owned(), 501, "NotImplemented"),
        (format!("{filter}<Expiration><Days>0</Days></Expiration>"), 400, "InvalidArgument"),
        (format!("{EXPIRES}<Prefix>b</Prefix>"), 400, "MalformedXML"),
        ("<Expiration><Days>3</Days></Expiration>".to_owned(), 400, "MalformedXML"),
        (format!("{EXPIRES}<NoncurrentVersionExpiration/>"), 400, "MalformedXML"),
        (filter.to_owned(), 400, "InvalidRequest"),
    ] {
        expect(&s3.signed(&key, ask("PUT").body(rule(&inner))).await, status, code);
    }
    // In the words of who wrote it.
    for (inner, said) in [
        (filter.to_owned(), "At least one action"),
        (format!("{filter}<Expiration><Days>40000</Days></Expiration>"), "Days must be at most 36500"),
        (
            format!(
                "{filter}<NoncurrentVersionExpiration><NewerNoncurrentVersions>2</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
            ),
            "NoncurrentVersionExpiration needs NoncurrentDays",
        ),
        (
            "<Filter><Prefix>/a</Prefix></Filter><Expiration><Days>3</Days></Expiration>".to_owned(),
            "Prefix: no path begins so",
        ),
    ] {
        let answer = s3.signed(&key, ask("PUT").body(rule(&inner))).await;
        assert!(answer.text().contains(said), "{said}: {}", answer.text());
    }
    let missing = Ask::new("PUT", "/nowhere").query("lifecycle", "").body(rule(EXPIRES));
    expect(&s3.signed(&key, missing).await, 404, "NoSuchBucket");
    expect(&s3.signed(&key, ask("GET")).await, 404, "NoSuchLifecycleConfiguration");
}
