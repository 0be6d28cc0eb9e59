//! Times in signatures, and how far they may be from now.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

use crate::s3::failure::Failure;

/// The longest that a signed URL is valid: seven days.
pub(super) const MAX_EXPIRY_SECONDS: u32 = 7 * 24 * 60 * 60;

/// Now, and how far clocks may differ.
#[derive(Debug, Clone, Copy)]
pub(in crate::s3) struct Clock {
    pub(in crate::s3) now: DateTime<Utc>,
    pub(in crate::s3) skew: Duration,
}

impl Clock {
    /// Refuses a request that was signed too long ago, or in the future.
    pub(in crate::s3) fn check(self, signed_at: DateTime<Utc>) -> Result<(), Failure> {
        let apart = (self.now - signed_at).abs().to_std().unwrap_or(Duration::MAX);
        if apart > self.skew { Err(self.skewed(signed_at)) } else { Ok(()) }
    }

    /// Refuses a URL past its time, or from the future.
    pub(super) fn check_expiry(self, signed_at: DateTime<Utc>, seconds: u32) -> Result<(), Failure> {
        let age = self.now - signed_at;
        if (-age).to_std().is_ok_and(|ahead| ahead > self.skew) {
            return Err(self.skewed(signed_at));
        }
        if age.num_seconds() > i64::from(seconds) {
            return Err(Failure::denied("Request has expired"));
        }
        Ok(())
    }

    fn skewed(self, signed_at: DateTime<Utc>) -> Failure {
        let message = "The difference between the request time and the server's time is too large";
        Failure::new(http::StatusCode::FORBIDDEN, "RequestTimeTooSkewed", message)
            .detail("RequestTime", written(signed_at))
            .detail("ServerTime", written(self.now))
    }
}

/// A time as signatures have it.
pub(super) fn written(time: DateTime<Utc>) -> String {
    let (date, of_day) = (time.date_naive(), time.time());
    let day = format!("{:04}{:02}{:02}", date.year(), date.month(), date.day());
    format!("{day}T{:02}{:02}{:02}Z", of_day.hour(), of_day.minute(), of_day.second())
}

/// A time in the one form that signatures have.
pub(in crate::s3) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    if bytes.len() != 16 || bytes.get(8) != Some(&b'T') || bytes.last() != Some(&b'Z') {
        return None;
    }
    let number = |range: std::ops::Range<usize>| -> Option<u32> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let year = i32::try_from(number(0..4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(4..6)?, number(6..8)?)?;
    Some(date.and_hms_opt(number(9..11)?, number(11..13)?, number(13..15)?)?.and_utc())
}

/// The time of a `Date` header: as HTTP has it, or as mail does, which several clients write.
pub(super) fn parse_date(text: &str) -> Option<DateTime<Utc>> {
    let of_http = httpdate::parse_http_date(text).ok().map(DateTime::from);
    of_http.or_else(|| DateTime::parse_from_rfc2822(text).ok().map(|time| time.to_utc()))
}
