//! Which paths of a bucket rules are about: what no rule asks for is not read.

use crate::executor::successor;
use crate::lifecycle::LifecycleRule;

/// Paths from the first to before the second; to the end where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) from: String,
    pub(super) until: Option<String>,
}

/// The ranges of rules, in order, none of which overlap.
pub(super) fn ranges<'r>(rules: impl IntoIterator<Item = &'r LifecycleRule>) -> Vec<Range> {
    let mut prefixes: Vec<&str> = rules.into_iter().map(|rule| rule.spec.prefix.as_str()).collect();
    prefixes.sort_unstable();
    let mut wanted: Vec<&str> = Vec::new();
    for prefix in prefixes {
        // What begins with an earlier one is part of it; no other can overlap.
        if wanted.last().is_none_or(|last| !prefix.starts_with(last)) {
            wanted.push(prefix);
        }
    }
    wanted.into_iter().map(|prefix| Range { from: prefix.to_owned(), until: successor(prefix) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::BucketName;
    use crate::lifecycle::{RuleSource, RuleSpec};

    #[test]
    fn a_prefix_within_another_is_read_once() {
        let rules: Vec<LifecycleRule> = ["b/", "a/b/", "a", "a/", "ab", "b/"]
            .map(|prefix| {
                let spec = RuleSpec { prefix: prefix.to_owned(), ..RuleSpec::default() };
                LifecycleRule::new(BucketName::parse("x").unwrap(), RuleSource::Api, spec)
            })
            .to_vec();
        let range = |from: &str, until: &str| Range { from: from.to_owned(), until: Some(until.to_owned()) };
        assert_eq!(ranges(&rules), [range("a", "b"), range("b/", "b0")]);
        let all = LifecycleRule { spec: RuleSpec::default(), ..rules[0].clone() };
        assert_eq!(ranges(rules.iter().chain([&all])), [Range { from: String::new(), until: None }]);
    }
}
