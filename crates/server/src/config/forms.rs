//! How values are written: sizes, durations, lists, secrets.

use std::path::PathBuf;
use std::time::Duration;

use super::raw::RawValue;
use crate::secrets::Secret;

/// A type that a key can have.
pub trait Setting: Sized {
    /// What its values look like, for the reference page.
    const FORM: &'static str;
    /// Whether its values are never shown.
    const SECRET: bool = false;

    /// Understands a value.
    ///
    /// # Errors
    /// What is wrong with it, in words for the operator. Never contains a secret.
    fn parse(raw: &RawValue) -> Result<Self, String>;

    /// The value as one would write it; empty for none.
    fn show(&self) -> String;
}

/// The one text of a value.
pub(super) fn one(raw: &RawValue) -> Result<&str, String> {
    match raw {
        RawValue::One(text) => Ok(text.trim()),
        RawValue::Many(_) => Err("is one value, not a list".into()),
    }
}

/// A number of bytes, written `100MB` (powers of 1000) or `100MiB` (powers of 1024).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

const SIZE_UNITS: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Setting for ByteSize {
    const FORM: &'static str = "size: `100MB`, `16KiB`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        let refuse = || format!("'{text}' is not a size; write it as 512B, 16KiB, 100MB or 1.5GB");
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim();
        let factor = match SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1,
            None => return Err(refuse()),
        };
        decimal(number, factor).map(Self).ok_or_else(refuse)
    }

    fn show(&self) -> String {
        let exact = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        // The shortest way to write it is the one it was probably written in.
        let ways = SIZE_UNITS.iter().filter(exact).map(|(unit, factor)| format!("{}{unit}", self.0 / factor));
        ways.min_by_key(String::len).unwrap_or_else(|| self.0.to_string())
    }
}

/// A decimal number times a factor, in whole units; `None` where it is no number, too big or not whole.
fn decimal(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits_only = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) || fraction.len() > 9 {
        return None;
    }
    if number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u128>().ok()?.checked_mul(u128::from(factor))?;
    if !part.is_multiple_of(scale) {
        return None;
    }
    whole.checked_add(u64::try_from(part / scale).ok()?)
}

const TIME_UNITS: &[(&str, u64)] =
    &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Setting for Duration {
    const FORM: &'static str = "duration: `30s`, `5m`, `1h30m`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        parse_duration(text)
            .ok_or_else(|| format!("'{text}' is not a duration; write it as 500ms, 30s, 5m, 1h30m or 7d"))
    }

    fn show(&self) -> String {
        let mut rest = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return "0s".to_owned();
        }
        let mut text = String::new();
        for (unit, millis) in TIME_UNITS {
            if rest >= *millis {
                text.push_str(&format!("{}{unit}", rest / millis));
                rest %= millis;
            }
        }
        text
    }
}

/// Understands `1h30m`; `None` where it is no duration.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let factor = match TIME_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() && number == "0" => 0,
            None => return None,
        };
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.trim_start();
    }
    Some(Duration::from_millis(millis))
}

/// A time of the day, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// The hour, from 0 to 23.
    pub hour: u32,
    /// The minute, from 0 to 59.
    pub minute: u32,
}

impl Setting for TimeOfDay {
    const FORM: &'static str = "time of the day: `03:00`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        let number = |text: &str, most: u32| {
            let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| is_plain && *number <= most)
        };
        let parsed = text
            .split_once(':')
            .and_then(|(hour, minute)| Some(Self { hour: number(hour, 23)?, minute: number(minute, 59)? }));
        parsed.ok_or_else(|| format!("'{text}' is no time of the day; write it as 03:00"))
    }

    fn show(&self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }
}

impl Setting for bool {
    const FORM: &'static str = "`true` or `false`";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        match one(raw)? {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("'{other}' is neither true nor false")),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for u32 {
    const FORM: &'static str = "number";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let text = one(raw)?;
        text.parse().map_err(|_| format!("'{text}' is not a whole number from 0 to {}", Self::MAX))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Setting for String {
    const FORM: &'static str = "text";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        one(raw).map(str::to_owned)
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl Setting for PathBuf {
    const FORM: &'static str = "path";

    fn parse(raw: &RawValue) -> Result<Self, String> {
        one(raw).map(Self::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl Setting for Secret {
    const FORM: &'static str = "secret, 32 bytes or more";
    const SECRET: bool = true;

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let secret = Self::new(one(raw)?);
        if !secret.is_long_enough() {
            return Err("a secret has 32 bytes or more (try: openssl rand -hex 32)".into());
        }
        Ok(secret)
    }

    fn show(&self) -> String {
        "[redacted]".to_owned()
    }
}

/// A secret that somebody else chose, of whatever length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential(pub Secret);

impl Setting for Credential {
    const FORM: &'static str = "secret";
    const SECRET: bool = true;

    fn parse(raw: &RawValue) -> Result<Self, String> {
        one(raw).map(|text| Self(Secret::new(text)))
    }

    fn show(&self) -> String {
        "[redacted]".to_owned()
    }
}

/// A key that may be left out: its default is empty.
impl<T: Setting> Setting for Option<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;

    fn parse(raw: &RawValue) -> Result<Self, String> {
        match raw {
            RawValue::One(text) if text.is_empty() => Ok(None),
            RawValue::One(_) | RawValue::Many(_) => T::parse(raw).map(Some),
        }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, Setting::show)
    }
}

/// A list: a YAML list, or one text with commas.
impl<T: Setting> Setting for Vec<T> {
    const FORM: &'static str = T::FORM;
    const SECRET: bool = T::SECRET;

    fn parse(raw: &RawValue) -> Result<Self, String> {
        let items: Vec<&str> = match raw {
            RawValue::One(text) if text.trim().is_empty() => Vec::new(),
            RawValue::One(text) => text.split(',').collect(),
            RawValue::Many(items) => items.iter().map(String::as_str).collect(),
        };
        items.into_iter().map(|item| T::parse(&RawValue::One(item.trim().to_owned()))).collect()
    }

    fn show(&self) -> String {
        self.iter().map(Setting::show).collect::<Vec<_>>().join(", ")
    }
}
