//! Downloads: ranges, conditions and their precedence (RFC 9110, section 13.2.2), headers, and writes under a condition.

use serde_json::json;

use super::support::{OWNER, Reply, Server, Who, pattern};

/// Inline in the database, on the disk, and of no bytes at all.
const SIZES: [usize; 4] = [0, 1000, 16 * 1024 + 1, 3_000_000];

async fn server_with_objects() -> Server {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "box", "public").await;
    for size in SIZES {
        let call = server.call(Who::User(OWNER), "PUT", &format!("/object/box/{size}")).body(pattern(size));
        let call = call.header("content-type", "image/png").header("cache-control", "max-age=60");
        call.send().await.expect_status(200);
    }
    server
}

async fn get(server: &Server, size: usize, headers: &[(&str, &str)]) -> Reply {
    server.call(Who::Anon, "GET", &format!("/object/box/{size}")).headers(headers).send().await
}

/// The answer to a range: these bytes of the object, or all of it, or 416.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Part(usize, usize),
    Whole,
    Outside,
}

async fn check_range(server: &Server, size: usize, range: &str, wanted: Wanted) {
    let reply = get(server, size, &[("range", range)]).await;
    let said = format!("{range} of {size}: {} {:?}", reply.status, reply.headers);
    let bytes = pattern(size);
    match wanted {
        Wanted::Part(first, last) => {
            assert_eq!(reply.status, 206, "{said}");
            assert!(reply.body == bytes[first..=last], "the wrong bytes: {said}");
            assert_eq!(reply.header("content-range"), format!("bytes {first}-{last}/{size}"), "{said}");
        }
        Wanted::Whole => {
            assert_eq!(reply.status, 200, "{said}");
            assert!(reply.body == bytes, "the wrong bytes: {said}");
            assert_eq!(reply.header("content-range"), "", "{said}");
        }
        Wanted::Outside => {
            assert_eq!(reply.header("content-range"), format!("bytes */{size}"), "{said}");
            let body = reply.expect_error(416, "INVALID_RANGE").json();
            assert_eq!(body["statusCode"], "416");
            return;
        }
    }
    assert_eq!(reply.header("content-length"), reply.body.len().to_string(), "{said}");
    assert_eq!(reply.header("accept-ranges"), "bytes", "{said}");
}

#[tokio::test]
async fn ranges_by_the_book() {
    use Wanted::{Outside, Part, Whole};
    let server = server_with_objects().await;
    for size in &SIZES[1..] {
        let (size, last) = (*size, size - 1);
        for (range, wanted) in [
            ("bytes=0-0".to_owned(), Part(0, 0)),
            ("bytes=0-99".to_owned(), Part(0, 99)),
            ("bytes=500-".to_owned(), Part(500, last)),
            (format!("bytes={last}-"), Part(last, last)),
            (format!("bytes={last}-{last}"), Part(last, last)),
            ("bytes=-1".to_owned(), Part(last, last)),
            ("bytes=-100".to_owned(), Part(size - 100, last)),
            ("bytes=-99999999".to_owned(), Part(0, last)),
            ("bytes=900-99999999999999999999999999".to_owned(), Part(900, last)),
            ("Bytes=1-2".to_owned(), Part(1, 2)),
            (format!("bytes={size}-"), Outside),
            ("bytes=99999999-".to_owned(), Outside),
            ("bytes=99999999999999999999999999-".to_owned(), Outside),
            ("bytes=-0".to_owned(), Outside),
            ("bytes=0-1,5-6".to_owned(), Whole),
            ("bytes=5-1".to_owned(), Whole),
            ("bytes=a-b".to_owned(), Whole),
            ("bytes=-".to_owned(), Whole),
            ("bytes=".to_owned(), Whole),
            ("bytes".to_owned(), Whole),
            ("lines=0-1".to_owned(), Whole),
            ("bytes=--1".to_owned(), Whole),
            ("bytes=0x1-2".to_owned(), Whole),
        ] {
            check_range(&server, size, &range, wanted).await;
        }
    }
    check_range(&server, 0, "bytes=0-", Outside).await;
    check_range(&server, 0, "bytes=-1", Outside).await;
    check_range(&server, 0, "bytes=5-1", Whole).await;
}

#[tokio::test]
async fn conditions_are_weighed_in_the_order_of_the_rfc() {
    let server = server_with_objects().await;
    for size in [1000, 3_000_000] {
        let whole = get(&server, size, &[]).await;
        let (etag, at) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
        let modified = httpdate::parse_http_date(&at).unwrap();
        let second = std::time::Duration::from_secs(1);
        let before = &httpdate::fmt_http_date(modified - second);
        let after = &httpdate::fmt_http_date(modified + second);
        let (tag, at, other) = (&*etag, &*at, "\"other\"");
        let (weak, listed) = (&*format!("W/{etag}"), &*format!("\"a,b\", {etag}"));
        for (conditions, status) in [
            (&[("if-none-match", tag)][..], 304),
            (&[("if-none-match", weak)], 304),
            (&[("if-none-match", listed)], 304),
            (&[("if-none-match", "*")], 304),
            (&[("if-none-match", other)], 200),
            (&[("if-modified-since", at)], 304),
            (&[("if-modified-since", after)], 304),
            (&[("if-modified-since", before)], 200),
            (&[("if-modified-since", "yesterday")], 200),
            (&[("if-match", tag)], 200),
            (&[("if-match", listed)], 200),
            (&[("if-match", "*")], 200),
            (&[("if-match", other)], 412),
            (&[("if-match", weak)], 412),
            (&[("if-unmodified-since", at)], 200),
            (&[("if-unmodified-since", before)], 412),
            (&[("if-unmodified-since", "yesterday")], 200),
            // If-Match decides, and If-Unmodified-Since is not looked at.
            (&[("if-match", tag), ("if-unmodified-since", before)], 200),
            (&[("if-match", other), ("if-unmodified-since", at)], 412),
            // If-None-Match decides, and If-Modified-Since is not looked at.
            (&[("if-none-match", other), ("if-modified-since", at)], 200),
            (&[("if-none-match", tag), ("if-modified-since", before)], 304),
            // What protects comes before what saves bytes.
            (&[("if-match", other), ("if-none-match", tag)], 412),
            (&[("if-match", tag), ("if-none-match", tag)], 304),
            (&[("if-unmodified-since", before), ("if-none-match", tag)], 412),
            // Ranges come last.
            (&[("range", "bytes=0-9"), ("if-none-match", tag)], 304),
            (&[("range", "bytes=0-9"), ("if-match", other)], 412),
            (&[("range", "bytes=0-9"), ("if-match", tag)], 206),
            (&[("range", "bytes=0-9"), ("if-none-match", other)], 206),
            (&[("range", "bytes=99999999-"), ("if-none-match", tag)], 304),
            (&[("range", "bytes=0-9"), ("if-range", tag)], 206),
            (&[("range", "bytes=0-9"), ("if-range", other)], 200),
            (&[("range", "bytes=0-9"), ("if-range", weak)], 200),
            (&[("range", "bytes=0-9"), ("if-range", at)], 206),
            (&[("range", "bytes=0-9"), ("if-range", before)], 200),
            (&[("range", "bytes=0-9"), ("if-range", "nonsense")], 200),
            (&[("range", "bytes=99999999-"), ("if-range", other)], 200),
            (&[("if-range", other)], 200),
        ] {
            let reply = get(&server, size, conditions).await;
            assert_eq!(reply.status, status, "{conditions:?} of {size}: {}", reply.what);
            match status {
                304 => {
                    assert!(reply.body.is_empty(), "{conditions:?}");
                    assert_eq!(
                        (reply.header("etag"), reply.header("cache-control")),
                        (tag, "max-age=60"),
                        "{conditions:?}"
                    );
                }
                412 => assert_eq!(reply.json()["code"], "PRECONDITION_FAILED", "{conditions:?}"),
                206 => assert!(reply.body == pattern(size)[..10], "{conditions:?}"),
                _ => assert!(reply.body == pattern(size), "{conditions:?}"),
            }
            let head = server
                .call(Who::Anon, "HEAD", &format!("/object/box/{size}"))
                .headers(conditions)
                .send()
                .await;
            assert!(head.body.is_empty(), "{conditions:?}");
            if !conditions.iter().any(|(name, _)| *name == "range") {
                assert_eq!(head.status, status, "HEAD {conditions:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_is_a_get_without_its_body() {
    let server = server_with_objects().await;
    let signed =
        server.call(Who::User(OWNER), "POST", "/object/sign/box/1000").send().await.expect_status(200);
    let signed = signed.json()["signedURL"].as_str().unwrap().to_owned();
    let mut paths: Vec<_> = SIZES.iter().map(|size| format!("/object/box/{size}")).collect();
    paths.extend(
        ["/object/public/box/1000", "/object/authenticated/box/1000", "/object/box/1000?download=a", &signed]
            .map(str::to_owned),
    );
    paths.extend(
        ["/object/box/missing", "/object/public/missing/x", "/object/sign/box/1000?token=x"]
            .map(str::to_owned),
    );
    for path in paths {
        let token = Who::User(OWNER);
        let get = server.call(token, "GET", &path).send().await;
        let head = server.call(token, "HEAD", &path).send().await;
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        for (name, value) in &get.headers {
            let is_own = ["date", "x-request-id"].contains(&name.as_str());
            // An error's body has a request id, and so differs by nothing but that.
            assert!(
                is_own || head.headers.get(name) == Some(value),
                "{path}: {name}: {value:?}, {:?}",
                head.headers.get(name)
            );
        }
    }
}

#[tokio::test]
async fn a_download_says_what_it_is_and_what_a_browser_must_not_do_with_it() {
    let server = server_with_objects().await;
    for size in SIZES {
        let reply = get(&server, size, &[]).await.expect_status(200);
        assert!(reply.body == pattern(size), "{size}");
        for (name, value) in [
            ("content-type", "image/png"),
            ("content-length", &*size.to_string()),
            ("accept-ranges", "bytes"),
            ("cache-control", "max-age=60"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(reply.header(name), value, "{size}: {name}");
        }
        let etag = reply.header("etag");
        assert!(etag.len() > 2 && etag.starts_with('"') && etag.ends_with('"'), "{etag}");
        assert!(reply.header("content-security-policy").contains("sandbox"), "{:?}", reply.headers);
        assert!(httpdate::parse_http_date(reply.header("last-modified")).is_ok(), "{:?}", reply.headers);
    }
    // The same holds for what would run in a browser, by every route.
    for kind in ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"] {
        let call = server.call(Who::User(OWNER), "PUT", "/object/box/evil").header("content-type", kind);
        call.body("<script>alert(1)</script>").send().await.expect_status(200);
        let signed =
            server.call(Who::User(OWNER), "POST", "/object/sign/box/evil").send().await.expect_status(200);
        let signed = signed.json()["signedURL"].as_str().unwrap().to_owned();
        for path in ["/object/box/evil", "/object/public/box/evil", "/object/authenticated/box/evil", &signed]
        {
            let reply = server.call(Who::User(OWNER), "GET", path).send().await.expect_status(200);
            assert_eq!(reply.header("x-content-type-options"), "nosniff", "{kind} {path}");
            assert!(reply.header("content-security-policy").contains("sandbox"), "{kind} {path}");
        }
    }
}

#[tokio::test]
async fn a_name_to_save_under_cannot_break_out_of_its_header() {
    let server = server_with_objects().await;
    assert_eq!(get(&server, 1000, &[]).await.header("content-disposition"), "");
    for (asked, kept) in [
        ("download=", ""),
        ("download", ""),
        ("download=a.png", "a.png"),
        ("download=a%20b.png", "a b.png"),
        ("download=%22%3B%20filename%3Devil.exe%22", "\"; filename=evil.exe\""),
        ("download=a%0D%0ASet-Cookie:%20x=y", ""),
        ("download=..%2F..%2Fetc%2Fpasswd", ""),
        ("download=%E2%82%AC%F0%9F%98%80.png", "€😀.png"),
        ("download=a%5Cb%22c", ""),
        ("download=%00%01%7F", ""),
        ("download=%ff%fe", ""),
    ] {
        let reply = server
            .call(Who::Anon, "GET", &format!("/object/box/1000?{asked}"))
            .send()
            .await
            .expect_status(200);
        let disposition = reply.header("content-disposition");
        assert!(disposition.starts_with("attachment"), "{asked}: {disposition}");
        assert_eq!(reply.header("set-cookie"), "", "{asked}");
        assert!(disposition.chars().all(|c| !c.is_control()), "{asked}: {disposition}");
        if let Some((_, encoded)) = disposition.split_once("filename*=UTF-8''") {
            let name = percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap();
            assert!(kept.is_empty() || name == kept, "{asked}: {disposition}");
            let safe = |c: char| c.is_ascii_alphanumeric() || "!#$&+-.^_`|~%'()*".contains(c);
            assert!(encoded.chars().all(safe), "{asked}: {disposition}");
        }
        // A quoted name ends where its quotes do.
        if let Some((_, quoted)) = disposition.split_once("filename=\"") {
            let (_, after) = quoted.split_once('"').unwrap();
            assert!(after.is_empty() || after.starts_with("; filename*=UTF-8''"), "{asked}: {disposition}");
        }
    }
}

#[tokio::test]
async fn writes_under_a_condition() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "box", "private").await;
    for (number, size) in [10, 20_000].into_iter().enumerate() {
        let path = format!("/object/box/{number}");
        let put = |headers: &[(&str, &str)], fill: u8| {
            server.call(Who::User(OWNER), "PUT", &path).headers(headers).body(vec![fill; size]).send()
        };
        put(&[("if-match", "*")], 0).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-match", "\"x\"")], 0).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-none-match", "*")], 1).await.expect_status(200);
        put(&[("if-none-match", "*")], 2).await.expect_error(412, "PRECONDITION_FAILED");
        let etag = || async {
            let reply = server.call(Who::User(OWNER), "HEAD", &path).send().await;
            reply.header("etag").to_owned()
        };
        let first = etag().await;
        put(&[("if-match", "\"x\"")], 3).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-match", &format!("W/{first}"))], 3).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-none-match", &first)], 3).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-match", &first)], 4).await.expect_status(200);
        let second = etag().await;
        assert_ne!(first, second, "other bytes have another tag");
        put(&[("if-match", &first)], 5).await.expect_error(412, "PRECONDITION_FAILED");
        put(&[("if-match", "*")], 6).await.expect_status(200);
        assert_eq!(server.content(&format!("box/{number}")).await, Some(vec![6; size]));
    }
    // Of many who saw the same version, one may write.
    let tag = server.call(Who::User(OWNER), "HEAD", "/object/box/0").send().await.header("etag").to_owned();
    let writes = (0..20_u8).map(|number| {
        let call = server.call(Who::User(OWNER), "PUT", "/object/box/0").header("if-match", &tag);
        call.body(vec![100 + number; 50]).send()
    });
    let replies = futures_util::future::join_all(writes).await;
    let winners: Vec<_> = (0..20).filter(|number| replies[*number].status == 200).collect();
    assert_eq!(winners.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    assert!(replies.iter().all(|reply| [200, 412].contains(&reply.status)));
    assert_eq!(server.content("box/0").await, Some(vec![100 + winners[0] as u8; 50]));
    server.expect_clean().await;
}

#[tokio::test]
async fn what_was_said_about_an_object_is_told_again() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "box", "private").await;
    let call = server.call(Who::User(OWNER), "POST", "/object/box/a/b.txt").body("hello");
    let call = call.header("content-type", "text/plain; charset=utf-8").header("x-metadata", "eyJrIjoidiJ9");
    call.send().await.expect_status(201);
    let info = server
        .call(Who::User(OWNER), "GET", "/object/info/box/a/b.txt")
        .send()
        .await
        .expect_status(200)
        .json();
    for (field, wanted) in [
        ("name", json!("a/b.txt")),
        ("size", json!(5)),
        ("content_type", json!("text/plain; charset=utf-8")),
        ("owner_id", json!(OWNER)),
        ("metadata", json!({ "k": "v" })),
        ("checksum", json!("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")),
    ] {
        assert_eq!(info[field], wanted, "{field} in {info}");
    }
}
