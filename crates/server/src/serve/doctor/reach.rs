//! How clients come to a server: its address, the one that clients know, proxies in between.

use std::io;
use std::time::Duration;

use chrono::Utc;
use reqwest::tls::TlsInfo;

use super::certificate::Validity;
use super::{Finding, with_cause};
use crate::config::{Config, PublicUrl};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Everything about the way of requests.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings: Vec<Finding> = exposure(config).into_iter().collect();
    findings.extend(proxies(config));
    let addresses = std::iter::once(&config.listen).chain(&config.s3.listen);
    for address in addresses {
        findings.extend(port(&address.0).await);
    }
    if let Some(PublicUrl(url)) = &config.server.public_url {
        findings.extend(from_outside(url).await);
    }
    findings
}

/// A server that others can reach is behind a proxy, or should be: it speaks no TLS itself.
fn exposure(config: &Config) -> Option<Finding> {
    let host = config.listen.0.rsplit_once(':').map_or("", |(host, _)| host);
    let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    match &config.server.public_url {
        Some(url) if url.0.starts_with("http://") && !is_loopback => Some(Finding::warning(
            "public URL",
            format!("server.public_url is {}", url.0),
            "tokens travel in the clear: put a proxy with TLS in front, and its https:// address here",
        )),
        Some(url) => Some(Finding::ok("public URL", url.0.clone())),
        None if is_loopback => None,
        None => Some(Finding::warning(
            "public URL",
            format!("the server listens on {}, and server.public_url is not set", config.listen.0),
            "set it to what clients call the server: URLs in answers, and S3 signatures behind a proxy, depend on it",
        )),
    }
}

/// Behind a proxy, the address of a client is what a proxy that is trusted says of it.
fn proxies(config: &Config) -> Option<Finding> {
    const ABOUT: &str = "proxies";
    let trusted = &config.server.trusted_proxies;
    if trusted.iter().any(|network| network.prefix_len() == 0) {
        return Some(Finding::error(
            ABOUT,
            "server.trusted_proxies trusts everybody",
            "anybody can say who they are, and where: name the proxies' addresses alone",
        ));
    }
    let is_behind_one =
        config.server.public_url.as_ref().is_some_and(|PublicUrl(url)| url.starts_with("https://"));
    (is_behind_one && trusted.is_empty()).then(|| {
        Finding::warning(
            ABOUT,
            "server.public_url is https://, so that a proxy is in front, and server.trusted_proxies is not set",
            "rate limits and logs take all clients for one, the proxy: name its address there, and have it set X-Forwarded-For",
        )
    })
}

/// Whether the address is free, or a server answers there already.
async fn port(address: &str) -> Option<Finding> {
    const ABOUT: &str = "address";
    let bound = tokio::net::TcpListener::bind(address).await;
    let Err(error) = bound else { return None };
    Some(match error.kind() {
        io::ErrorKind::AddrInUse if is_ours(&format!("http://{address}")).await => {
            Finding::ok(ABOUT, format!("a server runs on {address}"))
        }
        io::ErrorKind::AddrInUse => Finding::error(
            ABOUT,
            format!("another program listens on {address}"),
            "a server does not start there: end that program, or choose another address (`listen`)",
        ),
        io::ErrorKind::PermissionDenied => Finding::error(
            ABOUT,
            format!("this user may not listen on {address}"),
            "choose a port from 1024 on, or give the server the right to (AmbientCapabilities=CAP_NET_BIND_SERVICE in systemd)",
        ),
        // What the check of a start says of it is enough.
        _ => return None,
    })
}

/// Whether an Aerostore answers there.
async fn is_ours(url: &str) -> bool {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build() else { return false };
    let Ok(answer) = client.get(format!("{url}/healthz")).send().await else { return false };
    answer.status().is_success() && answer.text().await.is_ok_and(|text| text == "ok\n")
}

/// What a client meets at the address that it is given: a certificate that does not hold, mostly, or not for long.
async fn from_outside(url: &str) -> Vec<Finding> {
    const ABOUT: &str = "public URL";
    let client = reqwest::Client::builder().timeout(PATIENCE).tls_info(true).build();
    let Ok(client) = client else { return Vec::new() };
    let answer = match client.get(format!("{url}/healthz")).send().await {
        Ok(answer) => answer,
        Err(error) if is_about_certificates(&error) => {
            return vec![Finding::error(
                ABOUT,
                format!("{url}: {}", innermost(&error)),
                "clients refuse that certificate: renew it, or have the proxy send the whole chain for this name",
            )];
        }
        Err(error) => {
            return vec![Finding::warning(
                ABOUT,
                format!("{url} does not answer from this machine: {}", innermost(&error)),
                "while a server runs, see that the name leads to the proxy, and the proxy to the server",
            )];
        }
    };
    let of_path = match answer.status() {
        status if status.is_success() => Finding::ok(ABOUT, format!("{url} answers")),
        status => Finding::warning(
            ABOUT,
            format!("{url}/healthz answers {}", status.as_u16()),
            "while a server runs, that is a proxy which leads elsewhere: have it pass all paths as they are",
        ),
    };
    let shown = answer.extensions().get::<TlsInfo>().and_then(TlsInfo::peer_certificate);
    let validity = shown.and_then(Validity::of).map(|validity| validity.judge(url, Utc::now()));
    std::iter::once(of_path).chain(validity).collect()
}

/// TLS's own words: the library has no kind for it.
fn is_about_certificates(error: &reqwest::Error) -> bool {
    innermost(error).contains("certificate")
}

fn innermost(error: &reqwest::Error) -> String {
    let sources = std::iter::successors(std::error::Error::source(error), |cause| (*cause).source());
    sources.last().map_or_else(|| with_cause(error), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::serve::doctor::Severity;

    /// A configuration of what variables say.
    fn config(variables: &[(&str, &str)]) -> Config {
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let sources = Sources { environment: environment.collect(), ..Sources::default() };
        Config::load(&sources).unwrap().config
    }

    #[test]
    fn a_proxy_that_is_not_trusted_and_one_too_many_are_told_of() {
        let check = |variables: &[(&str, &str)], found: Option<Severity>| {
            let finding = proxies(&config(variables));
            assert_eq!(finding.as_ref().map(|finding| finding.severity), found, "{variables:?}: {finding:?}");
        };
        let public = ("AEROSTORE_SERVER_PUBLIC_URL", "https://files.example.org");
        check(&[], None);
        check(&[public], Some(Severity::Warning));
        check(&[public, ("AEROSTORE_SERVER_TRUSTED_PROXIES", "10.0.0.1")], None);
        check(&[("AEROSTORE_SERVER_TRUSTED_PROXIES", "0.0.0.0/0")], Some(Severity::Error));
    }

    #[tokio::test]
    async fn an_address_that_another_program_has_is_told_of() {
        let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        drop(tokio::spawn(async move {
            while let Ok((stranger, _)) = taken.accept().await {
                drop(stranger);
            }
        }));
        let found = port(&address).await.unwrap();
        assert!(found.severity == Severity::Error && found.found.contains(&address), "{found:?}");
        assert_eq!(port("127.0.0.1:0").await, None);
    }
}
