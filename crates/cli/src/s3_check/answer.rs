//! What came back.

use std::borrow::Cow;

use reqwest::header::HeaderMap;

/// An answer, as much of it as matters.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header's text; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// S3's code for what went wrong; empty where the body is none of S3's.
    pub(super) fn code(&self) -> String {
        self.element("Code").unwrap_or_default()
    }

    /// The text of an element of S3's XML: flat documents of which nothing else is read.
    pub(super) fn element(&self, name: &str) -> Option<String> {
        let text = String::from_utf8_lossy(&self.body);
        let (_, rest) = text.split_once(&format!("<{name}>"))?;
        let (value, _) = rest.split_once(&format!("</{name}>"))?;
        Some(unescaped(value))
    }

    /// Whether S3 answered, rather than something before it.
    pub(super) fn is_of_s3(&self) -> bool {
        if self.is_of_a_gateway() {
            return false;
        }
        let text = String::from_utf8_lossy(&self.body);
        self.status == 200 && text.contains("<ListAllMyBucketsResult") || !self.code().is_empty()
    }

    /// Whether a proxy says that it does not reach the server, which the server itself never says.
    pub(super) fn is_of_a_gateway(&self) -> bool {
        matches!(self.status, 502 | 504)
    }

    /// Who says that he answered, and how.
    pub(super) fn described(&self) -> String {
        let mut text = self.status.to_string();
        for (name, label) in [("server", "Server"), ("content-type", "Content-Type")] {
            let value = self.header(name);
            if !value.is_empty() {
                text.push_str(&format!(", {label}: {value}"));
            }
        }
        text
    }
}

fn unescaped(text: &str) -> String {
    let mut rest = text;
    let mut plain = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let Some((name, tail)) = after.split_once(';') else {
            rest = after;
            plain.push('&');
            continue;
        };
        plain.push_str(&entity(name));
        rest = tail;
    }
    plain.push_str(rest);
    plain
}

fn entity(name: &str) -> Cow<'static, str> {
    let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
    let character = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix('#') {
            Some(digits) => {
                digits.strip_prefix('x').map_or_else(|| number(digits, 10), |hex| number(hex, 16))
            }
            None => None,
        },
    };
    character.map_or_else(|| format!("&{name};").into(), |character| character.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_read_out_of_their_escapes() {
        let body = b"<?xml?>\n<Error><Code>X</Code><CanonicalRequest>GET\na=1&amp;b=&lt;&#13;&#x41;&odd;&</CanonicalRequest></Error>";
        let answer = Answer { status: 403, headers: HeaderMap::new(), body: body.to_vec() };
        assert_eq!(answer.code(), "X");
        assert_eq!(answer.element("CanonicalRequest").unwrap(), "GET\na=1&b=<\rA&odd;&");
        assert_eq!(answer.element("Other"), None);
        assert!(answer.is_of_s3());
    }
}
