//! Conditional writes and reads, and names that have to be encoded.

use crate::signer::{Ask, encode};
use crate::support::{Server, Who};
use crate::{client, expect, signer};

#[tokio::test]
async fn conditional_writes_decide_under_contention() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "race", "private").await;
    let put = |body: &str| Ask::new("PUT", "/race/x").body(body);
    let all = (0..16).map(|n| s3.signed(&key, put(&n.to_string()).header("if-none-match", "*")));
    let statuses: Vec<_> =
        futures_util::future::join_all(all).await.iter().map(|reply| reply.status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| matches!(status, 200 | 412)), "{statuses:?}");
    let first = s3.signed(&key, Ask::new("HEAD", "/race/x")).await;
    let tag = first.header("etag").to_owned();
    expect(&s3.signed(&key, put("new").header("if-match", "\"other\"")).await, 412, "PreconditionFailed");
    expect(&s3.signed(&key, put("new").header("if-match", &tag)).await, 200, "");
    expect(&s3.signed(&key, put("newer").header("if-match", &tag)).await, 412, "PreconditionFailed");
    // A condition on what is not there is no matter of the condition.
    let missing = |path: &str| Ask::new("PUT", path).body("1").header("if-match", &tag);
    expect(&s3.signed(&key, missing("/race/missing")).await, 404, "NoSuchKey");
    let copied = missing("/race/missing").header("x-amz-copy-source", "race/x");
    expect(&s3.signed(&key, copied).await, 404, "NoSuchKey");
    let onto_itself = |class: &[&str]| {
        let ask = Ask::new("PUT", "/race/x").header("x-amz-copy-source", "race/x");
        class.iter().fold(ask, |ask, class| ask.header("x-amz-storage-class", class))
    };
    expect(&s3.signed(&key, onto_itself(&[])).await, 400, "InvalidRequest");
    expect(&s3.signed(&key, onto_itself(&["STANDARD"])).await, 200, "");
    let copy = |name: &str, value: &str| {
        Ask::new("PUT", "/race/copy").header("x-amz-copy-source", "race/x").header(name, value)
    };
    expect(&s3.signed(&key, copy("x-amz-copy-source-if-match", &tag)).await, 412, "PreconditionFailed");
    expect(&s3.signed(&key, copy("x-amz-copy-source-if-none-match", &tag)).await, 200, "");
    expect(&s3.signed(&key, copy("if-none-match", "*")).await, 412, "PreconditionFailed");
    let get = |name: &str, value: &str| Ask::new("GET", "/race/x").header(name, value);
    let now = s3.signed(&key, Ask::new("HEAD", "/race/x")).await.header("etag").to_owned();
    assert_eq!(s3.signed(&key, get("if-none-match", &now)).await.status, 304);
    expect(&s3.signed(&key, get("if-match", &tag)).await, 412, "PreconditionFailed");
}

#[tokio::test]
async fn names_are_encoded_once_and_come_back_as_they_are() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "names", "private").await;
    let names = [
        "a b",
        "a+b",
        "a%20b",
        "ü/日本",
        "q?x=1&y",
        "#",
        "a//b",
        "folder/",
        "~!*'()",
        "é<&>\"",
        "x=y;z",
        "@:,$",
    ];
    for name in names {
        let path = format!("/names/{}", name.split('/').map(encode).collect::<Vec<_>>().join("/"));
        expect(&s3.signed(&key, Ask::new("PUT", &path).body(name)).await, 200, "");
        let got = s3.signed(&key, Ask::new("GET", &path)).await;
        assert_eq!((got.status, got.text()), (200, name.to_owned()));
        let url = key.by_query(Ask::new("GET", &path), &s3.host, 60);
        assert_eq!(s3.send(url).await.text(), name, "presigned");
    }
    let rest =
        server.call(Who::Service, "POST", "/object/list-v2/names").json(&serde_json::json!({})).send().await;
    let rest = rest.expect_status(200).json();
    let mut listed: Vec<_> = rest["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["key"].as_str().unwrap_or_else(|| o["name"].as_str().unwrap()))
        .collect();
    let mut wanted = names.to_vec();
    listed.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(listed, wanted);
    for bad in ["/names/..", "/names/a/%2E%2E/b", "/names/a%00b", "/names/%ff", "/names//x"] {
        let reply = s3.signed(&key, Ask::new("PUT", bad).body("1")).await;
        assert_eq!(reply.status / 100, 4, "{bad}: {}", reply.text());
    }
}

#[tokio::test]
async fn lists_have_delimiters_pages_and_byte_order() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "lists", "private").await;
    for name in ["Z", "a", "a-b", "a/1", "a/2", "a0", "b|1", "b|2", "ü"] {
        server.put(Who::Service, &format!("lists/{}", encode(name)), "1").await;
    }
    let names = |xml: &str| -> Vec<String> {
        let take = |tag: &str| -> Vec<String> {
            let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
            xml.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap().to_owned()).collect()
        };
        let mut all = take("Key");
        all.extend(take("CommonPrefixes").iter().map(|p| p.replace("<Prefix>", "").replace("</Prefix>", "")));
        all
    };
    let list = async |pairs: &[(&str, &str)]| {
        let ask = pairs.iter().fold(Ask::new("GET", "/lists"), |ask, (name, value)| ask.query(name, value));
        let reply = s3.signed(&key, ask).await;
        expect(&reply, 200, "");
        reply.text()
    };
    assert_eq!(names(&list(&[]).await), ["Z", "a", "a-b", "a/1", "a/2", "a0", "b|1", "b|2", "ü"]);
    assert_eq!(names(&list(&[("delimiter", "/")]).await), ["Z", "a", "a-b", "a0", "b|1", "b|2", "ü", "a/"]);
    assert_eq!(names(&list(&[("delimiter", "|")]).await), ["Z", "a", "a-b", "a/1", "a/2", "a0", "ü", "b|"]);
    assert_eq!(names(&list(&[("prefix", "a"), ("delimiter", "/")]).await), ["a", "a-b", "a0", "a/"]);
    assert_eq!(names(&list(&[("marker", "a/1")]).await), ["a/2", "a0", "b|1", "b|2", "ü"]);
    assert_eq!(
        names(&list(&[("list-type", "2"), ("start-after", "b|1"), ("encoding-type", "url")]).await),
        ["b%7C2", "%C3%BC"]
    );
    let (mut after, mut seen) = (String::new(), Vec::new());
    loop {
        let page = list(&[("delimiter", "/"), ("max-keys", "2"), ("marker", &after)]).await;
        seen.extend(names(&page));
        let Some(next) = page.split("<NextMarker>").nth(1) else { break };
        after = next.split('<').next().unwrap().to_owned();
    }
    seen.sort_unstable();
    assert_eq!(seen, ["Z", "a", "a-b", "a/", "a0", "b|1", "b|2", "ü"]);
    assert!(list(&[("max-keys", "0")]).await.contains("<IsTruncated>false</IsTruncated>"));
    expect(&s3.signed(&key, Ask::new("GET", "/lists").query("max-keys", "-1")).await, 400, "InvalidArgument");
    expect(&s3.signed(&key, Ask::new("GET", "/nowhere")).await, 404, "NoSuchBucket");
}
