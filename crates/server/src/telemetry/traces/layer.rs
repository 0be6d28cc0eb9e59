//! From spans of `tracing` to spans of OpenTelemetry.

use opentelemetry_sdk::trace::SdkTracer;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use super::TARGET;

/// Collects spans, and never waits.
pub struct TraceLayer {
    tracer: SdkTracer,
}

impl TraceLayer {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer }
    }

    /// The layer, which sees spans of traces and nothing else: no log line, which may name a path or a user. Of its own, it says nothing of
    /// them either (lines of code, threads).
    fn filtered<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.tracer)
            .with_context_activation(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_default(LevelFilter::OFF).with_target(TARGET, Level::INFO))
    }
}

/// A subscriber with this layer, if there is one.
pub(in crate::telemetry) fn with<S>(subscriber: S, layer: Option<TraceLayer>) -> impl Subscriber + Send + Sync
where
    S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
{
    subscriber.with(layer.map(TraceLayer::filtered::<S>))
}
