//! Named points at which tests make an operation fail, wait, or take the process down.
//!
//! Code announces a point with [`Scope::hit`] (blocking code) or [`Scope::hit_async`]. Without the feature
//! `failpoints` both are empty and vanish. With it, and in this crate's own tests, a test arms a point for everything that lives under one
//! directory, so that tests run side by side; the real binary takes points from `AEROSTORE_FAILPOINTS`
//! (`put.before_commit=abort@3;local.publish.sync=eio`).

#[cfg(not(any(test, feature = "failpoints")))]
use std::io;
use std::path::Path;

#[cfg(any(test, feature = "failpoints"))]
pub use armed::{Action, Armed, Recording, arm, arm_nth, record};

/// Whose points these are: the directory or file that a component keeps its state in. A test that armed a
/// point under `dir` meets every component whose scope is `dir` or lies below it.
#[derive(Debug, Clone)]
pub struct Scope {
    #[cfg(any(test, feature = "failpoints"))]
    path: std::sync::Arc<Path>,
}

#[cfg(not(any(test, feature = "failpoints")))]
impl Scope {
    /// The scope of the component that lives at `path`.
    pub fn new(_path: &Path) -> Self {
        Self {}
    }

    /// Announces a point in code that may block.
    ///
    /// # Errors
    /// What a test wants to happen here; never without the feature `failpoints`.
    #[inline(always)]
    pub fn hit(&self, _point: &'static str) -> io::Result<()> {
        Ok(())
    }

    /// Announces a point in async code.
    ///
    /// # Errors
    /// As [`Scope::hit`].
    #[inline(always)]
    pub async fn hit_async(&self, _point: &'static str) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(any(test, feature = "failpoints"))]
mod armed {
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use tokio::sync::watch;

    use super::Scope;

    /// What happens at an armed point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Action {
        /// The step fails as on a broken disk (`EIO`).
        Io,
        /// The step fails as on a full disk (`ENOSPC`).
        DiskFull,
        /// The step fails as on a file system that cannot do it (`EOPNOTSUPP`).
        Unsupported,
        /// The process dies at once, as by SIGKILL.
        Abort,
        /// The step takes this much longer.
        Delay(Duration),
        /// The step waits until [`Armed::release`], or until the guard is dropped.
        Pause,
    }

    impl Action {
        fn parse(text: &str) -> Option<Self> {
            match text {
                "eio" => Some(Self::Io),
                "enospc" => Some(Self::DiskFull),
                "unsupported" => Some(Self::Unsupported),
                "abort" => Some(Self::Abort),
                _ => {
                    let millis = text.strip_prefix("delay(")?.strip_suffix("ms)")?.parse().ok()?;
                    Some(Self::Delay(Duration::from_millis(millis)))
                }
            }
        }
    }

    /// One armed point. `under: None` is everywhere: it came from the environment.
    struct Point {
        under: Option<PathBuf>,
        name: String,
        action: Action,
        nth: Option<u64>,
        hits: watch::Sender<u64>,
        released: Mutex<bool>,
        wake: Condvar,
    }

    impl Point {
        fn new(under: Option<PathBuf>, name: &str, action: Action, nth: Option<u64>) -> Arc<Self> {
            Arc::new(Self {
                under,
                name: name.to_owned(),
                action,
                nth,
                hits: watch::Sender::new(0),
                released: Mutex::new(false),
                wake: Condvar::new(),
            })
        }

        fn matches(&self, scope: &Path, name: &str) -> bool {
            self.name == name && self.under.as_deref().is_none_or(|under| scope.starts_with(under))
        }

        /// Counts a hit, and says whether it is one to act on.
        fn count(&self) -> bool {
            let mut hit = 0;
            self.hits.send_modify(|hits| {
                *hits = hits.saturating_add(1);
                hit = *hits;
            });
            self.nth.is_none_or(|nth| nth == hit)
        }

        fn wait(&self) {
            let mut released = lock(&self.released);
            while !*released {
                released = self.wake.wait(released).unwrap_or_else(PoisonError::into_inner);
            }
        }

        fn release(&self) {
            *lock(&self.released) = true;
            self.wake.notify_all();
        }

        fn act(&self) -> io::Result<()> {
            match self.action {
                Action::Io => Err(rustix::io::Errno::IO.into()),
                Action::DiskFull => Err(rustix::io::Errno::NOSPC.into()),
                Action::Unsupported => Err(rustix::io::Errno::OPNOTSUPP.into()),
                Action::Abort => std::process::abort(),
                Action::Delay(time) => {
                    std::thread::sleep(time);
                    Ok(())
                }
                Action::Pause => {
                    self.wait();
                    Ok(())
                }
            }
        }
    }

    #[derive(Default)]
    struct Registry {
        points: Vec<Arc<Point>>,
        recordings: Vec<Arc<Names>>,
    }

    struct Names {
        under: PathBuf,
        names: Mutex<Vec<&'static str>>,
    }

    static REGISTRY: LazyLock<Mutex<Registry>> = LazyLock::new(|| {
        let points = std::env::var("AEROSTORE_FAILPOINTS").map(|text| from_environment(&text));
        Mutex::new(Registry { points: points.unwrap_or_default(), recordings: Vec::new() })
    });

    /// Points from the environment. A text that says nothing sensible ends the process: a crash test whose
    /// points were silently ignored would prove nothing.
    fn from_environment(text: &str) -> Vec<Arc<Point>> {
        let entries = text.split(';').map(str::trim).filter(|entry| !entry.is_empty());
        let parsed: Option<Vec<_>> = entries
            .map(|entry| {
                let (name, action) = entry.split_once('=')?;
                let (action, nth) = match action.split_once('@') {
                    Some((action, nth)) => (action, Some(nth.parse().ok()?)),
                    None => (action, None),
                };
                Some(Point::new(None, name, Action::parse(action)?, nth))
            })
            .collect();
        parsed.unwrap_or_else(|| {
            tracing::error!(text, "AEROSTORE_FAILPOINTS cannot be understood");
            std::process::abort()
        })
    }

    fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    impl Scope {
        /// The scope of the component that lives at `path`.
        pub fn new(path: &Path) -> Self {
            Self { path: path.into() }
        }

        /// Announces a point in code that may block.
        ///
        /// # Errors
        /// What a test wants to happen here; never without the feature `failpoints`.
        pub fn hit(&self, point: &'static str) -> io::Result<()> {
            self.met(point).into_iter().try_for_each(|point| point.act())
        }

        /// Announces a point in async code.
        ///
        /// # Errors
        /// As [`Scope::hit`].
        pub async fn hit_async(&self, point: &'static str) -> io::Result<()> {
            for point in self.met(point) {
                match point.action {
                    Action::Delay(time) => tokio::time::sleep(time).await,
                    Action::Pause => {
                        let waited = tokio::task::spawn_blocking(move || point.wait()).await;
                        if waited.is_err() {
                            // The runtime goes, and who waits here goes with it, as in a process that dies.
                            std::future::pending::<()>().await;
                        }
                    }
                    Action::Io | Action::DiskFull | Action::Unsupported | Action::Abort => point.act()?,
                }
            }
            Ok(())
        }

        fn met(&self, name: &'static str) -> Vec<Arc<Point>> {
            let registry = lock(&REGISTRY);
            for recording in registry.recordings.iter().filter(|it| self.path.starts_with(&it.under)) {
                lock(&recording.names).push(name);
            }
            let matching = registry.points.iter().filter(|it| it.matches(&self.path, name));
            matching.filter(|it| it.count()).cloned().collect()
        }
    }

    /// An armed point; disarmed, and let go of, when dropped.
    #[must_use = "the point is disarmed when this is dropped"]
    pub struct Armed(Arc<Point>);

    /// Arms a point for every component at or below `under`, each time it is met.
    pub fn arm(under: &Path, point: &str, action: Action) -> Armed {
        install(Point::new(Some(under.to_owned()), point, action, None))
    }

    /// Arms a point for the `nth` time (from 1) that it is met.
    pub fn arm_nth(under: &Path, point: &str, action: Action, nth: u64) -> Armed {
        install(Point::new(Some(under.to_owned()), point, action, Some(nth)))
    }

    fn install(point: Arc<Point>) -> Armed {
        lock(&REGISTRY).points.push(point.clone());
        Armed(point)
    }

    impl Armed {
        /// How often the point was met so far.
        pub fn hits(&self) -> u64 {
            *self.0.hits.borrow()
        }

        /// Waits until the point was met at least `times` times.
        pub async fn reached(&self, times: u64) {
            let mut hits = self.0.hits.subscribe();
            // The sender lives in `self`, so that waiting cannot fail.
            let _ = hits.wait_for(|hits| *hits >= times).await;
        }

        /// Lets everything go on that pauses here, now and later.
        pub fn release(&self) {
            self.0.release();
        }
    }

    impl Drop for Armed {
        fn drop(&mut self) {
            lock(&REGISTRY).points.retain(|point| !Arc::ptr_eq(point, &self.0));
            self.0.release();
        }
    }

    /// The points that were met since [`record`], in order: by it a test learns where it can fail something.
    pub struct Recording(Arc<Names>);

    /// Records the points that components at or below `under` meet.
    pub fn record(under: &Path) -> Recording {
        let names = Arc::new(Names { under: under.to_owned(), names: Mutex::default() });
        lock(&REGISTRY).recordings.push(names.clone());
        Recording(names)
    }

    impl Recording {
        /// The names met so far, repetitions included.
        pub fn names(&self) -> Vec<&'static str> {
            lock(&self.0.names).clone()
        }
    }

    impl Drop for Recording {
        fn drop(&mut self) {
            lock(&REGISTRY).recordings.retain(|names| !Arc::ptr_eq(names, &self.0));
        }
    }
}
