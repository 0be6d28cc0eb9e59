//! Sizes and durations as people write them: `100MB`, `4KiB`, `1h`, `1h30m`.
//!
//! `KB`, `MB`, `GB`, `TB` (also `K`, `M`, `G`, `T`) are powers of 1000, as in Supabase's limits;
//! `KiB`, `MiB`, `GiB`, `TiB` powers of 1024. A bare number is bytes, or seconds.

use std::time::Duration;

/// Parses a size in bytes.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write it like 4096, 100MB or 4KiB");
    let (number, unit) = split_number(text.trim()).ok_or_else(wrong)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    scale(number, factor).ok_or_else(wrong)
}

/// Parses a duration; parts may follow each other (`1h30m`).
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration; write it like 90s, 15m, 1h30m or 7d");
    let mut rest = text.trim();
    if let Ok(seconds) = rest.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut millis: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(wrong)?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end).ok_or_else(wrong)?;
        let factor: u64 = match unit.trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(wrong()),
        };
        millis = scale(number, factor).and_then(|part| millis.checked_add(part)).ok_or_else(wrong)?;
        rest = next;
    }
    Ok(Duration::from_millis(millis))
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

/// `12.5` and `MB` of `12.5 MB`.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end)?;
    (!number.is_empty()).then_some((number, unit.trim()))
}

/// `number` (decimal, up to nine fractional digits) times `factor`, rounded down.
fn scale(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return (!number.ends_with('.')).then_some(whole);
    }
    let denominator = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    let part = fraction.parse::<u128>().ok()? * u128::from(factor) / denominator;
    whole.checked_add(u64::try_from(part).ok()?)
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
        check("1.5 GiB", Some(1_610_612_736));
        check("1k", Some(1000));
        check("18446744073709551615", Some(u64::MAX));
        for bad in
            ["", "MB", "1.2.3", "1.", ".5", "-1", "1XB", "10 000", "18446744073709551616", "99999999999TB"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn durations() {
        let check = |text: &str, millis: Option<u128>| {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis()), millis, "{text}");
        };
        check("90", Some(90_000));
        check("250ms", Some(250));
        check("1h", Some(3_600_000));
        check("1h30m", Some(5_400_000));
        check("1.5s", Some(1500));
        check("7d", Some(604_800_000));
        for bad in ["", "h", "1y", "1h30", "-5s", "1h-5m", "99999999999999999999s"] {
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
