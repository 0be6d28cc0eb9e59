//! A provider of a test's own, and how a server is told of it.

use uuid::Uuid;

use crate::support::Server;

/// A store, and a prefix of it that nobody else has.
pub(crate) struct Cloud {
    /// Variables that configure it as the provider `cloud`.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) endpoint: String,
    pub(crate) prefix: String,
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
        Self { settings, endpoint, prefix }
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
        let endpoint = format!("{}/devstoreaccount1", emulator("AEROSTORE_TEST_AZURE"));
        let key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
        Self::new("azure", endpoint, &[("ACCOUNT", "devstoreaccount1"), ("ACCOUNT_KEY", key)])
    }

    /// Google's client, by way of somebody: it speaks S3's dialect but for names of headers.
    pub(crate) fn google(endpoint: &str) -> Self {
        Self::new("gcs", endpoint.to_owned(), &[("ANONYMOUS", "true")])
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

    /// Names of moto's that this test made.
    pub(crate) async fn names(&self) -> Vec<String> {
        self.listed("list-type=2", "Key").await
    }

    /// Uploads in parts that moto still keeps for this test.
    pub(crate) async fn unfinished(&self) -> Vec<String> {
        self.listed("uploads", "UploadId").await
    }

    async fn listed(&self, what: &str, element: &str) -> Vec<String> {
        let url = format!("{}/aerostore?{what}&prefix={}", self.endpoint, self.prefix);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let xml = client.get(url).send().await.unwrap().text().await.unwrap();
        let open = format!("<{element}>");
        let all = xml.split(&open).skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        // What says which place it is is none of the bytes that are kept there.
        all.filter(|name| !name.ends_with("/provider-id")).collect()
    }
}
