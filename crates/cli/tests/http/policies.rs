//! Policies in SQL over HTTP, on either engine: who may add them, what they let through and refuse, in which words, and
//! what `explain` says of it.

use serde_json::{Value, json};

use crate::support::{OTHER, OWNER, Reply, Server, Who};

const PATH: &str = "/api/v1/storage/policies";

async fn change(server: &Server, who: Who, sql: &str) -> Reply {
    server.request(who, "POST", PATH).json(&json!({ "sql": sql })).send().await
}

async fn add(server: &Server, name: &str, rest: &str) {
    let sql = format!("CREATE POLICY {name} ON storage.objects {rest}");
    change(server, Who::Service, &sql).await.expect_status(200);
}

async fn read(server: &Server, who: Who, place: &str) -> Reply {
    server.call(who, "GET", &format!("/object/{place}")).send().await
}

async fn upload(server: &Server, who: Who, method: &str, place: &str, body: &str) -> Reply {
    server.call(who, method, &format!("/object/{place}")).body(body).send().await
}

#[tokio::test]
async fn policies_are_the_service_roles_and_in_force_when_added() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    server.put(Who::User(OWNER), "docs/pub/a.txt", "open").await;
    server.put(Who::User(OWNER), "docs/a.txt", "closed").await;
    let sql =
        "CREATE POLICY \"The public ones\" ON storage.objects FOR SELECT TO anon USING (name LIKE 'pub/%')";
    for (who, status) in [(Who::Anon, 401), (Who::User(OWNER), 403)] {
        change(&server, who, sql).await.expect_status(status);
        server.request(who, "GET", PATH).send().await.expect_status(status);
        let drop = server.request(who, "DELETE", &format!("{PATH}/The%20public%20ones"));
        drop.send().await.expect_status(status);
    }
    read(&server, Who::Anon, "docs/pub/a.txt").await.expect_error(401, "AUTH_REQUIRED");

    let made = change(&server, Who::Service, sql).await.expect_status(200).json();
    assert_eq!(made["created"]["name"], "The public ones");
    change(&server, Who::Service, sql).await.expect_error(409, "POLICY_EXISTS");
    let listed = server.request(Who::Service, "GET", PATH).send().await.expect_status(200).json();
    assert_eq!(
        listed,
        json!([{
            "name": "The public ones", "command": "SELECT", "permissive": true, "roles": ["anon"],
            "definition": sql
        }])
    );
    assert_eq!(read(&server, Who::Anon, "docs/pub/a.txt").await.expect_status(200).body, b"open");
    for place in ["docs/a.txt", "docs/none"] {
        read(&server, Who::Anon, place).await.expect_error(404, "OBJECT_NOT_FOUND");
    }
    let list =
        server.call(Who::Anon, "POST", "/object/list/docs").json(&json!({ "prefix": "", "limit": 10 }));
    let list = list.send().await.expect_status(200).text();
    assert!(list.contains("pub") && !list.contains("a.txt"), "{list}");

    let wrong =
        change(&server, Who::Service, "CREATE POLICY p ON objects\n USING (pg_sleep(9) IS NULL)").await;
    let wrong = wrong.expect_error(400, "INVALID_SQL").json();
    assert_eq!(wrong["position"], json!({ "line": 2, "column": 9 }));

    let drop = server.request(Who::Service, "DELETE", &format!("{PATH}/The%20public%20ones"));
    assert_eq!(drop.send().await.expect_status(200).json(), json!({ "dropped": "The public ones" }));
    read(&server, Who::Anon, "docs/pub/a.txt").await.expect_error(401, "AUTH_REQUIRED");
    change(&server, Who::Service, "DROP POLICY p ON objects").await.expect_error(404, "POLICY_NOT_FOUND");
    let gone = change(&server, Who::Service, "DROP POLICY IF EXISTS p ON objects").await.expect_status(200);
    assert_eq!(gone.json(), json!({ "dropped": null }));
    server.expect_clean().await;
}

#[tokio::test]
async fn refusals_name_the_policy_or_the_permission_that_was_missing() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    server.put(Who::User(OWNER), "docs/a.txt", "1").await;
    let told = |reply: Reply| {
        let told = reply.expect_error(403, "STORAGE_UNAUTHORIZED").json();
        format!("{} {}", told["permission"].as_str().unwrap(), told["reason"])
    };
    add(&server, "u", "FOR UPDATE TO authenticated USING (name = 'a.txt')").await;
    let over = upload(&server, Who::User(OTHER), "PUT", "docs/a.txt", "2").await;
    assert!(told(over.clone()).starts_with("object:overwrite"), "{}", over.text());
    assert!(over.text().contains("SELECT"), "{}", over.text());
    add(&server, "s", "FOR SELECT TO authenticated USING (name = 'a.txt')").await;
    let over = upload(&server, Who::User(OTHER), "PUT", "docs/a.txt", "2").await;
    assert!(told(over.clone()).starts_with("object:create"), "{}", over.text());
    add(&server, "i", "FOR INSERT TO authenticated WITH CHECK (name = 'a.txt')").await;
    upload(&server, Who::User(OTHER), "PUT", "docs/a.txt", "2").await.expect_status(200);

    add(&server, "\"not large\"", "AS RESTRICTIVE FOR ALL USING (true) WITH CHECK (size < 4)").await;
    for who in [Who::User(OWNER), Who::User(OTHER)] {
        let large = upload(&server, who, "PUT", "docs/a.txt", "large").await;
        assert!(large.text().contains("not large"), "{}", large.text());
        told(large);
    }
    upload(&server, Who::Service, "PUT", "docs/a.txt", "as large as it likes").await.expect_status(200);
    add(&server, "broken", "AS RESTRICTIVE FOR SELECT USING (name::bigint > 0)").await;
    // Who is told that a policy failed is told that there is something to ask it of.
    let failed = read(&server, Who::User(OWNER), "docs/a.txt").await.expect_error(404, "OBJECT_NOT_FOUND");
    let none = read(&server, Who::User(OWNER), "docs/b.txt").await.expect_error(404, "OBJECT_NOT_FOUND");
    assert_eq!(told_alike(&failed, "a.txt"), told_alike(&none, "b.txt"));
    let log = server.log_until("a policy failed, and so refuses").await;
    let line = log.lines().find(|line| line.contains("a policy failed")).unwrap_or_default();
    let id = failed.header("x-request-id");
    assert!(
        line.contains("broken") && line.contains(id) && !id.is_empty(),
        "which, and of what request: {line}"
    );
    let explained =
        json!({ "operation": "read", "bucket": "docs", "path": "a.txt", "as": { "user_id": OWNER } });
    let explained =
        server.call(Who::Service, "POST", "/explain").json(&explained).send().await.expect_status(200);
    assert!(explained.text().contains("\"error\""), "{}", explained.text());
    read(&server, Who::Service, "docs/a.txt").await.expect_status(200);
    server.expect_clean().await;
}

/// What a caller is told, but for the path and the request.
fn told_alike(reply: &Reply, path: &str) -> String {
    let mut body = reply.json();
    for field in ["request_id", "requestId"] {
        body.as_object_mut().unwrap().remove(field);
    }
    body.to_string().replace(path, "…")
}

#[tokio::test]
async fn a_policy_that_fails_for_one_row_keeps_that_one_alone() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    for path in ["1", "two", "3"] {
        server.put(Who::User(OWNER), &format!("docs/{path}"), "x").await;
    }
    add(&server, "\"by number\"", "AS RESTRICTIVE FOR ALL USING (name::bigint > 0)").await;
    let many = json!({ "prefixes": ["1", "two", "none", "3"] });
    let gone = server.call(Who::User(OWNER), "DELETE", "/object/docs").json(&many).send().await;
    let gone = gone.expect_status(200).json();
    let names: Vec<_> = gone.as_array().unwrap().iter().map(|object| &object["name"]).collect();
    assert_eq!(names, ["1", "3"]);
    for path in ["two", "none"] {
        let place = format!("/object/docs/{path}");
        server.call(Who::User(OWNER), "DELETE", &place).send().await.expect_status(204);
        read(&server, Who::User(OWNER), &format!("docs/{path}")).await.expect_error(404, "OBJECT_NOT_FOUND");
    }
    read(&server, Who::Service, "docs/two").await.expect_status(200);
    server.expect_clean().await;
}

#[tokio::test]
async fn anon_puts_where_a_policy_for_insert_lets_it() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "drop", "private").await;
    add(&server, "i", "FOR INSERT TO anon WITH CHECK (bucket_id = 'drop' AND starts_with(name, 'in/'))")
        .await;
    let put = async |path: &str| upload(&server, Who::Anon, "PUT", &format!("drop/{path}"), "x").await;
    put("in/a").await.expect_status(200);
    let over = put("in/a").await.expect_error(401, "AUTH_REQUIRED");
    assert_eq!(over.json()["permission"], "object:overwrite");
    let elsewhere = put("out").await.expect_error(401, "AUTH_REQUIRED");
    assert_eq!(elsewhere.json()["permission"], "object:create");
    add(&server, "u", "FOR UPDATE TO anon USING (starts_with(name, 'in/'))").await;
    add(&server, "s", "FOR SELECT TO anon USING (starts_with(name, 'in/'))").await;
    put("in/a").await.expect_status(200);
    server.expect_clean().await;
}

#[tokio::test]
async fn membership_in_a_list_of_a_claim_is_asked_for() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    for team in ["red", "blue"] {
        server.put(Who::User(OWNER), &format!("docs/{team}/a"), "x").await;
    }
    let teams = "auth.jwt() -> 'app_metadata' -> 'teams'";
    let condition = format!("{teams} ? (storage.foldername(name))[1] AND {teams} @> '[\"staff\"]'");
    add(&server, "teams", &format!("FOR SELECT TO authenticated USING ({condition})")).await;
    let ask = async |path: &str, claims: Value| {
        let of = json!({ "user_id": OTHER, "claims": { "app_metadata": claims } });
        let question = json!({ "operation": "read", "bucket": "docs", "path": path, "as": of });
        let told = server.call(Who::Service, "POST", "/explain").json(&question).send().await;
        told.expect_status(200).json()["allowed"] == json!(true)
    };
    let red = json!({ "teams": ["red", "staff"] });
    assert!(ask("red/a", red.clone()).await && !ask("blue/a", red).await);
    assert!(!ask("red/a", json!({ "teams": ["red"] })).await && !ask("red/a", json!({})).await);
    for condition in ["metadata @> '{\"mimetype\": \"image/png\"}'", "metadata ? 'size'"] {
        let sql = format!("CREATE POLICY other ON storage.objects FOR SELECT USING ({condition})");
        let refused = change(&server, Who::Service, &sql).await.expect_error(400, "INVALID_SQL");
        assert!(refused.text().contains("metadata is what users say"), "{}", refused.text());
    }
}

#[tokio::test]
async fn explanations_are_for_oneself_or_by_the_service_role() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    server.put(Who::User(OWNER), "docs/a.txt", "1").await;
    add(&server, "team", "FOR SELECT TO authenticated USING (auth.jwt() ->> 'team' = 'red')").await;
    let ask = async |who, operation: &str, of: Value| {
        let question = json!({ "operation": operation, "bucket": "docs", "path": "a.txt", "as": of });
        server.call(who, "POST", "/explain").json(&question).send().await
    };
    let red = json!({ "user_id": OTHER, "claims": { "team": "red" } });
    ask(Who::User(OTHER), "read", red.clone()).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    let told = ask(Who::Service, "read", red.clone()).await.expect_status(200).json();
    assert_eq!(told["allowed"], json!(true), "{told}");
    let rules: Vec<_> = told["because"].as_array().unwrap().iter().map(|because| &because["rule"]).collect();
    assert_eq!(rules, ["object", "bucket policy private", "policy team"]);
    let expression = "((auth.jwt() ->> 'team'::text) = 'red'::text)";
    assert_eq!(
        told["because"][2],
        json!({
            "rule": "policy team", "effect": "grants", "expression": expression, "value": true
        })
    );
    for operation in ["create", "overwrite", "delete"] {
        let told = ask(Who::Service, operation, red.clone()).await.expect_status(200).json();
        assert_eq!(told["allowed"], json!(false), "{operation}: {told}");
    }
    let told = ask(Who::User(OTHER), "read", Value::Null).await.expect_status(200).json();
    assert_eq!((&told["allowed"], told["because"].as_array().unwrap().len()), (&json!(false), 1), "{told}");
    let by_name = ask(Who::User(OTHER), "read", json!({ "user_id": OTHER })).await.expect_status(200).json();
    assert_eq!(by_name, told, "by name, one asks about oneself, too");
    ask(Who::User(OTHER), "read", json!({ "user_id": OWNER }))
        .await
        .expect_error(403, "STORAGE_UNAUTHORIZED");
    let told = ask(Who::User(OWNER), "delete", Value::Null).await.expect_status(200).json();
    assert_eq!(told["allowed"], json!(true), "{told}");

    // Whoever has no token is not told whether a bucket is there.
    let ask_of = async |bucket: &str| {
        let question = json!({ "operation": "read", "bucket": bucket, "path": "a.txt" });
        let told = server.call(Who::Anon, "POST", "/explain").json(&question).send().await;
        (told.status, told.json()["code"].clone())
    };
    assert_eq!(ask_of("docs").await, ask_of("nowhere").await);
    assert_eq!(ask_of("docs").await.0, 401);
}

#[tokio::test]
async fn fs_i3_what_users_say_in_metadata_is_not_what_the_server_knows() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "docs", "private").await;
    add(
        &server,
        "\"Small images\"",
        "FOR INSERT TO authenticated WITH CHECK (bucket_id = 'docs' \
         AND (metadata->>'mimetype') = 'image/png' AND (metadata->>'size')::int < 100)",
    )
    .await;
    let put = async |path: &str, kind: &str, size: usize| {
        // {"mimetype":"image/png","size":"1"}
        let said = "eyJtaW1ldHlwZSI6ImltYWdlL3BuZyIsInNpemUiOiIxIn0=";
        let call = server.call(Who::User(OTHER), "POST", &format!("/object/docs/{path}"));
        let call = call.header("x-metadata", said).header("content-type", kind);
        call.body("x".repeat(size)).send().await
    };
    put("small.png", "image/png", 10).await.expect_status(201);
    put("page.html", "text/html", 10).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    put("large.png", "image/png", 500).await.expect_error(403, "STORAGE_UNAUTHORIZED");
    for (condition, hint) in [
        ("metadata -> 'size' IS NOT NULL", "write size"),
        ("(metadata ->> 'lastModified') IS NULL", "updated_at"),
    ] {
        let sql = format!("CREATE POLICY other ON storage.objects FOR SELECT USING ({condition})");
        let refused = change(&server, Who::Service, &sql).await.expect_error(400, "INVALID_SQL");
        assert!(refused.text().contains(hint), "{}", refused.text());
    }
}
