//! A parameter never makes another operation of a request: what is not served says so, and nothing happens.

use crate::signer::{Ask, encode};
use crate::support::{OTHER, OWNER, Server, Who, exchange};
use crate::{client, expect, signer};

const OF_BUCKETS: &str = "accelerate acl analytics encryption inventory location logging metrics notification object-lock \
    ownershipControls policyStatus publicAccessBlock replication requestPayment uploads versioning versions website session \
    attributes legal-hold retention torrent restore select delete uploadId partNumber";
const OF_OBJECTS: &str = "acl attributes legal-hold retention torrent restore select uploads partNumber policy policyStatus versioning \
    versions cors lifecycle encryption website location delete object-lock replication";

#[tokio::test]
async fn deleting_something_of_a_bucket_or_object_never_deletes_it() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "empty", "private").await;
    server.bucket(Who::Service, "full", "private").await;
    server.put(Who::Service, "full/k", "1").await;
    for name in OF_BUCKETS.split_whitespace() {
        let reply = s3.signed(&key, Ask::new("DELETE", "/empty").query(name, "")).await;
        assert!(matches!(reply.status, 405 | 501), "{name}: {} {}", reply.status, reply.text());
    }
    for name in OF_OBJECTS.split_whitespace() {
        let reply = s3.signed(&key, Ask::new("DELETE", "/full/k").query(name, "")).await;
        assert!(matches!(reply.status, 405 | 501), "{name}: {} {}", reply.status, reply.text());
    }
    expect(&s3.signed(&key, Ask::new("HEAD", "/empty")).await, 200, "");
    assert!(server.content("full/k").await.is_some());
    // What is no parameter of S3 is nobody's business.
    expect(&s3.signed(&key, Ask::new("DELETE", "/full/k").query("x-id", "DeleteObject")).await, 204, "");
    expect(&s3.signed(&key, Ask::new("DELETE", "/empty").query("nonce", "1")).await, 204, "");
}

#[tokio::test]
async fn writing_or_reading_something_else_is_not_writing_or_reading() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "full", "private").await;
    server.put(Who::Service, "full/k", "1").await;
    for name in ["policyStatus", "uploads", "location", "versions", "website", "encryption", "restore"] {
        let reply = s3.signed(&key, Ask::new("PUT", "/newbucket").query(name, "")).await;
        assert!(matches!(reply.status, 405 | 501), "{name}: {} {}", reply.status, reply.text());
    }
    expect(&s3.signed(&key, Ask::new("HEAD", "/newbucket")).await, 404, "");
    for name in
        ["cors", "policy", "lifecycle", "encryption", "website", "object-lock", "replication", "versions"]
    {
        let ask = Ask::new("PUT", "/full/k").query(name, "").body("<Xml/>");
        let reply = s3.signed(&key, ask).await;
        assert!(matches!(reply.status, 405 | 501), "{name}: {} {}", reply.status, reply.text());
    }
    assert_eq!(server.content("full/k").await.as_deref(), Some(&b"1"[..]));
    for name in ["retention", "torrent", "legal-hold", "restore", "uploadId", "attributes"] {
        let reply = s3.signed(&key, Ask::new("GET", "/full").query(name, "")).await;
        assert!(matches!(reply.status, 405 | 501), "{name}: {} {}", reply.status, reply.text());
    }
    let both = Ask::new("POST", "/full/k").query("uploads", "").query("uploadId", "x");
    expect(&s3.signed(&key, both).await, 400, "InvalidRequest");
    let put = || Ask::new("PUT", "/full/new").body("1");
    for (name, value) in [
        ("x-amz-if-match-size", "1"),
        ("x-amz-rename-source", "full/k"),
        ("x-amz-copy-source-range", "bytes=0-0"),
        ("x-amz-server-side-encryption-customer-key", "AAAA"),
        ("x-amz-not-known", "1"),
    ] {
        expect(&s3.signed(&key, put().header(name, value)).await, 501, "NotImplemented");
    }
    assert_eq!(server.content("full/new").await, None);
}

#[tokio::test]
async fn a_bucket_is_not_made_other_than_was_asked() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    let make = || Ask::new("PUT", "/made");
    let with =
        |inner: &str| make().body(format!("<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>"));
    for ask in [
        with("<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>"),
        with("<Bucket><Type>Directory</Type></Bucket>"),
        make().header("x-amz-object-ownership", "BucketOwnerPreferred"),
        make().header("x-amz-grant-read", "id=1"),
    ] {
        expect(&s3.signed(&key, ask).await, 501, "NotImplemented");
    }
    expect(&s3.signed(&key, Ask::new("HEAD", "/made")).await, 404, "");
    expect(&s3.signed(&key, make().header("x-amz-object-ownership", "BucketOwnerEnforced")).await, 200, "");
}

#[tokio::test]
async fn documents_are_understood_as_xml_has_it_or_refused() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "docs", "private").await;
    for name in ["keep", "keep-not"] {
        server.put(Who::Service, &format!("docs/{name}"), "1").await;
    }
    let delete = async |name: &str| {
        let all = format!("<Delete><Object><Key>{name}</Key></Object></Delete>");
        s3.signed(&key, Ask::new("POST", "/docs").query("delete", "").body(all)).await
    };
    expect(&delete("keep<![CDATA[-not]]>").await, 400, "MalformedXML");
    let doctype = "<!DOCTYPE Delete><Delete><Object><Key>keep</Key></Object></Delete>";
    let doctype = Ask::new("POST", "/docs").query("delete", "").body(doctype);
    expect(&s3.signed(&key, doctype).await, 400, "MalformedXML");
    assert!(server.content("docs/keep").await.is_some() && server.content("docs/keep-not").await.is_some());
    expect(&delete("keep<!-- a comment is no text -->-not").await, 200, "");
    assert!(server.content("docs/keep").await.is_some() && server.content("docs/keep-not").await.is_none());
    // What the request said comes back as XML can have it.
    let odd = delete("a&#xFFFE;&#1;").await;
    assert!(!odd.text().contains(['\u{fffe}', '\u{1}']), "{}", odd.text());
    // An error of the reader's says as much as any other.
    let bad = s3.signed(&key, Ask::new("PUT", "/docs").query("tagging", "").body("<Tagging>")).await;
    expect(&bad, 400, "MalformedXML");
    for part in ["<Message>", "<Resource>/storage/v1/s3/docs</Resource>", "<RequestId>"] {
        assert!(bad.text().contains(part), "{part}: {}", bad.text());
    }
}

#[tokio::test]
async fn a_document_is_not_read_of_whom_may_not_send_it() {
    let server = Server::start();
    for (bucket, policy) in [("closed", "private"), ("open", "public")] {
        server.bucket(Who::User(OWNER), bucket, policy).await;
    }
    // The answer comes before a byte of the body does.
    for (method, target, code) in [
        ("POST", "closed?delete", "AccessDenied"),
        ("POST", "open?delete", "AccessDenied"),
        ("PUT", "open?cors", "AccessDenied"),
        ("PUT", "open?policy", "AccessDenied"),
        ("PUT", "nobodys", "AccessDenied"),
        ("POST", "open/k?uploadId=1", "AccessDenied"),
        ("PUT", "open/k?tagging", "AccessDenied"),
    ] {
        let head = format!(
            "{method} /storage/v1/s3/{target} HTTP/1.1\r\nhost: {}\r\ncontent-length: 4000000\r\n\r\n",
            server.address
        );
        let reply = exchange(server.address, head).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        assert!(reply.status == 403 && text.contains(code), "{method} {target}: {} {text}", reply.status);
    }
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    let large = Ask::new("PUT", "/open").query("tagging", "").body(vec![b' '; 300_000]);
    expect(&s3.signed(&key, large).await, 400, "MaxMessageLengthExceeded");
}

#[tokio::test]
async fn answers_are_well_formed_whatever_is_asked() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    server.bucket(Who::Service, "names", "private").await;
    for bad in ["a%EF%BF%BE", "%EF%BF%BF"] {
        expect(
            &s3.signed(&key, Ask::new("PUT", &format!("/names/{bad}")).body("1")).await,
            400,
            "InvalidArgument",
        );
        let begin = Ask::new("POST", &format!("/names/{bad}")).query("uploads", "");
        expect(&s3.signed(&key, begin).await, 400, "InvalidArgument");
        let rest = server.call(Who::Service, "PUT", &format!("/object/names/{bad}")).body("1").send().await;
        assert_eq!(rest.status, 400, "{}", rest.text());
    }
    for (list, parameters) in [
        ("", "prefix delimiter marker"),
        ("list-type", "prefix delimiter start-after"),
        ("versions", "prefix delimiter key-marker"),
        ("uploads", "prefix delimiter key-marker upload-id-marker"),
    ] {
        for parameter in parameters.split(' ') {
            for value in ["a\u{1}", "\u{ffff}"] {
                let value_of = if list == "list-type" { "2" } else { "" };
                let ask = Ask::new("GET", "/names").query(parameter, value);
                let ask = if list.is_empty() { ask } else { ask.query(list, value_of) };
                expect(&s3.signed(&key, ask.clone()).await, 400, "InvalidArgument");
                if !parameter.starts_with("upload") {
                    let encoded = s3.signed(&key, ask.query("encoding-type", "url")).await;
                    expect(&encoded, 200, "");
                    assert!(encoded.text().contains(&encode(value)), "{}", encoded.text());
                }
            }
        }
    }
    expect(&s3.signed(&key, Ask::new("GET", "/").query("prefix", "\u{1}")).await, 400, "InvalidArgument");
    let page = s3.signed(&key, Ask::new("GET", "/names").query("max-keys", "5000")).await;
    assert!(page.text().contains("<MaxKeys>1000</MaxKeys>"), "{}", page.text());
}

#[tokio::test]
async fn buckets_are_listed_page_by_page() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::Service));
    for name in ["own-a", "a-own", "own-b", "own-c", "z-own"] {
        server.bucket(Who::Service, name, "private").await;
    }
    let list = async |query: &[(&str, &str)]| {
        let ask = query.iter().fold(Ask::new("GET", "/"), |ask, (name, value)| ask.query(name, value));
        s3.signed(&key, ask).await
    };
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = list(&[("max-buckets", "2"), ("prefix", "own"), ("continuation-token", &token)]).await;
        expect(&page, 200, "");
        let text = page.text();
        assert!(text.matches("<Name>").count() <= 2, "{text}");
        seen.extend(text.split("<Name>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()));
        let Some(next) = text.split("<ContinuationToken>").nth(1) else { break };
        token = next.split('<').next().unwrap().to_owned();
    }
    assert_eq!(seen, ["own-a", "own-b", "own-c"]);
    for bad in ["0", "-1", "10001"] {
        expect(&list(&[("max-buckets", bad)]).await, 400, "InvalidArgument");
    }
}

#[tokio::test]
async fn an_access_control_list_gives_nothing_to_others() {
    let server = Server::start();
    let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
    server.bucket(Who::User(OWNER), "lists", "private").await;
    expect(&s3.signed(&key, Ask::new("PUT", "/lists/k").body("1")).await, 200, "");
    let document = |id: &str| {
        format!(
            "<AccessControlPolicy><Owner><ID>{OWNER}</ID></Owner><AccessControlList><Grant><Grantee \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>{id}</ID></Grantee>\
             <Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>"
        )
    };
    for path in ["/lists", "/lists/k"] {
        let put =
            async |id: &str| s3.signed(&key, Ask::new("PUT", path).query("acl", "").body(document(id))).await;
        expect(&put(&OTHER.to_string()).await, 501, "NotImplemented");
        expect(&put("somebody-else").await, 400, "InvalidArgument");
        expect(&put(&OWNER.to_string()).await, 200, "");
    }
}

#[tokio::test]
async fn a_missing_bucket_and_one_without_rules_answer_pages_alike() {
    let server = Server::start_with(&[("AEROSTORE_CORS_ALLOWED_ORIGINS", "https://good.example")]);
    let s3 = client(&server);
    server.bucket(Who::Service, "closed", "private").await;
    for origin in ["https://good.example", "https://bad.example"] {
        let ask = async |bucket: &str| {
            let ask = Ask::new("OPTIONS", &format!("/{bucket}/k")).header("origin", origin);
            let reply = s3.send(ask.header("access-control-request-method", "PUT")).await;
            let allowed = reply.header("access-control-allow-origin").to_owned();
            (reply.status, allowed)
        };
        assert_eq!(ask("closed").await, ask("missing").await, "{origin}");
    }
}
