//! Which trace a span is part of: W3C Trace Context, as `traceparent` has it.

use uuid::Uuid;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TraceContext {
    /// The trace.
    pub(super) trace: u128,
    /// The span.
    pub(super) span: u64,
    /// Whether the trace is collected.
    pub(super) is_sampled: bool,
}

impl TraceContext {
    /// What a header says: `00-{trace}-{span}-{flags}`. None where it says nothing good, which is as if there were none.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let mut parts = header.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        // Later versions may have more behind it; this one has not.
        let fits = version.len() == 2 && version != "ff" && (version != "00" || parts.next().is_none());
        let hex = |text: &str, length| {
            let digits = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            (digits && text.len() == length).then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        hex(version, 2)?;
        let (trace, span, flags) = (hex(trace, 32)?, u64::try_from(hex(span, 16)?).ok()?, hex(flags, 2)?);
        (fits && trace != 0 && span != 0).then_some(Self { trace, span, is_sampled: flags & 1 == 1 })
    }

    /// A trace that begins here, collected with so many others of a hundred.
    pub(super) fn begin(percent: u32) -> Self {
        let trace = Uuid::new_v4().as_u128();
        // The last bits are random, also in a UUID.
        let is_sampled = (trace & 0xffff_ffff) * 100 < u128::from(percent) << 32;
        Self { trace, span: new_span(), is_sampled }
    }

    /// A span below this one.
    pub(super) fn child(self) -> Self {
        Self { span: new_span(), ..self }
    }
}

fn new_span() -> u64 {
    // The middle of a UUID has fixed bits; its ends are random, and never all zero with one of them set.
    let (high, low) = Uuid::new_v4().as_u64_pair();
    (high ^ low.rotate_left(32)) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_taken_only_as_the_standard_has_it() {
        const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
        let check = |header: &str, sampled: Option<bool>| {
            let found = TraceContext::parse(header);
            assert_eq!(found.map(|context| context.is_sampled), sampled, "{header}");
        };
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-00"), Some(false));
        check(&format!("01-{TRACE}-00f067aa0ba902b7-01-more"), Some(true));
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), None);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None);
        check(&format!("00-{TRACE}-{}-01", "0".repeat(16)), None);
        check(&format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()), None);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), None);
        check("", None);
        let parsed = TraceContext::parse(&format!("00-{TRACE}-00f067aa0ba902b7-01")).unwrap();
        assert_eq!(
            (format!("{:032x}", parsed.trace), parsed.span),
            (TRACE.to_owned(), 0x00f0_67aa_0ba9_02b7)
        );
    }

    #[test]
    fn so_many_of_a_hundred_are_sampled() {
        let sampled = |percent| (0..2000).filter(|_| TraceContext::begin(percent).is_sampled).count();
        assert_eq!((sampled(0), sampled(100)), (0, 2000));
        let half = sampled(50);
        assert!((800..1200).contains(&half), "{half} of 2000");
    }
}
