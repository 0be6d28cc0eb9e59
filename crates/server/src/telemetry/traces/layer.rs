//! From spans of `tracing` to spans of a trace, once they end.

use std::fmt;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;

use super::TARGET;
use super::context::TraceContext;

/// The span that a trace begins with, here. Others without a parent are the server's own work, and no part of a trace.
const ROOT: &str = "request";

/// The field by which the caller's trace is told.
const PARENT: &str = "traceparent";

/// A span that has ended.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) context: TraceContext,
    pub(super) parent: Option<u64>,
    pub(super) name: &'static str,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) values: Vec<(&'static str, Told)>,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    Text(String),
    Number(i64),
    Flag(bool),
}

/// A span that has not ended.
struct Open {
    context: TraceContext,
    parent: Option<u64>,
    began: SystemTime,
    values: Values,
}

/// Collects spans, and never waits.
pub struct TraceLayer {
    percent: u32,
    sender: mpsc::Sender<Ended>,
}

impl TraceLayer {
    pub(super) fn new(percent: u32, sender: mpsc::Sender<Ended>) -> Self {
        Self { percent, sender }
    }

    /// The layer, which sees spans of traces and nothing else.
    pub(in crate::telemetry) fn filtered<S>(self) -> impl Layer<S> + Send + Sync
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        self.with_filter(Targets::new().with_default(LevelFilter::OFF).with_target(TARGET, Level::INFO))
    }
}

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut values = Values::default();
        attributes.record(&mut values);
        let above = span.parent().map(|parent| parent.extensions().get::<Open>().map(|open| open.context));
        let (place, parent) = match above {
            Some(Some(above)) => (above.child(), Some(above.span)),
            None if span.name() == ROOT => match values.parent.take() {
                Some(caller) => (caller.child(), Some(caller.span)),
                None => (TraceContext::begin(self.percent), None),
            },
            Some(None) | None => return,
        };
        if place.is_sampled {
            let open = Open { context: place, parent, began: SystemTime::now(), values };
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(open) = span.extensions_mut().get_mut::<Open>() {
            record.record(&mut open.values);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Open { context, parent, began, values } = open;
        let (name, ended) = (span.name(), SystemTime::now());
        let ended = Ended { context, parent, name, began, ended, values: values.told };
        if self.sender.try_send(ended).is_err() {
            metrics::counter!("trace_spans_dropped_total").increment(1);
        }
    }
}

/// Values of a span's fields.
#[derive(Default)]
struct Values {
    told: Vec<(&'static str, Told)>,
    parent: Option<TraceContext>,
}

impl Visit for Values {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == PARENT {
            self.parent = TraceContext::parse(value);
        } else {
            self.told.push((field.name(), Told::Text(value.to_owned())));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.told.push((field.name(), Told::Number(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.told.push((field.name(), Told::Number(i64::try_from(value).unwrap_or(i64::MAX))));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.told.push((field.name(), Told::Flag(value)));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.told.push((field.name(), Told::Text(format!("{value:?}"))));
    }
}

/// A subscriber with this layer, if there is one.
pub(in crate::telemetry) fn with<S>(subscriber: S, layer: Option<TraceLayer>) -> impl Subscriber + Send + Sync
where
    S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
{
    subscriber.with(layer.map(TraceLayer::filtered::<S>))
}
