//! Which address a request comes from, and what the client called the server, where proxies stand between.
//!
//! ```text
//! let proxies = Proxies::new(&config.server.trusted_proxies);          // once
//! let address = proxies.client(peer, &headers);                        // for limits and logs
//! let origin = proxies.forwarded(peer, &headers);                      // `X-Forwarded-Proto`, `-Host`, `-Prefix`
//! proxies.is_local(peer, &headers)                                     // for `metrics.access: loopback`
//! ```
//!
//! Headers count only from configured proxies (field rule: forwarded headers are anybody's to write), and among
//! the hops the right-most one that is no such proxy is the client: everything left of it, the client wrote.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};
use ipnet::IpNet;

use crate::http::is_authority;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// Longest prefix that is believed.
const MAX_PREFIX_BYTES: usize = 256;

/// The proxies that are believed.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    trusted: Vec<IpNet>,
}

/// What the client called the server, as a trusted proxy says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ForwardedOrigin {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// Host, and port where it is not the scheme's own.
    pub host: Option<String>,
    /// The path below which the client sees what the proxy passes on: with a slash in front and none at the end.
    pub prefix: Option<String>,
}

impl Proxies {
    /// The proxies of a configuration.
    pub fn new(trusted: &[IpNet]) -> Self {
        Self { trusted: trusted.to_vec() }
    }

    /// The address of the client behind a connection.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        let by_list = headers.contains_key(X_FORWARDED_FOR).then(|| self.walk(peer, &list_hops(headers)));
        let by_standard = headers.contains_key(FORWARDED).then(|| self.walk(peer, &standard_hops(headers)));
        match (by_list, by_standard) {
            (Some(client), None) | (None, Some(client)) => client,
            // A proxy writes one of the two and passes the other on as the client wrote it. Where they disagree,
            // one is forged, and nobody can tell which: the request counts as the proxy's.
            (Some(one), Some(other)) if one == other => one,
            (Some(_), Some(_)) | (None, None) => peer,
        }
    }

    /// What a trusted proxy says that the client called the server.
    pub fn forwarded(&self, peer: IpAddr, headers: &HeaderMap) -> ForwardedOrigin {
        if !self.trusts(peer.to_canonical()) {
            return ForwardedOrigin::default();
        }
        let scheme = match last(headers, &X_FORWARDED_PROTO) {
            Some(word) if word.eq_ignore_ascii_case("https") => Some("https"),
            Some(word) if word.eq_ignore_ascii_case("http") => Some("http"),
            Some(_) | None => None,
        };
        let host = last(headers, &X_FORWARDED_HOST).filter(|host| is_authority(host)).map(str::to_owned);
        let prefix = last(headers, &X_FORWARDED_PREFIX).map(|prefix| prefix.trim_end_matches('/'));
        let prefix = prefix.filter(|prefix| is_prefix(prefix)).map(str::to_owned);
        ForwardedOrigin { scheme, host, prefix }
    }

    /// Whether a request was made on this machine and by no proxy: one that runs here, and was not configured,
    /// would make everybody local.
    pub fn is_local(&self, peer: IpAddr, headers: &HeaderMap) -> bool {
        let passed_on = headers.contains_key(X_FORWARDED_FOR)
            || headers.contains_key(FORWARDED)
            || [X_FORWARDED_HOST, X_FORWARDED_PROTO, X_FORWARDED_PREFIX]
                .iter()
                .any(|name| headers.contains_key(name))
            || headers.contains_key(http::header::VIA);
        if passed_on {
            self.trusts(peer.to_canonical()) && self.client(peer, headers).is_loopback()
        } else {
            peer.to_canonical().is_loopback()
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(&address))
    }

    /// The first hop, from the right, that is no trusted proxy; the last one that is, where a hop hides itself.
    fn walk(&self, peer: IpAddr, hops: &[Option<IpAddr>]) -> IpAddr {
        let mut client = peer;
        for hop in hops.iter().rev() {
            match hop {
                Some(address) => client = *address,
                None => return client,
            }
            if !self.trusts(client) {
                return client;
            }
        }
        client
    }
}

/// What counts as one client: an IPv4 address, or the /64 network that an IPv6 client chooses its addresses from.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The hops of `X-Forwarded-For`, left to right over all its lines.
fn list_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    values(headers, &X_FORWARDED_FOR).flat_map(|line| line.split(',')).map(address).collect()
}

/// The hops of `Forwarded` (RFC 7239): its `for=` parameters.
fn standard_hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let hop = |element: &str| {
        let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        let mut named = pairs.filter(|(name, _)| name.trim().eq_ignore_ascii_case("for"));
        named.next().and_then(|(_, value)| address(value.trim().trim_matches('"')))
    };
    values(headers, &FORWARDED).flat_map(|line| line.split(',')).map(hop).collect()
}

/// An address as proxies write it, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

/// The value that the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    values(headers, name).last()?.rsplit(',').next().map(str::trim)
}

/// A header's lines; one that is no text is an empty hop, which ends the walk.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default())
}

/// Whether a text can stand between host and path of a URL, and means the same to everybody.
fn is_prefix(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let is_segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.chars().all(is_plain)
    };
    text.len() <= MAX_PREFIX_BYTES
        && text.strip_prefix('/').is_some_and(|segments| segments.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn proxies() -> Proxies {
        Proxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()])
    }

    #[track_caller]
    fn check(peer: &str, lines: &[(&'static str, &str)], client: &str) {
        let found = proxies().client(peer.parse().unwrap(), &headers(lines));
        assert_eq!(found, client.parse::<IpAddr>().unwrap(), "peer {peer}, {lines:?}");
    }

    #[test]
    fn the_client_is_the_right_most_hop_that_is_no_proxy() {
        let xff = "x-forwarded-for";
        check("192.0.2.1", &[], "192.0.2.1");
        check("192.0.2.1", &[(xff, "198.51.100.7")], "192.0.2.1");
        check("192.0.2.1", &[("forwarded", "for=198.51.100.7")], "192.0.2.1");
        check("10.0.0.1", &[], "10.0.0.1");
        check("10.0.0.1", &[(xff, "198.51.100.7")], "198.51.100.7");
        check("::ffff:10.0.0.1", &[(xff, "198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "127.0.0.1, 198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "127.0.0.1, 198.51.100.7, 10.9.9.9")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "127.0.0.1"), (xff, "198.51.100.7,10.9.9.9")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "198.51.100.7:4711")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "[2001:db8::1]:4711")], "2001:db8::1");
        check("10.0.0.1", &[(xff, "2001:db8::1")], "2001:db8::1");
        check("10.0.0.1", &[(xff, "10.0.0.3, 10.0.0.2")], "10.0.0.3");
        check("10.0.0.1", &[(xff, "198.51.100.7, unknown, 10.0.0.2")], "10.0.0.2");
        check("10.0.0.1", &[(xff, "198.51.100.7, ")], "10.0.0.1");
        check("10.0.0.1", &[(xff, "")], "10.0.0.1");
        check(
            "10.0.0.1",
            &[("forwarded", "for=127.0.0.1, For=\"[2001:db8::1]:80\";proto=http")],
            "2001:db8::1",
        );
        check("10.0.0.1", &[("forwarded", "for=_hidden, for=198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[("forwarded", "for=198.51.100.7, for=_hidden")], "10.0.0.1");
        check("10.0.0.1", &[(xff, "198.51.100.7"), ("forwarded", "for=198.51.100.7")], "198.51.100.7");
        check("10.0.0.1", &[(xff, "198.51.100.7"), ("forwarded", "for=203.0.113.9")], "10.0.0.1");
    }

    #[test]
    fn the_origin_is_believed_from_proxies_alone() {
        let lines =
            headers(&[("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "evil, files.example.org")]);
        let from = |peer: &str| proxies().forwarded(peer.parse().unwrap(), &lines);
        assert_eq!(from("192.0.2.1"), ForwardedOrigin::default());
        let host = Some("files.example.org".to_owned());
        assert_eq!(from("10.0.0.1"), ForwardedOrigin { scheme: Some("https"), host, prefix: None });
        let bad = headers(&[
            ("x-forwarded-proto", "gopher"),
            ("x-forwarded-host", "a/b?c"),
            ("x-forwarded-prefix", "//evil.example"),
        ]);
        assert_eq!(proxies().forwarded("10.0.0.1".parse().unwrap(), &bad), ForwardedOrigin::default());
    }

    #[test]
    fn a_prefix_is_a_plain_path() {
        let prefix = |peer: &str, text: &str| {
            let lines = headers(&[("x-forwarded-prefix", text)]);
            proxies().forwarded(peer.parse().unwrap(), &lines).prefix
        };
        for (text, wanted) in [
            ("/files", Some("/files")),
            ("/files/", Some("/files")),
            ("/a/b-c_d.e~f", Some("/a/b-c_d.e~f")),
            ("/outer, /inner", Some("/inner")),
            ("/", None),
            ("", None),
            ("files", None),
            ("//evil.example", None),
            ("/a//b", None),
            ("/../a", None),
            ("/a/./b", None),
            ("/a?b", None),
            ("/a#b", None),
            ("/a b", None),
            ("/a%2fb", None),
            ("/a@b", None),
        ] {
            assert_eq!(prefix("10.0.0.1", text).as_deref(), wanted, "{text}");
            assert_eq!(prefix("192.0.2.1", text), None, "{text}");
        }
    }

    #[test]
    fn an_unconfigured_proxy_on_this_machine_makes_nobody_local() {
        let local = |peer: &str, lines: &[(&'static str, &str)]| {
            proxies().is_local(peer.parse().unwrap(), &headers(lines))
        };
        assert!(local("127.0.0.1", &[]));
        assert!(local("::1", &[]));
        assert!(!local("192.0.2.1", &[]));
        assert!(!local("192.0.2.1", &[("x-forwarded-for", "127.0.0.1")]));
        assert!(!local("127.0.0.1", &[("x-forwarded-for", "198.51.100.7")]));
        assert!(!local("127.0.0.1", &[("x-forwarded-for", "127.0.0.1")]));
        assert!(!local("127.0.0.1", &[("via", "1.1 proxy")]));
        assert!(!local("127.0.0.1", &[("x-forwarded-proto", "https")]));
        assert!(!local("10.0.0.1", &[("x-forwarded-for", "198.51.100.7")]));
    }
}
