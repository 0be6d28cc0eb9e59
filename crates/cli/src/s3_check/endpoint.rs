//! The URL that S3's clients are pointed at.

use std::net::IpAddr;

use reqwest::Url;

use crate::client::parse_url;
use crate::failure::Failure;

/// Where S3 is on the server's own listener.
pub(crate) const S3_PATH: &str = "/storage/v1/s3";

/// A URL below which buckets are; or, in virtual host style, that of one bucket.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint(Url);

impl Endpoint {
    /// Reads what a client would be given.
    ///
    /// # Errors
    /// What is no URL of a server.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        parse_url(text).map(Self)
    }

    /// That of a server of ours, below its address.
    pub(crate) fn below(base: &Url) -> Self {
        let mut url = base.clone();
        url.set_path(&format!("{}{S3_PATH}", base.path().trim_end_matches('/')));
        Self(url)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// What clients send as `Host`, and sign.
    pub(super) fn host(&self) -> String {
        let name = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"))
    }

    /// The path before buckets, without a slash at its end.
    pub(super) fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The whole URL of a target.
    pub(super) fn target(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.path()));
        url.set_query((!query.is_empty()).then_some(query));
        url
    }

    /// The same with a bucket in the host's name; `None` where the host is an address and has no names below it.
    pub(super) fn of_bucket(&self, bucket: &str) -> Option<Self> {
        let host = self.0.host_str()?;
        if host.starts_with('[') || host.parse::<IpAddr>().is_ok() {
            return None;
        }
        let mut url = self.0.clone();
        url.set_host(Some(&format!("{bucket}.{host}"))).ok()?;
        Some(Self(url))
    }

    /// What `server.public_url` says where clients call the server like this.
    pub(super) fn public_url(&self) -> String {
        let prefix = self.path().strip_suffix(S3_PATH).unwrap_or(self.path());
        format!("{}://{}{prefix}", self.0.scheme(), self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_as_clients_do() {
        let check = |text: &str, host: &str, path: &str, public: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.host().as_str(), endpoint.path()), (host, path), "{text}");
            assert_eq!(endpoint.public_url(), public, "{text}");
        };
        check("https://files.example.org:443/", "files.example.org", "", "https://files.example.org");
        check("http://h:8000/storage/v1/s3/", "h:8000", "/storage/v1/s3", "http://h:8000");
        check("https://h/files/storage/v1/s3", "h", "/files/storage/v1/s3", "https://h/files");
        check("http://[::1]:1/x", "[::1]:1", "/x", "http://[::1]:1/x");
        let url = Endpoint::parse("http://h/p").unwrap().target("/b/a%20b%2Bc//d", "x=%27");
        assert_eq!(url.as_str(), "http://h/p/b/a%20b%2Bc//d?x=%27");
        let of_bucket = |text: &str| Endpoint::parse(text).unwrap().of_bucket("b").map(|it| it.host());
        assert_eq!(of_bucket("http://h:1/p"), Some("b.h:1".to_owned()));
        assert_eq!((of_bucket("http://127.0.0.1:1"), of_bucket("http://[::1]")), (None, None));
    }
}
