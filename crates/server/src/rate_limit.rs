//! How many requests one client address may send: a token bucket each, for signed and public routes.
//!
//! ```text
//! let limits = RateLimits::new(&config.rate_limit);                   // once
//! limits.signed.check(client_address)?;                               // Err(RateLimited): 429 and Retry-After
//! ```
//!
//! The address comes from [`crate::client_address`]. Memory is bounded, whatever is thrown at it. In-process:
//! several servers count for themselves.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::client_address::network;
use crate::config::RateLimitConfig;

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 16;
/// Most addresses that one part remembers; 100 000 of them are about 5 MB.
const MAX_PER_SHARD: usize = 6_250;
/// How often a full part is searched for addresses that can be forgotten.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

/// The limits of a server.
#[derive(Debug)]
pub struct RateLimits {
    /// For requests with signed URLs.
    pub signed: RateLimiter,
    /// For public objects.
    pub public: RateLimiter,
    /// For signatures of S3 that are not good, and keys that are not there: as many as there may be signed URLs.
    pub refused: RateLimiter,
}

impl RateLimits {
    /// Limits as configured.
    pub fn new(config: &RateLimitConfig) -> Self {
        Self {
            signed: RateLimiter::new(config.signed_per_second, config.signed_burst),
            public: RateLimiter::new(config.public_per_second, config.public_burst),
            refused: RateLimiter::new(config.signed_per_second, config.signed_burst),
        }
    }

    /// Other limits from now on.
    pub fn change(&self, config: &RateLimitConfig) {
        self.signed.change(config.signed_per_second, config.signed_burst);
        self.public.change(config.public_per_second, config.public_burst);
        self.refused.change(config.signed_per_second, config.signed_burst);
    }
}

/// A client sent too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many requests from this address")]
pub struct RateLimited {
    /// When it may ask again.
    pub after: Duration,
}

impl RateLimited {
    /// The same for a `Retry-After` header: whole seconds, at least one.
    pub fn retry_after_seconds(self) -> u64 {
        (self.after.as_secs() + u64::from(self.after.subsec_nanos() > 0)).max(1)
    }
}

/// One limit, for all addresses.
///
/// Of each address it remembers one moment: when its bucket will be full again. (The generic cell rate algorithm,
/// which is a token bucket without a timer.)
#[derive(Debug)]
pub struct RateLimiter {
    pace: ArcSwap<Pace>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

/// How fast tokens come back.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Time for one to come back; `None` for no limit.
    interval: Option<Duration>,
    /// Time for a whole bucket to come back.
    whole: Duration,
}

impl Pace {
    fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        Self { interval, whole: interval.unwrap_or_default().saturating_mul(burst.max(1)) }
    }
}

#[derive(Debug, Default)]
struct Shard {
    full_at: HashMap<IpAddr, Instant>,
    /// The bucket that addresses share while the table has no room for their own.
    overflow: Option<Instant>,
    swept_at: Option<Instant>,
}

impl RateLimiter {
    /// So many requests per second, so many at once after a pause; 0 per second for no limit.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        let pace = ArcSwap::from_pointee(Pace::new(per_second, burst));
        Self { pace, shards, hasher: RandomState::new() }
    }

    /// Another limit from now on. What clients sent before still counts.
    pub fn change(&self, per_second: u32, burst: u32) {
        self.pace.store(Arc::new(Pace::new(per_second, burst)));
    }

    /// Counts a request of this client.
    ///
    /// # Errors
    /// [`RateLimited`], where it is one too many; it then does not count.
    pub fn check(&self, client: IpAddr) -> Result<(), RateLimited> {
        self.check_at(client, Instant::now())
    }

    /// Whether one more request of this client would be too much, without counting one.
    ///
    /// # Errors
    /// [`RateLimited`], where it would be.
    pub fn peek(&self, client: IpAddr) -> Result<(), RateLimited> {
        self.weigh(client, Instant::now(), false)
    }

    fn check_at(&self, client: IpAddr, now: Instant) -> Result<(), RateLimited> {
        self.weigh(client, now, true)
    }

    fn weigh(&self, client: IpAddr, now: Instant, counts: bool) -> Result<(), RateLimited> {
        let Pace { interval: Some(interval), whole } = **self.pace.load() else { return Ok(()) };
        let client = network(client);
        let index = usize::try_from(self.hasher.hash_one(client) % SHARDS as u64).unwrap_or_default();
        let Some(shard) = self.shards.get(index) else { return Ok(()) };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = shard.bucket(client, now);
        let after_this = (*full_at).max(now) + interval;
        match after_this.checked_duration_since(now + whole) {
            None | Some(Duration::ZERO) => {
                if counts {
                    *full_at = after_this;
                }
                Ok(())
            }
            Some(after) => Err(RateLimited { after }),
        }
    }
}

impl Shard {
    /// The moment to look at for a client, made where it is new.
    fn bucket(&mut self, client: IpAddr, now: Instant) -> &mut Instant {
        let known = self.full_at.contains_key(&client);
        if !known && self.full_at.len() >= MAX_PER_SHARD {
            self.sweep(now);
            if self.full_at.len() >= MAX_PER_SHARD {
                return self.overflow.get_or_insert(now);
            }
        }
        self.full_at.entry(client).or_insert(now)
    }

    /// Forgets addresses whose buckets are full again: they are as good as new.
    fn sweep(&mut self, now: Instant) {
        if self.swept_at.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP_PAUSE) {
            self.swept_at = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn accepted(limiter: &RateLimiter, client: IpAddr, now: Instant, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.check_at(client, now).is_ok()).count()
    }

    #[test]
    fn a_client_gets_its_burst_and_then_its_rate() {
        let (limiter, start) = (RateLimiter::new(10, 3), Instant::now());
        assert_eq!(accepted(&limiter, client(1), start, 9), 3);
        let refusal = limiter.check_at(client(1), start).unwrap_err();
        assert_eq!(refusal.after, Duration::from_millis(100));
        assert_eq!(refusal.retry_after_seconds(), 1);
        assert_eq!(accepted(&limiter, client(1), start + refusal.after, 9), 1);
        assert_eq!(
            accepted(&limiter, client(1), start + Duration::from_secs(60), 9),
            3,
            "never more than a burst"
        );
    }

    #[test]
    fn clients_do_not_share_a_bucket_and_ipv6_networks_do() {
        let (limiter, now) = (RateLimiter::new(1, 2), Instant::now());
        assert_eq!(accepted(&limiter, client(1), now, 9), 2);
        assert_eq!(accepted(&limiter, client(2), now, 9), 2);
        assert_eq!(accepted(&limiter, "::ffff:0.0.0.2".parse().unwrap(), now, 9), 0, "the same IPv4 address");
        assert_eq!(accepted(&limiter, "2001:db8::1".parse().unwrap(), now, 9), 2);
        assert_eq!(accepted(&limiter, "2001:db8::ffff:2".parse().unwrap(), now, 9), 0);
        assert_eq!(accepted(&limiter, "2001:db8:0:1::1".parse().unwrap(), now, 9), 2);
    }

    #[test]
    fn looking_counts_nothing() {
        let limiter = RateLimiter::new(1, 2);
        assert!((0..9).all(|_| limiter.peek(client(1)).is_ok()));
        assert_eq!(accepted(&limiter, client(1), Instant::now(), 9), 2);
        assert!(limiter.peek(client(1)).is_err());
    }

    #[test]
    fn another_limit_holds_for_those_who_are_known() {
        let (limiter, now) = (RateLimiter::new(1, 2), Instant::now());
        assert_eq!(accepted(&limiter, client(1), now, 9), 2);
        limiter.change(0, 1);
        assert_eq!(accepted(&limiter, client(1), now, 9), 9, "no limit any more");
        limiter.change(1, 5);
        assert_eq!(accepted(&limiter, client(1), now, 9), 3, "two of five are taken");
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(accepted(&RateLimiter::new(0, 1), client(1), Instant::now(), 10_000), 10_000);
    }

    #[test]
    fn memory_is_bounded_and_newcomers_are_still_limited() {
        let (limiter, now) = (RateLimiter::new(1, 1), Instant::now());
        let room = u32::try_from(SHARDS * MAX_PER_SHARD).unwrap();
        let accepted_of_all = (0..3 * room).filter(|n| limiter.check_at(client(*n), now).is_ok()).count();
        let remembered: usize = limiter.shards.iter().map(|s| s.lock().unwrap().full_at.len()).sum();
        assert_eq!(remembered, room as usize);
        assert!(accepted_of_all <= room as usize + SHARDS, "{accepted_of_all}");
        let later = now + Duration::from_secs(5);
        assert!(limiter.check_at(client(u32::MAX), later).is_ok(), "idle addresses make room");
    }
}
