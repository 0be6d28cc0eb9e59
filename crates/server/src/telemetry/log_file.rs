//! Where log lines wait for a slow reader, so that no request does.
//!
//! Lines are appended to a bounded buffer; one thread writes it out, as much as there is with one call. When the
//! buffer is full, lines are dropped and counted, and a line says how many: an operation must not stall because nobody
//! reads its log.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that wait at most.
const CAPACITY: usize = 4 * 1024 * 1024;
/// How long lines gather before they are written out together. A thread that is woken for each line costs more than
/// all the formatting.
const GATHER: Duration = Duration::from_millis(10);

/// Takes lines and never blocks on their destination.
#[derive(Clone)]
pub struct LogWriter(Arc<Shared>);

/// Writes what waits when it is dropped: keep it until the end of the process.
#[must_use]
pub struct LogFlush {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    capacity: usize,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    closed: bool,
}

impl LogWriter {
    /// A writer to this destination, and the guard of its end.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn new(destination: impl Write + Send + 'static) -> io::Result<(Self, LogFlush)> {
        Self::with_capacity(destination, CAPACITY)
    }

    fn with_capacity(
        destination: impl Write + Send + 'static,
        capacity: usize,
    ) -> io::Result<(Self, LogFlush)> {
        let shared =
            Arc::new(Shared { state: Mutex::new(State::default()), changed: Condvar::new(), capacity });
        let writing = shared.clone();
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_out(&writing, destination))?;
        Ok((Self(shared.clone()), LogFlush { shared, thread: Some(thread) }))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes out what comes, until closed and empty. What can't be written is lost: there is no place left to say it.
fn write_out(shared: &Shared, mut destination: impl Write) {
    let mut batch = Vec::new();
    loop {
        let mut state = shared.lock();
        while state.lines.is_empty() && state.dropped == 0 {
            if state.closed {
                return;
            }
            state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let gathers = |state: &mut State| !state.closed && state.lines.len() < shared.capacity / 2;
        let gathered = shared.changed.wait_timeout_while(state, GATHER, gathers);
        let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut state.lines, &mut batch);
        let dropped = std::mem::take(&mut state.dropped);
        drop(state);
        let _ = destination.write_all(&batch);
        batch.clear();
        let _ = destination.flush();
        if dropped > 0 {
            // A line of its own, through the same door: it has the same format, and may itself be dropped.
            tracing::warn!(dropped, "log lines were dropped: standard error is read too slowly");
        }
    }
}

impl Write for &LogWriter {
    /// Takes one line, or drops it; `tracing` writes each line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.closed || state.lines.len() + line.len() > self.0.capacity {
            state.dropped += 1;
            metrics::counter!("log_lines_dropped_total").increment(1);
        } else {
            let before = state.lines.len();
            state.lines.extend_from_slice(line);
            drop(state);
            let half = self.0.capacity / 2;
            if before == 0 || (before < half && before + line.len() >= half) {
                self.0.changed.notify_one();
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> &'a LogWriter {
        self
    }
}

impl Drop for LogFlush {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A destination whose first write waits until it is let go.
    struct Stuck {
        entered: mpsc::Sender<()>,
        release: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.entered.send(());
            let _ = self.release.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_reader_costs_lines_and_never_blocks() {
        let (entered, has_entered) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let stuck = Stuck { entered, release: released, written: written.clone() };
        let (writer, flush) = LogWriter::with_capacity(stuck, 10).unwrap();
        (&writer).write_all(b"first\n").unwrap();
        has_entered.recv().unwrap();
        (&writer).write_all(b"second\n").unwrap();
        (&writer).write_all(b"too much\n").unwrap();
        assert_eq!(writer.0.lock().dropped, 1);
        drop(release);
        drop(flush);
        assert_eq!(*written.lock().unwrap(), b"first\nsecond\n");
    }
}
