//! A provider of a test's own, how a server is told of it, and how others use it who know nothing of Aerostore.

use std::time::Duration;

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use uuid::Uuid;

use crate::fault_proxy::FaultProxy;
use crate::support::Server;

/// The account of Azurite, and the key that it gives to everybody.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A store, and a prefix of it that nobody else has.
pub(crate) struct Cloud {
    /// Variables that configure it as the provider `cloud`.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) endpoint: String,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) is_azure: bool,
    pub(crate) _proxy: Option<FaultProxy>,
}

fn emulator(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run scripts/test, or eval \"$(scripts/emulators start DIR)\"")
    })
}

/// What no log and no answer may ever show.
pub(crate) const SECRET: &str = "a-very-secret-access-key";

impl Cloud {
    fn new(kind: &str, endpoint: String, more: &[(&str, &str)]) -> Self {
        let prefix = format!("tests/{}", Uuid::new_v4());
        let common = [
            ("KIND", kind),
            ("BUCKET", "aerostore"),
            ("PREFIX", &prefix),
            ("ENDPOINT", &endpoint),
            // So that both ways of an upload are short.
            ("STREAM_THRESHOLD", "1MB"),
            ("RETRY_INITIAL_DELAY", "50ms"),
        ];
        let name = |key: &str| format!("AEROSTORE_PROVIDERS_CLOUD_{key}");
        let settings =
            common.iter().chain(more).map(|(key, value)| (name(key), (*value).to_owned())).collect();
        Self {
            settings,
            endpoint,
            bucket: "aerostore".to_owned(),
            prefix,
            is_azure: kind == "azure",
            _proxy: None,
        }
    }

    pub(crate) fn moto() -> Self {
        Self::s3(&emulator("AEROSTORE_TEST_S3"))
    }

    /// S3, by way of somebody.
    pub(crate) fn s3(endpoint: &str) -> Self {
        let key = [("ACCESS_KEY_ID", "AKIDTEST"), ("SECRET_ACCESS_KEY", SECRET)];
        Self::new("s3", endpoint.to_owned(), &key)
    }

    /// Another Aerostore, which has a bucket for it.
    pub(crate) fn aerostore(server: &Server) -> Self {
        let (id, secret) = (server.key("s3_access_key_id"), server.key("s3_secret_access_key"));
        let endpoint = format!("http://{}/storage/v1/s3", server.address);
        Self::new("s3", endpoint, &[("ACCESS_KEY_ID", &id), ("SECRET_ACCESS_KEY", &secret)])
    }

    pub(crate) fn azurite() -> Self {
        let endpoint = format!("{}/{ACCOUNT}", emulator("AEROSTORE_TEST_AZURE"));
        Self::new("azure", endpoint, &[("ACCOUNT", ACCOUNT), ("ACCOUNT_KEY", ACCOUNT_KEY)])
    }

    /// Google's client, which moto answers: its XML API is S3's, but for the names of headers.
    pub(crate) async fn gcs() -> Self {
        let endpoint = emulator("AEROSTORE_TEST_S3");
        let proxy = FaultProxy::renaming(&endpoint, "x-goog-copy-source", "x-amz-copy-source").await;
        let cloud = Self::new("gcs", proxy.address().to_owned(), &[("ANONYMOUS", "true")]);
        Self { endpoint, _proxy: Some(proxy), ..cloud }
    }

    /// A bucket that nobody else has, all of it.
    pub(crate) async fn alone(self) -> Self {
        // Without a dash, which Google's client encodes and moto does not decode.
        let bucket = format!("alone{}", Uuid::new_v4().simple());
        let mut cloud = self.with("BUCKET", &bucket).with("PREFIX", "");
        (cloud.bucket, cloud.prefix) = (bucket, String::new());
        let query = if cloud.is_azure { "restype=container" } else { "" };
        cloud.ask("PUT", "", query, &[], "").await;
        cloud
    }

    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.settings.push((format!("AEROSTORE_PROVIDERS_CLOUD_{key}"), value.to_owned()));
        self
    }

    /// The settings of a server that knows it; `active`: and writes to it.
    pub(crate) fn settings(&self, active: bool) -> Vec<(&str, &str)> {
        let mut settings: Vec<_> =
            self.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        settings.push(("AEROSTORE_STORAGE_INLINE_THRESHOLD", "1KiB"));
        if active {
            settings.push(("AEROSTORE_STORAGE_ACTIVE_PROVIDER", "cloud"));
        }
        settings
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start_with(&self.settings(true))
    }

    /// The names of the bytes that are kept there for this test.
    pub(crate) async fn kept(&self) -> Vec<String> {
        let (entry, name, size) = match self.is_azure {
            true => ("Blob", "Name", "Content-Length"),
            false => ("Contents", "Key", "Size"),
        };
        let entries = self.listed("list-type=2", entry).await;
        let all = entries.iter().map(|entry| (element(entry, name), element(entry, size)));
        all.filter(|(name, size)| !is_of_the_place(name, size)).map(|(name, _)| name.to_owned()).collect()
    }

    /// Uploads in parts that moto still keeps for this test.
    pub(crate) async fn unfinished(&self) -> Vec<String> {
        let entries = self.listed("uploads", "Upload").await;
        entries.iter().map(|entry| element(entry, "UploadId").to_owned()).collect()
    }

    /// The entries of a list, as XML.
    async fn listed(&self, what: &str, entry: &str) -> Vec<String> {
        let what = match self.is_azure {
            true => format!("comp=list&prefix={}&restype=container", self.prefix),
            false => format!("{what}&prefix={}", self.prefix),
        };
        let xml = self.ask("GET", "", &what, &[], "").await;
        xml.split(&format!("<{entry}>")).skip(1).map(str::to_owned).collect()
    }

    /// Puts an object into the store: its name is encoded as a path's.
    pub(crate) async fn put(&self, name: &str, bytes: &str) {
        let path = match self.prefix.as_str() {
            "" => format!("/{name}"),
            prefix => format!("/{prefix}/{name}"),
        };
        let headers: &[_] = match self.is_azure {
            true => &[
                ("x-ms-blob-cache-control", "max-age=7"),
                ("x-ms-blob-content-language", "de"),
                ("x-ms-blob-content-type", "text/x-old"),
                ("x-ms-blob-type", "BlockBlob"),
            ],
            false => {
                &[("content-type", "text/x-old"), ("cache-control", "max-age=7"), ("content-language", "de")]
            }
        };
        self.ask("PUT", &path, "", headers, bytes).await;
    }

    /// Asks the store itself, of something in its bucket. Azurite alone wants to know who asks, by headers and a query in their order.
    async fn ask(
        &self,
        method: &str,
        path: &str,
        query: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> String {
        let url = format!("{}/{}{path}?{query}", self.endpoint, self.bucket);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.request(method.parse().unwrap(), &url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if self.is_azure {
            let (date, version) = (httpdate::fmt_http_date(std::time::SystemTime::now()), "2023-11-03");
            let own = [("x-ms-date", date.as_str()), ("x-ms-version", version)];
            let signed: String =
                headers.iter().chain(&own).map(|(name, value)| format!("{name}:{value}\n")).collect();
            let query: String = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(name, value)| format!("\n{name}:{value}"))
                .collect();
            let length = if body.is_empty() { String::new() } else { body.len().to_string() };
            let resource = format!("/{ACCOUNT}/{ACCOUNT}/{}{path}", self.bucket);
            let text = format!("{method}\n\n\n{length}\n\n\n\n\n\n\n\n\n{signed}{resource}{query}");
            let key = hmac::Key::new(HMAC_SHA256, &BASE64_STANDARD.decode(ACCOUNT_KEY).unwrap());
            let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
            request = request.header("x-ms-date", &date).header("x-ms-version", version);
            request = request.header("authorization", format!("SharedKey {ACCOUNT}:{signature}"));
        }
        // An emulator that many ask at once may stumble over itself: a list of moto's, over what comes meanwhile.
        let mut tries = 0;
        loop {
            let answer = request.try_clone().unwrap().send().await.unwrap();
            let (status, text) = (answer.status(), answer.text().await.unwrap());
            tries += 1;
            if status.is_server_error() && tries < 10 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            assert!(status.is_success(), "{method} {url}: {status} {text}");
            return text;
        }
    }
}

/// What an element of this name says.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name}: {xml}"));
    rest.split('<').next().unwrap()
}

/// Whether it is about the place, and none of the bytes that are kept there: what says which place it is, and the blobs of looks
/// at it. Those come and go at any moment, stay where a server was killed, and hold their own names: a bucket's, a folder's and one of
/// their own.
fn is_of_the_place(name: &str, size: &str) -> bool {
    let own: Vec<_> = name.rsplit('/').take(3).collect();
    let is_look = Uuid::parse_str(own[0]).is_ok() && own.join("/").len().to_string() == size;
    is_look || own[0] == "provider-id"
}
