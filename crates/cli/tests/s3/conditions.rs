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
async fn a_deletion_takes_the_object_that_its_condition_names() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    let put =
        async |path: &str| s3.signed(&key, Ask::new("PUT", path).body("1")).await.header("etag").to_owned();
    let delete = |path: &str, tag: &str| Ask::new("DELETE", path).header("if-match", tag);
    let tag = put("/box1/a").await;
    for other in ["\"other\"", "other"] {
        expect(&s3.signed(&key, delete("/box1/a", other)).await, 412, "PreconditionFailed");
    }
    expect(&s3.signed(&key, delete("/box1/missing", &tag)).await, 204, "");
    let absent = Ask::new("DELETE", "/box1/a").header("if-none-match", "*");
    expect(&s3.signed(&key, absent).await, 501, "NotImplemented");
    assert!(server.content("box1/a").await.is_some());
    expect(&s3.signed(&key, delete("/box1/a", &tag)).await, 204, "");
    assert_eq!(server.content("box1/a").await, None);

    // Each of many has its own.
    for name in ["a", "b", "c"] {
        put(&format!("/box1/{name}")).await;
    }
    let named = |key: &str, tag: &str| format!("<Object><Key>{key}</Key><ETag>{tag}</ETag></Object>");
    let bare = tag.trim_matches('"');
    let objects = [named("a", "bad"), named("b", bare), named("missing", bare)].concat();
    let many = format!("<Delete>{objects}<Object><Key>c</Key></Object></Delete>");
    let reply = s3.signed(&key, Ask::new("POST", "/box1").query("delete", "").body(many)).await;
    expect(&reply, 200, "");
    let text = reply.text();
    assert_eq!(text.matches("<Deleted>").count(), 3, "{text}");
    assert!(text.contains("<Code>PreconditionFailed</Code><Key>a</Key>"), "{text}");
    for (name, there) in [("a", true), ("b", false), ("c", false)] {
        assert_eq!(server.content(&format!("box1/{name}")).await.is_some(), there, "{name}");
    }

    // The null version is what is current, where a bucket keeps none.
    let null = async |tag: &str| s3.signed(&key, delete("/box1/a", tag).query("versionId", "null")).await;
    expect(&null("\"other\"").await, 412, "PreconditionFailed");
    assert!(server.content("box1/a").await.is_some());
    expect(&null(&tag).await, 204, "");
    assert_eq!(server.content("box1/a").await, None);

    // What a delete marker hides is another; a version has a tag of its own.
    let versions = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    let enable = Ask::new("PUT", "/box1").query("versioning", "").body(versions);
    expect(&s3.signed(&key, enable).await, 200, "");
    let first =
        s3.signed(&key, Ask::new("PUT", "/box1/v").body("1")).await.header("x-amz-version-id").to_owned();
    expect(&s3.signed(&key, Ask::new("DELETE", "/box1/v")).await, 204, "");
    expect(&s3.signed(&key, delete("/box1/v", &tag)).await, 412, "PreconditionFailed");
    let version = |tag: &str| delete("/box1/v", tag).query("versionId", &first);
    expect(&s3.signed(&key, version("\"other\"")).await, 412, "PreconditionFailed");
    expect(&s3.signed(&key, version(&tag)).await, 204, "");
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
