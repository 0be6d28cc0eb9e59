//! Sends spans to who collects them, in batches, for as long as the server runs.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::layer::{Ended, TraceLayer};
use super::otlp;

/// Spans that wait at most; more are dropped, and counted.
const QUEUE: usize = 8192;
/// Most spans of one request.
const BATCH: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(2);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the server waits for the last spans.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// Who collects them, by OTLP over HTTP: `/v1/traces` is added.
    pub endpoint: String,
    /// What this service is called there.
    pub service: String,
    /// How many of a hundred traces that begin here are collected.
    pub percent: u32,
}

/// Sends spans.
pub struct Exporter {
    url: String,
    service: String,
    instance: String,
    client: reqwest::Client,
    receiver: mpsc::Receiver<Ended>,
    /// The next batch.
    gathered: Vec<Ended>,
    /// Whether the last batch did not arrive.
    is_failing: bool,
}

impl Exporter {
    /// What sends spans, and what collects them.
    ///
    /// # Errors
    /// There is no client: the system has no certificates, mostly.
    pub fn new(options: TraceOptions) -> Result<(Self, TraceLayer), reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("aerostore/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let (sender, receiver) = mpsc::channel(QUEUE);
        let exporter = Self {
            url: format!("{}/v1/traces", options.endpoint.trim_end_matches('/')),
            service: options.service,
            instance: Uuid::new_v4().to_string(),
            client,
            receiver,
            gathered: Vec::with_capacity(BATCH),
            is_failing: false,
        };
        Ok((exporter, TraceLayer::new(options.percent, sender)))
    }

    /// Sends what comes, until stopped; then what is there.
    pub async fn run(mut self, stop: CancellationToken) {
        while stop.run_until_cancelled(self.gather()).await == Some(true) {
            if stop.run_until_cancelled(self.send()).await.is_none() {
                break;
            }
        }
        let rest = async {
            loop {
                while self.gathered.len() < BATCH
                    && let Ok(span) = self.receiver.try_recv()
                {
                    self.gathered.push(span);
                }
                if self.gathered.is_empty() {
                    return;
                }
                self.send().await;
            }
        };
        let _ = timeout(LAST_WORDS, rest).await;
    }

    /// Gathers a batch; `false` where there will be none any more.
    async fn gather(&mut self) -> bool {
        let Some(first) = self.receiver.recv().await else { return false };
        self.gathered.push(first);
        let end = Instant::now() + GATHER;
        while self.gathered.len() < BATCH {
            match timeout_at(end, self.receiver.recv()).await {
                Ok(Some(span)) => self.gathered.push(span),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    /// Sends a batch once. One that does not arrive is dropped: traces are no books.
    async fn send(&mut self) {
        let request = otlp::request(&self.service, &self.instance, &self.gathered);
        let sent = self.client.post(&self.url).json(&request).send().await;
        let problem = match sent.and_then(reqwest::Response::error_for_status) {
            Ok(_) => None,
            Err(error) => Some(error.without_url()),
        };
        match (&problem, self.is_failing) {
            (None, true) => tracing::info!(endpoint = self.url, "traces are taken again"),
            (Some(error), false) => {
                let cause = std::error::Error::source(error);
                tracing::warn!(endpoint = self.url, %error, cause, "traces are not taken, and dropped");
            }
            (None, false) | (Some(_), true) => {}
        }
        self.is_failing = problem.is_some();
        let count = self.gathered.len() as u64;
        self.gathered.clear();
        match problem {
            None => metrics::counter!("trace_spans_sent_total").increment(count),
            Some(_) => metrics::counter!("trace_spans_dropped_total").increment(count),
        }
    }
}
