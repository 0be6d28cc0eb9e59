//! Keys of S3's clients: made for a role and a user, shown once, and closed at once.

use serde_json::{Value, json};

use crate::signer::{Ask, Signer};
use crate::support::{OTHER, OWNER, Server, Who};
use crate::{client, expect};

const CREDENTIALS: &str = "/api/v1/storage/credentials";

async fn made(server: &Server, body: Value) -> (Signer, Value) {
    let reply = server.request(Who::Service, "POST", CREDENTIALS).json(&body).send().await;
    let shown = reply.expect_status(201).json();
    let text = |name: &str| shown[name].as_str().unwrap().to_owned();
    (Signer::new(&text("access_key_id"), &text("secret_access_key")), shown)
}

#[tokio::test]
async fn a_credential_acts_as_its_user_until_it_is_disabled_or_deleted() {
    let server = Server::start();
    let s3 = client(&server);
    server.bucket(Who::User(OWNER), "mine", "private").await;
    let (key, shown) = made(&server, json!({ "name": "laptop", "user_id": OWNER })).await;
    assert_eq!((&shown["role"], &shown["enabled"]), (&json!("authenticated"), &json!(true)));
    let (other, _) = made(&server, json!({ "user_id": OTHER })).await;
    let (service, _) = made(&server, json!({ "role": "service_role", "name": "backend" })).await;
    let put = || Ask::new("PUT", "/mine/x").body("1");
    expect(&s3.signed(&key, put()).await, 200, "");
    expect(&s3.signed(&other, put()).await, 403, "AccessDenied");
    expect(&s3.signed(&service, put()).await, 200, "");
    let row =
        server.call(Who::User(OWNER), "GET", "/object/info/mine/x").send().await.expect_status(200).json();
    assert_eq!(row["owner_id"], json!(OWNER), "{row}");

    let list = async || {
        let reply = server.request(Who::Service, "GET", CREDENTIALS).send().await.expect_status(200);
        assert!(!reply.text().contains(&key.secret) && !reply.text().contains("secret"), "{}", reply.text());
        reply.json()
    };
    let all = list().await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    assert_eq!((&all[0]["access_key_id"], &all[0]["name"]), (&json!(key.id), &json!("laptop")));
    for _ in 0..2000 {
        if !list().await[0]["last_used_at"].is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(list().await[0]["last_used_at"].is_string());

    let one = format!("{CREDENTIALS}/{}", key.id);
    let change = async |enabled: bool| {
        let reply =
            server.request(Who::Service, "PATCH", &one).json(&json!({ "enabled": enabled })).send().await;
        assert_eq!(reply.expect_status(200).json()["enabled"], json!(enabled));
    };
    change(false).await;
    expect(&s3.signed(&key, put()).await, 403, "InvalidAccessKeyId");
    change(true).await;
    expect(&s3.signed(&key, put()).await, 200, "");
    server.request(Who::Service, "DELETE", &one).send().await.expect_status(200);
    expect(&s3.signed(&key, put()).await, 403, "InvalidAccessKeyId");
    server.request(Who::Service, "DELETE", &one).send().await.expect_error(404, "CREDENTIAL_NOT_FOUND");
    assert!(!server.log().contains(&key.secret));
}

#[tokio::test]
async fn credentials_are_the_service_roles() {
    let server = Server::start();
    let one = format!("{CREDENTIALS}/ASAAAAAAAAAAAAAAAAAA");
    for (who, status) in [(Who::Anon, 401), (Who::User(OWNER), 403)] {
        for (method, path) in [("GET", CREDENTIALS), ("POST", CREDENTIALS), ("PATCH", &one), ("DELETE", &one)]
        {
            let call =
                server.request(who, method, path).json(&json!({ "role": "service_role", "enabled": true }));
            let reply = call.send().await;
            assert_eq!(reply.status, status, "{method} {who:?}: {}", reply.text());
        }
    }
    for bad in [
        json!({}),
        json!({ "role": "root" }),
        json!({ "role": "authenticated" }),
        json!({ "role": "anon", "user_id": OWNER }),
    ] {
        let reply = server.request(Who::Service, "POST", CREDENTIALS).json(&bad).send().await;
        assert_eq!(reply.status, 400, "{bad}: {}", reply.text());
    }
    let reply = server.request(Who::Service, "GET", CREDENTIALS).send().await.expect_status(200);
    assert_eq!(reply.json(), json!([]));
}

#[tokio::test]
async fn secrets_are_sealed_at_rest_and_survive_a_restart() {
    let server = Server::start();
    let (key, _) = made(&server, json!({ "role": "service_role" })).await;
    let data = server.stop();
    let server = Server::start_in(data, &[]);
    let s3 = client(&server);
    expect(&s3.signed(&key, Ask::new("PUT", "/made").body("")).await, 200, "");
    expect(&s3.signed(&key, Ask::new("DELETE", "/made")).await, 204, "");
    for file in std::fs::read_dir(server.data_dir()).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let found = bytes.windows(key.secret.len()).any(|window| window == key.secret.as_bytes());
        assert!(!found, "the secret is readable in {}", file.path().display());
    }
}
