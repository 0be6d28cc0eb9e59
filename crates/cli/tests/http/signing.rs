//! Signed URLs. FS-S1: whoever has one needs nothing else, until it expires. FS-S2: whoever changes one has nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::support::{OTHER, OWNER, Reply, Server, Who, open, pattern, read_reply};

async fn server_with_a_file(settings: &[(&str, &str)]) -> Server {
    let server = Server::start_with(settings);
    for bucket in ["box", "other"] {
        server.bucket(Who::User(OWNER), bucket, "private").await;
        for path in ["file", "another"] {
            server.put(Who::User(OWNER), &format!("{bucket}/{path}"), format!("{bucket}/{path}")).await;
        }
    }
    server
}

/// Signs a download and gives the URL, relative to the base.
async fn sign(server: &Server, path: &str, body: Value) -> String {
    let reply =
        server.call(Who::User(OWNER), "POST", &format!("/object/sign/box/{path}")).json(&body).send().await;
    reply.expect_status(200).json()["signedURL"].as_str().unwrap().to_owned()
}

/// Signs an upload and gives its token.
async fn sign_upload(server: &Server, path: &str, upsert: bool) -> String {
    let call = server.call(Who::User(OWNER), "POST", &format!("/object/upload/sign/box/{path}"));
    let reply = call.header("x-upsert", &upsert.to_string()).send().await;
    reply.expect_status(200).json()["token"].as_str().unwrap().to_owned()
}

fn token_of(url: &str) -> &str {
    url.split("token=").nth(1).unwrap().split('&').next().unwrap()
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

#[tokio::test]
async fn fs_s1_a_signed_url_needs_no_token() {
    let server = server_with_a_file(&[]).await;
    let signed = server.call(Who::User(OWNER), "POST", "/object/sign/box/file?expires_in=90").send().await;
    let body = signed.expect_status(200).json();
    let (absolute, relative) = (body["url"].as_str().unwrap(), body["signedURL"].as_str().unwrap());
    let base = format!("http://{}/storage/v1", server.address);
    assert_eq!(absolute, format!("{base}{relative}"));
    assert!(relative.starts_with("/object/sign/box/file?"), "{relative}");
    assert!(relative.contains("token=") && relative.contains("expires="), "{relative}");
    let expires =
        chrono::DateTime::parse_from_rfc3339(body["expires_at"].as_str().unwrap()).unwrap().timestamp();
    assert!((85..=91).contains(&(expires - now())), "{body}");

    let reply = server
        .request(Who::Anon, "GET", &absolute[format!("http://{}", server.address).len()..])
        .send()
        .await;
    assert_eq!(reply.expect_status(200).text(), "box/file");
    let reply = server.call(Who::Anon, "HEAD", relative).send().await.expect_status(200);
    assert_eq!(reply.header("content-length"), "8");
    let reply =
        server.call(Who::Anon, "GET", relative).header("range", "bytes=4-").send().await.expect_status(206);
    assert_eq!(reply.text(), "file");
    let reply =
        server.call(Who::Anon, "GET", &format!("{relative}&download=x.txt")).send().await.expect_status(200);
    assert!(reply.header("content-disposition").starts_with("attachment"));
    // The token alone is enough: `expires` is for people.
    let path = format!("/object/sign/box/file?token={}", token_of(relative));
    server.call(Who::Anon, "GET", &path).send().await.expect_status(200);

    let token = sign_upload(&server, "new", false).await;
    let path = format!("/object/upload/sign/box/new?token={token}");
    server.call(Who::Anon, "PUT", &path).body("uploaded").send().await.expect_status(200);
    assert_eq!(server.content("box/new").await.as_deref(), Some(&b"uploaded"[..]));
    let info = server.call(Who::Service, "GET", "/object/info/box/new").send().await.json();
    assert_eq!(info["owner_id"], json!(OWNER), "it belongs to who signed");
    server.call(Who::Anon, "PUT", &path).body("again").send().await.expect_error(409, "OBJECT_EXISTS");
}

#[tokio::test]
async fn fs_s2_every_change_to_a_download_url_is_refused() {
    let server = server_with_a_file(&[]).await;
    let url = sign(&server, "file", json!({ "expiresIn": 60 })).await;
    let (place, _) = url.split_once('?').unwrap();
    let token = token_of(&url);
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, tag) = rest.split_once('.').unwrap();
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let expires: i64 = url.split("expires=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());

    let mut urls = vec![
        ("another path", url.replace("/box/file", "/box/another")),
        ("a longer path", url.replace("/box/file", "/box/file2")),
        ("a path below it", url.replace("/box/file", "/box/file/x")),
        ("another bucket", url.replace("/box/", "/other/")),
        ("a missing bucket", url.replace("/box/", "/missing/")),
        ("a missing path", url.replace("/box/file", "/box/missing")),
        ("a later expiry", url.replace(&format!("expires={expires}"), &format!("expires={}", expires + 100))),
        (
            "an earlier expiry",
            url.replace(&format!("expires={expires}"), &format!("expires={}", expires - 1)),
        ),
        ("an expiry of nonsense", url.replace(&format!("expires={expires}"), "expires=soon")),
        ("no signature", format!("{place}?token={head}.{claims}.")),
        ("no token", format!("{place}?token=")),
        ("nonsense", format!("{place}?token=nonsense")),
        ("two parts", format!("{place}?token={head}.{claims}")),
        ("something behind it", format!("{place}?token={token}A")),
        ("a user's token", format!("{place}?token={}", server.token(Who::User(OWNER)))),
        ("the service role's token", format!("{place}?token={}", server.token(Who::Service))),
        ("an upload's token", format!("{place}?token={}", sign_upload(&server, "file", true).await)),
        (
            "no algorithm",
            format!("{place}?token={}.{claims}.", encode(&json!({ "alg": "none", "typ": "JWT" }))),
        ),
    ];
    // Every character of the token.
    for at in (0..token.len()).step_by(3).chain(token.len() - 45..token.len() - 1) {
        let mut changed = token.as_bytes().to_vec();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        urls.push(("a changed character", format!("{place}?token={}", String::from_utf8(changed).unwrap())));
    }
    // Every claim, with the old signature.
    for (name, value) in decoded.as_object().unwrap() {
        let mut changed = decoded.clone();
        changed[name] = match value {
            Value::Number(number) => json!(number.as_i64().unwrap() + 1000),
            Value::String(text) => json!(text.replace("file", "another") + "x"),
            _ => json!("x"),
        };
        urls.push(("a changed claim", format!("{place}?token={head}.{}.{tag}", encode(&changed))));
    }
    // Signed by keys that are not the URLs' key: the secret of JWTs among them.
    for secret in [server.key("jwt_secret"), String::new(), "x".repeat(64)] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&key, format!("{head}.{claims}").as_bytes()));
        urls.push(("another key", format!("{place}?token={head}.{claims}.{tag}")));
    }
    for (what, changed) in &urls {
        let reply = server.call(Who::Anon, "GET", changed).send().await;
        assert_eq!(reply.status, 403, "{what}: {changed}: {}", reply.text());
        assert_eq!(reply.json()["code"], "INVALID_SIGNATURE", "{what}: {changed}");
        assert!(!reply.text().contains(token), "{what}: an error shows the token");
    }
    server.call(Who::Anon, "GET", place).send().await.expect_error(400, "INVALID_REQUEST");
    server.call(Who::Anon, "GET", &url).send().await.expect_status(200);
    assert!(!server.log().contains(tag), "a signature is in the log");
}

#[tokio::test]
async fn fs_s2_every_change_to_an_upload_url_is_refused() {
    let server = server_with_a_file(&[]).await;
    let token = sign_upload(&server, "new", false).await;
    let (head, rest) = token.split_once('.').unwrap();
    let (claims, tag) = rest.split_once('.').unwrap();
    let mut decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    for name in decoded.clone().as_object().unwrap().keys() {
        if decoded[name] == json!(false) {
            decoded[name] = json!(true);
        }
    }
    let upsert = format!("{head}.{}.{tag}", URL_SAFE_NO_PAD.encode(decoded.to_string()));
    let download = token_of(&sign(&server, "file", json!({ "expiresIn": 60 })).await).to_owned();
    for (what, place, token) in [
        ("another path", "box/another", &token),
        ("a longer path", "box/new2", &token),
        ("a path that is taken", "box/file", &token),
        ("another bucket", "other/new", &token),
        ("a download's token", "box/file", &download),
        ("a download's token elsewhere", "box/new", &download),
        ("a user's token", "box/new", &server.token(Who::User(OWNER))),
        ("an upsert claimed", "box/new", &upsert),
        ("without its end", "box/new", &token[..token.len() - 4].to_owned()),
        ("nonsense", "box/new", &"nonsense".to_owned()),
    ] {
        let path = format!("/object/upload/sign/{place}?token={token}");
        let reply = server.call(Who::Anon, "PUT", &path).header("x-upsert", "true").body("evil").send().await;
        assert_eq!(reply.status, 403, "{what}: {}", reply.text());
        assert_eq!(reply.json()["code"], "INVALID_SIGNATURE", "{what}");
    }
    for (place, wanted) in [
        ("box/file", Some("box/file")),
        ("box/another", Some("box/another")),
        ("box/new", None),
        ("other/new", None),
    ] {
        assert_eq!(server.content(place).await.as_deref(), wanted.map(str::as_bytes), "{place}");
    }
    // Whether it may overwrite was decided when it was signed; a header does not change that.
    let over = sign_upload(&server, "file", true).await;
    let plain = sign_upload(&server, "fresh", false).await;
    server.put(Who::User(OWNER), "box/fresh", "came between").await;
    let put = |place: &str, token: &str| {
        let path = format!("/object/upload/sign/{place}?token={token}");
        server.call(Who::Anon, "PUT", &path).header("x-upsert", "true").body("signed").send()
    };
    put("box/fresh", &plain).await.expect_error(409, "OBJECT_EXISTS");
    put("box/file", &over).await.expect_status(200);
    assert_eq!(server.content("box/file").await.as_deref(), Some(&b"signed"[..]));
    let no_token = server.call(Who::Anon, "PUT", "/object/upload/sign/box/new").body("x").send().await;
    no_token.expect_error(400, "INVALID_REQUEST");
}

#[tokio::test]
async fn fs_s1_an_expired_url_is_gone_and_was_checked_when_its_transfer_began() {
    let server = server_with_a_file(&[("AEROSTORE_SIGNING_UPLOAD_EXPIRY", "2s")]).await;
    let bytes = pattern(40_000_000);
    server.put(Who::User(OWNER), "box/large", bytes.clone()).await;
    let url = sign(&server, "large", json!({ "expiresIn": 2 })).await;
    let token = sign_upload(&server, "slow", false).await;
    // Both begin in time and end after it: a body that nobody reads is not sent any further.
    let mut download = server.call(Who::Anon, "GET", &url).start().await;
    assert_eq!(download.status(), 200);
    let begun = format!(
        "PUT /storage/v1/object/upload/sign/box/slow?token={token} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
    );
    let mut upload = open(server.address, begun).await;
    assert_eq!(read_reply(&mut upload).await.status, 100);

    for path in [url.clone(), format!("{url}&x=y")] {
        loop {
            let reply = server.call(Who::Anon, "GET", &path).header("range", "bytes=0-0").send().await;
            if reply.status != 206 {
                reply.expect_error(410, "URL_EXPIRED");
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let late = format!("/object/upload/sign/box/slow?token={token}");
    loop {
        // Not with a body: one that came in time would be taken.
        let ask = format!(
            "PUT /storage/v1{late} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
        );
        let mut connection = open(server.address, ask).await;
        let reply = read_reply(&mut connection).await;
        if reply.status != 100 {
            assert_eq!((reply.status, &*reply.code()), (410, "URL_EXPIRED"));
            break;
        }
        drop(connection);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut got = Vec::new();
    while let Some(chunk) = download.chunk().await.unwrap() {
        got.extend_from_slice(&chunk);
    }
    assert!(got == bytes, "a download that began in time ends well");
    tokio::io::AsyncWriteExt::write_all(&mut upload, b"slow").await.unwrap();
    assert_eq!(read_reply(&mut upload).await.status, 200, "an upload that began in time ends well");
    assert_eq!(server.content("box/slow").await.as_deref(), Some(&b"slow"[..]));
    // A tampered URL says no more than that, expired or not.
    let reply = server.call(Who::Anon, "GET", &url.replace("/box/", "/other/")).send().await;
    reply.expect_error(403, "INVALID_SIGNATURE");
}

#[tokio::test]
async fn fs_s1_a_url_opens_one_object_whatever_becomes_of_it() {
    let server = server_with_a_file(&[]).await;
    let url = sign(&server, "file", json!({ "expiresIn": 60 })).await;
    server.put(Who::User(OWNER), "box/file", "new bytes").await;
    assert_eq!(server.call(Who::Anon, "GET", &url).send().await.expect_status(200).text(), "new bytes");
    server.call(Who::User(OWNER), "DELETE", "/object/box/file").send().await.expect_status(204);
    server.call(Who::Anon, "GET", &url).send().await.expect_error(404, "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn secrets_rotate_and_old_urls_live_as_long_as_the_old_secret_is_known() {
    let (old, new) = (
        "the secret that signed urls until now: long enough",
        "the secret that signs urls from now on: long enough",
    );
    let secret = "AEROSTORE_SIGNING_SECRET";
    let server = server_with_a_file(&[(secret, old)]).await;
    let url = sign(&server, "file", json!({ "expiresIn": 600 })).await;
    let upload = format!("/object/upload/sign/box/up?token={}", sign_upload(&server, "up", true).await);

    let server =
        Server::start_in(server.stop(), &[(secret, new), ("AEROSTORE_SIGNING_PREVIOUS_SECRETS", old)]);
    let fresh = sign(&server, "file", json!({ "expiresIn": 600 })).await;
    for url in [&url, &fresh] {
        server.call(Who::Anon, "GET", url).send().await.expect_status(200);
    }
    server.call(Who::Anon, "PUT", &upload).body("x").send().await.expect_status(200);

    let server = Server::start_in(server.stop(), &[(secret, new)]);
    server.call(Who::Anon, "GET", &url).send().await.expect_error(403, "INVALID_SIGNATURE");
    server.call(Who::Anon, "PUT", &upload).body("x").send().await.expect_error(403, "INVALID_SIGNATURE");
    server.call(Who::Anon, "GET", &fresh).send().await.expect_status(200);
}

#[tokio::test]
async fn a_single_use_url_works_once_also_across_a_restart() {
    let server = server_with_a_file(&[]).await;
    let once = json!({ "expiresIn": 60, "singleUse": true });
    let url = sign(&server, "file", once.clone()).await;
    let gets = (0..20).map(|_| server.call(Who::Anon, "GET", &url).send());
    let replies = futures_util::future::join_all(gets).await;
    let served = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(served, 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
    for reply in replies.into_iter().filter(|reply| reply.status != 200) {
        assert_eq!(reply.expect_error(410, "URL_EXPIRED").json()["reason"], "used");
    }
    let unused = sign(&server, "another", once).await;
    let server = Server::start_in(server.stop(), &[]);
    server.call(Who::Anon, "GET", &url).send().await.expect_error(410, "URL_EXPIRED");
    server.call(Who::Anon, "HEAD", &url).send().await.expect_status(410);
    server.call(Who::Anon, "GET", &unused).send().await.expect_status(200);
    server.call(Who::Anon, "GET", &unused).send().await.expect_error(410, "URL_EXPIRED");
}

#[tokio::test]
async fn a_single_use_url_is_used_up_by_the_first_get_that_is_answered_with_bytes() {
    let server = server_with_a_file(&[]).await;
    let once = json!({ "expiresIn": 600, "singleUse": true });
    let (url, part) = (sign(&server, "file", once.clone()).await, sign(&server, "file", once.clone()).await);
    let head = server.call(Who::Anon, "HEAD", &url).send().await.expect_status(200);
    let etag = head.header("etag").to_owned();
    let ask = |method, name, value: &str| server.call(Who::Anon, method, &url).header(name, value).send();
    for _ in 0..2 {
        ask("HEAD", "range", "bytes=0-1").await.expect_status(206);
        ask("GET", "if-none-match", &etag).await.expect_status(304);
        ask("GET", "if-match", "\"another\"").await.expect_error(412, "PRECONDITION_FAILED");
        ask("GET", "range", "bytes=99-").await.expect_error(416, "INVALID_RANGE");
        let elsewhere = url.replace("/box/file", "/box/another");
        server.call(Who::Anon, "GET", &elsewhere).send().await.expect_error(403, "INVALID_SIGNATURE");
    }
    server.call(Who::User(OWNER), "DELETE", "/object/box/file").send().await.expect_status(204);
    server.call(Who::Anon, "GET", &url).send().await.expect_error(404, "OBJECT_NOT_FOUND");
    server.put(Who::User(OWNER), "box/file", "box/file").await;
    assert_eq!(server.call(Who::Anon, "GET", &url).send().await.expect_status(200).text(), "box/file");
    // Used up for every question, whatever it would have been answered before.
    server.call(Who::Anon, "HEAD", &url).send().await.expect_status(410);
    for (name, value) in [("accept", "*/*"), ("if-none-match", &etag), ("range", "bytes=99-")] {
        let reply = ask("GET", name, value).await.expect_error(410, "URL_EXPIRED").json();
        assert_eq!(reply["reason"], "used", "{reply}");
        assert_ne!(reply["message"], "The signed URL has expired", "{reply}");
    }
    // A part counts as a use.
    let first = server.call(Who::Anon, "GET", &part).header("range", "bytes=0-2").send().await;
    assert_eq!(first.expect_status(206).text(), "box");
    server.call(Who::Anon, "GET", &part).send().await.expect_error(410, "URL_EXPIRED");
    // One that was never used expires, and says that.
    let brief = sign(&server, "file", json!({ "expiresIn": 1, "singleUse": true })).await;
    loop {
        let reply = server.call(Who::Anon, "HEAD", &brief).send().await;
        if reply.status != 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let late = server.call(Who::Anon, "GET", &brief).send().await.expect_error(410, "URL_EXPIRED");
    assert_eq!(late.json()["reason"], "expired");
}

#[tokio::test]
async fn a_batch_of_urls_each_opens_its_own() {
    let server = server_with_a_file(&[]).await;
    let body = json!({ "expiresIn": 60, "paths": ["file", "missing", "another"] });
    let reply =
        server.call(Who::User(OWNER), "POST", "/object/sign/box").json(&body).send().await.expect_status(200);
    let entries = reply.json();
    assert_eq!(
        (&entries[1]["signedURL"], entries[1]["error"].is_string()),
        (&Value::Null, true),
        "{entries}"
    );
    for (number, path) in [(0, "file"), (2, "another")] {
        let url = entries[number]["signedURL"].as_str().unwrap();
        let reply = server.call(Who::Anon, "GET", url).send().await.expect_status(200);
        assert_eq!(reply.text(), format!("box/{path}"));
        assert_eq!((&entries[number]["path"], &entries[number]["error"]), (&json!(path), &Value::Null));
    }
    let denied = server.call(Who::User(OTHER), "POST", "/object/sign/box").json(&body).send().await;
    assert!(!denied.text().contains("token="), "{}", denied.text());
}

#[tokio::test]
async fn signed_and_public_routes_have_limits_for_each_address() {
    let server = server_with_a_file(&[
        ("AEROSTORE_RATE_LIMIT_SIGNED_PER_SECOND", "1"),
        ("AEROSTORE_RATE_LIMIT_SIGNED_BURST", "3"),
        ("AEROSTORE_RATE_LIMIT_PUBLIC_PER_SECOND", "1"),
        ("AEROSTORE_RATE_LIMIT_PUBLIC_BURST", "4"),
    ])
    .await;
    server.bucket(Who::User(OWNER), "open", "public").await;
    server.put(Who::User(OWNER), "open/file", "x").await;
    let url = sign(&server, "file", json!({ "expiresIn": 60 })).await;
    for (path, burst) in [(&*url, 3), ("/object/public/open/file", 4)] {
        let gets = (0..30).map(|_| server.call(Who::Anon, "GET", path).send());
        let replies = futures_util::future::join_all(gets).await;
        let served = replies.iter().filter(|reply| reply.status == 200).count();
        // A second or two may pass meanwhile, and bring one more each.
        assert!((burst..burst + 10).contains(&served), "{path}: {served} served");
        for reply in replies.into_iter().filter(|reply| reply.status != 200) {
            let retry: u64 = reply.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&retry), "{path}: {retry}");
            let body = reply.expect_error(429, "RATE_LIMITED").json();
            assert_eq!(body["retryable"], true, "{body}");
        }
        // A header that anybody can send makes nobody somebody else.
        let call = server.call(Who::Anon, "GET", path).header("x-forwarded-for", "203.0.113.9");
        let twice =
            futures_util::future::join_all([call.send(), server.call(Who::Anon, "GET", path).send()]).await;
        assert!(twice.iter().any(|reply| reply.status == 429), "{path}");
    }
    // Callers with tokens are not meant.
    for _ in 0..20 {
        server.call(Who::User(OWNER), "GET", "/object/open/file").send().await.expect_status(200);
    }
}

/// A user of a team, by a token with all that an identity provider says.
fn team_token(server: &Server, team: &str, more: &str) -> String {
    server.mint(&json!({
        "sub": OTHER, "role": "authenticated", "exp": now() + 3600, "email": "anna@example.com",
        "app_metadata": { "team": team, "more": more },
    }))
}

/// Asks for an upload's URL with a token.
async fn sign_upload_by(server: &Server, token: &str, path: &str) -> Reply {
    let call = server.call(Who::Anon, "POST", &format!("/object/upload/sign/box/{path}"));
    call.bearer(token).send().await
}

#[tokio::test]
async fn fs_i3_an_upload_url_is_decided_by_its_signers_claims_and_shows_none() {
    let server = server_with_a_file(&[]).await;
    let policies = [
        "CREATE POLICY team ON storage.objects FOR INSERT TO authenticated \
         WITH CHECK (bucket_id = 'box' AND auth.jwt() -> 'app_metadata' ->> 'team' IS NOT NULL)",
        "CREATE POLICY blue ON storage.objects AS RESTRICTIVE FOR INSERT \
         WITH CHECK (coalesce(size, 0) < 10 OR auth.jwt() -> 'app_metadata' ->> 'team' IS DISTINCT FROM 'blue')",
    ];
    for sql in policies {
        let made = server.request(Who::Service, "POST", "/api/v1/storage/policies");
        made.json(&json!({ "sql": sql })).send().await.expect_status(200);
    }
    let nobodys = sign_upload_by(&server, &server.token(Who::User(OTHER)), "new").await;
    nobodys.expect_error(403, "STORAGE_UNAUTHORIZED");
    for (team, body, status) in
        [("red", "more than ten bytes", 200), ("blue", "more than ten bytes", 403), ("blue", "few", 200)]
    {
        let path = format!("{team}-{}", body.len());
        let reply = sign_upload_by(&server, &team_token(&server, team, ""), &path).await.expect_status(200);
        let token = reply.json()["token"].as_str().unwrap().to_owned();
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let shown = format!("{}{}", reply.text(), String::from_utf8(payload).unwrap());
        for secret in ["anna", "example", "app_metadata"] {
            assert!(!shown.contains(secret), "{secret} is shown: {shown}");
        }
        let used = server.call(Who::Anon, "PUT", &format!("/object/upload/sign/box/{path}?token={token}"));
        used.body(body).send().await.expect_status(status);
        let there = server.content(&format!("box/{path}")).await;
        assert_eq!(there.is_some(), status == 200, "{team} {body}");
    }
    server.expect_clean().await;
}

#[tokio::test]
async fn an_upload_url_carries_many_claims_or_is_not_made() {
    let server = server_with_a_file(&[]).await;
    server.bucket(Who::User(OTHER), "mine", "private").await;
    let sign = async |path: &str, bytes: usize| {
        let token = team_token(&server, "red", &"x".repeat(bytes));
        let call = server.call(Who::Anon, "POST", &format!("/object/upload/sign/mine/{path}"));
        call.bearer(&token).send().await
    };
    let token = sign("new", 3000).await.expect_status(200).json()["token"].as_str().unwrap().to_owned();
    assert!(token.len() > 5000, "{}", token.len());
    let used = server.call(Who::Anon, "PUT", &format!("/object/upload/sign/mine/new?token={token}"));
    used.body("uploaded").send().await.expect_status(200);
    let refused = sign("other", 4500).await.expect_error(400, "INVALID_REQUEST");
    assert!(refused.text().contains("claims"), "{}", refused.text());
}
