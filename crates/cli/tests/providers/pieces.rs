//! Uploads in pieces whose provider fails in their midst: the pieces that came stay where they are, the next ones go
//! elsewhere, and the object is made of both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cloud::Cloud;
use crate::fault_proxy::{Fault, FaultProxy};
use crate::queue::expect_on_disk;
use crate::signer::{Ask, Client, Signer};
use crate::support::{OWNER, Reply, Server, Who, pattern};

const ME: Who = Who::User(OWNER);

/// A server whose active provider is behind a proxy, and whose disk stands by.
async fn with_standby() -> (FaultProxy, Server) {
    let moto = Cloud::moto();
    let proxy = FaultProxy::before(&moto.endpoint).await;
    let cloud = Cloud::s3(proxy.address()).with("HEALTH_CHECK_INTERVAL", "1s");
    let cloud = cloud.with("CIRCUIT_BREAKER_TIMEOUT", "1s");
    let mut settings = cloud.settings(true);
    settings.push(("AEROSTORE_STORAGE_FAILOVER_PROVIDERS", "local"));
    let server = Server::start_with(&settings);
    server.bucket(ME, "box", "private").await;
    (proxy, server)
}

/// Waits until new bytes go to this provider.
async fn goes_to(server: &Server, provider: &str) {
    for _ in 0..400 {
        let health = server.request(Who::Service, "GET", "/api/v1/storage/health").send().await;
        if health.json()["provider"] == provider {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("new bytes do not go to {provider}: {}", server.log());
}

async fn append(server: &Server, place: &str, offset: usize, piece: &[u8]) -> Reply {
    let call = server.call(ME, "PATCH", place).header("tus-resumable", "1.0.0");
    let call = call.header("content-type", "application/offset+octet-stream");
    call.header("upload-offset", &offset.to_string()).body(piece).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resumable_upload_goes_on_through_an_outage() {
    let (proxy, server) = with_standby().await;
    let whole = pattern(1_800_000);
    let names = format!("bucketName {},objectName {}", STANDARD.encode("box"), STANDARD.encode("film"));
    let begun = server.call(ME, "POST", "/upload/resumable").header("tus-resumable", "1.0.0");
    let begun = begun.header("upload-metadata", &names).header("upload-length", "1800000").send().await;
    let location = begun.expect_status(201).header("location").to_owned();
    let (_, place) = location.split_once("/storage/v1").unwrap();

    append(&server, place, 0, &whole[..600_000]).await.expect_status(204);
    assert_eq!(server.files_on_disk(), 0);
    proxy.otherwise(Fault::Drop);
    append(&server, place, 600_000, &whole[600_000..1_200_000]).await.expect_status(204);
    expect_on_disk(&server, 1).await;
    proxy.otherwise(Fault::Pass);
    goes_to(&server, "cloud").await;
    append(&server, place, 1_200_000, &whole[1_200_000..]).await.expect_status(204);
    assert!(server.content("box/film").await.unwrap() == whole);
    server.expect_clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_parts_goes_on_and_is_completed_in_an_outage() {
    const PART: usize = 5 << 20;
    let (proxy, server) = with_standby().await;
    let key = Signer { token: Some(server.token(ME)), ..Signer::new("any-project", &server.key("anon_key")) };
    let s3 = Client::new(server.address);
    let whole = pattern(2 * PART + 50_000);
    let begun = s3.signed(&key, Ask::new("POST", "/box/film").query("uploads", "")).await.expect_status(200);
    let upload = between(&begun.text(), "UploadId");
    let part = |number: usize| {
        let bytes = whole.chunks(PART).nth(number - 1).unwrap();
        let ask = Ask::new("PUT", "/box/film").query("uploadId", &upload);
        s3.signed(&key, ask.query("partNumber", &number.to_string()).body(bytes))
    };

    let mut tags = vec![part(1).await.expect_status(200).header("etag").to_owned()];
    proxy.otherwise(Fault::Drop);
    // Larger than what is kept to be sent again: the client is told to do so, once.
    let mut second = part(2).await;
    if second.status != 200 {
        assert_eq!(second.status, 503, "{}", second.text());
        second = part(2).await;
    }
    tags.push(second.expect_status(200).header("etag").to_owned());
    tags.push(part(3).await.expect_status(200).header("etag").to_owned());
    let listed: String = (1..)
        .zip(&tags)
        .map(|(number, tag)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"))
        .collect();
    let document = format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>");
    let complete = Ask::new("POST", "/box/film").query("uploadId", &upload).body(document);
    s3.signed(&key, complete).await.expect_status(200);
    expect_on_disk(&server, 2).await;

    proxy.otherwise(Fault::Pass);
    goes_to(&server, "cloud").await;
    assert!(server.content("box/film").await.unwrap() == whole);
    server.expect_clean().await;
}

fn between(xml: &str, element: &str) -> String {
    let (_, rest) = xml.split_once(&format!("<{element}>")).unwrap();
    rest.split('<').next().unwrap().to_owned()
}
