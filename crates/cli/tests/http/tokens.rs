//! A token that is not good is 401 and never anon, on every kind of route that looks at tokens.
//!
//! The public and the signed routes don't look: they answer everybody alike, so that a page with a stale session still
//! shows its pictures.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::support::{OWNER, Server, Who};

fn claims() -> Value {
    json!({ "sub": OWNER, "role": "authenticated", "exp": Utc::now().timestamp() + 3600 })
}

/// Good claims with one of them changed; null takes it away.
fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name).map(drop).unwrap(),
        value => claims[name] = value,
    }
    claims
}

/// A JWT whose header says what it likes, with an HMAC-SHA256 over it.
fn forged(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

fn hs(algorithm: Algorithm, claims: &Value, secret: &[u8]) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret)).unwrap()
}

const ALL: &[(&str, &str)] = &[
    ("GET", "/storage/v1/object/open/file"),
    ("HEAD", "/storage/v1/object/open/file"),
    ("GET", "/storage/v1/object/authenticated/open/file"),
    ("GET", "/storage/v1/object/info/open/file"),
    ("GET", "/storage/v1/object/info/authenticated/open/file"),
    ("POST", "/storage/v1/object/open/new"),
    ("PUT", "/storage/v1/object/open/file"),
    ("DELETE", "/storage/v1/object/open/file"),
    ("DELETE", "/storage/v1/object/open"),
    ("POST", "/storage/v1/object/copy"),
    ("POST", "/storage/v1/object/move"),
    ("POST", "/storage/v1/object/list/open"),
    ("POST", "/storage/v1/object/list-v2/open"),
    ("POST", "/storage/v1/object/sign/open/file"),
    ("POST", "/storage/v1/object/sign/open"),
    ("POST", "/storage/v1/object/upload/sign/open/new"),
    ("GET", "/storage/v1/bucket"),
    ("POST", "/storage/v1/bucket"),
    ("GET", "/storage/v1/bucket/open"),
    ("PUT", "/storage/v1/bucket/open"),
    ("PATCH", "/storage/v1/bucket/open"),
    ("POST", "/storage/v1/bucket/open/empty"),
    ("DELETE", "/storage/v1/bucket/open"),
    ("GET", "/api/v1/storage/health"),
    ("GET", "/api/v1/storage/health/local"),
    ("GET", "/api/v1/storage/usage"),
    ("GET", "/api/v1/storage/cleanup"),
    ("POST", "/api/v1/storage/cleanup"),
];

/// The credentials are refused with this code on every route, and nothing happened.
async fn check(
    server: &Server,
    what: &str,
    credentials: &[(&str, &str)],
    code: &str,
    routes: &[(&str, &str)],
) {
    for (method, path) in routes {
        let reply = server.request(Who::Anon, method, path).headers(credentials).body("{}").send().await;
        assert_eq!(reply.status, 401, "{what}: {method} {path}: {}", reply.text());
        assert!(reply.header("www-authenticate").starts_with("Bearer"), "{what}: {method} {path}");
        if *method != "HEAD" {
            assert_eq!(reply.json()["code"], code, "{what}: {method} {path}");
        }
    }
}

async fn server_with_an_open_file() -> Server {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "open", "public").await;
    server.put(Who::User(OWNER), "open/file", "hello").await;
    server
}

#[tokio::test]
async fn a_token_that_is_not_good_is_401_everywhere_and_never_anon() {
    let server = server_with_an_open_file().await;
    let secret = server.key("jwt_secret");
    let secret = secret.as_bytes();
    let now = Utc::now().timestamp();
    let good = server.token(Who::User(OWNER));
    let signed =
        server.call(Who::User(OWNER), "POST", "/object/sign/open/file").send().await.expect_status(200);
    let url = signed.json()["signedURL"].as_str().unwrap().to_owned();
    let url_token = url.split("token=").nth(1).unwrap().split('&').next().unwrap().to_owned();
    let upload = server.call(Who::User(OWNER), "POST", "/object/upload/sign/open/new").send().await;
    let upload_token = upload.expect_status(200).json()["token"].as_str().unwrap().to_owned();

    let unsigned = forged(&json!({ "alg": "none", "typ": "JWT" }), &claims(), secret);
    let (message, _) = unsigned.rsplit_once('.').unwrap();
    let (head, rest) = good.split_once('.').unwrap();
    let (body, tag) = rest.split_once('.').unwrap();
    let as_service = URL_SAFE_NO_PAD.encode(but("role", json!("service_role")).to_string());

    let mint = |claims: Value| hs(Algorithm::HS256, &claims, secret);
    let bearers = [
        ("expired", mint(but("exp", json!(now - 3600))), "INVALID_TOKEN"),
        ("without expiry", mint(but("exp", Value::Null)), "INVALID_TOKEN"),
        ("expiry as text", mint(but("exp", json!("tomorrow"))), "INVALID_TOKEN"),
        ("not valid yet", mint(but("nbf", json!(now + 3600))), "INVALID_TOKEN"),
        ("nbf as text", mint(but("nbf", json!("soon"))), "INVALID_TOKEN"),
        ("unknown role", mint(but("role", json!("postgres"))), "INVALID_TOKEN"),
        ("role in other letters", mint(but("role", json!("Service_Role"))), "INVALID_TOKEN"),
        ("role as a list", mint(but("role", json!(["service_role"]))), "INVALID_TOKEN"),
        ("a user that is no UUID", mint(but("sub", json!("alice"))), "USER_NOT_FOUND"),
        ("a user that is a number", mint(but("sub", json!(7))), "USER_NOT_FOUND"),
        ("no user", mint(but("sub", Value::Null)), "USER_NOT_FOUND"),
        ("claims that are a list", hs(Algorithm::HS256, &json!([1]), secret), "INVALID_TOKEN"),
        ("unsigned", format!("{message}."), "INVALID_TOKEN"),
        ("unsigned, with a tag", unsigned.clone(), "INVALID_TOKEN"),
        ("unsigned, in two parts", message.to_owned(), "INVALID_TOKEN"),
        ("alg None", forged(&json!({ "alg": "None" }), &claims(), secret), "INVALID_TOKEN"),
        ("no alg", forged(&json!({ "typ": "JWT" }), &claims(), secret), "INVALID_TOKEN"),
        (
            "RS256 by HMAC",
            forged(&json!({ "alg": "RS256", "typ": "JWT" }), &claims(), secret),
            "INVALID_TOKEN",
        ),
        ("ES256 by HMAC", forged(&json!({ "alg": "ES256", "kid": "x" }), &claims(), secret), "INVALID_TOKEN"),
        ("HS384", hs(Algorithm::HS384, &claims(), secret), "INVALID_TOKEN"),
        ("HS512", hs(Algorithm::HS512, &claims(), secret), "INVALID_TOKEN"),
        (
            "key in its own header",
            forged(
                &json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "c2VjcmV0" } }),
                &claims(),
                b"secret",
            ),
            "INVALID_TOKEN",
        ),
        (
            "wrong secret",
            hs(Algorithm::HS256, &claims(), b"another secret of the same kind...."),
            "INVALID_TOKEN",
        ),
        ("empty secret", hs(Algorithm::HS256, &claims(), b""), "INVALID_TOKEN"),
        ("truncated", good[..good.len() - 2].to_owned(), "INVALID_TOKEN"),
        ("with something behind it", format!("{good}x"), "INVALID_TOKEN"),
        ("without its tag", format!("{head}.{body}."), "INVALID_TOKEN"),
        ("with claims exchanged", format!("{head}.{as_service}.{tag}"), "INVALID_TOKEN"),
        ("in four parts", format!("{good}.{tag}"), "INVALID_TOKEN"),
        ("no token at all", "hello".to_owned(), "INVALID_TOKEN"),
        ("dots", "..".to_owned(), "INVALID_TOKEN"),
        ("very long", "a".repeat(10_000), "INVALID_TOKEN"),
        ("a signed URL's", url_token, "INVALID_TOKEN"),
        ("an upload URL's", upload_token, "INVALID_TOKEN"),
    ];
    for (number, (what, token, code)) in bearers.iter().enumerate() {
        // All routes for some of each kind; for the others, one route of each kind of caller.
        let routes = if number % 4 == 0 { ALL } else { &[ALL[0], ALL[5], ALL[11], ALL[24]] };
        check(&server, what, &[("authorization", &format!("Bearer {token}"))], code, routes).await;
        check(&server, what, &[("apikey", token)], code, &ALL[..1]).await;
    }
    let twice =
        [("authorization", &*format!("Bearer {good}")), ("authorization", &*format!("Bearer {good}"))];
    check(&server, "sent twice", &twice, "INVALID_TOKEN", ALL).await;
    for header in
        ["", "Bearer", "Bearer ", "bearer", "Basic YWxpY2U6c2VjcmV0", &good, &format!("Token {good}")]
    {
        check(&server, header, &[("authorization", header)], "INVALID_TOKEN", ALL).await;
    }
    check(&server, "empty apikey", &[("apikey", "")], "INVALID_TOKEN", ALL).await;
    let bad_over_good = [("authorization", "Bearer nonsense"), ("apikey", &*server.token(Who::Service))];
    check(&server, "a bad bearer and a good apikey", &bad_over_good, "INVALID_TOKEN", ALL).await;

    assert_eq!(server.content("open/file").await.as_deref(), Some(&b"hello"[..]));
    assert_eq!(server.content("open/new").await, None);
    assert!(!server.log().contains(&good), "a token is in the log");
}

#[tokio::test]
async fn a_user_that_is_no_uuid_is_told_in_the_fixed_words() {
    let server = server_with_an_open_file().await;
    let token = server.mint(&but("sub", json!("alice")));
    let reply = server.call(Who::Anon, "GET", "/bucket").bearer(&token).send().await.expect_status(401);
    assert_eq!(
        (&reply.json()["code"], &reply.json()["message"]),
        (&json!("USER_NOT_FOUND"), &json!("User ID not valid"))
    );
}

#[tokio::test]
async fn good_tokens_are_let_in_by_either_header_and_the_bearer_decides() {
    let server = server_with_an_open_file().await;
    server.bucket(Who::User(OWNER), "closed", "private").await;
    server.put(Who::User(OWNER), "closed/file", "mine").await;
    let user = server.token(Who::User(OWNER));
    let service = server.token(Who::Service);
    let anon = server.token(Who::Anon);
    let synonym = server.mint(&json!({ "role": "service", "exp": Utc::now().timestamp() + 60 }));
    let without_role = server.mint(&but("role", Value::Null));
    let by_command = server.token_by_command(OWNER);
    let bearer = |token: &str| format!("Bearer {token}");
    let (by_user, by_service, by_anon) = (bearer(&user), bearer(&service), bearer(&anon));
    for (what, headers, status) in [
        ("no token", &[][..], 401),
        ("a user", &[("authorization", &*by_user)], 200),
        ("a user, by apikey", &[("apikey", &*user)], 200),
        ("the word in other letters", &[("authorization", &*by_user.replace("Bearer", "bEARER"))], 200),
        ("made by the command", &[("authorization", &*bearer(&by_command))], 200),
        ("no role: a user", &[("authorization", &*bearer(&without_role))], 200),
        ("the service role", &[("authorization", &*by_service)], 200),
        ("its synonym", &[("authorization", &*bearer(&synonym))], 200),
        ("anon's key", &[("authorization", &*by_anon)], 401),
        ("anon's key over the service's", &[("authorization", &*by_anon), ("apikey", &*service)], 401),
        ("a user over anon's key", &[("authorization", &*by_user), ("apikey", &*anon)], 200),
        ("a user over nonsense", &[("authorization", &*by_user), ("apikey", "nonsense")], 200),
    ] {
        let reply = server.call(Who::Anon, "GET", "/object/closed/file").headers(headers).send().await;
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        if status == 401 {
            assert_eq!(reply.json()["code"], "AUTH_REQUIRED", "{what}");
        }
    }
}

#[tokio::test]
async fn secrets_rotate_and_what_was_never_one_stays_out() {
    let (old, new) =
        ("the secret that was current before: long enough", "the secret that is current now: long enough");
    let server = Server::start_with(&[
        ("AEROSTORE_AUTH_JWT_SECRET", new),
        ("AEROSTORE_AUTH_PREVIOUS_JWT_SECRETS", old),
    ]);
    assert_eq!(server.key("jwt_secret"), new);
    for (secret, status) in [(new, 200), (old, 200), ("a secret that nobody ever configured here", 401)] {
        let token = hs(Algorithm::HS256, &claims(), secret.as_bytes());
        let reply = server.call(Who::Anon, "GET", "/bucket").bearer(&token).send().await;
        assert_eq!(reply.status, status, "{secret}: {}", reply.text());
    }
}

#[tokio::test]
async fn public_and_signed_routes_look_at_no_token() {
    let server = server_with_an_open_file().await;
    let signed =
        server.call(Who::User(OWNER), "POST", "/object/sign/open/file").send().await.expect_status(200);
    let signed = signed.json()["signedURL"].as_str().unwrap().to_owned();
    let expired = server.mint(&but("exp", json!(1)));
    for token in ["nonsense", "", &expired, &server.token(Who::Service)] {
        for path in ["/object/public/open/file", &signed] {
            let reply = server.call(Who::Anon, "GET", path).bearer(token).send().await.expect_status(200);
            assert_eq!(reply.text(), "hello");
        }
        let upload =
            server.call(Who::User(OWNER), "POST", "/object/upload/sign/open/new").header("x-upsert", "true");
        let upload = upload.send().await.expect_status(200).json();
        let path = format!("/object/upload/sign/open/new?token={}", upload["token"].as_str().unwrap());
        server.call(Who::Anon, "PUT", &path).bearer(token).body("x").send().await.expect_status(200);
    }
}
