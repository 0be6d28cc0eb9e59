//! How many bytes of documents may be in memory at once, over all requests: whoever sends one more waits outside.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::failure::Failure;

/// Bytes of all documents: sixteen of the largest.
const BYTES: usize = 64 * 1024 * 1024;
/// What is counted in, in bytes.
const UNIT: usize = 1024;

/// The room that all documents share.
pub(crate) struct Budget(Arc<Semaphore>);

/// Room that is taken, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Room(Option<OwnedSemaphorePermit>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

impl Budget {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / UNIT)))
    }

    /// Widens a room until it holds so many bytes.
    ///
    /// # Errors
    /// `SlowDown`, where there are too many others.
    pub(super) fn widen(&self, room: &mut Room, bytes: usize) -> Result<(), Failure> {
        let has = room.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(bytes.div_ceil(UNIT).saturating_sub(has)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(());
        }
        let taken = self.0.clone().try_acquire_many_owned(more).map_err(|_| full())?;
        match &mut room.0 {
            Some(permit) => permit.merge(taken),
            none => *none = Some(taken),
        }
        Ok(())
    }
}

fn full() -> Failure {
    Failure::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "SlowDown",
        "Too many documents are being read: please try again",
    )
    .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_share_their_room_and_give_it_back() {
        let budget = Budget::of(10 * UNIT);
        let (mut one, mut other) = (Room::default(), Room::default());
        budget.widen(&mut one, 1).unwrap();
        budget.widen(&mut one, 4 * UNIT).unwrap();
        budget.widen(&mut other, 6 * UNIT).unwrap();
        assert_eq!(budget.widen(&mut other, 6 * UNIT + 1).unwrap_err().code(), "SlowDown");
        budget.widen(&mut other, UNIT).unwrap();
        drop(one);
        budget.widen(&mut other, 10 * UNIT).unwrap();
        assert!(budget.widen(&mut Room::default(), 1).is_err());
    }
}
