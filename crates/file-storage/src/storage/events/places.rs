//! Places for subscribers: so many in all, and so many for one caller. A place that is given back is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::errors::StorageError;
use crate::storage::options::EventOptions;
use crate::storage::turns::Party;

/// When one who found no place may try again.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The places that are taken.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    options: EventOptions,
    all: usize,
    by: HashMap<Party, usize>,
}

/// One's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    party: Party,
}

impl Places {
    pub(super) fn new(options: EventOptions) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Taken { options, all: 0, by: HashMap::new() }) })
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`StorageError::RateLimited`] where the caller has as many as one may have, [`StorageError::Overloaded`] where all
    /// are taken.
    pub(super) fn take(self: &Arc<Self>, party: Party) -> Result<Place, StorageError> {
        let mut taken = self.lock();
        let own = taken.by.get(&party).copied().unwrap_or(0);
        if own >= taken.options.per_caller {
            return Err(StorageError::RateLimited { retry_after: RETRY_AFTER });
        }
        if taken.all >= taken.options.subscribers {
            return Err(StorageError::Overloaded { retry_after: RETRY_AFTER });
        }
        taken.all += 1;
        taken.by.insert(party, own + 1);
        metrics::gauge!("storage_event_subscribers").set(taken.all as f64);
        Ok(Place { places: Arc::clone(self), party })
    }

    /// Has another number of them from now on. Who has one keeps it.
    pub(super) fn change(&self, options: EventOptions) {
        self.lock().options = options;
    }

    /// Whether nobody has one.
    pub(super) fn are_free(&self) -> bool {
        self.lock().all == 0
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.all = taken.all.saturating_sub(1);
        metrics::gauge!("storage_event_subscribers").set(taken.all as f64);
        if let Some(own) = taken.by.get_mut(&self.party) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.by.remove(&self.party);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn places_are_bounded_by_caller_and_in_all_and_come_back() {
        let places = Places::new(EventOptions { subscribers: 3, per_caller: 2 });
        let (one, other) = (Party::User(Uuid::from_u128(1)), Party::Service);
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(matches!(places.take(one), Err(StorageError::RateLimited { .. })));
        let _third = places.take(other).unwrap();
        assert!(matches!(places.take(other), Err(StorageError::Overloaded { .. })));
        drop(first);
        drop(places.take(other).unwrap());
        assert!(!places.are_free());
        // One fewer: nobody loses a place for it.
        places.change(EventOptions { subscribers: 2, per_caller: 2 });
        assert!(matches!(places.take(other), Err(StorageError::Overloaded { .. })));
        drop((_second, _third));
        assert!(places.are_free() && places.lock().by.is_empty());
    }
}
