//! What clients and foreign suites ask for beyond the great operations, down to single codes and elements.

use crate::signer::{Ask, BASE, encode};
use crate::support::{OTHER, OWNER, Server, Who, exchange};
use crate::{client, expect, signer};

const PUBLIC: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

#[tokio::test]
async fn lists_begin_at_an_empty_token_and_repeat_the_prefix_as_clients_read_it() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    server.put(Who::Service, "box1/a b", "1").await;
    let list =
        |name: &str, value: &str| Ask::new("GET", "/box1").query(name, value).query("encoding-type", "url");
    let second = s3.signed(&key, list("list-type", "2").query("continuation-token", "")).await;
    expect(&second, 200, "");
    assert!(second.text().contains("<Key>a%20b</Key>"), "{}", second.text());
    assert!(second.text().contains("<ContinuationToken></ContinuationToken>"), "{}", second.text());
    let first = s3.signed(&key, list("prefix", "a ")).await;
    assert!(first.text().contains("<Prefix>a </Prefix>"), "{}", first.text());
    let control = s3.signed(&key, list("prefix", "a\u{1}")).await;
    assert!(control.text().contains("<Prefix>a%01</Prefix>"), "{}", control.text());
}

#[tokio::test]
async fn a_body_in_chunks_of_http_needs_no_length() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    let url = key.by_query(Ask::new("PUT", "/box1/chunked"), &s3.host, 60);
    let query: Vec<_> = url.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let head = |coding: &str| {
        format!("PUT {BASE}/box1/chunked?{} HTTP/1.1\r\nhost: {}\r\n{coding}\r\n", query.join("&"), s3.host)
    };
    let sent =
        exchange(server.address, head("transfer-encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n\r\n").await;
    assert_eq!(sent.status, 200, "{}", sent.head);
    assert_eq!(server.content("box1/chunked").await.as_deref(), Some(&b"hello"[..]));
    let endless = exchange(server.address, head("")).await;
    assert_eq!(endless.status, 411, "{}", endless.head);
}

#[tokio::test]
async fn grants_say_what_is_and_take_nothing_from_the_owner() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::User(OWNER), "box1", "public").await;
    let shown = s3.signed(&key, Ask::new("GET", "/box1").query("acl", "")).await.text();
    let (group, owner) = (shown.find(PUBLIC).unwrap(), shown.find("FULL_CONTROL").unwrap());
    assert!(group < owner, "{shown}");
    let put = |grants: &str| {
        let list = format!(
            "<AccessControlPolicy><Owner><ID>{OWNER}</ID></Owner><AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
        );
        Ask::new("PUT", "/box1").query("acl", "").body(list)
    };
    let read = format!(
        "<Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"><URI>{PUBLIC}</URI></Grantee><Permission>READ</Permission></Grant>"
    );
    for grants in ["", &read] {
        expect(&s3.signed(&key, put(grants)).await, 501, "NotImplemented");
    }
    let canned = |word: &str| Ask::new("PUT", "/box1").query("acl", "").header("x-amz-acl", word);
    expect(&s3.signed(&key, canned("public-read-write")).await, 501, "NotImplemented");
    expect(&s3.signed(&key, canned("public-ready")).await, 400, "InvalidArgument");
    expect(&s3.signed(&key, canned("private")).await, 200, "");
}

#[tokio::test]
async fn a_user_lists_buckets_of_their_own_and_of_the_application() {
    let server = Server::start();
    let s3 = client(&server);
    server.bucket(Who::User(OWNER), "own-public", "public").await;
    server.bucket(Who::Service, "of-app", "authenticated").await;
    let listed = async |who| {
        let text = s3.signed(&signer(&server, who), Ask::new("GET", "/")).await.text();
        ["of-app", "own-public"].map(|name| text.contains(&format!("<Name>{name}</Name>")))
    };
    assert_eq!(listed(Who::User(OWNER)).await, [true, true]);
    assert_eq!(listed(Who::User(OTHER)).await, [true, false]);
    assert_eq!(listed(Who::Service).await, [true, true]);
    // What is not listed is read all the same.
    let other = signer(&server, Who::User(OTHER));
    expect(&s3.signed(&other, Ask::new("HEAD", "/own-public")).await, 200, "");
}

#[tokio::test]
async fn attributes_have_a_bare_tag_and_all_parts() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    let put = s3.signed(&key, Ask::new("PUT", "/box1/one").body("1")).await;
    let ask = Ask::new("GET", "/box1/one").query("attributes", "").header("x-amz-object-attributes", "ETag");
    let told = s3.signed(&key, ask).await.text();
    let tag = put.header("etag").trim_matches('"').to_owned();
    assert!(told.contains(&format!("<ETag>{tag}</ETag>")), "{told}");
}

#[tokio::test]
async fn a_write_may_ask_that_another_object_is_there() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    let put = |body: &str, tag: &str| Ask::new("PUT", "/box1/x").body(body).header("if-none-match", tag);
    let first = s3.signed(&key, put("1", "\"other\"")).await;
    expect(&first, 200, "");
    let tag = first.header("etag").to_owned();
    expect(&s3.signed(&key, put("2", &tag)).await, 412, "PreconditionFailed");
    expect(&s3.signed(&key, put("3", "\"other\"")).await, 200, "");
    assert_eq!(server.content("box1/x").await.as_deref(), Some(&b"3"[..]));
}

#[tokio::test]
async fn tags_are_told_by_their_keys_and_counted() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    let put = |tags: &str| Ask::new("PUT", "/box1/x").body("1").header("x-amz-tagging", tags);
    expect(&s3.signed(&key, put("foo=bar&bar")).await, 200, "");
    let told = s3.signed(&key, Ask::new("GET", "/box1/x").query("tagging", "")).await.text();
    assert!(told.find("<Key>bar</Key>") < told.find("<Key>foo</Key>"), "{told}");
    let eleven = (0..11).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join("&");
    expect(&s3.signed(&key, put(&eleven)).await, 400, "InvalidTag");
}

#[tokio::test]
async fn a_lock_that_is_not_there_is_passed_by_and_digests_are_checked() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    server.put(Who::Service, "box1/a", "1").await;
    server.put(Who::Service, "box1/b", "1").await;
    let bypass = |ask: Ask| ask.header("x-amz-bypass-governance-retention", "true");
    expect(&s3.signed(&key, bypass(Ask::new("DELETE", "/box1/a"))).await, 204, "");
    let many =
        Ask::new("POST", "/box1").query("delete", "").body("<Delete><Object><Key>b</Key></Object></Delete>");
    expect(&s3.signed(&key, bypass(many)).await, 200, "");
    assert_eq!((server.content("box1/a").await, server.content("box1/b").await), (None, None));
    expect(&s3.signed(&key, bypass(Ask::new("PUT", "/box1/a").body("1"))).await, 501, "NotImplemented");
    let bad = Ask::new("PUT", "/box1/a").body("1").header("x-amz-checksum-sha256", "bad");
    expect(&s3.signed(&key, bad).await, 400, "BadDigest");
    let url = key.by_query(Ask::new("GET", "/box1/a"), &s3.host, 0);
    expect(&s3.send(url).await, 403, "AuthorizationQueryParametersError");
}
