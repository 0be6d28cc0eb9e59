//! Tokens that were found good before, so that a client who shows the same one with every request pays for one
//! verification.
//!
//! What must stay true, as an entry stands for a verified signature:
//! - Only tokens that were accepted get in. A refusal is worked out anew each time.
//! - A token is known by its SHA-256 and never kept: nothing here could be shown to a server.
//! - An entry counts from the second of its verification (a clock that was set back makes it void) to the token's
//!   expiry, and for the key set that verified it: when keys are read anew, every token is verified anew. With other
//!   secrets comes another authenticator, and with it another table.
//! - Memory is bounded: a fixed number of places for tokens of bounded length. A token whose place is taken takes it
//!   over, so that whoever shows many good tokens makes others slower, as slow as they would be without this, and no more.

use std::sync::{Mutex, PoisonError};

use file_storage::file::Sha256;
use file_storage::permissions::RlsContext;
use subtle::ConstantTimeEq;

/// How many tokens are remembered at most.
const PLACES: usize = 1024;
/// Longer tokens are verified each time: their claims take more room than a place should.
const MAX_TOKEN_BYTES: usize = 2 * 1024;

/// What is remembered.
pub(super) struct VerifiedTokens(Box<[Mutex<Option<Entry>>]>);

/// A token that was accepted.
struct Entry {
    fingerprint: Fingerprint,
    /// Which state of the key set verified it.
    key_set: u64,
    /// From when and until when it counts, in Unix seconds, both inclusive.
    times: (u64, u64),
    caller: RlsContext,
}

/// What tells tokens apart.
#[derive(Clone, Copy)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// That of a token; `None` for one that is not to be remembered.
    pub(super) fn of(token: &str) -> Option<Self> {
        (token.len() <= MAX_TOKEN_BYTES).then(|| Self(Sha256::of(token.as_bytes())))
    }

    fn is(&self, other: &Self) -> bool {
        self.0.0.ct_eq(&other.0.0).into()
    }
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::new(None)).collect())
    }

    /// The caller of a token that was accepted under this state of the key set and is still good at this second.
    pub(super) fn find(&self, fingerprint: &Fingerprint, key_set: u64, now: u64) -> Option<RlsContext> {
        let place = self.place(fingerprint)?.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = place.as_ref().filter(|entry| entry.fingerprint.is(fingerprint))?;
        let (from, until) = entry.times;
        (entry.key_set == key_set && from <= now && now <= until).then(|| entry.caller.clone())
    }

    /// Remembers a token that was accepted just now.
    pub(super) fn keep(&self, fingerprint: Fingerprint, key_set: u64, times: (u64, u64), caller: RlsContext) {
        if let Some(place) = self.place(&fingerprint) {
            let entry = Entry { fingerprint, key_set, times, caller };
            let replaced = place.lock().unwrap_or_else(PoisonError::into_inner).replace(entry);
            // After the lock: a caller's claims may be many.
            drop(replaced);
        }
    }

    fn place(&self, fingerprint: &Fingerprint) -> Option<&Mutex<Option<Entry>>> {
        let number = fingerprint.0.0.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))?;
        self.0.get(usize::try_from(number % self.0.len() as u64).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(times: (u64, u64)) -> (VerifiedTokens, Fingerprint) {
        let (tokens, token) = (VerifiedTokens::new(), Fingerprint::of("a.good.token").unwrap());
        tokens.keep(token, 7, times, RlsContext::anon("first"));
        (tokens, token)
    }

    #[test]
    fn an_entry_counts_for_its_token_its_keys_and_its_time() {
        let (tokens, token) = kept((100, 200));
        let other = Fingerprint::of("another.good.token").unwrap();
        for (wanted, fingerprint, key_set, now) in [
            (true, &token, 7, 100),
            (true, &token, 7, 200),
            (false, &token, 7, 99),
            (false, &token, 7, 201),
            (false, &token, 8, 150),
            (false, &token, 6, 150),
            (false, &other, 7, 150),
        ] {
            assert_eq!(tokens.find(fingerprint, key_set, now).is_some(), wanted, "{key_set} {now}");
        }
    }

    #[test]
    fn a_place_holds_one_token_and_tells_it_from_others_of_its_place() {
        let (tokens, first) = kept((100, 200));
        let same_place = (0..).map(|number: u32| Fingerprint::of(&number.to_string()).unwrap());
        let place = |fingerprint: &Fingerprint| tokens.place(fingerprint).unwrap() as *const _;
        let second = same_place.into_iter().find(|other| place(other) == place(&first)).unwrap();
        assert!(tokens.find(&second, 7, 150).is_none());
        tokens.keep(second, 7, (100, 200), RlsContext::anon("second"));
        assert!(tokens.find(&first, 7, 150).is_none());
        assert_eq!(tokens.find(&second, 7, 150).unwrap().request_id(), "second");
    }

    #[test]
    fn long_tokens_are_not_remembered() {
        assert!(Fingerprint::of(&"x".repeat(MAX_TOKEN_BYTES)).is_some());
        assert!(Fingerprint::of(&"x".repeat(MAX_TOKEN_BYTES + 1)).is_none());
    }
}
