//! W3C Trace Context (<https://www.w3.org/TR/trace-context/>): which trace a piece of work belongs to.

use crate::Hex;
use std::fmt;
use std::ops::Range;

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
    /// Bytes of a header of version 00.
    const LENGTH: usize = 55;
    /// Where the trace's id stands in the header.
    pub const TRACE_ID: Range<usize> = 3..35;
    /// Where the span's id stands in the header.
    pub const SPAN_ID: Range<usize> = 36..52;

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
        let (known, more) = header.trim().as_bytes().split_at_checked(Self::LENGTH)?;
        let is_apart = [2, Self::TRACE_ID.end, Self::SPAN_ID.end].iter().all(|i| known[*i] == b'-');
        let goes_on = match hex(&known[..2])? {
            0 => more.is_empty(),
            0xff => false,
            _ => more.is_empty() || more[0] == b'-',
        };
        if !is_apart || !goes_on {
            return None;
        }
        let (high, low) = known[Self::TRACE_ID].split_at(16);
        let trace_id = u128::from(hex(high)?) << 64 | u128::from(hex(low)?);
        let span_id = hex(&known[Self::SPAN_ID])?;
        let flags = hex(&known[Self::SPAN_ID.end + 1..])?;
        (trace_id != 0 && span_id != 0).then_some(Self { trace_id, span_id, is_sampled: flags & 1 == 1 })
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

    /// The header's value, in which the ids stand at [`Self::TRACE_ID`] and [`Self::SPAN_ID`]. ASCII.
    #[must_use]
    pub fn header(&self) -> [u8; Self::LENGTH] {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-00";
        header[Self::TRACE_ID].copy_from_slice(self.trace_id_hex().as_str().as_bytes());
        header[Self::SPAN_ID].copy_from_slice(self.span_id_hex().as_str().as_bytes());
        header[Self::LENGTH - 1] += u8::from(self.is_sampled);
        header
    }
}

/// Up to 16 lower-case digits as a number. The standard library takes upper case and signs too.
fn hex(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |number, digit| {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u64::from(value))
    })
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.header()).expect("the header is ASCII"))
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
    fn a_later_version_is_read_as_far_as_this_one_goes() {
        let read = |header| TraceContext::parse(header).map(|c| (c.trace_id, c.span_id, c.is_sampled));
        let known = Some((0xab, 0xcd, false));
        assert_eq!(read(" cc-000000000000000000000000000000ab-00000000000000cd-02 "), known);
        assert_eq!(read("cc-000000000000000000000000000000ab-00000000000000cd-02-more"), known);
        assert_eq!(read("cc-000000000000000000000000000000ab-00000000000000cd-02more"), None);
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
