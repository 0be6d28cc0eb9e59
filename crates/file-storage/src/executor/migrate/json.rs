//! JSON in the one form that is the same for all texts that mean the same. PostgreSQL sorts keys, drops spaces and writes
//! numbers in its own way, exactly; a parser that makes them `f64` would not see them as exactly.

use std::collections::BTreeMap;

/// The deepest nesting: what `serde_json` reads.
const DEPTH: u8 = 128;

/// The form, or `None` where the text is no JSON or has a character U+0000 in a string.
pub(super) fn canonical(text: &str) -> Option<String> {
    let mut scanner = Scanner { rest: text };
    let value = scanner.value(DEPTH)?;
    scanner.skip_space();
    scanner.rest.is_empty().then_some(value)
}

struct Scanner<'t> {
    rest: &'t str,
}

impl<'t> Scanner<'t> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a piece of punctuation, where it comes next.
    fn take(&mut self, wanted: char) -> bool {
        self.skip_space();
        self.rest.strip_prefix(wanted).map(|rest| self.rest = rest).is_some()
    }

    /// Takes what comes before the first byte for which `ends` holds.
    fn until(&mut self, ends: impl Fn(char) -> bool) -> &'t str {
        let at = self.rest.find(ends).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(at);
        self.rest = rest;
        taken
    }

    fn value(&mut self, depth: u8) -> Option<String> {
        let depth = depth.checked_sub(1)?;
        self.skip_space();
        match self.rest.chars().next()? {
            '{' => self.object(depth),
            '[' => self.array(depth),
            '"' => self.string(),
            '-' | '0'..='9' => number(self.until(|c| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))),
            _ => {
                let word = self.until(|c| !c.is_ascii_lowercase());
                matches!(word, "true" | "false" | "null").then(|| word.to_owned())
            }
        }
    }

    fn object(&mut self, depth: u8) -> Option<String> {
        self.take('{');
        // Of a key that is repeated the last one counts, as everywhere.
        let mut members = BTreeMap::new();
        if !self.take('}') {
            loop {
                self.skip_space();
                let key = self.string()?;
                if !self.take(':') {
                    return None;
                }
                members.insert(key, self.value(depth)?);
                match (self.take(','), self.take('}')) {
                    (true, false) => {}
                    (false, true) => break,
                    _ => return None,
                }
            }
        }
        let members: Vec<String> = members.into_iter().map(|(key, value)| format!("{key}:{value}")).collect();
        Some(format!("{{{}}}", members.join(",")))
    }

    fn array(&mut self, depth: u8) -> Option<String> {
        self.take('[');
        let mut elements = Vec::new();
        if !self.take(']') {
            loop {
                elements.push(self.value(depth)?);
                match (self.take(','), self.take(']')) {
                    (true, false) => {}
                    (false, true) => break,
                    _ => return None,
                }
            }
        }
        Some(format!("[{}]", elements.join(",")))
    }

    /// A string, with its escapes as `serde_json` writes them.
    fn string(&mut self) -> Option<String> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (text, rest) = self.rest.split_at_checked(end?.0.checked_add(1)?)?;
        self.rest = rest;
        let meant: String = serde_json::from_str(text).ok()?;
        if meant.contains('\0') { None } else { serde_json::to_string(&meant).ok() }
    }
}

/// A number as digits without zeros at either end, and a power of ten.
fn number(text: &str) -> Option<String> {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let dropped = i64::try_from(digits.len().checked_sub(significant.len())?).ok()?;
    let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(dropped)?;
    match significant.trim_start_matches('0') {
        "" => Some("0".to_owned()),
        significant => Some(format!("{sign}{significant}e{exponent}")),
    }
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn texts_that_mean_the_same_look_the_same() {
        for (one, other) in [
            (r#"{"b":1,"aa":[true,null,false]}"#, r#" { "aa" : [ true, null,false ], "b": 1 } "#),
            (r#"{"a":1e300}"#, &format!(r#"{{"a": 1{}}}"#, "0".repeat(300))),
            ("1e-7", "0.0000001"),
            ("12345678901234567890.5", "12345678901234567890.50"),
            ("-0.0", "0"),
            ("-1.50e+3", "-1500"),
            (r#""\u00e9\/\ud83d\ude00\n""#, "\"é/😀\\n\""),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"\\\"":"\\"}"#, r#"{"\u005c\u0022":"\u005c"}"#),
            ("[]", "[ ]"),
            ("{}", "{ }"),
        ] {
            assert!(canonical(one).is_some(), "{one}");
            assert_eq!(canonical(one), canonical(other), "{one} and {other}");
        }
    }

    #[test]
    fn others_do_not() {
        let texts = ["1", "10", "-1", "0.1", "\"1\"", "[1]", "[1,1]", "{}", r#"{"1":1}"#, "null", "true"];
        for (at, one) in texts.iter().enumerate() {
            for other in texts.iter().skip(at + 1) {
                assert_ne!(canonical(one), canonical(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        let deep = "[".repeat(1000);
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "nul",
            "\"a",
            "1 2",
            "-",
            ".",
            "1e",
            "[,]",
            &deep,
            r#""\u0000""#,
        ] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }
}
