//! Versions by S3: switched on, named, listed, hidden by delete markers, deleted, copied, tagged; and by nobody else.

use crate::signer::{Ask, Client, Signer};
use crate::support::{OTHER, OWNER, Reply, Server, Who};
use crate::{client, expect, signer};

const ENABLED: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
const SUSPENDED: &str = "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>";

struct Scene {
    server: Server,
    s3: Client,
    key: Signer,
}

impl Scene {
    /// A server with a bucket of the owner's that keeps versions.
    async fn new(bucket: &str, policy: &str) -> Self {
        let server = Server::start();
        let (s3, key) = (client(&server), signer(&server, Who::User(OWNER)));
        server.bucket(Who::User(OWNER), bucket, policy).await;
        let scene = Self { server, s3, key };
        expect(&scene.turn(bucket, ENABLED).await, 200, "");
        scene
    }

    async fn send(&self, ask: Ask) -> Reply {
        self.s3.signed(&self.key, ask).await
    }

    async fn turn(&self, bucket: &str, to: &str) -> Reply {
        self.send(Ask::new("PUT", &format!("/{bucket}")).query("versioning", "").body(to)).await
    }

    /// Writes an object; gives its version.
    async fn put(&self, path: &str, body: &str) -> String {
        let reply = self.send(Ask::new("PUT", path).body(body)).await;
        expect(&reply, 200, "");
        reply.header("x-amz-version-id").to_owned()
    }

    async fn at(&self, method: &'static str, path: &str, version: &str) -> Reply {
        self.send(Ask::new(method, path).query("versionId", version)).await
    }

    async fn list(&self, bucket: &str, query: &[(&str, &str)]) -> String {
        let ask = Ask::new("GET", &format!("/{bucket}")).query("versions", "");
        let ask = query.iter().fold(ask, |ask, (name, value)| ask.query(name, value));
        let reply = self.send(ask).await;
        expect(&reply, 200, "");
        reply.text()
    }
}

/// The texts of all elements of a name, in their order.
fn all(xml: &str, element: &str) -> Vec<String> {
    let open = format!("<{element}>");
    let inner = |part: &str| part.split('<').next().unwrap_or_default().to_owned();
    xml.split(&open).skip(1).map(inner).collect()
}

#[tokio::test]
async fn versions_are_named_hidden_and_deleted() {
    let scene = Scene::new("docs", "private").await;
    let got = scene.send(Ask::new("GET", "/docs").query("versioning", "")).await;
    assert_eq!(all(&got.text(), "Status"), ["Enabled"], "{}", got.text());
    let (first, second) = (scene.put("/docs/a", "first").await, scene.put("/docs/a", "second").await);
    assert!(first.len() == 36 && second.len() == 36 && first != second);
    for (version, body) in [(&first, "first"), (&second, "second")] {
        let got = scene.at("GET", "/docs/a", version).await;
        assert_eq!(
            (got.status, got.text().as_str(), got.header("x-amz-version-id")),
            (200, body, version.as_str())
        );
        assert_eq!(
            scene.at("HEAD", "/docs/a", version).await.header("content-length"),
            body.len().to_string()
        );
    }
    let got = scene.send(Ask::new("GET", "/docs/a")).await;
    assert_eq!((got.text().as_str(), got.header("x-amz-version-id")), ("second", second.as_str()));

    let gone = scene.send(Ask::new("DELETE", "/docs/a")).await;
    assert_eq!((gone.status, gone.header("x-amz-delete-marker")), (204, "true"));
    let marker = gone.header("x-amz-version-id").to_owned();
    let missing = scene.send(Ask::new("GET", "/docs/a")).await;
    expect(&missing, 404, "NoSuchKey");
    assert_eq!(missing.header("x-amz-delete-marker"), "true");
    assert_eq!(missing.header("x-amz-version-id"), marker);
    for method in ["GET", "HEAD"] {
        let got = scene.at(method, "/docs/a", &marker).await;
        expect(&got, 405, "MethodNotAllowed");
        assert_eq!((got.header("x-amz-delete-marker"), got.header("allow")), ("true", "DELETE"));
    }
    let listed = scene.list("docs", &[]).await;
    assert_eq!(all(&listed, "Version").len(), 2, "{listed}");
    assert_eq!(all(&listed, "DeleteMarker").len(), 1, "{listed}");
    assert_eq!(all(&listed, "IsLatest").iter().filter(|latest| *latest == "true").count(), 1, "{listed}");
    let plain = scene.send(Ask::new("GET", "/docs").query("list-type", "2")).await;
    assert_eq!(all(&plain.text(), "Key"), Vec::<String>::new());

    // The marker comes off, and then the current one.
    let off = scene.at("DELETE", "/docs/a", &marker).await;
    assert_eq!(
        (off.status, off.header("x-amz-delete-marker"), off.header("x-amz-version-id")),
        (204, "true", marker.as_str())
    );
    assert_eq!(scene.send(Ask::new("GET", "/docs/a")).await.text(), "second");
    expect(&scene.at("DELETE", "/docs/a", &second).await, 204, "");
    assert_eq!(scene.send(Ask::new("GET", "/docs/a")).await.text(), "first");
    expect(&scene.at("GET", "/docs/a", &second).await, 404, "NoSuchVersion");
    expect(&scene.at("DELETE", "/docs/a", &second).await, 204, "");
    expect(&scene.at("GET", "/docs/a", "no-version").await, 400, "InvalidArgument");
    scene.server.expect_clean().await;
}

#[tokio::test]
async fn many_are_deleted_with_and_without_a_version() {
    let scene = Scene::new("docs", "private").await;
    let first = scene.put("/docs/a", "first").await;
    scene.put("/docs/a", "second").await;
    let body = format!(
        "<Delete><Object><Key>a</Key><VersionId>{first}</VersionId></Object><Object><Key>a</Key></Object>\
         <Object><Key>new</Key></Object><Object><Key>a</Key><VersionId>nonsense</VersionId></Object></Delete>"
    );
    let reply = scene.send(Ask::new("POST", "/docs").query("delete", "").body(body)).await;
    expect(&reply, 200, "");
    let text = reply.text();
    assert!(all(&text, "VersionId").contains(&first), "{text}");
    assert_eq!(all(&text, "DeleteMarkerVersionId").len(), 2, "{text}");
    assert_eq!(all(&text, "Code"), ["InvalidArgument"], "{text}");
    let listed = scene.list("docs", &[]).await;
    assert_eq!((all(&listed, "Version").len(), all(&listed, "DeleteMarker").len()), (1, 2), "{listed}");
    let refused = scene.send(Ask::new("DELETE", "/docs")).await;
    expect(&refused, 409, "BucketNotEmpty");
    scene.server.expect_clean().await;
}

#[tokio::test]
async fn suspended_buckets_have_null_versions() {
    let scene = Scene::new("docs", "private").await;
    scene.server.bucket(Who::User(OWNER), "plain", "private").await;
    assert_eq!(scene.put("/plain/a", "null").await, "");
    let off = scene.send(Ask::new("GET", "/plain").query("versioning", "")).await;
    assert!(!off.text().contains("Status"), "{}", off.text());
    expect(&scene.at("GET", "/plain/a", "null").await, 200, "");
    expect(&scene.turn("plain", ENABLED).await, 200, "");
    scene.put("/plain/a", "named").await;
    assert_eq!(scene.at("GET", "/plain/a", "null").await.text(), "null");
    expect(&scene.turn("plain", SUSPENDED).await, 200, "");
    scene.put("/plain/a", "null again").await;
    scene.put("/plain/a", "and again").await;
    assert_eq!(scene.at("GET", "/plain/a", "null").await.text(), "and again");
    let listed = scene.list("plain", &[]).await;
    assert_eq!(all(&listed, "Version").len(), 2, "{listed}");
    let gone = scene.send(Ask::new("DELETE", "/plain/a")).await;
    assert_eq!((gone.header("x-amz-delete-marker"), gone.header("x-amz-version-id")), ("true", "null"));
    let listed = scene.list("plain", &[]).await;
    assert_eq!((all(&listed, "Version").len(), all(&listed, "DeleteMarker").len()), (1, 1), "{listed}");
    let nonsense = "<VersioningConfiguration><Status>Off</Status></VersioningConfiguration>";
    expect(&scene.turn("plain", nonsense).await, 400, "IllegalVersioningConfigurationException");
    let mfa = "<VersioningConfiguration><Status>Enabled</Status><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>";
    expect(&scene.turn("plain", mfa).await, 501, "NotImplemented");
    scene.server.expect_clean().await;
}

#[tokio::test]
async fn old_versions_are_copied_tagged_and_described() {
    let scene = Scene::new("docs", "private").await;
    let first = scene.put("/docs/a%20b", "first").await;
    let second = scene.put("/docs/a%20b", "second").await;
    let source = format!("docs/a%20b?versionId={first}");
    let copied = scene.send(Ask::new("PUT", "/docs/c").header("x-amz-copy-source", &source)).await;
    expect(&copied, 200, "");
    assert_eq!(copied.header("x-amz-copy-source-version-id"), first);
    assert_eq!(copied.header("x-amz-version-id").len(), 36);
    assert_eq!(scene.send(Ask::new("GET", "/docs/c")).await.text(), "first");
    // Restored by a copy onto itself.
    let restored = scene.send(Ask::new("PUT", "/docs/a%20b").header("x-amz-copy-source", &source)).await;
    expect(&restored, 200, "");
    assert_eq!(scene.send(Ask::new("GET", "/docs/a%20b")).await.text(), "first");
    let tags = |value: &str| {
        format!("<Tagging><TagSet><Tag><Key>k</Key><Value>{value}</Value></Tag></TagSet></Tagging>")
    };
    for version in [&first, &second] {
        let put = Ask::new("PUT", "/docs/a%20b")
            .query("tagging", "")
            .query("versionId", version)
            .body(tags(version));
        let put = scene.send(put).await;
        expect(&put, 200, "");
        assert_eq!(put.header("x-amz-version-id"), version);
    }
    for version in [&first, &second] {
        let got =
            scene.send(Ask::new("GET", "/docs/a%20b").query("tagging", "").query("versionId", version)).await;
        assert_eq!(all(&got.text(), "Value"), [version.as_str()], "{}", got.text());
    }
    let current = scene.send(Ask::new("GET", "/docs/a%20b").query("tagging", "")).await;
    assert_eq!(all(&current.text(), "Value"), Vec::<String>::new());
    let attributes = Ask::new("GET", "/docs/a%20b").query("attributes", "").query("versionId", &second);
    let attributes = scene.send(attributes.header("x-amz-object-attributes", "ObjectSize")).await;
    assert_eq!(all(&attributes.text(), "ObjectSize"), ["6"], "{}", attributes.text());
    assert_eq!(attributes.header("x-amz-version-id"), second);
    let acl = scene.send(Ask::new("GET", "/docs/a%20b").query("acl", "").query("versionId", &second)).await;
    expect(&acl, 200, "");
    let acl = Ask::new("PUT", "/docs/a%20b").query("acl", "").query("versionId", &second);
    expect(&scene.send(acl.header("x-amz-acl", "private")).await, 501, "NotImplemented");
    scene.server.expect_clean().await;
}

#[tokio::test]
async fn an_upload_in_parts_makes_a_version_and_is_filled_from_one() {
    let scene = Scene::new("docs", "private").await;
    let first = scene.put("/docs/a", "first").await;
    scene.put("/docs/a", "second").await;
    let begun = scene.send(Ask::new("POST", "/docs/a").query("uploads", "")).await;
    let upload = all(&begun.text(), "UploadId").remove(0);
    let part = Ask::new("PUT", "/docs/a").query("uploadId", &upload).query("partNumber", "1");
    let source = format!("docs/a?versionId={first}");
    let copied = scene.send(part.header("x-amz-copy-source", &source)).await;
    expect(&copied, 200, "");
    assert_eq!(copied.header("x-amz-copy-source-version-id"), first);
    let etag = all(&copied.text(), "ETag").remove(0);
    let document = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = Ask::new("POST", "/docs/a").query("uploadId", &upload).body(document);
    let completed = scene.send(complete).await;
    expect(&completed, 200, "");
    let third = completed.header("x-amz-version-id").to_owned();
    assert_eq!(scene.send(Ask::new("GET", "/docs/a")).await.text(), "first");
    assert_eq!(all(&scene.list("docs", &[]).await, "VersionId").first(), Some(&third));
    assert_eq!(all(&scene.list("docs", &[]).await, "VersionId").len(), 3);
    expect(&scene.send(Ask::new("DELETE", "/docs/a").query("versionId", &third)).await, 204, "");
    assert_eq!(scene.send(Ask::new("GET", "/docs/a")).await.text(), "second");
    scene.server.expect_clean().await;
}

#[tokio::test]
async fn versions_are_listed_in_pages_by_marker_and_delimiter() {
    let scene = Scene::new("docs", "private").await;
    for path in ["a", "a", "f/x", "f/y", "f/y", "z%20%C3%BC"] {
        scene.put(&format!("/docs/{path}"), "1").await;
    }
    let whole = all(&scene.list("docs", &[]).await, "VersionId");
    assert_eq!(whole.len(), 6);
    for max in ["1", "2", "4"] {
        let (mut paged, mut key, mut version) = (Vec::new(), String::new(), String::new());
        loop {
            let page = scene
                .list("docs", &[("max-keys", max), ("key-marker", &key), ("version-id-marker", &version)])
                .await;
            paged.extend(all(&page, "VersionId"));
            if all(&page, "IsTruncated") != ["true"] {
                break;
            }
            key = all(&page, "NextKeyMarker").remove(0);
            version = all(&page, "NextVersionIdMarker").remove(0);
        }
        assert_eq!(paged, whole, "{max}");
    }
    let page = scene.list("docs", &[("delimiter", "/"), ("max-keys", "3"), ("encoding-type", "url")]).await;
    assert_eq!(
        (all(&page, "Key"), all(&page, "NextKeyMarker")),
        (vec!["a".into(), "a".into()], vec!["f/".to_owned()])
    );
    let rest =
        scene.list("docs", &[("delimiter", "/"), ("key-marker", "f/"), ("encoding-type", "url")]).await;
    assert_eq!(all(&rest, "Key"), ["z%20%C3%BC"], "{rest}");
    assert!(!rest.contains("CommonPrefixes"), "{rest}");
    let below = scene.list("docs", &[("prefix", "f/")]).await;
    assert_eq!(all(&below, "Key"), ["f/x", "f/y", "f/y"]);
    let marker = Ask::new("GET", "/docs").query("versions", "").query("version-id-marker", &whole[0]);
    expect(&scene.send(marker).await, 400, "InvalidArgument");
}

#[tokio::test]
async fn fs_i3_versions_are_closed_to_whom_the_object_is() {
    for policy in ["private", "authenticated", "public"] {
        let scene = Scene::new("docs", policy).await;
        let first = scene.put("/docs/a", "first").await;
        scene.put("/docs/a", "second").await;
        for who in [Who::Anon, Who::User(OTHER)] {
            let send = async |ask: Ask| match who {
                Who::Anon => scene.s3.send(ask).await,
                who => scene.s3.signed(&signer(&scene.server, who), ask).await,
            };
            let reads = policy == "public" || (policy == "authenticated" && who != Who::Anon);
            let said = format!("{policy} by {who:?}");
            let of = |method, name: &'static str| {
                let ask = Ask::new(method, "/docs/a").query("versionId", &first);
                if name.is_empty() { ask } else { ask.query(name, "") }
            };
            for ask in [
                of("GET", ""),
                of("HEAD", ""),
                of("GET", "tagging"),
                Ask::new("GET", "/docs").query("versions", ""),
            ] {
                let what = format!("{said}: {} {:?}", ask.method, ask.query);
                // A bucket's policy opens what is current, and no old version.
                let names_it = ask.query.iter().any(|(name, _)| name == "versionId");
                let wanted = if names_it { 404 } else { 200 };
                assert_eq!(send(ask).await.status, if reads { wanted } else { 403 }, "{what}");
            }
            let wanted = if reads && who != Who::Anon { 204 } else { 403 };
            assert_eq!(send(of("DELETE", "")).await.status, wanted, "{said}");
            let turn = Ask::new("PUT", "/docs").query("versioning", "").body(SUSPENDED);
            expect(&send(turn).await, 403, "AccessDenied");
            if who != Who::Anon {
                let source = format!("docs/a?versionId={first}");
                let mine = Ask::new("PUT", "/docs/copy").header("x-amz-copy-source", &source);
                assert_eq!(send(mine).await.status, if reads { 404 } else { 403 }, "{said}");
            }
        }
        assert_eq!(scene.at("GET", "/docs/a", &first).await.text(), "first");
    }
}

#[tokio::test]
async fn a_condition_on_what_a_marker_hides_is_a_condition_on_nothing() {
    let scene = Scene::new("docs", "private").await;
    scene.put("/docs/a", "first").await;
    expect(&scene.send(Ask::new("DELETE", "/docs/a")).await, 204, "");
    let put = Ask::new("PUT", "/docs/a").header("if-match", "*").body("second");
    expect(&scene.send(put).await, 404, "NoSuchKey");
}
