//! The headers that every answer gets: which function it comes from, what that used, and whose trace it belongs to.
//!
//! Each set of values is written into one piece of memory that they share.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use weir_runtime::{Invocation, Usage};
use weir_schema::TraceContext;

const FUNCTION: HeaderName = HeaderName::from_static("x-function");
const INVOCATION_ID: HeaderName = HeaderName::from_static("x-invocation-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const SPACER_TRACE_ID: HeaderName = HeaderName::from_static("x-spacer-trace-id");
pub(crate) const SPACER_SPAN_ID: HeaderName = HeaderName::from_static("x-spacer-span-id");

/// Names the invocation, and says what its last attempt used.
pub(crate) fn invocation(headers: &mut HeaderMap, invocation: &Invocation, usage: Usage) {
    let mut text = Vec::with_capacity(128);
    text.extend_from_slice(invocation.function.as_str().as_bytes());
    let function = text.len();
    text.extend_from_slice(invocation.id.hex().as_str().as_bytes());
    let id = text.len();
    text.extend_from_slice(b"cpu;dur=");
    push_millis(&mut text, usage.cpu);
    text.extend_from_slice(b", fn;dur=");
    push_millis(&mut text, usage.wall);
    let text = Bytes::from(text);
    insert(headers, FUNCTION, text.slice(..function));
    insert(headers, INVOCATION_ID, text.slice(function..id));
    insert(headers, SERVER_TIMING, text.slice(id..));
}

/// Names the trace and the request's span, as W3C has it and as Spacer's clients expect it.
pub(crate) fn trace(headers: &mut HeaderMap, trace: &TraceContext) {
    let text = Bytes::copy_from_slice(&trace.header());
    insert(headers, SPACER_TRACE_ID, text.slice(TraceContext::TRACE_ID));
    insert(headers, SPACER_SPAN_ID, text.slice(TraceContext::SPAN_ID));
    insert(headers, TRACEPARENT, text);
}

/// Milliseconds with three digits: printing a float takes ten times as long.
fn push_millis(text: &mut Vec<u8>, time: Duration) {
    let micros = time.as_micros() as u64;
    text.extend_from_slice(itoa::Buffer::new().format(micros / 1000).as_bytes());
    // 1000 more, so that there are three digits behind the first one
    text.push(b'.');
    text.extend_from_slice(&itoa::Buffer::new().format(1000 + micros % 1000).as_bytes()[1..]);
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: Bytes) {
    if let Ok(value) = HeaderValue::from_maybe_shared(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_milliseconds_with_three_digits() {
        let shown = |micros| {
            let mut text = Vec::new();
            push_millis(&mut text, Duration::from_micros(micros));
            String::from_utf8(text).expect("digits")
        };
        assert_eq!(
            [shown(0), shown(7), shown(1042), shown(61_000_999)],
            ["0.000", "0.007", "1.042", "61000.999"]
        );
    }

    #[test]
    fn a_trace_is_named_in_both_forms() {
        let mut headers = HeaderMap::new();
        trace(&mut headers, &TraceContext::root(0xab, 0xcd, true));
        let value = |name| headers[name].to_str().expect("text").to_owned();
        assert_eq!(value("traceparent"), "00-000000000000000000000000000000ab-00000000000000cd-01");
        assert_eq!(value("x-spacer-trace-id"), "000000000000000000000000000000ab");
        assert_eq!(value("x-spacer-span-id"), "00000000000000cd");
    }
}
