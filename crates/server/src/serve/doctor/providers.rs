//! Providers on other machines: whether they take, give and delete, and what time it is there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use file_storage::backend::remote::RemotePlace;

use super::{Finding, PATIENCE, with_cause};
use crate::config::{Config, ProviderConfig, ProviderKind, WebUrl};
use crate::serve::providers;

const ABOUT: &str = "provider";

/// How far a store's clock may be off: S3 refuses requests of more than 15 minutes, and says so in other words.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(120);

/// Each provider on another machine, one after the other.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, provider) in &config.providers {
        let Some(kind) = provider.kind.filter(|kind| *kind != ProviderKind::Local) else { continue };
        match providers::place(config, name, kind, provider) {
            Err(error) => {
                findings.push(Finding::error(ABOUT, with_cause(&error), "correct it below `providers`"));
            }
            Ok(None) => {}
            Ok(Some(place)) => findings.push(probed(name, &place).await),
        }
        findings.extend(clock(name, kind, provider).await);
        if provider.endpoint.as_ref().is_some_and(|WebUrl(url)| is_open_wire(url)) {
            findings.push(Finding::warning(
                ABOUT,
                format!("{name}: its endpoint is http://, on another machine"),
                "bytes and signatures travel in the clear, and may be changed on the way: use https://",
            ));
        }
    }
    findings
}

async fn probed(name: &str, place: &RemotePlace) -> Finding {
    match tokio::time::timeout(PATIENCE, place.probe()).await {
        Ok(Ok(())) => Finding::ok(ABOUT, format!("{name} takes, gives and deletes a small blob")),
        Ok(Err(error)) => Finding::error(
            ABOUT,
            format!("{name}: {error}"),
            "see that it can be reached, that the bucket is there, and that the key may read, write and delete",
        ),
        Err(_) => Finding::error(
            ABOUT,
            format!("{name} did not answer within {} s", PATIENCE.as_secs()),
            "see that it can be reached from this machine",
        ),
    }
}

/// Whether a URL goes to another machine without TLS.
fn is_open_wire(url: &str) -> bool {
    let host = url.strip_prefix("http://").map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
    host.is_some_and(|host| host != "localhost" && !host.starts_with("127.") && host != "[")
}

/// What time it is there, by the head of any answer. No answer, no finding: the probe has told of it.
async fn clock(name: &str, kind: ProviderKind, provider: &ProviderConfig) -> Option<Finding> {
    let url = match (&provider.endpoint, kind) {
        (Some(WebUrl(url)), _) => url.clone(),
        (None, ProviderKind::S3) => format!("https://s3.{}.amazonaws.com", provider.region),
        (None, _) => return None,
    };
    let client = reqwest::Client::builder().timeout(PATIENCE / 4).build().ok()?;
    let answer = client.head(url).send().await.ok()?;
    let there = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?.to_owned();
    skew(name, &there, Utc::now())
}

fn skew(name: &str, there: &str, here: DateTime<Utc>) -> Option<Finding> {
    let there = DateTime::parse_from_rfc2822(there).ok()?.with_timezone(&Utc);
    let ahead = (there - here).num_seconds();
    (ahead.unsigned_abs() > CLOCK_TOLERANCE.as_secs()).then(|| {
        Finding::warning(
            "clock",
            format!("the clock of {name} is {ahead} s ahead of this machine's"),
            "keep this machine's by NTP: stores refuse requests whose time is off by 15 minutes, and files get wrong ages",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told_of() {
        let here = DateTime::parse_from_rfc3339("2026-01-05T10:00:00Z").unwrap().with_timezone(&Utc);
        let check = |there: &str, found: Option<&str>| {
            let skew = skew("cloud", there, here).map(|finding| finding.found);
            assert_eq!(skew.as_deref(), found, "{there}");
        };
        check("Mon, 05 Jan 2026 10:01:00 GMT", None);
        check("Mon, 05 Jan 2026 10:20:00 GMT", Some("the clock of cloud is 1200 s ahead of this machine's"));
        check("Mon, 05 Jan 2026 09:50:00 GMT", Some("the clock of cloud is -600 s ahead of this machine's"));
        check("soon", None);
    }

    #[test]
    fn only_what_leaves_the_machine_needs_tls() {
        for (url, open) in [
            ("http://store.example.org/x", true),
            ("https://store.example.org", false),
            ("http://127.0.0.1:9000", false),
            ("http://localhost:9000", false),
        ] {
            assert_eq!(is_open_wire(url), open, "{url}");
        }
    }
}
