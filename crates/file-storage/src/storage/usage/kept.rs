//! Answers about usage that are still good. Each is the caller's alone who asked: nobody is told what another one saw.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::Timestamp;
use crate::executor::{UsageBy, UsageGroup};

/// How long an answer is good.
const KEPT: Duration = Duration::from_secs(300);

/// Most answers that are kept.
const MOST: usize = 1000;

/// Most groups of all answers together.
const MOST_GROUPS: usize = 100_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageTold {
    /// What there is, those that take most first.
    pub groups: Vec<UsageGroup>,
    /// When it was so.
    pub as_of: Timestamp,
    /// Whether there are more than those.
    pub truncated: bool,
}

/// Whose: a user, or the service role.
type Key = (Option<Uuid>, UsageBy);

/// What was told lately.
#[derive(Debug, Default)]
pub(in crate::storage) struct KeptUsage(Mutex<HashMap<Key, (Instant, Arc<UsageTold>)>>);

impl KeptUsage {
    /// What was told, where that is good still.
    pub(super) fn get(&self, user: Option<Uuid>, by: &UsageBy) -> Option<Arc<UsageTold>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, told) = kept.get(&(user, by.clone()))?;
        (since.elapsed() < KEPT).then(|| Arc::clone(told))
    }

    /// Keeps what is told now. What is old makes room, and where that is not enough the oldest.
    pub(super) fn keep(&self, user: Option<Uuid>, by: &UsageBy, told: UsageTold) -> Arc<UsageTold> {
        let told = Arc::new(told);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, _)| since.elapsed() < KEPT);
        kept.insert((user, by.clone()), (Instant::now(), Arc::clone(&told)));
        let groups = |kept: &HashMap<Key, (Instant, Arc<UsageTold>)>| -> usize {
            kept.values().map(|(_, told)| told.groups.len()).sum()
        };
        while kept.len() > 1 && (kept.len() > MOST || groups(&kept) > MOST_GROUPS) {
            let oldest = kept.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { break };
            kept.remove(&oldest);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> UsageTold {
        UsageTold { groups: vec![UsageGroup::default()], as_of: chrono::Utc::now(), truncated: false }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_its_callers_and_good_for_a_while() {
        let (kept, one, other) = (KeptUsage::default(), Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        kept.keep(one, &UsageBy::Bucket, told());
        assert!(kept.get(one, &UsageBy::Bucket).is_some());
        for (user, by) in [(other, UsageBy::Bucket), (None, UsageBy::Bucket), (one, UsageBy::User)] {
            assert!(kept.get(user, &by).is_none(), "{user:?} {by:?}");
        }
        tokio::time::advance(KEPT).await;
        assert!(kept.get(one, &UsageBy::Bucket).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn many_answers_make_room() {
        let kept = KeptUsage::default();
        for number in 0..MOST as u128 + 10 {
            tokio::time::advance(Duration::from_millis(1)).await;
            kept.keep(Some(Uuid::from_u128(number)), &UsageBy::User, told());
        }
        assert_eq!(kept.0.lock().unwrap().len(), MOST);
        assert!(kept.get(Some(Uuid::from_u128(9)), &UsageBy::User).is_none());
        assert!(kept.get(Some(Uuid::from_u128(10)), &UsageBy::User).is_some());
    }
}
