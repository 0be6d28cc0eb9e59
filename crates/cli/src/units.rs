//! Sizes and durations as people write them: `100MB`, `4KiB`, `1h`, `1h30m`. What the configuration
//! understands is understood here, because it is the same code.

use std::time::Duration;

use server::config::{ByteSize, RawValue, Setting};

/// Parses a size in bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    ByteSize::parse(&RawValue::One(text.to_owned())).map(|size| size.0)
}

/// Parses a duration.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    Duration::parse(&RawValue::One(text.to_owned()))
}

/// Parses a duration of more than nothing.
pub(crate) fn parse_some_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("is more than 0s".to_owned()),
        duration => Ok(duration),
    }
}

/// A size as one would write it: exact, with the unit that makes it shortest.
pub(crate) fn exact_size(bytes: u64) -> String {
    ByteSize(bytes).show()
}

/// A size for people: three figures and a decimal unit.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut name = "";
    for unit in UNITS {
        value /= 1000.0;
        name = unit;
        if value < 999.5 {
            break;
        }
    }
    if value < 9.995 {
        format!("{value:.2} {name}")
    } else if value < 99.95 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_size(text).ok(), expected, "{text}");
        check("0", Some(0));
        check("4096", Some(4096));
        check("100MB", Some(100_000_000));
        check("20mb", Some(20_000_000));
        check("4KiB", Some(4096));
        check("1.5GiB", Some(1_610_612_736));
        for bad in
            ["", "MB", "1.2.3", "1.", ".5", "-1", "1XB", "10 000", "18446744073709551616", "99999999999TB"]
        {
            check(bad, None);
        }
        assert_eq!((exact_size(4096), exact_size(1 << 20)), ("4KiB".to_owned(), "1MiB".to_owned()));
    }

    #[test]
    fn durations() {
        let check = |text: &str, millis: Option<u128>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), millis, "{text}");
        };
        check("90s", Some(90_000));
        check("250ms", Some(250));
        check("1h", Some(3_600_000));
        check("1h30m", Some(5_400_000));
        check("7d", Some(604_800_000));
        for bad in ["", "h", "90", "1y", "1h30", "-5s", "1h-5m", "99999999999999999999s"] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_for_people() {
        let check = |bytes: u64, text: &str| assert_eq!(size(bytes), text);
        check(999, "999 B");
        check(4096, "4.10 kB");
        check(99_960, "100 kB");
        check(999_999, "1.00 MB");
        check(12_345_678, "12.3 MB");
        check(u64::MAX, "18447 PB");
    }
}
