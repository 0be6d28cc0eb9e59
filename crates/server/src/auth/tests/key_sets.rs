//! Tokens of other issuers, verified by the keys they publish.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::issuer::{Key, token};
use super::{USER, authenticator, bearer, claims, config, user};
use crate::auth::key_set::KeySet;
use crate::auth::key_source::KeySource;
use crate::auth::verified::VerifiedTokens;
use crate::auth::{Authenticator, validation};
use crate::secrets::Secret;

fn set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

async fn by_file(keys: &[Value]) -> Result<Authenticator, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), set(keys)).unwrap();
    let config = config(&[("AEROSTORE_AUTH_JWKS_FILE", file.path().to_str().unwrap())]);
    let secret = Secret::new("an HS256 secret beside it, of enough bytes");
    Authenticator::start(&config, &secret, &[]).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn each_kind_of_key_verifies_its_own_algorithm() {
    for key in [Key::rsa(), Key::p256(), Key::ed25519()] {
        let auth = by_file(&[key.jwk("k1")]).await.unwrap();
        let (right, id) = (key.algorithm(), json!("k1"));
        assert_eq!(
            bearer(&auth, &token(&key, &json!({"alg": right, "kid": id}), &claims())).await,
            user(),
            "{right}"
        );
        assert_eq!(
            bearer(&auth, &token(&key, &json!({"alg": right}), &claims())).await,
            user(),
            "{right}, no kid"
        );
        let expired = json!({"sub": USER, "role": "authenticated", "exp": 1});
        for (header, claims) in [
            (json!({"alg": right, "kid": "k2"}), claims()),
            (json!({"alg": right, "kid": id, "crit": ["x"]}), claims()),
            (json!({"alg": "none", "kid": id}), claims()),
            (json!({"alg": "HS256", "kid": id}), claims()),
            (json!({"alg": "PS256", "kid": id}), claims()),
            (json!({"alg": "RS512", "kid": id}), claims()),
            (json!({"alg": right, "kid": id}), expired),
        ] {
            assert_eq!(
                bearer(&auth, &token(&key, &header, &claims)).await,
                "INVALID_TOKEN",
                "{header} {claims}"
            );
        }
        for other in [Key::p256(), Key::ed25519()] {
            let forged = token(&other, &json!({"alg": right, "kid": id}), &claims());
            assert_eq!(bearer(&auth, &forged).await, "INVALID_TOKEN", "{right} by another key");
        }
    }
}

/// The classic confusion: a public key, which everybody knows, used as the secret of an HMAC.
#[tokio::test]
async fn a_public_key_is_no_secret() {
    for key in [Key::rsa(), Key::p256(), Key::ed25519()] {
        let auth = by_file(&[key.jwk("k1")]).await.unwrap();
        let public = key.jwk("k1");
        let texts =
            [public.to_string(), public["n"].to_string(), public["x"].as_str().unwrap_or("").to_owned()];
        for secret in texts {
            let forged = token(&Key::Hmac(&secret), &json!({"alg": "HS256", "kid": "k1"}), &claims());
            assert_eq!(bearer(&auth, &forged).await, "INVALID_TOKEN");
        }
    }
}

#[tokio::test]
async fn keys_for_other_purposes_are_left_out_and_useless_sets_refused() {
    let with = |key: &Key<'_>, name: &str, value: Value| {
        let mut jwk = key.jwk("k1");
        jwk[name] = value;
        jwk
    };
    let key = Key::p256();
    for useless in [
        with(&key, "use", json!("enc")),
        with(&key, "alg", json!("ES384")),
        with(&key, "key_ops", json!(["encrypt"])),
        with(&key, "crv", json!("secp256k1")),
        with(&key, "kty", json!("XY")),
        with(&Key::rsa(), "alg", json!("RS512")),
        Key::Hmac("a secret that somebody published by mistake").jwk("k1"),
        json!("no key"),
    ] {
        assert!(KeySet::parse(set(std::slice::from_ref(&useless)).as_bytes()).is_err(), "{useless}");
        let both = KeySet::parse(set(&[useless, key.jwk("good")]).as_bytes()).unwrap();
        assert!(both.has("good") && !both.has("k1"));
    }
    for text in ["", "{}", "[]", "{\"keys\": 1}", "{\"keys\": []}"] {
        assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
    }
    let problem = by_file(&[]).await.unwrap_err();
    assert!(problem.contains("has no key"), "{problem}");
    let mut declared = with(&key, "alg", json!("ES256"));
    declared["use"] = json!("sig");
    declared["key_ops"] = json!(["verify"]);
    assert!(KeySet::parse(set(&[declared]).as_bytes()).unwrap().has("k1"));
}

/// A server that publishes a key set and counts how often it is asked.
struct Issuer {
    url: String,
    published: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start() -> Self {
        let published = Arc::new(Mutex::new(None::<String>));
        let asked = Arc::new(AtomicUsize::new(0));
        let (text, count) = (Arc::clone(&published), Arc::clone(&asked));
        let answer = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let text = text.lock().unwrap().clone();
            async move { text.ok_or(http::StatusCode::SERVICE_UNAVAILABLE) }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let routes = axum::Router::new().route("/keys", axum::routing::get(answer));
        let routes = routes
            .route("/moved", axum::routing::get(|| async { axum::response::Redirect::temporary("/keys") }));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, published, asked }
    }

    fn publish(&self, keys: &[Value]) {
        *self.published.lock().unwrap() = Some(set(keys));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn by_source(source: KeySource) -> Authenticator {
    Authenticator {
        secrets: Vec::new(),
        public_keys: Some(Arc::new(source)),
        validation: validation(&config(&[])),
        verified: VerifiedTokens::new(),
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_by_its_unknown_id() {
    let issuer = Issuer::start().await;
    let (first, second) = (Key::p256(), Key::ed25519());
    let sign = |key: &Key<'_>, id: &str| token(key, &json!({"alg": key.algorithm(), "kid": id}), &claims());
    issuer.publish(&[first.jwk("1")]);
    let auth =
        by_source(KeySource::url(issuer.url.clone()).unwrap().with_min_pause(std::time::Duration::ZERO));
    assert_eq!(bearer(&auth, &sign(&first, "1")).await, user());
    assert_eq!(bearer(&auth, &sign(&first, "1")).await, user());
    assert_eq!(issuer.asked(), 1, "known keys are not asked for again");
    issuer.publish(&[second.jwk("2")]);
    assert_eq!(bearer(&auth, &sign(&second, "2")).await, user());
    assert_eq!(bearer(&auth, &sign(&first, "1")).await, "INVALID_TOKEN", "a key that was withdrawn");
    // A set that is broken leaves the last good one in force.
    *issuer.published.lock().unwrap() = Some("{}".to_owned());
    assert_eq!(bearer(&auth, &sign(&first, "3")).await, "INVALID_TOKEN");
    assert_eq!(bearer(&auth, &sign(&second, "2")).await, user());
}

#[tokio::test]
async fn a_token_that_was_good_falls_with_its_key() {
    let issuer = Issuer::start().await;
    let (first, second) = (Key::p256(), Key::p256());
    issuer.publish(&[first.jwk("1")]);
    let source = Arc::new(KeySource::url(issuer.url.clone()).unwrap());
    source.refresh().await.unwrap();
    let auth = Authenticator { public_keys: Some(source.clone()), ..authenticator(&[]).await };
    let token = token(&first, &json!({"alg": "ES256", "kid": "1"}), &claims());
    for _ in 0..3 {
        assert_eq!(bearer(&auth, &token).await, user());
    }
    // The same id, and another key under it: only a verification can tell.
    issuer.publish(&[second.jwk("1")]);
    assert_eq!(bearer(&auth, &token).await, user(), "nobody has read the set anew yet");
    source.refresh().await.unwrap();
    assert_eq!(bearer(&auth, &token).await, "INVALID_TOKEN");
    issuer.publish(&[first.jwk("1")]);
    source.refresh().await.unwrap();
    assert_eq!(bearer(&auth, &token).await, user());
}

#[tokio::test]
async fn unknown_ids_do_not_make_the_server_ask_and_ask() {
    let issuer = Issuer::start().await;
    let key = Key::p256();
    issuer.publish(&[key.jwk("1")]);
    let auth = by_source(KeySource::url(issuer.url.clone()).unwrap());
    let forged = |id: usize| token(&key, &json!({"alg": "ES256", "kid": format!("x{id}")}), &claims());
    let tokens: Vec<_> = (0..50).map(forged).collect();
    let answers = futures_util::future::join_all(tokens.iter().map(|token| bearer(&auth, token))).await;
    assert!(answers.iter().all(|answer| answer == "INVALID_TOKEN"));
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_or_moved_verifies_nothing() {
    let issuer = Issuer::start().await;
    let key = Key::p256();
    let token = token(&key, &json!({"alg": "ES256", "kid": "1"}), &claims());
    let auth = authenticator(&[("AEROSTORE_AUTH_JWKS_URL", &issuer.url)]).await;
    assert_eq!(bearer(&auth, &token).await, "INVALID_TOKEN");
    issuer.publish(&[key.jwk("1")]);
    let moved = KeySource::url(issuer.url.replace("/keys", "/moved")).unwrap();
    assert!(moved.refresh().await.unwrap_err().contains("307"));
    let source = KeySource::url(issuer.url.clone()).unwrap();
    source.refresh().await.unwrap();
    assert_eq!(bearer(&by_source(source), &token).await, user());
    *issuer.published.lock().unwrap() = Some(format!("{{\"keys\": [\"{}\"]}}", "x".repeat(2 << 20)));
    let huge = KeySource::url(issuer.url.clone()).unwrap().refresh().await.unwrap_err();
    assert!(huge.contains("more than a key set"), "{huge}");
}
