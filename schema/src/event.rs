//! The JSON form of an event, the same everywhere: command line, HTTP, exports.
//!
//! `{"topic","partition","offset","key","value","headers","timestamp"}`. A key that is not UTF-8 stands in
//! `key_bytes`, a value that is not JSON in `value_bytes`, both base64. A value is kept byte for byte.

use crate::{Record, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An event that is to be appended.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NewEvent {
    /// Where it belongs, by the topic's partitioner; without one, any partition.
    pub key: Option<Bytes>,
    /// None is a tombstone.
    pub value: Option<Bytes>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Bytes)>,
}

/// Why a text is no event.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EventError {
    /// Not the documented shape.
    #[error("not an event: {0}; write {{\"key\": …, \"value\": …, \"headers\": {{…}}}}")]
    Shape(String),
    /// Two forms of the same thing.
    #[error("{0} and {0}_bytes exclude each other")]
    Both(&'static str),
    /// Not base64.
    #[error("{field}_bytes is not base64: {reason}")]
    Base64 {
        /// `key` or `value`.
        field: &'static str,
        /// The decoder's words.
        reason: String,
    },
    /// A header that only the platform writes.
    #[error("header {0:?}: names that begin with weir- are reserved")]
    ReservedHeader(String),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    key_bytes: Option<String>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(default)]
    value_bytes: Option<String>,
    #[serde(default)]
    headers: Option<BTreeMap<String, String>>,
    // what the log sets: allowed, so that what `weir events --json` printed can be appended again, and ignored
    #[serde(default)]
    topic: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    partition: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    offset: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    timestamp: Option<serde::de::IgnoredAny>,
}

/// Reads one event to append. Its value keeps the bytes that it has in `json`. An explicit `"value": null` is the
/// JSON text `null`; no value at all is a tombstone.
///
/// # Errors
/// `EventError`, which shows what is wrong.
pub fn event_from_json(json: &[u8]) -> Result<NewEvent, EventError> {
    let form: Form<'_> = serde_json::from_slice(json).map_err(|e| EventError::Shape(e.to_string()))?;
    let _ = (form.topic, form.partition, form.offset, form.timestamp);
    let decode = |field, text: String| {
        let decoded = BASE64.decode(text).map_err(|e| EventError::Base64 { field, reason: e.to_string() });
        decoded.map(Bytes::from)
    };
    let key = match (form.key, form.key_bytes) {
        (Some(_), Some(_)) => return Err(EventError::Both("key")),
        (Some(key), None) => Some(Bytes::from(key)),
        (None, Some(base64)) => Some(decode("key", base64)?),
        (None, None) => None,
    };
    // `Option<&RawValue>` reads null as None, so null is looked for in the text itself
    let value = match (form.value, form.value_bytes) {
        (Some(_), Some(_)) => return Err(EventError::Both("value")),
        (Some(raw), None) => Some(Bytes::copy_from_slice(raw.get().as_bytes())),
        (None, Some(base64)) => Some(decode("value", base64)?),
        (None, None) if has_null_value(json) => Some(Bytes::from_static(b"null")),
        (None, None) => None,
    };
    let headers: Vec<_> =
        form.headers.unwrap_or_default().into_iter().map(|(n, v)| (n, Bytes::from(v))).collect();
    if let Some((name, _)) = headers.iter().find(|(n, _)| is_reserved(n)) {
        return Err(EventError::ReservedHeader(name.clone()));
    }
    Ok(NewEvent { key, value, headers })
}

fn is_reserved(name: &str) -> bool {
    name.get(..header::RESERVED.len()).is_some_and(|p| p.eq_ignore_ascii_case(header::RESERVED))
}

fn has_null_value(json: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json)
        .is_ok_and(|m| m.contains_key("value"))
}

/// Writes an event's JSON form to `out`. Of headers that repeat, the last counts; one that is not UTF-8 is
/// written with replacement characters.
pub fn event_to_json(topic: &str, record: &Record<'_>, out: &mut Vec<u8>) {
    let meta = record.meta;
    out.extend_from_slice(b"{\"topic\":");
    write_json_string(topic, out);
    push_number(",\"partition\":", u64::from(meta.at.partition), out);
    push_number(",\"offset\":", meta.offset.0, out);
    if let Some(key) = record.key() {
        match std::str::from_utf8(key) {
            Ok(text) => push_string(",\"key\":", text, out),
            Err(_) => push_string(",\"key_bytes\":", &BASE64.encode(key), out),
        }
    }
    if let Some(value) = record.value() {
        if is_json(value) {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value);
        } else {
            push_string(",\"value_bytes\":", &BASE64.encode(value), out);
        }
    }
    let headers: BTreeMap<_, _> = record.headers().map(|(n, v)| (n, String::from_utf8_lossy(v))).collect();
    out.extend_from_slice(b",\"headers\":{");
    for (i, (name, value)) in headers.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_json_string(name, out);
        out.push(b':');
        write_json_string(value, out);
    }
    push_string("},\"timestamp\":", &meta.time.to_rfc3339(), out);
    out.push(b'}');
}

/// Whether the bytes are one JSON text. NDJSON needs it on one line, so one that holds a line break is none.
fn is_json(value: &[u8]) -> bool {
    !value.contains(&b'\n') && !value.contains(&b'\r') && serde_json::from_slice::<&RawValue>(value).is_ok()
}

/// Appends `text` as a JSON string.
pub fn write_json_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string always has a JSON form, and a Vec takes it");
}

fn push_string(label: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(label.as_bytes());
    write_json_string(text, out);
}

fn push_number(label: &str, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{label}{number}").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{At, Millis, Offset, RecordsBuilder, TopicId};
    use proptest::prelude::*;

    #[derive(serde::Deserialize)]
    struct Place {
        offset: Offset,
    }

    fn json_of(event: &NewEvent, offset: u64) -> Vec<u8> {
        let mut encoded = RecordsBuilder::default();
        let at = At { topic: TopicId(0), partition: 2 };
        encoded.push(
            at,
            event.key.as_deref(),
            event.value.as_deref(),
            event.headers.iter().map(|(n, v)| (n.as_str(), &**v)),
        );
        let encoded = encoded.build();
        let record = encoded.get(0).expect("one");
        let mut builder = RecordsBuilder::default();
        builder.push_encoded(
            at,
            Offset(offset),
            Millis(1000),
            record.key(),
            record.value(),
            record.headers_encoded(),
        );
        let records = builder.build();
        let mut out = Vec::new();
        event_to_json("orders", &records.get(0).expect("one"), &mut out);
        out
    }

    #[test]
    fn an_event_has_the_documented_fields() {
        let event = NewEvent {
            key: Some("k".into()),
            value: Some(r#"{"a": 1.0}"#.into()),
            headers: vec![("h".into(), "v".into())],
        };
        assert_eq!(
            String::from_utf8(json_of(&event, 7)).expect("UTF-8"),
            r#"{"topic":"orders","partition":2,"offset":7,"key":"k","value":{"a": 1.0},"headers":{"h":"v"},"timestamp":"1970-01-01T00:00:01.000Z"}"#
        );
    }

    #[test]
    fn bytes_that_are_no_json_are_base64() {
        let event = NewEvent {
            key: Some(Bytes::from_static(b"\xff")),
            value: Some("not json".into()),
            headers: vec![],
        };
        let json = String::from_utf8(json_of(&event, 0)).expect("UTF-8");
        assert!(json.contains(r#""key_bytes":"/w==","value_bytes":"bm90IGpzb24=""#), "{json}");
    }

    #[test]
    fn a_null_value_is_not_a_tombstone() {
        assert_eq!(event_from_json(br#"{"value": null}"#).expect("an event").value, Some("null".into()));
        assert_eq!(event_from_json(br#"{"key": "k"}"#).expect("an event").value, None);
    }

    #[test]
    fn what_is_no_event_says_why() {
        let error = |json: &str| event_from_json(json.as_bytes()).expect_err("no event");
        assert!(matches!(error(r#"{"kee": 1}"#), EventError::Shape(reason) if reason.contains("kee")));
        assert_eq!(error(r#"{"key": "a", "key_bytes": "YQ=="}"#), EventError::Both("key"));
        assert!(matches!(error(r#"{"value_bytes": "%"}"#), EventError::Base64 { field: "value", .. }));
        assert_eq!(
            error(r#"{"headers": {"Weir-Hops": "1"}}"#),
            EventError::ReservedHeader("Weir-Hops".into())
        );
    }

    fn json_value() -> impl Strategy<Value = Bytes> {
        prop_oneof![
            Just(Bytes::from_static(b"null")),
            any::<i64>().prop_map(|n| n.to_string().into()),
            any::<String>().prop_map(|s| serde_json::to_string(&s).expect("a string").into()),
            Just(Bytes::from_static(br#"{"a":  [1.50, {"b": null}]}"#)),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_the_same(
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
            value in prop::option::of(json_value()),
            headers in prop::collection::btree_map("[a-v][a-z-]{0,10}", any::<String>(), 0..4),
            offset in any::<u64>(),
        ) {
            let headers = headers.into_iter().map(|(n, v)| (n, Bytes::from(v))).collect();
            let event = NewEvent { key: key.map(Bytes::from), value, headers };
            let json = json_of(&event, offset);
            // surrounding white space belongs to no JSON text, so it is not kept
            let trimmed = event.value.as_ref().map(|v| if is_json(v) { Bytes::copy_from_slice(v.trim_ascii()) } else { v.clone() });
            prop_assert_eq!(event_from_json(&json), Ok(NewEvent { value: trimmed, ..event }));
            let place: Place = serde_json::from_slice(&json).expect("an event has its place");
            prop_assert_eq!(place.offset, Offset(offset));
        }

        #[test]
        fn reading_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(event_from_json(&bytes).is_ok() || event_from_json(&bytes).is_err());
        }
    }
}
