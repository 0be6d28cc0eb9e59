//! Which traces are collected.

use opentelemetry::trace::{Link, SpanKind, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, ShouldSample};

/// What goes on with a caller's trace is collected if that is, and of traces that begin here so many of a hundred.
pub(super) fn sampler(percent: u32) -> Sampler {
    Sampler::ParentBased(Box::new(Beginning {
        of_requests: Sampler::TraceIdRatioBased(f64::from(percent) / 100.0),
    }))
}

/// Where a trace begins: at a request. Other spans without a parent are the server's own work, and no part of a trace.
#[derive(Debug, Clone)]
struct Beginning {
    of_requests: Sampler,
}

impl ShouldSample for Beginning {
    fn should_sample(
        &self,
        parent_context: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        span_kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let sampler = if *span_kind == SpanKind::Server { &self.of_requests } else { &Sampler::AlwaysOff };
        sampler.should_sample(parent_context, trace_id, name, span_kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::trace::{IdGenerator as _, RandomIdGenerator, SamplingDecision};

    use super::*;

    fn sampled(percent: u32, kind: &SpanKind) -> usize {
        let (sampler, ids) = (sampler(percent), RandomIdGenerator::default());
        let decide = |_: &_| {
            let result = sampler.should_sample(None, ids.new_trace_id(), "request", kind, &[], &[]);
            result.decision == SamplingDecision::RecordAndSample
        };
        (0..2000).filter(decide).count()
    }

    #[test]
    fn so_many_of_a_hundred_are_sampled() {
        assert_eq!((sampled(0, &SpanKind::Server), sampled(100, &SpanKind::Server)), (0, 2000));
        let half = sampled(50, &SpanKind::Server);
        assert!((800..1200).contains(&half), "{half} of 2000");
    }

    #[test]
    fn the_servers_own_work_is_no_trace() {
        assert_eq!(sampled(100, &SpanKind::Client), 0);
    }
}
