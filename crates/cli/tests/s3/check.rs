//! `aerostore s3 check`: the real command, through a real proxy that changes what passes.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::process::Command;

use crate::proxy::{Changes, Head, Proxy};
use crate::support::{OTHER, OWNER, Server, Who};

/// What the command said, and how it ended.
struct Said {
    code: i32,
    out: String,
}

/// A key, as its environment.
fn first_key(server: &Server) -> Vec<(&'static str, String)> {
    let key = |name| server.key(name);
    vec![
        ("AWS_ACCESS_KEY_ID", key("s3_access_key_id")),
        ("AWS_SECRET_ACCESS_KEY", key("s3_secret_access_key")),
    ]
}

async fn run(environment: &[(&'static str, String)], arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aerostore"));
    for (name, _) in
        std::env::vars().filter(|(name, _)| name.starts_with("AEROSTORE_") || name.starts_with("AWS_"))
    {
        command.env_remove(name);
    }
    let nowhere = tempfile::tempdir().unwrap();
    command.current_dir(nowhere.path()).args(["s3", "check"]).args(arguments);
    let output = command.envs(environment.iter().cloned()).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    Said { code: output.status.code().unwrap_or(-1), out: format!("{out}{err}") }
}

impl Said {
    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, code, "{}", self.out);
        for words in words {
            assert!(self.out.contains(words), "`{words}` is not in: {}", self.out);
        }
    }
}

fn url(address: SocketAddr) -> String {
    format!("http://{address}/storage/v1/s3")
}

/// A proxy that changes requests, and what the check says of it.
async fn check(server: &Server, changes: Changes, code: i32, words: &[&str]) {
    let proxy = Proxy::start(server.address, changes).await;
    run(&first_key(server), &[&url(proxy.address), "--bucket", "checked"]).await.expect(code, words);
}

async fn objects(server: &Server) -> Value {
    server
        .call(Who::Service, "POST", "/object/list/checked")
        .json(&serde_json::json!({ "prefix": "" }))
        .send()
        .await
        .json()
}

#[tokio::test]
async fn a_server_without_a_proxy_passes_and_nothing_is_left_behind() {
    let server = Server::start();
    server.bucket(Who::Service, "checked", "private").await;
    let said = run(&first_key(&server), &[&url(server.address), "--bucket", "checked", "--json"]).await;
    assert_eq!(said.code, 0, "{}", said.out);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(report["ok"], true, "{report:#}");
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<_> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "reach",
            "clock",
            "signature",
            "presigned",
            "headers",
            "query",
            "path",
            "head",
            "bucket",
            "put",
            "get",
            "range",
            "presigned get",
            "chunks",
            "trailer",
            "virtual host",
            "delete"
        ]
    );
    for check in checks {
        let wanted = if check["name"] == "virtual host" { "skipped" } else { "passed" };
        assert_eq!(check["status"], wanted, "{check:#}");
    }
    assert_eq!(objects(&server).await.as_array().map(Vec::len), Some(0));
    server.expect_clean().await;
    // Without a bucket, nothing is written; the data directory's key is used for a server on this machine.
    let data = server.data_dir().to_str().unwrap();
    let base = format!("http://{}", server.address);
    let said = run(&[], &["--url", &base, "--data-dir", data]).await;
    said.expect(0, &["skipped  writing"]);
    assert!(!said.out.contains(&server.key("s3_secret_access_key")), "{}", said.out);
}

#[tokio::test]
async fn names_that_no_resolver_knows_yet_are_checked_at_an_address() {
    for (domain, words) in [
        (
            "s3.example.org",
            "ok       virtual host   the bucket may stand in the host's name: checked.s3.example.org",
        ),
        ("other.example.org", "warning  virtual host"),
    ] {
        let server = Server::start_with(&[("AEROSTORE_S3_DOMAIN", domain)]);
        server.bucket(Who::Service, "checked", "private").await;
        let url = format!("http://s3.example.org:{}/storage/v1/s3", server.address.port());
        let arguments = [url.as_str(), "--bucket", "checked", "--resolve", "127.0.0.1"];
        run(&first_key(&server), &arguments)
            .await
            .expect(0, &["ok       signature", words, "nothing is left"]);
    }
}

#[tokio::test]
async fn what_a_proxy_changes_is_named_with_what_to_do() {
    let server = Server::start();
    server.bucket(Who::Service, "checked", "private").await;
    check(&server, Changes::request(|_| {}), 0, &["ok       delete         nothing is left behind"]).await;
    let to_server = server.address.to_string();
    let other_host = Changes::request(move |head| head.set("host", &to_server));
    check(&server, other_host, 1, &["header host", "server.public_url to http://127.0.0.1:"]).await;
    let drops = |name: &'static str| Changes::request(move |head: &mut Head| head.drop(name));
    check(&server, drops("authorization"), 1, &["drops the header authorization"]).await;
    check(&server, drops("x-amz-date"), 1, &["drops the header x-amz-date"]).await;
    check(&server, drops("x-amz-content-sha256"), 1, &["drops the header x-amz-content-sha256"]).await;
    check(&server, drops("range"), 1, &["drops the header range", "signed   bytes=0-9"]).await;
    check(&server, drops("x-amz-meta-under_score"), 0, &["warning  headers", "underscores_in_headers on"])
        .await;
    let compresses = Changes::request(|head| head.change("accept-encoding", "gzip"));
    check(&server, compresses, 0, &["warning  headers", "signed   identity", "arrived  gzip"]).await;
    let adds = Changes::request(|head| head.set("x-amz-request-payer", "requester"));
    check(&server, adds, 1, &["adds the header x-amz-request-payer"]).await;
    let other_login = Changes::request(|head| head.change("authorization", "Basic YTpi"));
    check(&server, other_login, 1, &["sends an Authorization of its own"]).await;
    let joins = Changes::request(|head| head.first = head.first.replace("//", "/"));
    check(&server, joins, 1, &["FAILED   path", "merge_slashes off"]).await;
    let decodes = Changes::request(|head| head.first = head.first.replace("%252F", "%2F"));
    check(&server, decodes, 1, &["FAILED   path", "rewrites the path"]).await;
    let adds_query = Changes::request(|head| head.first = head.first.replace("prefix=", "via=proxy&prefix="));
    check(&server, adds_query, 1, &["FAILED   query", "query parameter via"]).await;
    let converts = Changes::request(|head| head.first = head.first.replace("HEAD ", "GET "));
    check(&server, converts, 1, &["FAILED   head", "proxy_cache_convert_head off"]).await;
    let rechunks = Changes { rechunks: true, ..Changes::request(|_| {}) };
    check(
        &server,
        rechunks,
        1,
        &["FAILED   put", "drops the header content-length", "proxy_request_buffering on"],
    )
    .await;
    assert_eq!(objects(&server).await.as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn what_a_proxy_does_to_answers_is_named() {
    let server = Server::start();
    server.bucket(Who::Service, "checked", "private").await;
    let late = Changes::answer(|head| head.set("date", "Wed, 01 Jan 2020 00:00:00 GMT"));
    check(&server, late, 1, &["FAILED   clock", "behind", "set the clock"]).await;
    let encoded = Changes::answer(|head| head.set("content-encoding", "gzip"));
    check(&server, encoded, 1, &["FAILED   get", "compresses answers (gzip)", "gzip off"]).await;
    let weakened = Changes::answer(|head| {
        let tag = format!("W/{}", head.get("etag"));
        if head.get("content-type") == "text/plain" {
            head.change("etag", &tag);
        }
    });
    check(&server, weakened, 1, &["FAILED   get", "the answer's etag should be"]).await;
    let down = Changes::answer(|head| {
        head.first = "HTTP/1.1 502 Bad Gateway".to_owned();
        head.set("content-type", "text/html");
    });
    check(&server, down, 5, &["FAILED   reach", "does not reach the server"]).await;
}

#[tokio::test]
async fn a_prefix_that_a_proxy_takes_away_is_told_and_put_right() {
    let without_prefix = |head: &mut Head| head.first = head.first.replace(" /files/", " /");
    let server = Server::start();
    let proxy = Proxy::start(server.address, Changes::request(without_prefix)).await;
    let url = format!("http://{}/files/storage/v1/s3", proxy.address);
    let fix = format!("set server.public_url to http://{}/files,", proxy.address);
    run(&first_key(&server), &[&url]).await.expect(1, &["takes /files off the path", &fix]);

    // The prefix is the operator's to say; a proxy's word counts where it is the same.
    let server = Server::start_with(&[
        ("AEROSTORE_SERVER_TRUSTED_PROXIES", "127.0.0.1"),
        ("AEROSTORE_SERVER_PUBLIC_URL", "https://elsewhere.example/files"),
    ]);
    let to_server = server.address.to_string();
    let told = Changes::request(move |head| {
        without_prefix(head);
        let host = head.get("host");
        head.set("x-forwarded-host", &host);
        head.set("x-forwarded-prefix", "/files");
        head.set("host", &to_server);
    });
    let proxy = Proxy::start(server.address, told).await;
    let url = format!("http://{}/files/storage/v1/s3", proxy.address);
    run(&first_key(&server), &[&url]).await.expect(0, &["ok       signature"]);
}

#[tokio::test]
async fn a_wrong_key_bucket_or_address_is_told_as_such() {
    let server = Server::start();
    server.bucket(Who::User(OWNER), "checked", "private").await;
    let (key, at) = (first_key(&server), url(server.address));
    let wrong_secret = [key[0].clone(), ("AWS_SECRET_ACCESS_KEY", "wrong".to_owned())];
    run(&wrong_secret, &[&at]).await.expect(4, &["the secret access key is not that of this access key id"]);
    let unknown = [("AWS_ACCESS_KEY_ID", "AKUNKNOWN".to_owned()), key[1].clone()];
    run(&unknown, &[&at]).await.expect(4, &["does not know this access key id"]);
    run(&key, &[&at, "--bucket", "nowhere"]).await.expect(3, &["the bucket nowhere can't be used"]);
    run(&key[..1], &[&at]).await.expect(2, &["--secret-access-key"]);
    run(&[], &["https://s3.example.org"]).await.expect(2, &["there is no key to sign with"]);
    let base = format!("http://{}", server.address);
    run(&key, &[&base]).await.expect(1, &["what answers is not S3", &format!("S3 is at {at}")]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    run(&key, &[&url(free)]).await.expect(5, &["no answer from"]);

    // A user's own token: everything gets through, and what is refused is refused.
    let token = |who| {
        vec![
            ("AWS_ACCESS_KEY_ID", "any".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", server.key("anon_key")),
            ("AWS_SESSION_TOKEN", server.token(who)),
        ]
    };
    run(&token(Who::User(OWNER)), &[&at, "--bucket", "checked"]).await.expect(0, &["nothing is left behind"]);
    run(&token(Who::User(OTHER)), &[&at, "--bucket", "checked"])
        .await
        .expect(4, &["ok       signature", "FAILED   bucket"]);
    let bad = [&token(Who::Service)[..2], &[("AWS_SESSION_TOKEN", "no.jwt.atall".to_owned())]].concat();
    run(&bad, &[&at]).await.expect(4, &["the session token is not accepted"]);
}
