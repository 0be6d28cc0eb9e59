//! The management API: who may call it, and what it says.

use std::time::Duration;

use file_storage::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::TestServer;

async fn call(server: &TestServer, method: Method, path: &str, token: Option<&str>) -> (u16, Value) {
    let mut request =
        server.client.request(method, format!("http://{}/api/v1/storage{path}", server.address));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn every_route_asks_who_calls() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let tokens = [Role::Anon, Role::Authenticated, Role::ServiceRole].map(|role| server.token(role));
    let routes = [
        (Method::GET, "/health", [401, 403, 200]),
        (Method::GET, "/health/local", [401, 403, 200]),
        // Which providers there are is not told either.
        (Method::GET, "/health/nowhere", [401, 403, 404]),
        (Method::GET, "/usage", [401, 200, 200]),
        (Method::GET, "/usage?recalculate=true", [401, 403, 200]),
        (Method::GET, "/usage?by=bucket", [401, 200, 200]),
        (Method::GET, "/usage?by=user&refresh=true", [401, 200, 200]),
        (Method::GET, "/usage?by=provider", [401, 403, 200]),
        (Method::GET, "/usage?by=moon", [401, 400, 400]),
        (Method::GET, "/usage?by=user&recalculate=true", [401, 400, 400]),
        // To users a bucket that is missing is one in which they have nothing.
        (Method::GET, "/usage/none", [401, 200, 404]),
        (Method::GET, "/usage/none/in?refresh=true", [401, 200, 404]),
        (Method::GET, "/usage/none//", [401, 400, 400]),
        (Method::POST, "/usage", [401, 403, 200]),
        (Method::GET, "/metrics", [401, 403, 200]),
        (Method::POST, "/metrics/reset", [401, 403, 200]),
        (Method::GET, "/cleanup", [401, 403, 200]),
        (Method::POST, "/cleanup", [401, 403, 200]),
        (Method::GET, "/policies", [401, 403, 200]),
        (Method::POST, "/policies", [401, 403, 400]),
        (Method::DELETE, "/policies/none", [401, 403, 404]),
        (Method::GET, "/webhooks", [401, 403, 200]),
        (Method::POST, "/webhooks", [401, 403, 400]),
        // Which webhooks there are is not told either.
        (Method::GET, "/webhooks/00000000-0000-0000-0000-000000000007", [401, 403, 404]),
        (Method::PATCH, "/webhooks/00000000-0000-0000-0000-000000000007", [401, 403, 400]),
        (Method::DELETE, "/webhooks/00000000-0000-0000-0000-000000000007", [401, 403, 404]),
        (Method::POST, "/webhooks/00000000-0000-0000-0000-000000000007/rotate", [401, 403, 404]),
        (Method::POST, "/webhooks/00000000-0000-0000-0000-000000000007/test", [401, 403, 404]),
        (Method::GET, "/quota", [401, 200, 200]),
        (Method::GET, "/quota/none", [401, 404, 404]),
        (Method::GET, "/quota/none/in", [401, 404, 404]),
        (Method::PUT, "/quota/none/in", [401, 403, 400]),
        (Method::DELETE, "/quota/none/in", [401, 403, 404]),
        // A folder's name is not looked at for those who may not ask.
        (Method::DELETE, "/quota/none//", [401, 403, 400]),
        // The second one is the user's own.
        (Method::GET, "/user-quotas/00000000-0000-0000-0000-000000000008", [401, 403, 200]),
        (Method::GET, "/user-quotas/00000000-0000-0000-0000-000000000007", [401, 200, 200]),
        (Method::PUT, "/user-quotas/00000000-0000-0000-0000-000000000007", [401, 403, 400]),
        (Method::DELETE, "/user-quotas/00000000-0000-0000-0000-000000000007", [401, 403, 200]),
        (Method::GET, "/global-quota", [401, 403, 200]),
        (Method::PUT, "/global-quota", [401, 403, 400]),
        (Method::DELETE, "/global-quota", [401, 403, 200]),
    ];
    for (method, path, expected) in routes {
        let nobody = call(&server, method.clone(), path, None).await;
        assert_eq!(
            (nobody.0, &nobody.1["code"]),
            (401, &json!("AUTH_REQUIRED")),
            "{method} {path}: {nobody:?}"
        );
        let forged = call(&server, method.clone(), path, Some("a.b.c")).await;
        assert_eq!(
            (forged.0, &forged.1["code"]),
            (401, &json!("INVALID_TOKEN")),
            "{method} {path}: {forged:?}"
        );
        for (token, expected) in tokens.iter().zip(expected) {
            let answer = call(&server, method.clone(), path, Some(token)).await;
            assert_eq!(answer.0, expected, "{method} {path}: {answer:?}");
            let code = (expected == 403).then(|| json!("STORAGE_UNAUTHORIZED"));
            assert_eq!(answer.1.get("code").cloned().filter(|_| expected == 403), code, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_cleanup_says_what_it_found() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    let (_, report) = call(&server, Method::GET, "/cleanup", Some(&service)).await;
    let nothing = json!({
        "orphan_blobs": 0, "orphan_bytes": 0, "missing_blobs": 0, "damaged_blobs": 0, "missing_copies": 0, "deleted_blobs": 0,
        "deleted_rows": 0, "pending_deletions": 0, "halted": null, "orphans": [], "missing": []
    });
    assert_eq!(report, nothing);
}

#[tokio::test]
async fn a_cleanup_that_only_looks_deletes_nothing() {
    let data_dir = tempfile::tempdir().unwrap();
    let server =
        TestServer::start(data_dir.path(), &[("cleanup.enabled", "false"), ("cleanup.grace", "1s")]).await;
    let service = server.token(Role::ServiceRole);
    let folder = data_dir.path().join("blobs/00000000-0000-4000-8000-000000000001/ab");
    std::fs::create_dir_all(&folder).unwrap();
    let orphan = folder.join("00000000-0000-4000-8000-000000000002");
    std::fs::write(&orphan, "nobody's").unwrap();
    // Older than the grace by then, also by a file system's clock.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cleanup = async |asked: Value| post(&server, "/api/v1/storage/cleanup", &service, &asked).await;

    let (status, looked) = cleanup(json!({ "dry_run": true })).await;
    assert_eq!((status, &looked["orphan_blobs"]), (200, &json!(1)), "{looked}");
    assert_eq!(looked["deleted_blobs"], json!(0), "{looked}");
    for wrong in [json!({ "dryRun": true }), json!([true]), json!("dry_run"), json!({ "dry_run": "yes" })] {
        let (status, refused) = cleanup(wrong).await;
        assert_eq!((status, &refused["code"]), (400, &json!("INVALID_REQUEST")), "{refused}");
    }
    assert!(orphan.exists());
    let (_, done) = cleanup(json!({})).await;
    assert_eq!(done["deleted_blobs"], json!(1), "{done}");
    assert!(!orphan.exists());
}

#[tokio::test]
async fn a_body_is_an_object_of_known_fields() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    let one = "00000000-0000-0000-0000-000000000007";
    let way = json!({ "bucket": "none", "prefix": "a", "to_prefix": "b" });
    let rule = json!({ "bucket": "none", "max_age_days": 1 });
    let quota = json!({ "quota_bytes": 1 });
    let routes = [
        (Method::POST, "/folders/delete".to_owned(), json!({ "bucket": "none", "prefix": "" })),
        (Method::POST, "/folders/move".to_owned(), way.clone()),
        (Method::POST, "/folders/copy".to_owned(), way),
        (Method::DELETE, "/files/batch".to_owned(), json!({ "bucket": "none", "paths": ["a"] })),
        (Method::POST, "/migrations".to_owned(), json!({ "from": "a", "to": "b" })),
        (Method::PUT, "/quota/none".to_owned(), quota.clone()),
        (Method::PUT, format!("/user-quotas/{one}"), quota.clone()),
        (Method::PUT, "/global-quota".to_owned(), quota),
        (Method::POST, "/policies".to_owned(), json!({ "sql": "DROP POLICY none ON objects" })),
        (Method::POST, "/credentials".to_owned(), json!({ "role": "service_role" })),
        (Method::PATCH, "/credentials/none".to_owned(), json!({ "enabled": true })),
        (Method::POST, "/webhooks".to_owned(), json!({ "url": "https://example.org/" })),
        (Method::PATCH, format!("/webhooks/{one}"), json!({ "enabled": true })),
        (Method::POST, "/lifecycle".to_owned(), rule.clone()),
        (Method::PUT, format!("/lifecycle/{one}"), rule),
        (Method::POST, "/lifecycle/run".to_owned(), json!({})),
        (Method::POST, "/scrub".to_owned(), json!({})),
        (Method::POST, "/adopt".to_owned(), json!({ "bucket": "none", "provider": "none" })),
        (Method::POST, "/cleanup".to_owned(), json!({})),
        // These take none at all.
        (Method::POST, "/usage".to_owned(), json!({})),
        (Method::POST, "/metrics/reset".to_owned(), json!({})),
        (Method::POST, "/upload-queue/retry".to_owned(), json!({})),
        (Method::POST, format!("/upload-queue/{one}/retry"), json!({})),
        (Method::POST, format!("/upload-queue/{one}/cancel"), json!({})),
        (Method::POST, format!("/jobs/{one}/cancel"), json!({})),
        (Method::POST, format!("/webhooks/{one}/rotate"), json!({})),
        (Method::POST, format!("/webhooks/{one}/test"), json!({})),
    ];
    for (method, path, body) in routes {
        let array = Value::Array(body.as_object().unwrap().values().cloned().collect());
        let mut odd = body;
        odd["dryRun"] = json!(true);
        for (wrong, words) in [(odd, "unknown field `dryRun`"), (array, "body must be object")] {
            let url = format!("http://{}/api/v1/storage{path}", server.address);
            let request = server.client.request(method.clone(), url).bearer_auth(&service).json(&wrong);
            let answer = request.send().await.unwrap();
            let (status, refused) = (answer.status().as_u16(), answer.json::<Value>().await.unwrap());
            let code = (status, &refused["code"]);
            assert_eq!(code, (400, &json!("INVALID_REQUEST")), "{method} {path} {wrong}: {refused}");
            assert!(refused["message"].as_str().unwrap().contains(words), "{method} {path}: {refused}");
        }
    }
}

#[tokio::test]
async fn a_path_that_is_no_text_is_refused_as_everything_else_is() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    for (method, path) in [
        (Method::GET, "/jobs/%ff"),
        (Method::POST, "/jobs/%ff/cancel"),
        (Method::GET, "/health/%ff"),
        (Method::GET, "/webhooks/%ff"),
        (Method::GET, "/lifecycle/%ff"),
        (Method::GET, "/user-quotas/%ff"),
        (Method::GET, "/usage/photos/%ff"),
        (Method::GET, "/quota/photos/%ff"),
        (Method::DELETE, "/policies/%ff"),
        (Method::DELETE, "/credentials/%ff"),
        (Method::POST, "/upload-queue/%ff/retry"),
    ] {
        let (status, refused) = call(&server, method.clone(), path, Some(&service)).await;
        let code = (status, &refused["code"]);
        assert_eq!(code, (400, &json!("INVALID_REQUEST")), "{method} {path}: {refused}");
        assert!(!refused["request_id"].as_str().unwrap().is_empty(), "{method} {path}: {refused}");
    }
}

#[tokio::test]
async fn usage_is_ones_own_or_the_service_roles() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let (_, own) = call(&server, Method::GET, "/usage", Some(&server.token(Role::Authenticated))).await;
    assert_eq!((&own["total_bytes"], &own["file_count"]), (&json!(0), &json!(0)), "{own}");
    let service = server.token(Role::ServiceRole);
    let (_, all) = call(&server, Method::GET, "/usage", Some(&service)).await;
    assert_eq!(all, json!({ "users": [], "buckets": [], "truncated": false }));
    let (_, recounted) = call(&server, Method::GET, "/usage?recalculate=true", Some(&service)).await;
    assert_eq!(recounted["differences"], json!([]));
    let (status, wrong) = call(&server, Method::GET, "/usage?recalculate=perhaps", Some(&service)).await;
    assert_eq!((status, &wrong["code"]), (400, &json!("INVALID_REQUEST")));
    // Of more than are told of, the answer says that there are.
    let database = rusqlite::Connection::open(data_dir.path().join("metadata.sqlite")).unwrap();
    let users = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) \
                 INSERT INTO storage_usage (id, user_id, created_at, updated_at) \
                 SELECT i, printf('00000000-0000-4000-8000-%012d', i), 0, 0 FROM n";
    assert_eq!(database.execute(users, []).unwrap(), 10_001);
    let (_, all) = call(&server, Method::GET, "/usage", Some(&service)).await;
    assert_eq!((all["users"].as_array().unwrap().len(), &all["truncated"]), (10_000, &json!(true)));
}

#[tokio::test]
async fn a_recount_reports_and_only_a_post_repairs() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    let made = server.client.post(format!("http://{}/storage/v1/bucket", server.address));
    let made = made.bearer_auth(&service).json(&json!({ "name": "photos" })).send().await.unwrap();
    assert_eq!(made.status(), 201);
    // A counter goes wrong behind the server's back.
    let database = rusqlite::Connection::open(data_dir.path().join("metadata.sqlite")).unwrap();
    let changed = database.execute("UPDATE storage_buckets SET total_bytes = 7, file_count = 3", []).unwrap();
    assert_eq!(changed, 1);
    let wrong = json!([{
        "scope": "bucket", "name": "photos", "counted_bytes": 7, "actual_bytes": 0, "counted_files": 3,
        "actual_files": 0, "counted_unfinished": 0, "actual_unfinished": 0
    }]);
    let differences =
        async |method, path| call(&server, method, path, Some(&service)).await.1["differences"].clone();
    assert_eq!(differences(Method::GET, "/usage?recalculate=true").await, wrong);
    assert_eq!(differences(Method::GET, "/usage?recalculate=true").await, wrong, "a GET changes nothing");
    assert_eq!(differences(Method::POST, "/usage").await, wrong, "what it has set right");
    assert_eq!(differences(Method::GET, "/usage?recalculate=true").await, json!([]));
}

#[tokio::test]
async fn quotas_are_set_shown_and_taken_off() {
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("quotas.global", "1MB"), ("quotas.default_user", "10kB")];
    let server = TestServer::start(data_dir.path(), &settings).await;
    let (service, user) = (server.token(Role::ServiceRole), server.token(Role::Authenticated));
    let made = post(&server, "/storage/v1/bucket", &user, &json!({ "name": "photos" })).await;
    assert_eq!(made.0, 201, "{}", made.1);
    let set = async |path: &str, token: &str, bytes: Value| {
        let url = format!("http://{}/api/v1/storage{path}", server.address);
        let request = server.client.put(url).bearer_auth(token).json(&json!({ "quota_bytes": bytes }));
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let upload = async |path: &str, bytes: usize| {
        let url = format!("http://{}/storage/v1/object/photos/{path}", server.address);
        let request = server.client.post(url).bearer_auth(&user).body(vec![0_u8; bytes]);
        let answer = request.header("content-type", "text/plain").send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let shown = json!({
        "scope": "folder", "name": "photos/in", "quota_bytes": 100, "used_bytes": 0, "available_bytes": 100,
        "is_default": false
    });
    assert_eq!(set("/quota/photos/in", &service, json!(100)).await, (200, shown.clone()));
    assert_eq!(
        call(&server, Method::GET, "/quota/photos/in/", Some(&user)).await,
        (200, shown),
        "it is theirs"
    );
    assert_eq!(set("/quota/photos/in", &user, json!(100)).await.0, 403, "and the service role's to set");
    assert_eq!(set("/quota/photos/in", &service, json!(-1)).await.0, 400);
    assert_eq!(set("/quota/photos/in", &service, json!(u64::MAX)).await.0, 400);

    assert!(upload("in/a", 60).await.0 < 300);
    let (status, over) = upload("in/b", 41).await;
    assert_eq!((status, &over["code"], &over["scope"]), (507, &json!("QUOTA_EXCEEDED"), &json!("folder")));
    let figures = ["used", "limit", "requested"].map(|key| over[key].as_u64().unwrap());
    assert_eq!(figures, [60, 100, 41], "{over}");
    assert_eq!(over["name"], "photos/in", "as people write it, and as events have it");
    let (_, over) = upload("c", 10_001).await;
    assert_eq!((&over["scope"], &over["limit"]), (&json!("user"), &json!(10_000)), "the default: {over}");

    let own = "/user-quotas/00000000-0000-0000-0000-000000000007";
    let (_, quota) = call(&server, Method::GET, own, Some(&user)).await;
    assert_eq!((&quota["quota_bytes"], &quota["is_default"]), (&json!(10_000), &json!(true)), "{quota}");
    assert_eq!(set(own, &service, json!(20_000)).await.1["is_default"], json!(false));
    assert!(upload("c", 10_001).await.0 < 300);
    let (_, quota) = call(&server, Method::DELETE, own, Some(&service)).await;
    assert_eq!((&quota["quota_bytes"], &quota["available_bytes"]), (&json!(10_000), &json!(0)), "{quota}");

    assert_eq!(set("/quota/photos", &service, json!(12_000)).await.1["scope"], json!("bucket"));
    assert_eq!(set("/global-quota", &service, json!(11_000)).await.1["used_bytes"], json!(10_061));
    set(own, &service, json!(20_000)).await;
    let (_, over) = upload("d", 1000).await;
    assert_eq!((&over["scope"], &over["used"]), (&json!("global"), &json!(10_061)), "{over}");
    let scopes = async |token: &str| {
        let (_, all) = call(&server, Method::GET, "/quota", Some(token)).await;
        let all = all.as_array().unwrap().clone();
        all.into_iter().map(|quota| quota["scope"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(scopes(&service).await, ["global", "user", "bucket", "folder"]);
    assert_eq!(scopes(&user).await, ["user", "bucket", "folder"]);
    let (_, quota) = call(&server, Method::DELETE, "/global-quota", Some(&service)).await;
    assert_eq!((&quota["quota_bytes"], &quota["is_default"]), (&json!(1_000_000), &json!(true)), "{quota}");
    let (_, recounted) = call(&server, Method::GET, "/usage?recalculate=true", Some(&service)).await;
    assert_eq!(recounted["differences"], json!([]));
    server.stop().await;

    // The next start says otherwise.
    let server = TestServer::start(data_dir.path(), &[("storage.quota_enforcement", "warn")]).await;
    let url = format!("http://{}/storage/v1/object/photos/in/b", server.address);
    let answer = server.client.post(url).bearer_auth(server.token(Role::Authenticated)).body(vec![0_u8; 41]);
    assert!(answer.header("content-type", "text/plain").send().await.unwrap().status().is_success());
    let (_, quota) = call(&server, Method::GET, "/quota/photos/in", Some(&service)).await;
    assert_eq!((&quota["used_bytes"], &quota["available_bytes"]), (&json!(101), &json!(0)), "{quota}");
    let (_, quota) = call(&server, Method::GET, "/global-quota", Some(&service)).await;
    assert_eq!((&quota["quota_bytes"], &quota["is_default"]), (&json!(null), &json!(false)), "{quota}");
}

#[tokio::test]
async fn health_tells_the_operator_more_than_the_world() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let (_, health) = call(&server, Method::GET, "/health", Some(&server.token(Role::ServiceRole))).await;
    assert_eq!((&health["status"], &health["provider"]), (&json!("ok"), &json!("local")), "{health}");
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    // The disk was asked just now, for this answer.
    let disk = &health["providers"][0];
    assert_eq!((&disk["provider"], &disk["healthy"]), (&json!("local"), &json!(true)), "{health}");
    assert!(disk["latency"].as_f64().unwrap() > 0.0 && disk["last_check"].is_string(), "{health}");
    assert_eq!((&disk["error"], &disk["circuit"]), (&Value::Null, &Value::Null));
    let service = server.token(Role::ServiceRole);
    assert_eq!(call(&server, Method::GET, "/health/local", Some(&service)).await, (200, disk.clone()));
    let (status, missing) = call(&server, Method::GET, "/health/nowhere", Some(&service)).await;
    assert_eq!((status, &missing["code"]), (404, &json!("PROVIDER_NOT_FOUND")), "{missing}");
}

/// A POST with a JSON body.
async fn post(server: &TestServer, path: &str, token: &str, body: &Value) -> (u16, Value) {
    let request =
        server.client.post(format!("http://{}{path}", server.address)).bearer_auth(token).json(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn policies_are_added_shown_and_dropped() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let service = server.token(Role::ServiceRole);
    let sql = "CREATE POLICY pub ON storage.objects FOR SELECT TO anon USING (name LIKE 'pub/%')";
    let change =
        async |sql: &str| post(&server, "/api/v1/storage/policies", &service, &json!({ "sql": sql })).await;

    let (status, made) = change(sql).await;
    assert_eq!((status, &made["created"]["name"]), (200, &json!("pub")), "{made}");
    let (status, taken) = change(sql).await;
    assert_eq!((status, &taken["code"], &taken["policy"]), (409, &json!("POLICY_EXISTS"), &json!("pub")));
    let (_, all) = call(&server, Method::GET, "/policies", Some(&service)).await;
    let shown = json!([{
        "name": "pub", "command": "SELECT", "permissive": true, "roles": ["anon"], "definition": sql
    }]);
    assert_eq!(all, shown);

    let (status, wrong) = change("CREATE POLICY p ON objects\n USING (pg_sleep(9) IS NULL)").await;
    assert_eq!((status, &wrong["code"]), (400, &json!("INVALID_SQL")), "{wrong}");
    assert_eq!(wrong["position"], json!({ "line": 2, "column": 9 }));
    assert!(wrong["reason"].as_str().unwrap().contains("pg_sleep"), "{wrong}");

    let (status, gone) = call(&server, Method::DELETE, "/policies/pub", Some(&service)).await;
    assert_eq!((status, gone), (200, json!({ "dropped": "pub" })));
    let (status, gone) = change("DROP POLICY pub ON objects").await;
    assert_eq!((status, &gone["code"]), (404, &json!("POLICY_NOT_FOUND")));
    assert_eq!(change("DROP POLICY IF EXISTS pub ON objects").await, (200, json!({ "dropped": null })));
}

#[tokio::test]
async fn an_explanation_is_for_oneself_or_the_service_role() {
    let data_dir = tempfile::tempdir().unwrap();
    let server = TestServer::start(data_dir.path(), &[]).await;
    let (service, user) = (server.token(Role::ServiceRole), server.token(Role::Authenticated));
    post(&server, "/storage/v1/bucket", &service, &json!({ "name": "docs" })).await;
    let question = json!({ "operation": "read", "bucket": "docs", "path": "a.txt" });
    let (status, told) = post(&server, "/storage/v1/explain", &user, &question).await;
    assert_eq!((status, &told["allowed"]), (200, &json!(false)), "{told}");
    assert_eq!(told["because"][0]["effect"], "requires");

    let mut about = question.clone();
    about["as"] = json!({ "user_id": "00000000-0000-0000-0000-000000000009" });
    let (status, refused) = post(&server, "/storage/v1/explain", &user, &about).await;
    assert_eq!((status, &refused["code"]), (403, &json!("STORAGE_UNAUTHORIZED")), "{refused}");
    about["operation"] = json!("create");
    let (status, told) = post(&server, "/storage/v1/explain", &service, &about).await;
    assert_eq!((status, &told["allowed"]), (200, &json!(true)), "a system bucket: {told}");
    about["operation"] = json!("peek");
    assert_eq!(post(&server, "/storage/v1/explain", &service, &about).await.0, 400);
}
