//! Tokens good and bad, against an authenticator of their own.

mod issuer;
mod key_sets;

use file_storage::permissions::Role;
use file_storage::signed_url::{SigningKeys, sign_download};
use http::HeaderValue;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::config::{Config, Sources};
use issuer::{in_an_hour, token};

const SECRET: &str = "the current secret, thirty-two bytes or more";
const OLD: &str = "the secret before it, just as many bytes long";
const USER: &str = "7b0a1c1e-8a54-4a0a-9d3c-0c1d2e3f4a5b";

fn config(variables: &[(&str, &str)]) -> AuthConfig {
    let environment = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Config::load(&Sources { environment, ..Sources::default() }).unwrap().config.auth
}

async fn authenticator(variables: &[(&str, &str)]) -> Authenticator {
    Authenticator::start(&config(variables), &Secret::new(SECRET), &[Secret::new(OLD)]).await.unwrap()
}

/// Role and user of an accepted request, or the code of the refusal.
async fn ask(authenticator: &Authenticator, lines: &[(&'static str, &str)]) -> String {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    match authenticator.authenticate(&headers, "r").await {
        Ok(caller) => {
            format!(
                "{} {}",
                caller.role().as_str(),
                caller.user_id().map(|u| u.to_string()).unwrap_or_default()
            )
        }
        Err(error) => error.code().to_owned(),
    }
}

async fn bearer(authenticator: &Authenticator, token: &str) -> String {
    ask(authenticator, &[("authorization", &format!("Bearer {token}"))]).await
}

fn user() -> String {
    format!("authenticated {USER}")
}

fn hs256(secret: &str, claims: &Value) -> String {
    token(&issuer::Key::Hmac(secret), &json!({"alg": "HS256", "typ": "JWT"}), claims)
}

fn claims() -> Value {
    json!({"sub": USER, "role": "authenticated", "exp": in_an_hour()})
}

fn claims_with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

#[tokio::test]
async fn no_token_is_anon_and_a_bad_one_never_is() {
    let auth = authenticator(&[]).await;
    let good = hs256(SECRET, &claims());
    let other = hs256(SECRET, &json!({"role": "service_role", "exp": in_an_hour()}));
    let bad = hs256("some secret that is not ours, but long enough", &claims());
    let authorization = "authorization";
    assert_eq!(ask(&auth, &[]).await, "anon ");
    for word in ["Bearer", "bearer", "BEARER", "Bearer  "] {
        assert_eq!(ask(&auth, &[(authorization, &format!("{word} {good}"))]).await, user(), "{word}");
    }
    assert_eq!(ask(&auth, &[("apikey", &good)]).await, user());
    assert_eq!(ask(&auth, &[(authorization, &format!("Bearer {good}")), ("apikey", &other)]).await, user());
    let refused: &[&[(&str, &str)]] = &[
        &[(authorization, "")],
        &[(authorization, "Bearer")],
        &[(authorization, "Bearer ")],
        &[(authorization, &good)],
        &[(authorization, &format!("Basic {good}"))],
        &[(authorization, &format!("Bearer{good}"))],
        &[(authorization, &format!("Bearer {good} {good}"))],
        &[(authorization, &format!("Bearer {good}")), (authorization, &format!("Bearer {good}"))],
        &[(authorization, &format!("Bearer {bad}"))],
        &[(authorization, &format!("Bearer {bad}")), ("apikey", &good)],
        &[(authorization, "Bearer"), ("apikey", &good)],
        &[("apikey", "")],
        &[("apikey", &bad)],
        &[("apikey", "ü")],
        &[(authorization, &format!("Bearer {}", "x".repeat(100_000)))],
    ];
    for lines in refused {
        assert_eq!(ask(&auth, lines).await, "INVALID_TOKEN", "{lines:?}");
    }
}

#[tokio::test]
async fn roles_and_users_are_those_of_the_claims() {
    let auth = authenticator(&[]).await;
    let of = async |role: Value, sub: Value| {
        bearer(&auth, &hs256(SECRET, &json!({"role": role, "sub": sub, "exp": in_an_hour()}))).await
    };
    assert_eq!(of(json!("authenticated"), json!(USER)).await, user());
    assert_eq!(of(json!("authenticated"), json!(USER.to_uppercase())).await, user());
    assert_eq!(of(json!("anon"), json!(USER)).await, "anon ");
    assert_eq!(of(json!("service_role"), json!(USER)).await, format!("service_role {USER}"));
    assert_eq!(of(json!("service"), json!("backend")).await, "service_role ");
    for sub in [json!("bob"), json!(""), json!(null), json!(7), json!("../../etc")] {
        assert_eq!(of(json!("authenticated"), sub.clone()).await, "USER_NOT_FOUND", "{sub}");
    }
    for role in
        [json!("admin"), json!(""), json!("SERVICE_ROLE"), json!(null), json!(["service_role"]), json!(true)]
    {
        assert_eq!(of(role.clone(), json!(USER)).await, "INVALID_TOKEN", "{role}");
    }
    let no_role = hs256(SECRET, &json!({"sub": USER, "exp": in_an_hour()}));
    assert_eq!(bearer(&auth, &no_role).await, user());
    assert_eq!(AuthError::UserNotFound.to_string(), "User ID not valid");
}

#[tokio::test]
async fn times_must_be_there_and_right() {
    let auth = authenticator(&[]).await;
    let now = chrono::Utc::now().timestamp();
    let with =
        async |name: &str, value: Value| bearer(&auth, &hs256(SECRET, &claims_with(name, value))).await;
    assert_eq!(with("exp", json!(now + 60)).await, user());
    assert_eq!(with("nbf", json!(now - 60)).await, user());
    for exp in [
        json!(now - 60),
        json!(0),
        json!(-1),
        json!(null),
        json!(format!("{}", now + 60)),
        json!("never"),
        json!([now + 60]),
        json!({}),
        json!(true),
    ] {
        assert_eq!(with("exp", exp.clone()).await, "INVALID_TOKEN", "exp {exp}");
    }
    for nbf in [json!(now + 60), json!("soon"), json!(-1), json!([])] {
        assert_eq!(with("nbf", nbf.clone()).await, "INVALID_TOKEN", "nbf {nbf}");
    }
    let no_exp = hs256(SECRET, &json!({"sub": USER, "role": "authenticated"}));
    assert_eq!(bearer(&auth, &no_exp).await, "INVALID_TOKEN");
}

#[tokio::test]
async fn secrets_rotate() {
    let auth = authenticator(&[]).await;
    assert_eq!(bearer(&auth, &hs256(OLD, &claims())).await, user());
    let expired = hs256(OLD, &claims_with("exp", json!(1)));
    assert_eq!(bearer(&auth, &expired).await, "INVALID_TOKEN");
    let forgotten = Authenticator::start(&config(&[]), &Secret::new(SECRET), &[]).await.unwrap();
    assert_eq!(bearer(&forgotten, &hs256(OLD, &claims())).await, "INVALID_TOKEN");
}

#[tokio::test]
async fn audience_and_issuer_are_checked_where_configured() {
    let open = authenticator(&[]).await;
    let strict =
        authenticator(&[("AEROSTORE_AUTH_AUDIENCE", "app,web"), ("AEROSTORE_AUTH_ISSUER", "https://a")])
            .await;
    let check = async |aud: Value, iss: Value, expected: &str| {
        let mut claims = claims_with("aud", aud);
        claims["iss"] = iss;
        let token = hs256(SECRET, &claims);
        assert_eq!(bearer(&strict, &token).await, expected, "{claims}");
        assert_eq!(bearer(&open, &token).await, user(), "{claims}");
    };
    check(json!("app"), json!("https://a"), &user()).await;
    check(json!(["other", "web"]), json!("https://a"), &user()).await;
    for (aud, iss) in [
        (json!("other"), json!("https://a")),
        (json!([]), json!("https://a")),
        (json!(null), json!("https://a")),
        (json!(7), json!("https://a")),
        (json!("app"), json!("https://b")),
        (json!("app"), json!(null)),
        (json!("app"), json!({})),
    ] {
        check(aud, iss, "INVALID_TOKEN").await;
    }
    assert_eq!(bearer(&strict, &hs256(SECRET, &claims())).await, "INVALID_TOKEN", "neither claim");
}

#[tokio::test]
async fn tokens_that_are_no_hs256_tokens_of_ours_are_refused() {
    let auth = authenticator(&[]).await;
    let good = hs256(SECRET, &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, body) = message.split_once('.').unwrap();
    let forged = |header: Value| token(&issuer::Key::Hmac(SECRET), &header, &claims());
    let none = forged(json!({"alg": "none", "typ": "JWT"}));
    let none = none.rsplit_once('.').unwrap().0;
    let flipped = format!("{message}.{}A", &signature[..signature.len() - 1]);
    for bad in [
        none.to_owned(),
        format!("{none}."),
        format!("{none}.{signature}"),
        forged(json!({"alg": "None"})),
        forged(json!({"alg": "HS384"})),
        forged(json!({"alg": "HS512"})),
        forged(json!({"alg": "RS256"})),
        forged(json!({"alg": "hs256"})),
        forged(json!({"typ": "JWT"})),
        forged(json!({"alg": "HS256", "crit": ["b64"], "b64": false})),
        forged(json!({"alg": "HS256", "crit": []})),
        message.to_owned(),
        format!("{message}."),
        format!("{message}.{signature}="),
        format!("{good}.{signature}"),
        format!("{body}.{body}.{signature}"),
        if flipped == good { format!("{message}.{}E", &signature[..signature.len() - 1]) } else { flipped },
        "..".to_owned(),
        "a.b.c".to_owned(),
        "null".to_owned(),
    ] {
        assert_eq!(bearer(&auth, &bad).await, "INVALID_TOKEN", "{bad}");
    }
}

/// A token of this text for a header and this one for claims, signed by our secret.
fn verbatim(header: &str, claims: &str) -> String {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let message = format!("{}.{}", part(header), part(claims));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let tag = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{tag}")
}

#[tokio::test]
async fn a_token_that_readers_may_take_differently_is_refused() {
    let auth = authenticator(&[]).await;
    let header = r#"{"alg":"HS256","typ":"JWT"}"#;
    let claims =
        |more: &str| format!(r#"{{"sub":"{USER}","role":"authenticated","exp":{}{more}}}"#, in_an_hour());
    assert_eq!(bearer(&auth, &verbatim(header, &claims(""))).await, user());
    let nested = r#","app_metadata":{"a":[{"b":1}],"c":1.5,"d":null,"e":true,"f":-1}"#;
    assert_eq!(bearer(&auth, &verbatim(header, &claims(nested))).await, user());
    for repeated in [
        r#","role":"service_role""#.to_owned(),
        r#","role":"authenticated""#.to_owned(),
        r#","\u0072ole":"service_role""#.replace("\\\\", "\\"),
        format!(r#","sub":"{}""#, Uuid::from_u128(1)),
        r#","exp":99999999999"#.to_owned(),
        r#","custom":1,"custom":1"#.to_owned(),
        r#","app_metadata":{"tenant":"a","tenant":"b"}"#.to_owned(),
        r#","list":[{"a":1,"a":2}]"#.to_owned(),
        // What PostgreSQL can't keep is no claim on any engine.
        r#","team":"a\u0000b""#.to_owned(),
        r#","app_metadata":{"a\u0000":["b"]}"#.to_owned(),
    ] {
        let token = verbatim(header, &claims(&repeated));
        assert_eq!(bearer(&auth, &token).await, "INVALID_TOKEN", "{repeated}");
    }
    for header in [
        r#"{"alg":"HS256","alg":"HS256"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"HS256","typ":"JWT","typ":"JWT"}"#,
        r#"{"alg":"HS256","x":1,"x":2}"#,
    ] {
        assert_eq!(bearer(&auth, &verbatim(header, &claims(""))).await, "INVALID_TOKEN", "{header}");
    }
}

#[tokio::test]
async fn tokens_of_signed_urls_are_no_bearer_tokens() {
    let auth = authenticator(&[]).await;
    let expires_at = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let (bucket, path) =
        (file_storage::BucketName::parse("docs").unwrap(), file_storage::ObjectPath::parse("a").unwrap());
    // Even where the two secrets are the same one.
    for secret in [SECRET, "a secret for URLs, as it should be, of its own"] {
        let signed =
            sign_download(&SigningKeys::new(secret.as_bytes(), []), &bucket, &path, expires_at, false);
        assert_eq!(bearer(&auth, &signed).await, "INVALID_TOKEN");
    }
    let dressed_up =
        json!({"url": "docs/a", "scope": "download", "role": "service_role", "exp": in_an_hour()});
    assert_eq!(bearer(&auth, &hs256(SECRET, &dressed_up)).await, "INVALID_TOKEN");
}

#[tokio::test]
async fn minted_tokens_are_accepted() {
    let variables = [("AEROSTORE_AUTH_AUDIENCE", "app"), ("AEROSTORE_AUTH_ISSUER", "us")];
    for variables in [&[][..], &variables] {
        let auth = authenticator(variables).await;
        let mint = |role, user, lifetime| {
            let new = NewToken {
                role,
                user,
                issued_at: chrono::Utc::now(),
                lifetime: Duration::from_secs(lifetime),
            };
            mint_token(&Secret::new(SECRET), &config(variables), &new)
        };
        let id: Uuid = USER.parse().unwrap();
        assert_eq!(bearer(&auth, &mint(Role::Authenticated, Some(id), 60).unwrap()).await, user());
        assert_eq!(bearer(&auth, &mint(Role::ServiceRole, None, 60).unwrap()).await, "service_role ");
        assert_eq!(bearer(&auth, &mint(Role::Anon, None, 60).unwrap()).await, "anon ");
        assert!(matches!(mint(Role::Authenticated, None, 60), Err(MintError::NoUser)));
        assert!(matches!(mint(Role::Anon, None, u64::MAX), Err(MintError::TooLong)));
    }
}

#[tokio::test]
async fn refusals_and_debug_texts_tell_no_secrets() {
    let auth = authenticator(&[]).await;
    let mut headers = HeaderMap::new();
    headers.insert("apikey", HeaderValue::from_static("abc.def.ghi"));
    let text = format!("{:?} {auth:?}", auth.authenticate(&headers, "r").await.unwrap_err());
    assert!(!text.contains(SECRET) && !text.contains("abc"), "{text}");
}

/// What an authenticated request pays for being authenticated: no cache of verified tokens is worth its risks.
#[tokio::test]
async fn verifying_costs_less_than_50_microseconds() {
    let auth = authenticator(&[]).await;
    let token =
        hs256(SECRET, &claims_with("app_metadata", json!({"provider": "email", "roles": ["a", "b"]})));
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let start = std::time::Instant::now();
        for _ in 0..500 {
            std::hint::black_box(auth.authenticate(&headers, "r").await.unwrap());
        }
        best = best.min(start.elapsed() / 500);
    }
    println!("{best:?} per request");
    assert!(best < Duration::from_micros(50), "{best:?}");
}
