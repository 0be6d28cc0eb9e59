//! By which name a client called the server (RFC 9112, section 3.2). The name comes back in absolute URLs, so it is
//! looked at before anything is done with the request: a host with perhaps a port, and nothing else.

use std::net::Ipv6Addr;

use http::{HeaderMap, Uri, Version, header};

/// Longest name that is looked at: the longest host name, and a port.
const MAX_BYTES: usize = 260;

/// A request that does not say, in one way, by which name it calls the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadHost(pub(super) &'static str);

/// Looks at the name of a request before anybody uses it.
pub(super) fn check(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), BadHost> {
    let mut lines = headers.get_all(header::HOST).iter();
    match (lines.next(), lines.next()) {
        (Some(_), Some(_)) => return Err(BadHost("The request has several Host headers")),
        (None, _) if version == Version::HTTP_11 => return Err(BadHost("The request has no Host header")),
        (Some(host), None) if !host.is_empty() && !host.to_str().is_ok_and(is_authority) => {
            return Err(BadHost("The Host header is not a host with an optional port"));
        }
        _ => {}
    }
    match uri.authority() {
        Some(authority) if !is_authority(authority.as_str()) => {
            Err(BadHost("The request's target does not name a host with an optional port"))
        }
        _ => Ok(()),
    }
}

/// The host, and port if it has one, by which a request calls the server; `None` where it names none. A target that
/// is a whole URL counts before the header.
pub fn called_host(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let by_target = uri.authority().map(http::uri::Authority::as_str);
    let by_header = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    by_target.or_else(by_header).filter(|name| is_authority(name)).map(str::to_owned)
}

/// Whether a text is a host and perhaps a port: no user, no path, nothing that ends a URL's authority. Names with
/// percent signs, which no client of ours sends, count as none.
pub fn is_authority(text: &str) -> bool {
    if text.len() > MAX_BYTES {
        return false;
    }
    let (is_host, rest) = match text.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
            None => return false,
        },
        None => {
            let (name, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            (is_name(name), rest)
        }
    };
    is_host && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || (text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_with_perhaps_a_port_and_nothing_else() {
        for good in
            ["localhost", "a.example.org:8000", "my_service:80", "[::1]", "[2001:db8::1]:443", "127.0.0.1:"]
        {
            assert!(is_authority(good), "{good}");
        }
        let long = "x".repeat(300);
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "a?b",
            "a#b",
            "user@a",
            "user:pw@a",
            "a:b",
            "a:99999",
            "a:+1",
            "a:1:2",
            "[::1",
            "::1",
            "[a]",
            "[::1]x",
            "a\"b",
            "a<b",
            "a%2fb",
            "a,b",
            "ü",
            "a\\b",
            &long,
        ] {
            assert!(!is_authority(bad), "{bad}");
        }
    }

    #[test]
    fn a_request_has_one_name() {
        let check = |version, uri: &str, hosts: &[&str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            let uri: Uri = uri.parse().unwrap();
            check(version, &uri, &headers).map(|()| called_host(&uri, &headers).unwrap_or_default())
        };
        let (one, old, two) = (Version::HTTP_11, Version::HTTP_10, Version::HTTP_2);
        assert_eq!(check(one, "/x", &["a:80"]), Ok("a:80".to_owned()));
        assert_eq!(check(one, "http://b/x", &["a"]), Ok("b".to_owned()));
        assert_eq!(check(two, "http://b:1/x", &[]), Ok("b:1".to_owned()));
        assert_eq!(check(old, "/x", &[]), Ok(String::new()));
        assert_eq!(check(one, "/x", &[""]), Ok(String::new()));
        for (version, uri, hosts) in [
            (one, "/x", &[][..]),
            (one, "/x", &["a", "a"]),
            (two, "http://b/x", &["a", "b"]),
            (one, "/x", &["a/b"]),
            (old, "/x", &["a b"]),
            (one, "http://user@b/x", &["a"]),
        ] {
            assert!(check(version, uri, hosts).is_err(), "{version:?} {uri} {hosts:?}");
        }
    }
}
