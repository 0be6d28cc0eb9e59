//! Where requests may go: to addresses of the public internet, and to networks that the operator allows.
//!
//! A name is resolved here, and the connection goes to the addresses that were looked at: what the name says a moment later does
//! not count.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use ipnet::IpNet;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Networks of IPv4 that are not the public internet (IANA's registry of special-purpose addresses), and the addresses at which clouds
/// tell a machine its secrets.
const CLOSED_V4: &[(Ipv4Addr, u8)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// All that IPv6 has given out to the public internet: nothing else is reached, so that loopback, link-local, unique local, multicast,
/// mapped and translated (NAT64) addresses need no line of their own.
const OPEN_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks in it that are not: protocols (Teredo among them), documentation, 6to4, which carries any address of IPv4.
const CLOSED_V6: &[(Ipv6Addr, u8)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// What a receiver is told whose host leads elsewhere.
pub(super) const FORBIDDEN: &str =
    "the host is in a network that webhooks must not reach (webhooks.allow_private_networks)";

/// The networks that requests may go to.
#[derive(Debug)]
pub(super) struct Networks {
    /// Those that the operator allows beside the public internet, also without TLS.
    allowed: Vec<IpNet>,
}

impl Networks {
    pub(super) fn new(allowed: Vec<IpNet>) -> Self {
        Self { allowed }
    }

    /// Whether a request may go to an address. Without TLS, only to networks that the operator named.
    pub(super) fn may_reach(&self, address: IpAddr, is_secure: bool) -> bool {
        self.allowed.iter().any(|network| network.contains(&address)) || (is_secure && is_public(address))
    }

    /// Understands a URL that messages may be sent to, as far as it says so itself.
    pub(super) fn check_url(&self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "must be a URL")?;
        let is_secure = match url.scheme() {
            "https" => true,
            "http" if self.allowed.is_empty() => {
                return Err("must be https; http is for networks of webhooks.allow_private_networks");
            }
            "http" => false,
            _ => return Err("must be https"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not have credentials in it");
        }
        if url.fragment().is_some() {
            return Err("must not have a fragment");
        }
        let host = url.host_str().ok_or("must have a host")?;
        // A name in brackets or digits is an address by now, however it was written.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        if literal.is_ok_and(|address| !self.may_reach(address, is_secure)) {
            return Err(FORBIDDEN);
        }
        Ok(url)
    }
}

/// Whether an address is one of the public internet.
fn is_public(address: IpAddr) -> bool {
    let within =
        |network: IpAddr, bits: u8| IpNet::new(network, bits).is_ok_and(|network| network.contains(&address));
    match address {
        IpAddr::V4(_) => !CLOSED_V4.iter().any(|(network, bits)| within((*network).into(), *bits)),
        IpAddr::V6(_) => {
            within(OPEN_V6.0.into(), OPEN_V6.1)
                && !CLOSED_V6.iter().any(|(network, bits)| within((*network).into(), *bits))
        }
    }
}

/// Addresses of a name, as the system gives them.
type Found = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What a client resolves names by.
pub(super) struct Guard {
    networks: Arc<Networks>,
    is_secure: bool,
    lookup: fn(String) -> Found,
}

/// A name that leads nowhere one may go.
#[derive(Debug, thiserror::Error)]
#[error("{FORBIDDEN}")]
pub(super) struct Forbidden;

impl Guard {
    pub(super) fn new(networks: Arc<Networks>, is_secure: bool) -> Self {
        Self { networks, is_secure, lookup: system }
    }
}

fn system(name: String) -> Found {
    Box::pin(async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.collect()) })
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (networks, is_secure) = (self.networks.clone(), self.is_secure);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let mut found = found.await?;
            found.retain(|address| networks.may_reach(address.ip(), is_secure));
            if found.is_empty() {
                return Err(Forbidden.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(allowed: &[&str]) -> Networks {
        Networks::new(allowed.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn only_public_addresses_are_reached() {
        let nobody = networks(&[]);
        let closed = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "169.254.170.2",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
        ];
        for address in closed {
            assert!(!nobody.may_reach(address.parse().unwrap(), true), "{address}");
        }
        let open = [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.255.255",
            "198.17.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450::1",
            "2003::1",
            "2001:4860:4860::8888",
        ];
        for address in open {
            assert!(nobody.may_reach(address.parse().unwrap(), true), "{address}");
            assert!(!nobody.may_reach(address.parse().unwrap(), false), "{address} without TLS");
        }
        let some = networks(&["10.1.0.0/16", "fd00::/8"]);
        for is_secure in [true, false] {
            assert!(some.may_reach("10.1.2.3".parse().unwrap(), is_secure));
            assert!(some.may_reach("fd00::5".parse().unwrap(), is_secure));
            assert!(!some.may_reach("10.2.2.3".parse().unwrap(), is_secure));
            assert!(!some.may_reach("::ffff:10.1.2.3".parse().unwrap(), is_secure));
        }
    }

    #[test]
    fn urls_say_as_much_as_they_can() {
        let (nobody, some) = (networks(&[]), networks(&["127.0.0.0/8"]));
        let check = |url: &str, alone: bool, allowed: bool| {
            assert_eq!(nobody.check_url(url).is_ok(), alone, "{url}");
            assert_eq!(some.check_url(url).is_ok(), allowed, "{url} where loopback is allowed");
        };
        check("https://example.org/hook?key=1", true, true);
        check("https://example.org:8443", true, true);
        check("https://[2606:4700::1111]/", true, true);
        // Where a name leads is not known here.
        check("http://example.org/", false, true);
        for url in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "http://127.0.0.1:8080/",
            "https://127.0.0.1./",
        ] {
            check(url, false, true);
        }
        for url in [
            "",
            "example.org",
            "/hook",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "https://user@example.org/",
            "https://user:word@example.org/",
            "https://:word@example.org/",
            "https://example.org/#part",
            "https://",
            "https://10.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://169.254.169.254/latest/meta-data",
            "http://8.8.8.8/",
            "http://10.0.0.1/",
            "https://[fd00:ec2::254]/",
        ] {
            check(url, false, false);
        }
    }

    fn answers(name: String) -> Found {
        Box::pin(async move {
            let addresses: &[&str] = match name.as_str() {
                "public" => &["8.8.8.8:0", "[2606:4700::1111]:0"],
                "private" => &["10.0.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"],
                "metadata" => &["169.254.169.254:0"],
                "mixed" => &["127.0.0.1:0", "8.8.4.4:0"],
                _ => &[],
            };
            Ok(addresses.iter().map(|address| address.parse().unwrap()).collect())
        })
    }

    async fn resolved(guard: &Guard, name: &str) -> Option<Vec<String>> {
        let found = guard.resolve(name.parse().unwrap()).await.ok()?;
        Some(found.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn names_lead_to_addresses_that_were_looked_at() {
        let guard = |allowed: &[&str], is_secure| Guard {
            networks: Arc::new(networks(allowed)),
            is_secure,
            lookup: answers,
        };
        let secure = guard(&[], true);
        assert_eq!(resolved(&secure, "public").await.unwrap(), ["8.8.8.8", "2606:4700::1111"]);
        assert_eq!(resolved(&secure, "mixed").await.unwrap(), ["8.8.4.4"]);
        for name in ["private", "metadata", "nowhere"] {
            assert_eq!(resolved(&secure, name).await, None, "{name}");
        }
        let plain = guard(&["10.0.0.0/8"], false);
        assert_eq!(resolved(&plain, "private").await.unwrap(), ["10.0.0.1"]);
        assert_eq!(resolved(&plain, "public").await, None, "not without TLS");
        let real = Guard::new(Arc::new(networks(&[])), true);
        assert_eq!(resolved(&real, "localhost").await, None);
        let allowed = Guard::new(Arc::new(networks(&["127.0.0.0/8", "::1/128"])), false);
        assert!(resolved(&allowed, "localhost").await.is_some());
    }
}
