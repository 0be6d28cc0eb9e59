//! How long the certificate holds that clients are shown.

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};

use super::Finding;

const ABOUT: &str = "certificate";

/// Somebody should look where one holds for less than that, and for less than a third of its time: those who renew by themselves do
/// it before.
const SOON: TimeDelta = TimeDelta::days(30);

/// DER's tags.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;
const SHORT_TIME: u8 = 0x17;
const TIME: u8 = 0x18;

/// From when until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Validity {
    /// That of a certificate, in DER; `None` where it is none.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let certificate = expect(SEQUENCE, der)?.0;
        let signed = expect(SEQUENCE, certificate)?.0;
        // The first version has none.
        let rest = expect(VERSION, signed).map_or(signed, |(_, rest)| rest);
        let rest = expect(INTEGER, rest)?.1;
        let (_algorithm, rest) = expect(SEQUENCE, rest)?;
        let (_issuer, rest) = expect(SEQUENCE, rest)?;
        let (from, until) = time(expect(SEQUENCE, rest)?.0)?;
        Some(Self { from, until: time(until)?.0 })
    }

    /// What is to be said of a certificate that clients still take.
    pub(super) fn judge(self, url: &str, now: DateTime<Utc>) -> Finding {
        let left = self.until.signed_duration_since(now);
        let whole = self.until.signed_duration_since(self.from);
        let shown =
            format!("that of {url} holds until {}: {} days", self.until.format("%Y-%m-%d"), left.num_days());
        if left < SOON.min(whole / 3) {
            let advice = "clients refuse it from then on: renew it, and see why nothing does so by itself";
            return Finding::warning(ABOUT, shown, advice);
        }
        Finding::ok(ABOUT, shown)
    }
}

/// The content of DER's next element, which has this tag, and what follows it.
fn expect(wanted: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..0x80 => (usize::from(short), rest),
        long => {
            let (length, rest) = rest.split_at_checked(usize::from(long & 0x7F))?;
            let length = length
                .iter()
                .try_fold(0_usize, |length, byte| length.checked_mul(256)?.checked_add(usize::from(*byte)));
            (length?, rest)
        }
    };
    rest.split_at_checked(length).filter(|_| *tag == wanted)
}

/// A time, and what follows it.
fn time(der: &[u8]) -> Option<(DateTime<Utc>, &[u8])> {
    let short = expect(SHORT_TIME, der);
    let (digits, rest) = short.or_else(|| expect(TIME, der))?;
    let digits = std::str::from_utf8(digits).ok()?;
    let whole = match short {
        // Of two digits, the years to 2049 are those of this century.
        Some(_) if digits < "5" => format!("20{digits}"),
        Some(_) => format!("19{digits}"),
        None => digits.to_owned(),
    };
    let time = NaiveDateTime::parse_from_str(&whole, "%Y%m%d%H%M%SZ").ok()?;
    Some((time.and_utc(), rest))
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use super::*;
    use crate::serve::doctor::Severity;

    /// From 2026-11-22 18:35:11 to 2027-02-20 18:35:11.
    const SHORT: &str = "MIIBjDCCATOgAwIBAgIUT4E7Mt/K4LSrQIPypu2nbvDBSR0wCgYIKoZIzj0EAwIwHDEaMBgGA1UEAwwRZmlsZXMuZXhhbXBsZS5v\
         cmcwHhcNMjYxMTIyMTgzNTExWhcNMjcwMjIwMTgzNTExWjAcMRowGAYDVQQDDBFmaWxlcy5leGFtcGxlLm9yZzBZMBMGByqGSM49\
         AgEGCCqGSM49AwEHA0IABEJ1F6alKzsKzq0fHXiPykciePHKL0GOOIKUCQgXxx6jv/yLAw6L7SV+gVWx4YSq5CcfJBypMcEOxx8T\
         8ErRNaSjUzBRMB0GA1UdDgQWBBT2XBFpAMBCyIk5Qhu0sZuM5jZB1jAfBgNVHSMEGDAWgBT2XBFpAMBCyIk5Qhu0sZuM5jZB1jAP\
         BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIEHR0Vlk8leLjVO1/iBod4KmryRZdwXfvutZZkuLuSXsAiB+pM89YR0H\
         wyg9OfYZ35mlYRWCCwqzDagDdfmdJRik8w==";

    /// From then to 2081-08-25 18:35:11.
    const LONG: &str = "MIIBbzCCARWgAwIBAgIUUq1PthxKZIwwTVI2s8VsXoKFvsYwCgYIKoZIzj0EAwIwDDEKMAgGA1UEAwwBZjAgFw0yNjExMjIxODM1\
         MTFaGA8yMDgxMDgyNTE4MzUxMVowDDEKMAgGA1UEAwwBZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABABz7gxaoTkFI7tjU4QK\
         eyYCux2dALis7a6j00Fwiwj9fAu+TK4iChiKu2+m8LPwbrKd1IWJ0l+D40ZIba7Kzw2jUzBRMB0GA1UdDgQWBBSacTh1jkXONC/q\
         eHXOdOUa2T1pzDAfBgNVHSMEGDAWgBSacTh1jkXONC/qeHXOdOUa2T1pzDAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gA\
         MEUCIQDFC9Ls8GmJ9GuzTM/CYU8vY9MleRxmfgX31u6BnYE7UwIgJoBJsgwWFrMKZLVKjkulqEs2Y2EOLGAvDJ5ffyFJ/4c=";

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_certificate_says_how_long_it_holds() {
        let check = |certificate: &str, until: &str| {
            let der = BASE64_STANDARD.decode(certificate).unwrap();
            let found = Validity::of(&der).unwrap();
            assert_eq!(found, Validity { from: at("2026-11-22T18:35:11Z"), until: at(until) });
            for cut in 0..der.len() {
                assert_eq!(Validity::of(&der[..cut]), None, "{cut}");
            }
        };
        check(SHORT, "2027-02-20T18:35:11Z");
        check(LONG, "2081-08-25T18:35:11Z");
        assert_eq!(Validity::of(b"0\x88\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn one_that_should_have_been_renewed_is_told_of() {
        let check = |days: i64, left: i64, severity: Severity| {
            let now = at("2026-11-22T00:00:00Z");
            let until = now + TimeDelta::days(left);
            let found = Validity { from: until - TimeDelta::days(days), until }
                .judge("https://files.example.org", now);
            assert_eq!(found.severity, severity, "{found:?}");
            assert_eq!(found.advice.is_some(), severity > Severity::Ok);
            assert!(found.found.ends_with(&format!(": {left} days")), "{found:?}");
        };
        check(365, 31, Severity::Ok);
        check(365, 29, Severity::Warning);
        check(90, 29, Severity::Warning);
        // Some are given for days.
        check(6, 5, Severity::Ok);
        check(6, 1, Severity::Warning);
    }
}
