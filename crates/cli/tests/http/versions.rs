//! Versions by REST: kept, listed, read, restored and deleted; who may not, is refused at every door.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Reply, Server, Who};

const ME: Who = Who::User(OWNER);

async fn kept(server: &Server, name: &str, policy: &str) {
    server.bucket_with(ME, json!({ "name": name, "policy": policy, "versioning": "enabled" })).await;
}

async fn list(server: &Server, who: Who, bucket: &str, asked: Value) -> Reply {
    server.call(who, "POST", &format!("/object/list-versions/{bucket}")).json(&asked).send().await
}

/// The versions of an object, the newest first.
async fn versions(server: &Server, who: Who, bucket: &str, path: &str) -> Vec<Value> {
    let listed = list(server, who, bucket, json!({ "path": path })).await.expect_status(200).json();
    listed["versions"].as_array().unwrap().clone()
}

fn id(version: &Value) -> &str {
    version["version"].as_str().unwrap()
}

#[tokio::test]
async fn what_is_overwritten_and_deleted_can_be_had_back() {
    let server = Server::start();
    kept(&server, "docs", "private").await;
    let large = vec![7; 100_000];
    server.put(ME, "docs/a b", large.clone()).await;
    server.put(ME, "docs/a b", "second").await;
    let found = versions(&server, ME, "docs", "a b").await;
    assert_eq!(found.iter().map(|one| one["size"].as_u64().unwrap()).collect::<Vec<_>>(), [6, 100_000]);
    assert_eq!((&found[0]["is_latest"], &found[1]["is_latest"]), (&json!(true), &json!(false)));
    let first = id(&found[1]).to_owned();
    let old = format!("/object/docs/a%20b?version={first}");
    let read = server.call(ME, "GET", &old).send().await.expect_status(200);
    assert_eq!(read.body, large);
    let part = server.call(ME, "GET", &old).header("range", "bytes=0-9").send().await.expect_status(206);
    assert_eq!(part.body.len(), 10);
    let head = server.call(ME, "HEAD", &old).send().await.expect_status(200);
    assert_eq!(head.header("content-length"), "100000");
    assert_eq!(head.header("etag"), found[1]["etag"].as_str().unwrap());
    let info = server.call(ME, "GET", &format!("/object/info/docs/a%20b?version={first}")).send().await;
    assert_eq!(info.expect_status(200).json()["version"], first.as_str());

    server.call(ME, "DELETE", "/object/docs/a%20b").send().await.expect_status(204);
    server.call(ME, "GET", "/object/docs/a%20b").send().await.expect_error(404, "OBJECT_NOT_FOUND");
    let marker = versions(&server, ME, "docs", "a b").await[0].clone();
    assert_eq!((&marker["is_delete_marker"], &marker["is_latest"]), (&json!(true), &json!(true)));
    let of_marker = format!("/object/docs/a%20b?version={}", id(&marker));
    server.call(ME, "GET", &of_marker).send().await.expect_error(405, "VERSION_IS_DELETE_MARKER");
    server.call(ME, "GET", &old).send().await.expect_status(200);

    // Restored as a new version, and by taking the marker off.
    let restore = json!({ "bucketId": "docs", "key": "a b", "version": first });
    let restored = server.call(ME, "POST", "/object/restore").json(&restore).send().await.expect_status(200);
    assert_ne!(restored.json()["version"], first.as_str());
    assert_eq!(server.content("docs/a%20b").await.unwrap(), large);
    let restored = restored.json()["version"].as_str().unwrap().to_owned();
    for version in [&restored, id(&marker)] {
        let gone = format!("/object/docs/a%20b?version={version}");
        server.call(ME, "DELETE", &gone).send().await.expect_status(204);
        server.call(ME, "GET", &gone).send().await.expect_error(404, "VERSION_NOT_FOUND");
    }
    assert_eq!(server.content("docs/a%20b").await.unwrap(), b"second");
    let bucket = server.call(ME, "GET", "/bucket/docs").send().await.expect_status(200).json();
    assert_eq!((&bucket["file_count"], &bucket["total_size"]), (&json!(1), &json!(100_006)));
    assert_eq!(bucket["versioning"], "enabled");
    server.expect_clean().await;
    // A bucket with old versions is none to be deleted by itself.
    server.call(ME, "DELETE", "/object/docs/a%20b").send().await.expect_status(204);
    server.call(ME, "DELETE", "/bucket/docs").send().await.expect_error(409, "BUCKET_NOT_EMPTY");
    server.call(ME, "DELETE", "/bucket/docs?force=true").send().await.expect_status(200);
    server.expect_clean().await;
}

#[tokio::test]
async fn fs_i3_old_versions_are_closed_to_whom_the_object_is() {
    let server = Server::start();
    for policy in ["private", "authenticated", "public"] {
        kept(&server, policy, policy).await;
        server.put(ME, &format!("{policy}/a"), "first").await;
        server.put(ME, &format!("{policy}/a"), "second").await;
        let version = id(&versions(&server, ME, policy, "a").await[1]).to_owned();
        for who in [Who::Anon, Who::User(OTHER)] {
            let reads = policy == "public" || (policy == "authenticated" && who != Who::Anon);
            // A bucket's policy opens what is current, and no old version.
            let refusal = if who == Who::Anon { 401 } else { 403 };
            let said = format!("{policy} by {who:?}");
            for route in
                ["/object/", "/object/info/", "/object/authenticated/", "/object/info/authenticated/"]
            {
                let path = format!("{route}{policy}/a?version={version}");
                let reply = server.call(who, "GET", &path).send().await;
                assert_eq!(
                    reply.status,
                    if reads { 404 } else { refusal },
                    "{said} {path}: {}",
                    reply.text()
                );
            }
            for route in ["/object/public/", "/object/info/public/"] {
                let path = format!("{route}{policy}/a?version={version}");
                let reply = server.call(who, "GET", &path).send().await;
                let wanted = if policy == "public" { 404 } else { 401 };
                assert_eq!(reply.status, wanted, "{said} {path}: {}", reply.text());
            }
            let listed = list(&server, who, policy, json!({})).await.expect_status(200).json();
            assert_eq!(listed["versions"].as_array().unwrap().len(), usize::from(reads), "{said}");
            let delete = format!("/object/{policy}/a?version={version}");
            let reply = server.call(who, "DELETE", &delete).send().await;
            // What is not there for its caller counts as deleted.
            let wanted = if reads && who != Who::Anon { 204 } else { refusal };
            assert_eq!(reply.status, wanted, "{said}: {}", reply.text());
            let restore = json!({ "bucketId": policy, "key": "a", "version": version });
            let reply = server.call(who, "POST", "/object/restore").json(&restore).send().await;
            let wanted = if reads && who != Who::Anon { 404 } else { refusal };
            assert_eq!(reply.status, wanted, "{said}: {}", reply.text());
            let change = json!({ "versioning": "suspended" });
            let reply = server.call(who, "PUT", &format!("/bucket/{policy}")).json(&change).send().await;
            assert_eq!(reply.status, refusal, "{said}: {}", reply.text());
        }
        assert_eq!(server.content(&format!("{policy}/a")).await.unwrap(), b"second");
        assert_eq!(versions(&server, ME, policy, "a").await.len(), 2);
    }
    // A version without a name is none: least of all the object.
    for method in ["DELETE", "GET"] {
        let unnamed = server.call(ME, method, "/object/private/a?version=").send().await;
        unnamed.expect_error(400, "INVALID_REQUEST");
    }
    assert_eq!(server.content("private/a").await.unwrap(), b"second");
    // A URL is signed for the object, and for no version that its holder names.
    let signed =
        server.call(ME, "POST", "/object/sign/private/a").json(&json!({ "expiresIn": 60 })).send().await;
    let url = signed.expect_status(200).json()["signedURL"].as_str().unwrap().to_owned();
    let version = id(&versions(&server, ME, "private", "a").await[1]).to_owned();
    server.call(Who::Anon, "GET", &url).send().await.expect_status(200);
    let other = format!("{url}&version={version}");
    server.call(Who::Anon, "GET", &other).send().await.expect_error(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn versions_are_listed_in_pages_and_by_folder() {
    let server = Server::start();
    kept(&server, "docs", "private").await;
    for path in ["a", "a", "f/x", "f/y", "f/y", "z"] {
        server.put(ME, &format!("docs/{path}"), "1").await;
    }
    server.call(ME, "DELETE", "/object/docs/z").send().await.expect_status(204);
    let whole = list(&server, ME, "docs", json!({})).await.json();
    let whole: Vec<_> = whole["versions"].as_array().unwrap().iter().map(|one| id(one).to_owned()).collect();
    assert_eq!(whole.len(), 7);
    for limit in [1, 2, 3, 7] {
        let (mut paged, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let page = list(&server, ME, "docs", json!({ "limit": limit, "cursor": cursor })).await.json();
            paged.extend(page["versions"].as_array().unwrap().iter().map(|one| id(one).to_owned()));
            cursor = page["nextCursor"].clone();
            if page["hasNext"] == false {
                break;
            }
        }
        assert_eq!(paged, whole, "{limit}");
    }
    let mut shown: Vec<String> = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let asked = json!({ "with_delimiter": true, "limit": 2, "cursor": cursor });
        let page = list(&server, ME, "docs", asked).await.json();
        let folders = page["folders"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned());
        shown.extend(folders);
        let files = page["versions"].as_array().unwrap();
        shown.extend(files.iter().map(|one| one["path"].as_str().unwrap().to_owned()));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(shown, ["a", "a", "f/", "z", "z"]);
    let folder = list(&server, ME, "docs", json!({ "prefix": "f/" })).await.json();
    assert_eq!(folder["versions"].as_array().unwrap().len(), 3);
    list(&server, ME, "docs", json!({ "cursor": "?" })).await.expect_error(400, "INVALID_REQUEST");
    list(&server, ME, "docs", json!({ "limit": 1001 })).await.expect_error(400, "INVALID_REQUEST");
    list(&server, ME, "docs", json!({ "prefix": "", "path": "a" }))
        .await
        .expect_error(400, "INVALID_REQUEST");
    let off = server.call(ME, "PUT", "/bucket/docs").json(&json!({ "versioning": "off" })).send().await;
    off.expect_error(400, "INVALID_REQUEST");
    let bad = server.call(ME, "PUT", "/bucket/docs").json(&json!({ "versioning": "on" })).send().await;
    bad.expect_error(400, "INVALID_REQUEST");
    server.call(ME, "GET", "/object/docs/a?version=x").send().await.expect_error(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn quotas_moves_and_twenty_writers() {
    let server = Server::start();
    let config = json!({ "name": "tight", "versioning": "enabled", "quota_bytes": 10 });
    server.bucket_with(ME, config).await;
    server.put(ME, "tight/a", "12345").await;
    server.put(ME, "tight/a", "12345").await;
    let full = server.call(ME, "PUT", "/object/tight/a").body("1").send().await;
    full.expect_error(507, "QUOTA_EXCEEDED");
    let restore = json!({ "bucketId": "tight", "key": "a",
        "version": id(&versions(&server, ME, "tight", "a").await[1]) });
    let full = server.call(ME, "POST", "/object/restore").json(&restore).send().await;
    full.expect_error(507, "QUOTA_EXCEEDED");

    kept(&server, "docs", "private").await;
    let writes = (0..20).map(|n| server.put(ME, "docs/a", vec![n; 20_000 + usize::from(n)]));
    join_all(writes).await;
    let found = versions(&server, ME, "docs", "a").await;
    assert_eq!(found.len(), 20);
    for version in &found {
        let path = format!("/object/docs/a?version={}", id(version));
        let read = server.call(ME, "GET", &path).send().await.expect_status(200);
        assert!(read.body.iter().all(|byte| *byte == read.body[0]), "a mix");
        assert_eq!(read.body.len(), 20_000 + usize::from(read.body[0]));
    }
    let current = server.content("docs/a").await.unwrap();
    let to = json!({ "bucketId": "docs", "sourceKey": "a", "destinationKey": "b" });
    server.call(ME, "POST", "/object/move").json(&to).send().await.expect_status(200);
    assert_eq!(server.content("docs/b").await.unwrap(), current);
    assert_eq!(server.content("docs/a").await, None);
    let found = versions(&server, ME, "docs", "a").await;
    assert_eq!((found.len(), &found[0]["is_delete_marker"]), (21, &json!(true)));
    server.expect_clean().await;
    let emptied = server.call(ME, "POST", "/bucket/docs/empty").send().await.expect_status(200).json();
    assert_eq!(emptied["deleted"], 22);
    server.expect_clean().await;
}
