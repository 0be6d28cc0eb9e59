//! Sends spans to who collects them, in batches, for as long as the server runs.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{
    SdkTracerProvider, Span, SpanData, SpanExporter as _, SpanLimits, SpanProcessor,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::{Cause, Client};
use super::layer::TraceLayer;
use super::sampling::sampler;

/// Spans that wait at most; more are dropped, and counted.
const QUEUE: usize = 8192;
/// Most spans of one request.
const BATCH: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(2);
/// How long a request may take, and until when it is sent again.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the end of the server waits for the last spans.
const LAST_WORDS: Duration = Duration::from_secs(3);

const VERSION: &str = env!("CARGO_PKG_VERSION");

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

/// Why traces can't be sent, whoever collects them.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// There is no client: the system has no certificates, mostly.
    #[error("there is no client of HTTP")]
    Client(#[from] reqwest::Error),
    /// The endpoint is none.
    #[error("the endpoint can't be used")]
    Endpoint(#[from] ExporterBuildError),
}

/// Sends spans.
pub struct Exporter {
    url: String,
    exporter: SpanExporter,
    /// Why the last request had no answer.
    cause: Cause,
    receiver: mpsc::Receiver<SpanData>,
    /// The next batch.
    gathered: Vec<SpanData>,
    /// Whether the last batch did not arrive.
    is_failing: bool,
}

impl Exporter {
    /// What sends spans, and what collects them.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn new(options: TraceOptions) -> Result<(Self, TraceLayer), TraceError> {
        let TraceOptions { endpoint, service, percent } = options;
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", VERSION))
            .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
            .build();
        let cause = Cause::default();
        let mut exporter = otlp(&url, cause.clone())?;
        exporter.set_resource(&resource);
        let (sender, receiver) = mpsc::channel(QUEUE);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler(percent))
            .with_span_limits(SpanLimits::default())
            .with_span_processor(Queue(sender))
            .build();
        let scope = InstrumentationScope::builder("aerostore").with_version(VERSION).build();
        let layer = TraceLayer::new(provider.tracer_with_scope(scope));
        let gathered = Vec::with_capacity(BATCH);
        Ok((Self { url, exporter, cause, receiver, gathered, is_failing: false }, layer))
    }

    /// Sends what comes, until stopped; then what is there, for a while.
    pub async fn run(self, stop: CancellationToken) {
        let mut work = pin!(self.work(&stop));
        if stop.run_until_cancelled(&mut work).await.is_none() {
            let _ = timeout(LAST_WORDS, work).await;
        }
    }

    async fn work(mut self, stop: &CancellationToken) {
        while stop.run_until_cancelled(self.gather()).await == Some(true) {
            self.send().await;
        }
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

    /// Sends a batch, a few times where its receiver is away or asks to wait. One that does not arrive is dropped: traces are no books.
    async fn send(&mut self) {
        let batch = std::mem::replace(&mut self.gathered, Vec::with_capacity(BATCH));
        let count = batch.len() as u64;
        let sent = self.exporter.export(batch).await;
        match &sent {
            Ok(()) => metrics::counter!("trace_spans_sent_total").increment(count),
            Err(_) => metrics::counter!("trace_spans_dropped_total").increment(count),
        }
        self.tell(sent.as_ref().err());
    }

    /// Says once that batches don't arrive, and once that they do again.
    fn tell(&mut self, problem: Option<&OTelSdkError>) {
        match (problem, self.is_failing) {
            (None, true) => tracing::info!(endpoint = self.url, "traces are taken again"),
            (Some(error), false) => {
                let cause = self.cause.load();
                let cause = cause.as_ref().map(|cause| cause.as_str());
                tracing::warn!(endpoint = self.url, %error, cause, "traces are not taken, and dropped");
            }
            (None, false) | (Some(_), true) => {}
        }
        self.is_failing = problem.is_some();
    }
}

/// What sends a batch: protobuf over HTTP, by the client that everything else is sent by.
fn otlp(url: &str, cause: Cause) -> Result<SpanExporter, TraceError> {
    let client =
        reqwest::Client::builder().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none()).build()?;
    let agent = ("User-Agent".to_owned(), format!("aerostore/{VERSION}"));
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .with_timeout(PATIENCE)
        .with_headers(HashMap::from([agent]))
        .with_http_client(Client::new(client, cause))
        .build()?;
    Ok(exporter)
}

/// Where spans go that have ended.
#[derive(Debug)]
struct Queue(mpsc::Sender<SpanData>);

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.0.try_send(span).is_err() {
            metrics::counter!("trace_spans_dropped_total").increment(1);
        }
    }

    /// The exporter has its own times, and its own end.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method, StatusCode};
    use opentelemetry::Value;
    use opentelemetry::trace::{SpanKind, Status};
    use tracing_subscriber::Registry;

    use super::*;
    use crate::telemetry::traces::{begin, end, with};

    /// What makes spans here, and where they come out.
    fn traced() -> (tracing::Dispatch, mpsc::Receiver<SpanData>) {
        let endpoint = "http://127.0.0.1:9".to_owned();
        let options = TraceOptions { endpoint, service: "aerostore".into(), percent: 100 };
        let (exporter, layer) = Exporter::new(options).unwrap();
        (tracing::Dispatch::new(with(Registry::default(), Some(layer))), exporter.receiver)
    }

    fn attribute(span: &SpanData, name: &str) -> Option<Value> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
        found.map(|attribute| attribute.value.clone())
    }

    #[test]
    fn a_requests_span_lasts_until_its_answer_is_sent_and_holds_what_was_said_of_it_alone() {
        let (dispatch, mut spans) = traced();
        let request = tracing::dispatcher::with_default(&dispatch, || {
            let request = begin(&Method::GET, &HeaderMap::new(), "id-1");
            request.in_scope(|| {
                tracing::info_span!(target: "trace", "database", otel.kind = "client").in_scope(|| {
                    tracing::error!(path = "secret", "a log line");
                });
            });
            std::thread::sleep(Duration::from_millis(30));
            end(&request, "download", "failed", StatusCode::BAD_GATEWAY, true);
            request
        });
        drop(request);
        let (database, request) = (spans.try_recv().unwrap(), spans.try_recv().unwrap());
        assert_eq!((&*request.name, &request.span_kind), ("request download", &SpanKind::Server));
        assert_eq!(request.status, Status::error(""));
        assert_eq!(attribute(&request, "http.response.status_code"), Some(Value::I64(502)));
        assert_eq!(attribute(&request, "aerostore.request_id"), Some("id-1".into()));
        assert_eq!(request.attributes.len(), 5, "{:?}", request.attributes);
        let took = request.end_time.duration_since(request.start_time).unwrap();
        assert!(took >= Duration::from_millis(30), "{took:?}");
        assert_eq!((&*database.name, &database.span_kind), ("database", &SpanKind::Client));
        assert_eq!(database.parent_span_id, request.span_context.span_id());
        assert_eq!(database.attributes, []);
        assert!(!format!("{database:?}{request:?}").contains("a log line"));
    }

    #[test]
    fn the_servers_own_work_is_no_trace() {
        let (dispatch, mut spans) = traced();
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info_span!(target: "trace", "database", otel.kind = "client").in_scope(|| {
                tracing::info_span!(target: "trace", "provider", otel.kind = "client").in_scope(|| ());
            });
        });
        assert!(spans.try_recv().is_err());
    }

    #[test]
    fn what_nobody_sends_is_dropped_and_waited_for_by_nobody() {
        let (dispatch, spans) = traced();
        tracing::dispatcher::with_default(&dispatch, || {
            for _ in 0..QUEUE + 100 {
                drop(begin(&Method::GET, &HeaderMap::new(), "id-1"));
            }
        });
        assert_eq!(spans.len(), QUEUE);
    }
}
