//! Whether a rule's time has come for a version, at a given moment. Decides nothing else, and changes nothing.

use chrono::TimeDelta;
use uuid::Uuid;

use super::{AgedVersion, ArchiveTarget, LifecycleAction, LifecycleRule};
use crate::Timestamp;

/// Where a version is among those at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// It is the newest; `is_alone` where there is no other.
    Latest {
        /// Whether it is the only one.
        is_alone: bool,
    },
    /// So many of those that are not the newest are newer than it.
    Older(u32),
}

/// What a rule wants to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    /// The object is deleted.
    Expire,
    /// The object moves to this bucket, below this prefix.
    Move(String, String),
    /// Its bytes go to this provider.
    Archive(String),
    /// The version goes for good.
    EndVersion,
    /// The delete marker goes.
    EndMarker,
}

impl Act {
    /// Of several, the smallest one is done: who ends an object need not bring it anywhere.
    fn order(&self) -> u8 {
        match self {
            Self::Expire | Self::EndVersion | Self::EndMarker => 0,
            Self::Move(..) => 1,
            Self::Archive(_) => 2,
        }
    }
}

/// A rule that has something to say of a version.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    /// Which rule, by its place among those that judge.
    pub(crate) rule: usize,
    /// When its action is due by the version's age.
    pub(crate) due_at: Timestamp,
    /// What is done, where that is due; not before it was told of, if it is to be.
    pub(crate) act: Option<Act>,
    /// How long before the action it is to be told of, where it is.
    pub(crate) warns: Option<TimeDelta>,
}

/// Rules of one bucket, and the moment at which they are asked.
#[derive(Debug)]
pub(crate) struct Judge<'r> {
    /// The rules that are followed.
    pub(crate) rules: Vec<&'r LifecycleRule>,
    /// The moment.
    pub(crate) now: Timestamp,
}

impl<'r> Judge<'r> {
    /// The judge over those rules that are followed.
    pub(crate) fn new(rules: impl IntoIterator<Item = &'r LifecycleRule>, now: Timestamp) -> Self {
        Self { rules: rules.into_iter().filter(|rule| rule.spec.enabled).collect(), now }
    }

    /// What the rules say of a version: those first that are done rather than others.
    pub(crate) fn claims(&self, version: &AgedVersion, rank: Rank) -> Vec<Claim> {
        let about = self
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.is_about(version.path.as_str(), &version.tags));
        let mut claims: Vec<Claim> = about
            .filter_map(|(at, rule)| match (rank, version.is_delete_marker) {
                (Rank::Latest { .. }, false) => self.of_object(at, rule, version),
                (Rank::Latest { is_alone }, true) => self.of_marker(at, rule, version, is_alone),
                (Rank::Older(newer), _) => self.of_older(at, rule, version, newer),
            })
            .collect();
        claims.sort_by_key(|claim| claim.act.as_ref().map_or(u8::MAX, Act::order));
        claims
    }

    fn of_object(&self, at: usize, rule: &LifecycleRule, version: &AgedVersion) -> Option<Claim> {
        let spec = &rule.spec;
        let due_at = after(version.written_at, spec.max_age_days?);
        let warns = match (spec.warn_before_days, spec.action) {
            (Some(before), _) => Some(days(before)),
            (None, LifecycleAction::Warn) => Some(TimeDelta::zero()),
            (None, LifecycleAction::Delete | LifecycleAction::Archive) => None,
        };
        let begins_at = warns.and_then(|before| due_at.checked_sub_signed(before)).unwrap_or(due_at);
        if begins_at > self.now {
            return None;
        }
        let act = match (&spec.action, &spec.archive_to) {
            (LifecycleAction::Delete, _) => Some(Act::Expire),
            (LifecycleAction::Archive, Some(ArchiveTarget::Provider(provider))) => {
                Some(Act::Archive(provider.clone()))
            }
            (LifecycleAction::Archive, Some(ArchiveTarget::Folder { bucket, prefix })) => {
                Some(Act::Move(bucket.clone(), prefix.clone()))
            }
            (LifecycleAction::Archive, None) | (LifecycleAction::Warn, _) => None,
        };
        Some(Claim { rule: at, due_at, act: act.filter(|_| due_at <= self.now), warns })
    }

    /// A delete marker that hides nothing goes by itself, or with the age at which objects do.
    fn of_marker(
        &self,
        at: usize,
        rule: &LifecycleRule,
        version: &AgedVersion,
        is_alone: bool,
    ) -> Option<Claim> {
        let spec = &rule.spec;
        let made_at = version.noncurrent_at.unwrap_or(version.written_at);
        let by_age =
            spec.max_age_days.filter(|_| spec.action == LifecycleAction::Delete && spec.tags.is_empty());
        let due_at = match (spec.expired_delete_markers, by_age) {
            (true, _) => made_at,
            (false, Some(age)) => after(made_at, age),
            (false, None) => return None,
        };
        let is_due = is_alone && due_at <= self.now;
        is_due.then_some(Claim { rule: at, due_at, act: Some(Act::EndMarker), warns: None })
    }

    fn of_older(&self, at: usize, rule: &LifecycleRule, version: &AgedVersion, newer: u32) -> Option<Claim> {
        let spec = &rule.spec;
        let due_at = after(version.noncurrent_at?, spec.noncurrent_days?);
        let is_kept = spec.noncurrent_keep.is_some_and(|keep| newer < keep);
        let is_due = !is_kept && due_at <= self.now;
        is_due.then_some(Claim { rule: at, due_at, act: Some(Act::EndVersion), warns: None })
    }

    /// The identity of a claim's rule.
    pub(crate) fn id(&self, claim: &Claim) -> Option<Uuid> {
        self.rules.get(claim.rule).map(|rule| rule.id)
    }
}

/// So many days, of 24 hours each.
fn days(days: u32) -> TimeDelta {
    TimeDelta::days(i64::from(days))
}

/// So many days after a moment. What is beyond all time never comes.
fn after(moment: Timestamp, age: u32) -> Timestamp {
    moment.checked_add_signed(days(age)).unwrap_or(Timestamp::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::BucketName;
    use crate::lifecycle::{RuleSource, RuleSpec};
    use crate::path::ObjectPath;

    fn day(number: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn rule(spec: RuleSpec) -> LifecycleRule {
        let spec = RuleSpec { enabled: true, ..spec };
        LifecycleRule::new(BucketName::parse("b").unwrap(), RuleSource::Api, spec)
    }

    fn version(written: i64, noncurrent: Option<i64>) -> AgedVersion {
        AgedVersion {
            path: ObjectPath::parse("a/x").unwrap(),
            version: Uuid::now_v7(),
            sequence: 1,
            size: 1,
            written_at: day(written),
            noncurrent_at: noncurrent.map(day),
            is_delete_marker: false,
            tags: Vec::new(),
        }
    }

    const LATEST: Rank = Rank::Latest { is_alone: true };

    #[test]
    fn an_object_goes_on_the_day_and_not_a_moment_before() {
        let rule = rule(RuleSpec { max_age_days: Some(30), ..RuleSpec::default() });
        let check = |now: Timestamp, expected: Option<Act>| {
            let claims = Judge::new([&rule], now).claims(&version(10, None), LATEST);
            assert_eq!(claims.first().and_then(|claim| claim.act.clone()), expected, "{now}");
        };
        check(day(40) - TimeDelta::microseconds(1), None);
        check(day(40), Some(Act::Expire));
        // A clock that was set back lets nothing go.
        check(day(-4000), None);
    }

    #[test]
    fn a_warning_comes_before_the_action() {
        let rule =
            rule(RuleSpec { max_age_days: Some(30), warn_before_days: Some(7), ..RuleSpec::default() });
        let at = |now| Judge::new([&rule], now).claims(&version(0, None), LATEST);
        assert_eq!(at(day(23) - TimeDelta::seconds(1)), []);
        let told = at(day(23));
        assert_eq!(
            (told[0].due_at, told[0].act.clone(), told[0].warns),
            (day(30), None, Some(TimeDelta::days(7)))
        );
        assert_eq!(at(day(30))[0].act, Some(Act::Expire));
    }

    #[test]
    fn who_deletes_comes_before_who_archives_and_a_disabled_rule_says_nothing() {
        let to = Some(ArchiveTarget::Provider("cold".into()));
        let archive = rule(RuleSpec {
            max_age_days: Some(1),
            action: LifecycleAction::Archive,
            archive_to: to,
            ..RuleSpec::default()
        });
        let delete = rule(RuleSpec { max_age_days: Some(3), ..RuleSpec::default() });
        let mut off = delete.clone();
        off.spec.enabled = false;
        let acts = |now| -> Vec<Option<Act>> {
            let claims = Judge::new([&off, &archive, &delete], now).claims(&version(0, None), LATEST);
            claims.into_iter().map(|claim| claim.act).collect()
        };
        assert_eq!(acts(day(2)), [Some(Act::Archive("cold".to_owned()))]);
        assert_eq!(acts(day(3)), [Some(Act::Expire), Some(Act::Archive("cold".to_owned()))]);
    }

    #[test]
    fn older_versions_go_by_when_they_were_replaced_but_for_the_newest() {
        let rule =
            rule(RuleSpec { noncurrent_days: Some(5), noncurrent_keep: Some(2), ..RuleSpec::default() });
        let at = |now, newer| {
            let claims = Judge::new([&rule], now).claims(&version(0, Some(10)), Rank::Older(newer));
            claims.first().and_then(|claim| claim.act.clone())
        };
        assert_eq!(at(day(14), 2), None);
        assert_eq!(at(day(15), 2), Some(Act::EndVersion));
        assert_eq!(at(day(15), 1), None, "one of the two newest");
        let current = Judge::new([&rule], day(1000)).claims(&version(0, None), LATEST);
        assert_eq!(current, [], "what is current is nobody's business");
    }

    #[test]
    fn a_delete_marker_goes_when_it_hides_nothing() {
        let marker = AgedVersion { is_delete_marker: true, ..version(0, Some(10)) };
        let check = |spec: RuleSpec, now, is_alone, goes: bool| {
            let rule = rule(spec);
            let claims = Judge::new([&rule], now).claims(&marker, Rank::Latest { is_alone });
            assert_eq!(!claims.is_empty(), goes, "{rule:?} {is_alone}");
        };
        let at_once = RuleSpec { expired_delete_markers: true, ..RuleSpec::default() };
        let by_age = RuleSpec { max_age_days: Some(3), ..RuleSpec::default() };
        check(at_once.clone(), day(11), true, true);
        check(at_once, day(11), false, false);
        check(by_age.clone(), day(12), true, false);
        check(by_age, day(13), true, true);
        check(
            RuleSpec { action: LifecycleAction::Warn, max_age_days: Some(1), ..RuleSpec::default() },
            day(99),
            true,
            false,
        );
    }
}
