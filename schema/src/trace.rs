//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): which trace a piece of work belongs to.

use crate::Hex;
use std::fmt;

/// The `traceparent` of one span. Randomness comes in as arguments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TraceContext {
    /// The whole trace; not zero.
    pub trace_id: u128,
    /// This span; not zero.
    pub span_id: u64,
    /// Whether spans of this trace are exported.
    pub is_sampled: bool,
}

impl TraceContext {
    /// A span that begins a trace. Zeros, which the standard forbids, become ones.
    #[must_use]
    pub fn root(trace_id: u128, span_id: u64, is_sampled: bool) -> Self {
        Self { trace_id: trace_id.max(1), span_id: span_id.max(1), is_sampled }
    }

    /// A span of the same trace.
    #[must_use]
    pub fn child(self, span_id: u64) -> Self {
        Self { span_id: span_id.max(1), ..self }
    }

    /// Reads a header. Versions after 00 are read as far as 00 goes, as the standard asks; what is malformed is
    /// none, so that a trace begins anew.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut parts = header.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str, len| {
            text.len() == len && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let well_formed =
            hex(version, 2) && version != "ff" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !well_formed || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|t| *t != 0)?;
        let span_id = u64::from_str_radix(span, 16).ok().filter(|s| *s != 0)?;
        Some(Self { trace_id, span_id, is_sampled: u8::from_str_radix(flags, 16).ok()? & 1 == 1 })
    }

    /// The trace's id as 32 hex digits.
    #[must_use]
    pub fn trace_id_hex(&self) -> Hex<32> {
        Hex::of(self.trace_id)
    }

    /// The span's id as 16 hex digits.
    #[must_use]
    pub fn span_id_hex(&self) -> Hex<16> {
        Hex::of(self.span_id.into())
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("00-")?;
        f.write_str(self.trace_id_hex().as_str())?;
        f.write_str("-")?;
        f.write_str(self.span_id_hex().as_str())?;
        f.write_str(if self.is_sampled { "-01" } else { "-00" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_standards_example_reads_and_prints() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = TraceContext::parse(header).expect("well-formed");
        assert_eq!(context.to_string(), header);
        assert!(context.is_sampled);
    }

    #[test]
    fn malformed_headers_begin_a_new_trace() {
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(trace in 1u128.., span in 1u64.., is_sampled: bool) {
            let context = TraceContext::root(trace, span, is_sampled);
            prop_assert_eq!(TraceContext::parse(&context.to_string()), Some(context));
        }
    }
}
