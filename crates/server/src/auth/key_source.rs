//! Where a key set comes from, and how it stays fresh.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::StreamExt;
use tokio::sync::Mutex;

use super::key_set::KeySet;

/// After this time at the earliest, a token with an unknown key id makes the server read the set again.
const MIN_PAUSE: Duration = Duration::from_secs(30);
/// How long the issuer may take to answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers are no key sets.
const MAX_BYTES: usize = 1 << 20;

/// A place that key sets are read from.
enum Place {
    File(PathBuf),
    Url(String, reqwest::Client),
}

/// The current key set of one place.
pub(super) struct KeySource {
    place: Place,
    current: RwLock<Arc<KeySet>>,
    /// How often it was replaced.
    version: AtomicU64,
    /// When it was last tried; held while it is read, so that one caller reads and the others wait for it.
    last_read: Mutex<Option<Instant>>,
    min_pause: Duration,
}

impl KeySource {
    pub(super) fn file(path: PathBuf) -> Self {
        Self::new(Place::File(path))
    }

    /// Redirects are not followed: keys come from where the operator said, and from nowhere else.
    pub(super) fn url(url: String) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(FETCH_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("no HTTP client: {error}"))?;
        Ok(Self::new(Place::Url(url, client)))
    }

    fn new(place: Place) -> Self {
        Self {
            place,
            current: RwLock::default(),
            version: AtomicU64::new(0),
            last_read: Mutex::default(),
            min_pause: MIN_PAUSE,
        }
    }

    #[cfg(test)]
    pub(super) fn with_min_pause(mut self, pause: Duration) -> Self {
        self.min_pause = pause;
        self
    }

    pub(super) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Which set this is: another number after each one that was read. Ask before [`KeySource::current`], so that a
    /// set which comes between is taken for too new rather than too old.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Reads the set again. An unreadable or useless one leaves the current one in force.
    pub(super) async fn refresh(&self) -> Result<(), String> {
        let mut last_read = self.last_read.lock().await;
        *last_read = Some(Instant::now());
        self.read().await
    }

    /// Reads the set again because a token names a key that is not there, unless that was done just now.
    pub(super) async fn refresh_for(&self, id: &str) -> Arc<KeySet> {
        let mut last_read = self.last_read.lock().await;
        let paused = last_read.is_none_or(|at| at.elapsed() >= self.min_pause);
        // Somebody else may have read it while this caller waited.
        if paused && !self.current().has(id) {
            *last_read = Some(Instant::now());
            if let Err(problem) = self.read().await {
                tracing::warn!(source = %self, problem, "key set not refreshed");
            }
        }
        drop(last_read);
        self.current()
    }

    async fn read(&self) -> Result<(), String> {
        let text = match &self.place {
            Place::File(path) => tokio::fs::read(path).await.map_err(|error| error.to_string())?,
            Place::Url(url, client) => fetch(client, url).await?,
        };
        let set = Arc::new(KeySet::parse(&text)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = set;
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Result<Vec<u8>, String> {
    let answer = client.get(url).send().await.map_err(|error| error.to_string())?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("answered {}", answer.status()));
    }
    let mut body = BytesMut::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| error.to_string())?;
        if body.len() + chunk.len() > MAX_BYTES {
            return Err("answered with more than a key set".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.to_vec())
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Url(url, _) => f.write_str(url),
        }
    }
}
