//! docs/policies.md, tried out: every policy on the page does what the table below it says.

use crate::support::{Fixture, anon, bucket, chunked, service, user};
use file_storage::errors::StorageError;
use file_storage::file::{ObjectAttributes, PutMode};
use file_storage::{BucketPolicy, ObjectPath, RlsContext};
use serde_json::{Map, Value, json};
use uuid::Uuid;

const PAGE: &str = include_str!("../../../../docs/policies.md");

const OWNER: u128 = 1;
const ANNA: u128 = 2;
const BERT: u128 = 3;

fn caller(name: &str) -> RlsContext {
    match name {
        "anon" => anon(),
        "anna" => user(ANNA),
        "bert" => user(BERT),
        "owner" => user(OWNER),
        "service" => service(),
        "red" => {
            let claims = Map::from_iter([("app_metadata".to_owned(), json!({ "team": "red" }))]);
            RlsContext::user(Uuid::from_u128(4), claims, "test")
        }
        other => panic!("nobody is called {other}"),
    }
}

/// An object as the page writes it: `docs/a.txt, 12 bytes, text/html, keep`.
struct Asked {
    bucket: String,
    path: ObjectPath,
    bytes: Vec<u8>,
    attributes: ObjectAttributes,
}

fn asked(text: &str) -> Asked {
    let text = text
        .replace("{anna}", &Uuid::from_u128(ANNA).to_string())
        .replace("{bert}", &Uuid::from_u128(BERT).to_string());
    let mut words = text.split(", ");
    let (bucket, path) = words.next().unwrap().split_once('/').unwrap();
    let mut asked = Asked {
        bucket: bucket.to_owned(),
        path: ObjectPath::parse(path).unwrap(),
        bytes: b"12345".to_vec(),
        attributes: ObjectAttributes { content_type: "image/png".to_owned(), ..Default::default() },
    };
    for word in words {
        if let Some(size) = word.strip_suffix(" bytes") {
            asked.bytes = vec![7; size.parse().unwrap()];
        } else if word.contains('/') {
            asked.attributes.content_type = word.to_owned();
        } else {
            asked.attributes.metadata.insert(word.to_owned(), Value::from("yes"));
        }
    }
    asked
}

async fn put(fixture: &Fixture, who: &RlsContext, asked: &Asked, mode: PutMode) -> Result<(), StorageError> {
    let pending = fixture.storage.admit_upload(who, &bucket(&asked.bucket), &asked.path, mode).await?;
    let length = Some(asked.bytes.len() as u64);
    pending.store(asked.attributes.clone(), length, chunked(&asked.bytes)).await.map(drop)
}

/// Tries one line of a table; anything that has to be there is.
async fn tried(fixture: &Fixture, who: &RlsContext, does: &str, asked: &Asked) -> bool {
    let name = bucket(&asked.bucket);
    if does == "create" {
        return put(fixture, who, asked, PutMode::Create).await.is_ok();
    }
    let attributes = ObjectAttributes { content_type: "image/png".to_owned(), ..asked.attributes.clone() };
    let (bucket, path) = (asked.bucket.clone(), asked.path.clone());
    let there = Asked { attributes, bucket, path, bytes: b"12345".to_vec() };
    // As the service role, which nothing restricts; anew, so that it belongs to nobody who is asked.
    fixture.storage.delete(&service(), &name, &asked.path, None).await.unwrap();
    put(fixture, &service(), &there, PutMode::Create).await.unwrap();
    match does {
        "read" => fixture.storage.info(who, &name, &asked.path).await.is_ok(),
        "overwrite" => put(fixture, who, asked, PutMode::Upsert).await.is_ok(),
        "delete" => {
            let outcome = fixture.storage.delete(who, &name, &asked.path, None).await;
            outcome.is_ok_and(|deletion| deletion.object.is_some())
        }
        other => panic!("nobody can {other}"),
    }
}

#[tokio::test]
async fn every_policy_on_the_page_does_what_it_says() {
    let mut policies = 0;
    for section in PAGE.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap();
        let sql = section.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
        let fixture = Fixture::new().await;
        for name in ["docs", "avatars", "inbox"] {
            fixture.bucket(&user(OWNER), name, BucketPolicy::Private).await;
        }
        fixture
            .storage
            .change_policies(&service(), sql)
            .await
            .unwrap_or_else(|error| panic!("{title}: {error}"));
        policies += 1;
        let rows = section.lines().filter(|line| line.starts_with("| ")).skip(2);
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [who, does, object, allowed] = cells.as_slice() else { panic!("{row}") };
            let done = tried(&fixture, &caller(who), does, &asked(object)).await;
            assert_eq!(done, *allowed == "yes", "{title}: {row}");
        }
        // Only who is the service role changes policies.
        for name in ["anon", "anna", "owner"] {
            fixture.storage.change_policies(&caller(name), sql).await.unwrap_err();
            fixture.storage.policies(&caller(name)).await.unwrap_err();
            fixture.storage.drop_policy(&caller(name), "x").await.unwrap_err();
        }
        fixture.audit().await;
    }
    assert_eq!(policies, 10);
}
