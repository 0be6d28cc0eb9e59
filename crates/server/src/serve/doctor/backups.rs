//! How long ago the last backup was made, as far as that is known.

use chrono::{DateTime, TimeDelta, Utc};

use super::Finding;
use crate::config::Config;
use crate::serve::last_backup::LastBackup;

const ABOUT: &str = "backup";

/// From when on a backup is old.
const OLD: TimeDelta = TimeDelta::days(7);

const ADVICE: &str = "`aerostore backup create --to DIR` makes one while the server runs: have a timer do so. What other programs back up, or \
                      this one with another data directory, is not known here";

/// What the data directory says.
pub(super) fn look(config: &Config) -> Finding {
    match LastBackup::read(&config.data_dir) {
        Ok(last) => judge(last.as_ref(), Utc::now()),
        Err(error) => {
            Finding::warning(ABOUT, format!("which one was the last can't be read: {error}"), ADVICE)
        }
    }
}

fn judge(last: Option<&LastBackup>, now: DateTime<Utc>) -> Finding {
    let Some(last) = last else {
        return Finding::warning(ABOUT, "no backup was ever made", ADVICE);
    };
    let age = now.signed_duration_since(last.created_at);
    let days = match age.num_days() {
        ..=0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let shown = format!("the last backup is {days} old ({})", last.to.display());
    match last.lost_blobs {
        0 if age < OLD => Finding::ok(ABOUT, shown),
        0 => Finding::warning(ABOUT, shown, ADVICE),
        lost => Finding::warning(
            ABOUT,
            format!("{shown}, and lacks {lost} blobs"),
            "they were lost before: `aerostore scrub --repair` looks for copies of them",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::doctor::Severity;

    #[test]
    fn the_age_of_the_last_backup_is_told() {
        let now = Utc::now();
        let check = |hours: i64, lost_blobs: u64, severity: Severity, words: &str| {
            let last = LastBackup {
                created_at: now - TimeDelta::hours(hours),
                to: "/backup/daily".into(),
                lost_blobs,
            };
            let found = judge(Some(&last), now);
            assert!(found.severity == severity && found.found.contains(words), "{found:?}");
            assert_eq!(found.advice.is_some(), severity > Severity::Ok);
        };
        check(3, 0, Severity::Ok, "less than a day old (/backup/daily)");
        check(-3, 0, Severity::Ok, "less than a day old");
        check(25, 0, Severity::Ok, "1 day old");
        check(24 * 6, 0, Severity::Ok, "6 days old");
        check(24 * 40, 0, Severity::Warning, "40 days old");
        check(3, 2, Severity::Warning, "lacks 2 blobs");
        let none = judge(None, now);
        assert!(none.severity == Severity::Warning && none.found == "no backup was ever made", "{none:?}");
    }
}
