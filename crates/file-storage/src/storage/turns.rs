//! Turns: how much of something dear one caller has under way at once, so that others find room beside them.
//!
//! Each caller has a queue of their own, in which the first to come is the first to be served; nobody waits behind
//! another's. How much goes on of all callers together is bounded elsewhere. A queue is forgotten when nobody is in it,
//! so that memory follows what is under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::errors::StorageError;
use crate::permissions::{RlsContext, Role};

/// How many of one caller wait; who comes then is refused at once.
pub(super) const WAITING: usize = 16;

/// When a caller may try again who has too much under way.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who counts as one caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Party {
    /// A user, also one in whose name the service role asks.
    User(Uuid),
    /// The service role.
    Service,
    /// Nobody in particular, told apart by where they are.
    Anon(Option<IpAddr>),
}

impl Party {
    /// A caller, and where the request came from.
    pub(super) fn of(context: &RlsContext, client: Option<IpAddr>) -> Self {
        match (context.role(), context.user_id()) {
            (Role::Anon, _) | (Role::Authenticated, None) => Self::Anon(client),
            (Role::Authenticated | Role::ServiceRole, Some(user)) => Self::User(user),
            (Role::ServiceRole, None) => Self::Service,
        }
    }
}

/// The queues of those who have something under way.
#[derive(Debug)]
pub(super) struct Turns {
    /// Turns that one caller has at once.
    each: usize,
    queues: Mutex<HashMap<Party, Queue>>,
}

/// One caller's queue.
#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// How many wait in it, or have their turn.
    present: usize,
}

/// One's turn. Dropped, it is the next one's.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    // In this order: whoever leaves the queue has given the turn away.
    _permit: OwnedSemaphorePermit,
    _presence: Presence<'t>,
}

impl Turns {
    /// So many turns at once for each caller, at least one.
    pub(super) fn new(each: usize) -> Self {
        Self { each: each.max(1), queues: Mutex::default() }
    }

    /// Waits for a turn, for no longer than `patience`.
    ///
    /// # Errors
    /// [`StorageError::RateLimited`] where the caller's own others don't end in time, or where too many of them wait.
    pub(super) async fn take(&self, party: Party, patience: Duration) -> Result<Turn<'_>, StorageError> {
        let refused = || StorageError::RateLimited { retry_after: RETRY_AFTER };
        let (turns, presence) = self.enter(party).ok_or_else(refused)?;
        match tokio::time::timeout(patience, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit, _presence: presence }),
            Ok(Err(_)) | Err(_) => Err(refused()),
        }
    }

    fn enter(&self, party: Party) -> Option<(Arc<Semaphore>, Presence<'_>)> {
        let mut queues = self.lock();
        let new = || Queue { turns: Arc::new(Semaphore::new(self.each)), present: 0 };
        let queue = queues.entry(party).or_insert_with(new);
        if queue.present >= self.each.saturating_add(WAITING) {
            return None;
        }
        queue.present += 1;
        Some((Arc::clone(&queue.turns), Presence { turns: self, party }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Party, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a queue. The last one to leave takes the queue away.
#[derive(Debug)]
struct Presence<'t> {
    turns: &'t Turns,
    party: Party,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        if let Some(queue) = queues.get_mut(&self.party) {
            queue.present = queue.present.saturating_sub(1);
            if queue.present == 0 {
                queues.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LATE: Duration = Duration::from_secs(60);

    fn user(number: u128) -> Party {
        Party::User(Uuid::from_u128(number))
    }

    fn is_refused(outcome: &Result<Turn<'_>, StorageError>) -> bool {
        matches!(outcome, Err(StorageError::RateLimited { .. }))
    }

    #[tokio::test]
    async fn a_caller_has_so_many_turns_and_takes_none_of_anothers() {
        let turns = Turns::new(2);
        let first = turns.take(user(1), SOON).await.unwrap();
        let _second = turns.take(user(1), SOON).await.unwrap();
        assert!(is_refused(&turns.take(user(1), SOON).await));
        for other in [user(2), Party::Service, Party::Anon(None), Party::Anon("10.0.0.1".parse().ok())] {
            turns.take(other, SOON).await.unwrap();
        }
        let (third, ()) = tokio::join!(turns.take(user(1), LATE), async { drop(first) });
        third.unwrap();
    }

    #[tokio::test]
    async fn who_has_too_many_waiting_is_refused_at_once() {
        let turns = Arc::new(Turns::new(1));
        let running = turns.take(user(1), SOON).await.unwrap();
        let waiting = |turns: Arc<Turns>| async move { turns.take(user(1), LATE).await.map(drop) };
        let waiting: Vec<_> = (0..WAITING).map(|_| tokio::spawn(waiting(Arc::clone(&turns)))).collect();
        while turns.lock()[&user(1)].present <= WAITING {
            tokio::task::yield_now().await;
        }
        assert!(is_refused(&turns.take(user(1), LATE).await));
        drop(running);
        for served in waiting {
            served.await.unwrap().unwrap();
        }
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let turns = Turns::new(1);
        let running = turns.take(user(1), SOON).await.unwrap();
        assert!(tokio::time::timeout(SOON, turns.take(user(1), LATE)).await.is_err(), "it waits");
        assert_eq!(turns.lock()[&user(1)].present, 1);
        drop(running);
        assert!(turns.lock().is_empty());
    }

    #[test]
    fn callers_are_told_apart_by_user_or_by_where_they_are() {
        let (someone, here) = (Uuid::from_u128(7), "10.0.0.1".parse().ok());
        let claims = serde_json::Map::new;
        let check = |context: &RlsContext, wanted| assert_eq!(Party::of(context, here), wanted);
        check(&RlsContext::anon("r"), Party::Anon(here));
        check(&RlsContext::user(someone, claims(), "r"), Party::User(someone));
        check(&RlsContext::service(Some(someone), claims(), "r"), Party::User(someone));
        check(&RlsContext::service(None, claims(), "r"), Party::Service);
    }
}
