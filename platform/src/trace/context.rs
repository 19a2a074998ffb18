//! Where in which trace something happens, as W3C Trace Context writes it (`traceparent`). Who makes the identifiers and
//! decides about sampling is the tracer's matter.

use std::fmt;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// How long a `traceparent` of version 00 is, in bytes.
pub const TRACEPARENT_BYTES: usize = 55;

/// The place of a span in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    span_id: u64,
    sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`: of version 00 exactly, of a later version what that one has in common with it, as the standard wants.
    /// Anything else is no context, and a trace begins.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(TRACEPARENT_BYTES)?;
        let version = hex(&head[..2])?;
        let fits = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => rest.is_empty() || rest[0] == b'-',
        };
        let dashes = [2, 35, 52].iter().all(|at| head[*at] == b'-');
        if !fits || !dashes {
            return None;
        }
        let context = Self {
            trace_id: hex(&head[3..35])?,
            span_id: u64::try_from(hex(&head[36..52])?).ok()?,
            sampled: hex(&head[53..])? & 1 == 1,
        };
        (context.trace_id != 0 && context.span_id != 0).then_some(context)
    }

    /// Whether what happens there is recorded.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// The trace, in 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The span, in 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    pub(super) fn of(context: &SpanContext) -> Option<Self> {
        context.is_valid().then(|| Self {
            trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(context.span_id().to_bytes()),
            sampled: context.is_sampled(),
        })
    }

    pub(super) fn remote(&self) -> SpanContext {
        let flags = TraceFlags::default().with_sampled(self.sampled);
        SpanContext::new(
            TraceId::from(self.trace_id),
            SpanId::from(self.span_id),
            flags,
            true,
            TraceState::NONE,
        )
    }
}

/// As a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(
            f,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        )
    }
}

/// A number in lower-case hexadecimal digits, at most 32 of them.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |number: u128, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(value))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn what_the_standard_allows_is_read_and_nothing_else() {
        let sampled = Some(true);
        let not = Some(false);
        for (text, expect) in [
            (format!("00-{TRACE}-{SPAN}-01"), sampled),
            (format!("00-{TRACE}-{SPAN}-00"), not),
            // Flags that are not known say nothing.
            (format!("00-{TRACE}-{SPAN}-03"), sampled),
            (format!("00-{TRACE}-{SPAN}-fe"), not),
            // What a later version adds is not looked at.
            (format!("01-{TRACE}-{SPAN}-01"), sampled),
            (format!("cc-{TRACE}-{SPAN}-01-more"), sampled),
            (format!("cc-{TRACE}-{SPAN}-01.more"), None),
            (format!("00-{TRACE}-{SPAN}-01-more"), None),
            (format!("ff-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (format!("00-{TRACE}-{SPAN}-1"), None),
            (format!("00-{TRACE}-{SPAN}-0x"), None),
            (format!("+0-{TRACE}-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (format!(" 00-{TRACE}-{SPAN}-01"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (String::new(), None),
        ] {
            let found = TraceContext::parse(text.as_bytes());
            assert_eq!(found.map(|it| it.is_sampled()), expect, "{text}");
            let Some(found) = found else { continue };
            assert_eq!(
                (found.trace_id(), found.span_id()),
                (TRACE.into(), SPAN.into())
            );
            // OpenTelemetry's own reader finds the same.
            let carrier = HashMap::from([("traceparent".to_owned(), text)]);
            let other = TraceContextPropagator::new().extract(&carrier);
            assert_eq!(TraceContext::of(other.span().span_context()), Some(found));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(trace_id in 1_u128.., span_id in 1_u64.., sampled: bool) {
            let context = TraceContext { trace_id, span_id, sampled };
            let text = context.to_string();
            prop_assert_eq!(text.len(), TRACEPARENT_BYTES);
            prop_assert_eq!(TraceContext::parse(text.as_bytes()), Some(context));
        }

        #[test]
        fn no_bytes_are_too_strange_to_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = TraceContext::parse(&bytes);
        }
    }
}
