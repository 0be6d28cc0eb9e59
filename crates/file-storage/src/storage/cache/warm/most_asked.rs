//! Which lists are asked for most, as far as a bounded table can tell.
//!
//! Space-saving (Metwally, Agrawal, El Abbadi 2005): where the table is full, a list that is not in it takes the place of the one that was asked for
//! least, and goes on from its count. A list that is asked for more often than one in so many as there are places is always in
//! it. Counts are halved now and then, so that it is about what is asked for now. Lists that are asked for once never come here
//! ([`super::super::ListCache`] tells of those that are asked for again), so that who walks through a bucket pushes none out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use tokio::time::Instant;

use super::super::question::Question;
use crate::permissions::RlsContext;

/// Lists that are counted for each that is read ahead: with few places, what is in them is chance.
const PLACES: usize = 4;

/// Counts are halved that often.
const HALVED: Duration = Duration::from_secs(300);

/// How often a list is read while nobody asks for it.
const IN_VAIN: u32 = 4;

/// The lists that are asked for most, and by whom.
#[derive(Debug)]
pub(in crate::storage) struct MostAsked {
    /// How many of them are wanted.
    lists: AtomicUsize,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    asked: HashMap<Arc<Question>, Asked>,
    halved: Instant,
}

#[derive(Debug)]
struct Asked {
    caller: RlsContext,
    /// At most so often: one that took another's place has its count, too.
    times: u32,
    last: Instant,
    /// How often it was read ahead since.
    warmed: u32,
}

/// A list that is to be in memory.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(in crate::storage::cache) question: Arc<Question>,
    pub(in crate::storage::cache) caller: RlsContext,
}

impl MostAsked {
    /// A table for so many lists.
    pub(in crate::storage) fn new(lists: usize) -> Self {
        let table = Table { asked: HashMap::new(), halved: Instant::now() };
        Self { lists: AtomicUsize::new(lists), table: Mutex::new(table) }
    }

    /// Has so many lists be wanted from now on.
    pub(super) fn want(&self, lists: usize) {
        self.lists.store(lists, Ordering::Relaxed);
        let (mut table, places) = (self.table(), self.places());
        while table.asked.len() > places {
            table.make_room();
        }
    }

    /// Notes that a list was asked for. Every request comes by here: none waits, and one that would have to is not counted.
    pub(in crate::storage::cache) fn note(&self, question: &Arc<Question>, caller: &RlsContext) {
        let places = self.places();
        if places == 0 {
            return;
        }
        let Ok(mut table) = self.table.try_lock() else { return };
        let last = Instant::now();
        if let Some(known) = table.asked.get_mut(question) {
            known.times = known.times.saturating_add(1);
            (known.last, known.warmed) = (last, 0);
            return;
        }
        let before = if table.asked.len() < places { 0 } else { table.make_room() };
        let times = before.saturating_add(1);
        let asked = Asked { caller: caller.clone().in_absence(), times, last, warmed: 0 };
        table.asked.insert(question.clone(), asked);
    }

    /// Takes in a list that was asked for before this process was, where there is room.
    pub(super) fn remember(&self, wanted: Wanted) {
        let (mut table, places) = (self.table(), self.places());
        if table.asked.len() < places {
            let caller = wanted.caller.in_absence();
            let asked = Asked { caller, times: 1, last: Instant::now(), warmed: 0 };
            table.asked.entry(wanted.question).or_insert(asked);
        }
    }

    /// Those that are asked for most, first of all the one most asked for. Those that nobody asked for so long go.
    pub(super) fn wanted(&self, idle: Duration) -> Vec<Wanted> {
        let (now, clock) = (Instant::now(), Utc::now().timestamp());
        let mut table = self.table();
        table.asked.retain(|_, asked| asked.is_worth_it(now, clock, idle));
        if now.duration_since(table.halved) >= HALVED {
            table.asked.values_mut().for_each(|asked| asked.times /= 2);
            table.halved = now;
        }
        let wanted = |(question, asked): (&Arc<Question>, &Asked)| {
            let wanted = Wanted { question: question.clone(), caller: asked.caller.clone() };
            ((asked.times, asked.last), wanted)
        };
        let mut all: Vec<_> = table.asked.iter().map(wanted).collect();
        drop(table);
        all.sort_unstable_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        all.truncate(self.lists.load(Ordering::Relaxed));
        all.into_iter().map(|(_, wanted)| wanted).collect()
    }

    /// Notes that a list is read ahead.
    pub(super) fn warmed(&self, question: &Question) {
        if let Some(asked) = self.table().asked.get_mut(question) {
            asked.warmed = asked.warmed.saturating_add(1);
        }
    }

    /// Lets go of a list, until somebody asks for it.
    pub(super) fn forget(&self, question: &Question) {
        self.table().asked.remove(question);
    }

    fn places(&self) -> usize {
        self.lists.load(Ordering::Relaxed).saturating_mul(PLACES)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Lets go of the list that was asked for least; gives how often that was.
    fn make_room(&mut self) -> u32 {
        let least = self.asked.iter().min_by_key(|(_, asked)| (asked.times, asked.last));
        let Some((least, times)) = least.map(|(question, asked)| (question.clone(), asked.times)) else {
            return 0;
        };
        self.asked.remove(&least);
        times
    }
}

impl Asked {
    /// Whether somebody may ask for it again.
    fn is_worth_it(&self, now: Instant, clock: i64, idle: Duration) -> bool {
        let is_good = self.caller.expires_at().is_none_or(|until| until > clock);
        is_good && self.warmed < IN_VAIN && now.duration_since(self.last) < idle
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use uuid::Uuid;

    use super::*;
    use crate::bucket::BucketName;
    use crate::executor::{Collation, Listing, ObjectSort, PageStart, SortOrder};

    const LONG: Duration = Duration::from_secs(600);

    fn question(caller: &RlsContext, prefix: impl Into<String>) -> Arc<Question> {
        let listing = Listing {
            prefix: prefix.into(),
            delimiter: None,
            search: String::new(),
            collation: Collation::Bytes,
            sort: (ObjectSort::Name, SortOrder::Ascending),
            limit: 100,
            start: PageStart::First,
        };
        Question::new(caller, &BucketName::parse("docs").unwrap(), &listing)
    }

    fn prefixes(table: &MostAsked) -> Vec<String> {
        table.wanted(LONG).iter().map(|wanted| wanted.question.listing().unwrap().prefix.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_asked_for_most_is_found_among_much_else() {
        let (anon, table) = (RlsContext::anon("r"), MostAsked::new(2));
        for round in 0..1000 {
            table.note(&question(&anon, format!("{round}")), &anon);
            table.note(&question(&anon, "much/"), &anon);
            if round % 2 == 0 {
                table.note(&question(&anon, "less/"), &anon);
            }
            assert!(table.table().asked.len() <= 2 * PLACES);
        }
        assert_eq!(prefixes(&table), ["much/", "less/"]);
        // What is asked for now counts for more than what was.
        for _ in 0..12 {
            tokio::time::advance(HALVED).await;
            table.note(&question(&anon, "less/"), &anon);
            table.note(&question(&anon, "much/"), &anon);
            prefixes(&table);
        }
        for _ in 0..20 {
            table.note(&question(&anon, "new/"), &anon);
        }
        assert_eq!(prefixes(&table)[0], "new/");
        table.want(1);
        assert_eq!(prefixes(&table), ["new/"]);
        table.want(0);
        table.note(&question(&anon, "new/"), &anon);
        assert!(prefixes(&table).is_empty() && table.table().asked.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_asks_for_goes() {
        let (anon, table) = (RlsContext::anon("r"), MostAsked::new(2));
        let (read, old) = (question(&anon, "read/"), question(&anon, "old/"));
        table.note(&read, &anon);
        table.note(&old, &anon);
        for _ in 0..IN_VAIN {
            assert_eq!(prefixes(&table).len(), 2);
            table.warmed(&read);
        }
        assert_eq!(prefixes(&table), ["old/"], "read again and again for nobody");
        tokio::time::advance(LONG).await;
        assert!(prefixes(&table).is_empty(), "asked for long ago");
        for _ in 0..3 * IN_VAIN {
            table.note(&read, &anon);
            table.warmed(&read);
            assert_eq!(prefixes(&table), ["read/"], "asked for in between");
        }
    }

    #[tokio::test]
    async fn who_asked_is_known_as_long_as_the_token_is_good() {
        let table = MostAsked::new(4);
        let caller = |exp: serde_json::Value| {
            let claims = Map::from_iter([("exp".to_owned(), exp)]);
            RlsContext::user(Uuid::from_u128(1), claims, "r")
        };
        let now = Utc::now().timestamp();
        for (prefix, exp) in [("past/", json!(now - 1)), ("past.0/", json!(now as f64 - 0.5))] {
            table.note(&question(&caller(exp.clone()), prefix), &caller(exp));
        }
        for (prefix, exp) in [("good/", json!(now + 60)), ("good.0/", json!(now as f64 + 60.5))] {
            table.note(&question(&caller(exp.clone()), prefix), &caller(exp));
        }
        let mut left = prefixes(&table);
        left.sort();
        assert_eq!(left, ["good.0/", "good/"]);
        assert!(table.wanted(LONG).iter().all(|wanted| wanted.caller.is_system()), "the server itself asks");
    }
}
