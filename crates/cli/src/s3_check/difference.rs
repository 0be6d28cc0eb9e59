//! What was signed beside what arrived, line by line.

use serde::Serialize;

use super::endpoint::{Endpoint, S3_PATH};

/// Headers that few clients sign: a change of one stops those alone.
const MILD: [&str; 5] =
    ["accept", "accept-encoding", "cache-control", "user-agent", "x-amz-meta-under_score"];

/// One thing that was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Difference {
    /// `method`, `path`, `query parameter NAME` or `header NAME`.
    pub(crate) what: String,
    pub(crate) signed: String,
    /// Empty where nothing arrived.
    pub(crate) arrived: String,
    /// What to do.
    pub(crate) advice: String,
    /// Whether most clients work all the same.
    #[serde(skip)]
    pub(crate) is_mild: bool,
}

impl Difference {
    /// A header that did not arrive as it was sent.
    pub(super) fn of_header(name: &str, signed: &str, arrived: &str, endpoint: &Endpoint) -> Self {
        let advice = match name {
            "host" => of_host(endpoint),
            _ => of_other_header(name, arrived),
        };
        Self {
            what: format!("header {name}"),
            signed: signed.to_owned(),
            arrived: arrived.to_owned(),
            advice,
            is_mild: MILD.contains(&name),
        }
    }

    fn new(what: impl Into<String>, signed: &str, arrived: &str, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            signed: signed.to_owned(),
            arrived: arrived.to_owned(),
            advice: advice.into(),
            is_mild: false,
        }
    }
}

fn of_host(endpoint: &Endpoint) -> String {
    format!(
        "Have the proxy pass the client's Host (nginx: proxy_set_header Host $http_host), or set server.public_url to {}. \
         A proxy that sends X-Forwarded-Host may be listed in server.trusted_proxies instead.",
        endpoint.public_url()
    )
}

fn of_other_header(name: &str, arrived: &str) -> String {
    let did = if arrived.is_empty() { "drops" } else { "changes" };
    let who = match name {
        "accept-encoding" => ": clients that sign it (the AWS SDK for Go, version 2) are refused",
        "accept" | "cache-control" | "user-agent" => ": clients that sign it are refused",
        "content-length" => {
            ", sending bodies on in another form. S3 needs to know how long a body is (nginx: proxy_request_buffering on)"
        }
        "x-amz-meta-under_score" => {
            " for the underscore in its name (nginx: underscores_in_headers on): metadata with one can't be written"
        }
        "range" => ": parts of objects can't be read, as caches do it (nginx: no slice and no proxy_cache)",
        "x-amz-security-token" => ": nobody is known by a session token",
        name if name.starts_with("x-amz-") => ", which S3 acts by. All x-amz- headers must pass as they are",
        _ => "",
    };
    format!("The proxy {did} the header {name}{who}.")
}

fn of_path(signed: &str, arrived: &str, endpoint: &Endpoint) -> String {
    if let Some(prefix) = signed.strip_suffix(arrived).filter(|prefix| !prefix.is_empty()) {
        return format!(
            "The proxy takes {prefix} off the path: set server.public_url to {}, which says so.",
            endpoint.public_url()
        );
    }
    if let Some(prefix) = arrived.strip_suffix(signed).filter(|prefix| !prefix.is_empty()) {
        return format!(
            "The proxy puts {prefix} before the path, which nobody signed: point clients at a URL that has it, or let S3 listen \
             for itself (s3.listen), where it is at / and not at {S3_PATH}."
        );
    }
    "The proxy rewrites the path. It must pass it as it came, neither decoded nor with slashes joined (nginx: proxy_pass \
     without a path behind the address, merge_slashes off; Apache: AllowEncodedSlashes NoDecode and nocanon)."
        .to_owned()
}

/// A canonical request, in its parts.
struct Canonical<'a> {
    method: &'a str,
    path: &'a str,
    query: Vec<(&'a str, &'a str)>,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Canonical<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.split('\n');
        let (method, path, query) = (lines.next()?, lines.next()?, lines.next()?);
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let query = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let headers = lines.take_while(|line| !line.is_empty());
        let headers = headers.map(|line| line.split_once(':').unwrap_or((line, ""))).collect();
        Some(Self { method, path, query, headers })
    }
}

/// What differs between two canonical requests; `None` where one is none.
pub(super) fn between(signed: &str, arrived: &str, endpoint: &Endpoint) -> Option<Vec<Difference>> {
    let (signed, arrived) = (Canonical::parse(signed)?, Canonical::parse(arrived)?);
    let mut found = Vec::new();
    if signed.method != arrived.method {
        let advice = "The proxy makes another method of it (nginx: proxy_cache_convert_head off).";
        found.push(Difference::new("method", signed.method, arrived.method, advice));
    }
    if signed.path != arrived.path {
        let advice = of_path(signed.path, arrived.path, endpoint);
        found.push(Difference::new("path", signed.path, arrived.path, advice));
    }
    for (name, before, after) in changed(&signed.query, &arrived.query) {
        let advice =
            "The proxy changes the query. It must pass it as it came, with nothing added or decoded.";
        found.push(Difference::new(format!("query parameter {name}"), before, after, advice));
    }
    for (name, before, after) in changed(&signed.headers, &arrived.headers) {
        found.push(Difference::of_header(name, before, after, endpoint));
    }
    Some(found)
}

/// Names whose value is another one, with both; an empty value where a name is not there.
fn changed<'a>(
    before: &[(&'a str, &'a str)],
    after: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str, &'a str)> {
    let value =
        |all: &[(&'a str, &'a str)], name: &str| all.iter().find(|(key, _)| *key == name).map(|(_, v)| *v);
    let mut names: Vec<&'a str> = before.iter().chain(after).map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let both = names.into_iter().map(|name| (name, value(before, name), value(after, name)));
    both.filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| (name, before.unwrap_or_default(), after.unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "GET\n/files/b/x\na=1&b=2\nhost:h\nrange:bytes=0-1\n\nhost;range\nHASH";

    #[track_caller]
    fn check(arrived: &str, wanted: &[(&str, &str, &str, &str)]) {
        let endpoint = Endpoint::parse("https://h/files").unwrap();
        let found = between(SIGNED, arrived, &endpoint).unwrap();
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, (what, signed, came, words)) in found.iter().zip(wanted) {
            let told = (found.what.as_str(), found.signed.as_str(), found.arrived.as_str());
            assert_eq!(told, (*what, *signed, *came), "{arrived}");
            assert!(found.advice.contains(words), "`{words}` is not in: {}", found.advice);
        }
    }

    #[test]
    fn each_change_is_named_with_what_to_do() {
        check(SIGNED, &[]);
        let with = |from: &str, to: &str| SIGNED.replacen(from, to, 1);
        check(
            &with("host:h", "host:10.0.0.1"),
            &[("header host", "h", "10.0.0.1", "server.public_url to https://h/files")],
        );
        check(
            &with("/files/b", "/b"),
            &[("path", "/files/b/x", "/b/x", "server.public_url to https://h/files,")],
        );
        check(&with("/files/b", "/a/files/b"), &[("path", "/files/b/x", "/a/files/b/x", "s3.listen")]);
        check(&with("/files/b/x", "/files/b/y"), &[("path", "/files/b/x", "/files/b/y", "merge_slashes")]);
        check(&with("GET", "HEAD"), &[("method", "GET", "HEAD", "proxy_cache_convert_head")]);
        check(
            &with("a=1&b=2", "a=1&c=3"),
            &[("query parameter b", "2", "", "query"), ("query parameter c", "", "3", "query")],
        );
        check(
            &with("range:bytes=0-1", "range:"),
            &[("header range", "bytes=0-1", "", "drops the header range")],
        );
        let endpoint = Endpoint::parse("https://h").unwrap();
        assert_eq!(between(SIGNED, "no canonical request", &endpoint), None);
    }
}
