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

#[tokio::test]
async fn what_no_bucket_has_is_absent_for_whom_may_look() {
    let server = Server::start();
    let s3 = client(&server);
    let (owner, other) = (signer(&server, Who::User(OWNER)), signer(&server, Who::User(OTHER)));
    server.bucket(Who::User(OWNER), "box1", "private").await;
    let ask = |name: &str| Ask::new("GET", "/box1").query(name, "");
    expect(&s3.signed(&owner, ask("publicAccessBlock")).await, 404, "NoSuchPublicAccessBlockConfiguration");
    expect(&s3.signed(&owner, ask("lifecycle")).await, 404, "NoSuchLifecycleConfiguration");
    let payer = s3.signed(&owner, ask("requestPayment")).await;
    assert!(payer.status == 200 && payer.text().contains("<Payer>BucketOwner</Payer>"), "{}", payer.text());
    for name in ["publicAccessBlock", "lifecycle", "requestPayment", "logging"] {
        expect(&s3.signed(&other, ask(name)).await, 403, "AccessDenied");
    }
}

#[tokio::test]
async fn a_request_is_for_the_bucket_of_the_owner_that_it_expects() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::User(OWNER), "box1", "private").await;
    let (owner, other) = (OWNER.to_string(), OTHER.to_string());
    let put =
        |expected: &str| Ask::new("PUT", "/box1/x").body("1").header("x-amz-expected-bucket-owner", expected);
    for wrong in [other.as_str(), "123456789012", ""] {
        expect(&s3.signed(&key, put(wrong)).await, 403, "AccessDenied");
    }
    assert_eq!(server.content("box1/x").await, None);
    expect(&s3.signed(&key, put(&owner)).await, 200, "");
    for (method, query) in [("GET", "list-type"), ("GET", "acl"), ("DELETE", "cors")] {
        let ask = Ask::new(method, "/box1").query(query, "2").header("x-amz-expected-bucket-owner", &other);
        expect(&s3.signed(&key, ask).await, 403, "AccessDenied");
    }
    let copy = |expected: &str| {
        let copy = Ask::new("PUT", "/box1/y").header("x-amz-copy-source", "box1/x");
        copy.header("x-amz-source-expected-bucket-owner", expected)
    };
    expect(&s3.signed(&key, copy(&other)).await, 403, "AccessDenied");
    expect(&s3.signed(&key, copy(&owner)).await, 200, "");
    let no_copy = Ask::new("PUT", "/box1/y").body("1").header("x-amz-source-expected-bucket-owner", &owner);
    expect(&s3.signed(&key, no_copy).await, 400, "InvalidRequest");
}

#[tokio::test]
async fn the_owner_is_compared_where_a_caller_uses_objects_and_does_not_see_the_bucket() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::Service, "app", "private").await;
    let put = |expected: &str| {
        Ask::new("PUT", "/app/mine").body("1").header("x-amz-expected-bucket-owner", expected)
    };
    expect(&s3.signed(&key, put("service")).await, 200, "");
    expect(&s3.signed(&key, put(&OWNER.to_string())).await, 403, "AccessDenied");
    let twice = put("service").header("x-amz-expected-bucket-owner", &OWNER.to_string());
    assert!(s3.signed(&key, twice).await.status >= 400);
    // Whether a bucket is there, is told to nobody by it.
    let ask = async |bucket: &str| {
        let ask =
            Ask::new("GET", &format!("/{bucket}/x")).header("x-amz-expected-bucket-owner", "123456789012");
        let reply = s3.send(ask).await;
        (reply.status, reply.text().contains("owned by"))
    };
    assert_eq!(ask("app").await, ask("missing").await);
}

#[tokio::test]
async fn conditions_are_weighed_or_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::User(OWNER), "box1", "private").await;
    let put = s3.signed(&key, Ask::new("PUT", "/box1/x").body("1")).await;
    let long_ago = ("if-unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT");
    let other = ("if-match", "\"other\"");
    let many = "<Delete><Object><Key>x</Key></Object></Delete>";
    let tags = "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    for ask in [
        Ask::new("PUT", "/box1/x").body("2").header(long_ago.0, long_ago.1),
        Ask::new("PUT", "/box1/x").header("x-amz-copy-source", "box1/x").header(long_ago.0, long_ago.1),
        Ask::new("DELETE", "/box1/x").header(long_ago.0, long_ago.1),
        Ask::new("POST", "/box1").query("delete", "").body(many).header(other.0, other.1),
        Ask::new("PUT", "/box1/x").query("tagging", "").body(tags).header(other.0, other.1),
        Ask::new("DELETE", "/box1").header(other.0, other.1),
    ] {
        expect(&s3.signed(&key, ask).await, 501, "NotImplemented");
    }
    assert_eq!(server.content("box1/x").await.as_deref(), Some(&b"1"[..]));
    // As the RFC has it, the tag goes before the time.
    let tag = put.header("etag").to_owned();
    let both = Ask::new("PUT", "/box1/x").body("3").header("if-match", &tag).header(long_ago.0, long_ago.1);
    expect(&s3.signed(&key, both).await, 200, "");
    for (method, path, header) in [
        ("DELETE", "/object/box1/x", long_ago),
        ("PUT", "/object/box1/x", long_ago),
        ("DELETE", "/bucket/box1", other),
        ("POST", "/bucket/box1/empty", other),
    ] {
        let reply =
            server.call(Who::User(OWNER), method, path).header(header.0, header.1).body("2").send().await;
        assert_eq!(reply.status, 400, "{method} {path}: {}", reply.text());
    }
    assert_eq!(server.content("box1/x").await.as_deref(), Some(&b"3"[..]));
}

#[tokio::test]
async fn who_may_not_delete_a_version_learns_nothing_by_a_condition() {
    let server = Server::start();
    let s3 = client(&server);
    let (owner, other) = (signer(&server, Who::User(OWNER)), signer(&server, Who::User(OTHER)));
    server.bucket(Who::User(OWNER), "box1", "public").await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    expect(&s3.signed(&owner, Ask::new("PUT", "/box1").query("versioning", "").body(on)).await, 200, "");
    let mut ids = Vec::new();
    for body in ["1", "2"] {
        let put = s3.signed(&owner, Ask::new("PUT", "/box1/x").body(body)).await;
        ids.push((put.header("x-amz-version-id").to_owned(), put.header("etag").to_owned()));
    }
    let delete =
        |id: &str, tag: &str| Ask::new("DELETE", "/box1/x").query("versionId", id).header("if-match", tag);
    for (id, tag) in &ids {
        for tag in [tag.as_str(), "\"other\"", "*"] {
            expect(&s3.send(delete(id, tag)).await, 403, "AccessDenied");
            let (with, without) = (delete(id, tag), Ask::new("DELETE", "/box1/x").query("versionId", id));
            let answers = (s3.signed(&other, with).await.status, s3.signed(&other, without).await.status);
            assert_eq!(answers.0, answers.1, "{id} {tag}");
        }
        expect(&s3.signed(&owner, delete(id, "\"other\"")).await, 412, "PreconditionFailed");
    }
    let (id, tag) = &ids[0];
    let rest = async |who: Who, id: &str, tag: &str| {
        let call = server.call(who, "DELETE", &format!("/object/box1/x?version={id}"));
        call.header("if-match", tag).send().await.status
    };
    assert_eq!(rest(Who::User(OWNER), id, "\"other\"").await, 412);
    assert_eq!(rest(Who::User(OWNER), "01890000-0000-7000-8000-000000000000", "*").await, 412);
    assert!(matches!(rest(Who::Anon, id, tag).await, 401 | 403));
    let (id, tag) = &ids[0];
    expect(&s3.signed(&owner, delete(id, tag)).await, 204, "");
    let listed = s3.signed(&owner, Ask::new("GET", "/box1").query("versions", "")).await.text();
    assert!(!listed.contains(id) && listed.contains(&ids[1].0), "{listed}");
}

#[tokio::test]
async fn a_digest_that_is_announced_has_to_come() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "box1", "private").await;
    for (name, value) in [
        ("x-amz-sdk-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-algorithm", "SHA256"),
        ("x-amz-checksum-algorithm", "FOO"),
        ("x-amz-checksum-type", "COMPOSITE"),
    ] {
        let put = Ask::new("PUT", "/box1/x").body("1").header(name, value);
        expect(&s3.signed(&key, put).await, 400, "InvalidRequest");
    }
    assert_eq!(server.content("box1/x").await, None);
    let put = Ask::new("PUT", "/box1/x").body("1").header("x-amz-checksum-algorithm", "SHA256");
    let digest = "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=";
    expect(&s3.signed(&key, put.header("x-amz-checksum-sha256", digest)).await, 200, "");
}
