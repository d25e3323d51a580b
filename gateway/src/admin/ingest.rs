//! Appending events over HTTP: one, a list, NDJSON, or CloudEvents. One request is one transaction.

use super::topics::find;
use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::Json;
use axum::extract::{Path, State};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use weir_log::{CommitError, Log, TopicInfo};
use weir_runtime::{Session, SpanKind};
use weir_schema::{
    At, Cause, Headers, InvocationId, Millis, NewEvent, Offset, Receipt, RecordsBuilder, Source,
    TraceContext, Transaction, event_from_json,
};

pub(super) async fn append(
    State(admin): State<Admin>,
    Path(topic): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let topic = find(&admin, &topic).await?;
    let events = read_events(&headers, &body)?;
    let settings = admin.live.borrow().settings.clone();
    for (i, event) in events.iter().enumerate() {
        check_size(i, event, settings.limits.event)?;
    }
    let (trace, _) = crate::request::trace(&headers, settings.sample);
    let receipt = append_events(&admin.session, &topic, &events, &trace).await?;
    let appended: Vec<_> = receipt
        .offsets()
        .map(|(at, offset)| json!({ "partition": at.partition, "offset": offset }))
        .collect();
    Ok(Json(json!({ "appended": appended })))
}

fn check_size(index: usize, event: &NewEvent, limit: usize) -> Result<(), ApiError> {
    let headers: usize = event.headers.iter().map(|(n, v)| n.len() + v.len()).sum();
    let size =
        event.key.as_ref().map_or(0, Bytes::len) + event.value.as_ref().map_or(0, Bytes::len) + headers;
    if size <= limit {
        return Ok(());
    }
    let text = format!("event {} has {size} bytes, the limit is {limit} (weir.limits.event)", index + 1);
    Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TOO_LARGE, text))
}

/// Appends from outside: their cause is the request.
pub(crate) async fn append_events(
    session: &Session,
    topic: &TopicInfo,
    events: &[NewEvent],
    trace: &TraceContext,
) -> Result<Receipt, CommitError> {
    if events.is_empty() {
        return Ok(Receipt::default());
    }
    let request = InvocationId(fastrand::u128(..)).to_string();
    let mut cause = Cause {
        source: Source::Invocation(request),
        function: None,
        version: "".into(),
        trace: None,
        hops: 0,
    };
    let (mut untraced, mut traced) = (Vec::new(), Vec::new());
    cause.encode(&mut untraced);
    cause.trace = Some(*trace);
    cause.encode(&mut traced);
    let mut builder = RecordsBuilder::default();
    let mut headers = Vec::new();
    let mut spread = fastrand::u32(..);
    for event in events {
        let partition = match &event.key {
            Some(key) => topic.spec.partitioner.partition(key, topic.spec.partitions),
            None => {
                spread = spread.wrapping_add(1);
                spread % topic.spec.partitions
            }
        };
        let at = At { topic: topic.id, partition };
        // a client's own traceparent on the event is the event's
        let own = event.headers.iter().any(|(n, _)| n == weir_schema::header::TRACEPARENT);
        headers.clear();
        for (name, value) in &event.headers {
            Headers::encode(&mut headers, name, value);
        }
        headers.extend_from_slice(if own { &untraced } else { &traced });
        let (key, value) = (event.key.as_deref(), event.value.as_deref());
        builder.push_encoded(at, Offset::ZERO, Millis(0), key, value, &headers);
    }
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.appends.push(builder.build());
    let started = std::time::Instant::now();
    let outcome = commit(&**session.log(), Arc::new(transaction)).await;
    session.record("append", *trace, 0, started, |span| {
        span.kind = SpanKind::Producer;
        span.attributes = vec![
            ("messaging.destination.name", topic.spec.name.to_string()),
            ("weir.events", events.len().to_string()),
        ];
        span.error = outcome.as_ref().err().map(ToString::to_string);
    });
    outcome
}

/// Commits; an outcome that is not known is asked for again a few times.
async fn commit(log: &dyn Log, transaction: Arc<Transaction>) -> Result<Receipt, CommitError> {
    for _ in 0..20 {
        match log.commit(transaction.clone()).await {
            Err(CommitError::Ambiguous(_)) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            outcome => return outcome,
        }
    }
    log.commit(transaction).await
}

fn read_events(headers: &HeaderMap, body: &Bytes) -> Result<Vec<NewEvent>, ApiError> {
    let kind =
        headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if kind.starts_with("application/cloudevents-batch+json") {
        let list: Vec<&RawValue> = parse(body)?;
        return list.iter().map(|raw| structured(raw.get().as_bytes())).collect();
    }
    if kind.starts_with("application/cloudevents+json") {
        return Ok(vec![structured(body)?]);
    }
    if headers.contains_key("ce-id") {
        return Ok(vec![binary(headers, &kind, body)]);
    }
    if kind.starts_with("application/x-ndjson") {
        return read_lines(body);
    }
    let one = |bytes: &[u8]| event_from_json(bytes).map_err(|e| ApiError::bad(e.to_string()));
    if body.trim_ascii_start().starts_with(b"[") {
        let list: Vec<&RawValue> = parse(body)?;
        let events = list.iter().enumerate();
        return events
            .map(|(i, raw)| {
                event_from_json(raw.get().as_bytes())
                    .map_err(|e| ApiError::bad(format!("event {}: {e}", i + 1)))
            })
            .collect();
    }
    Ok(vec![one(body)?])
}

fn read_lines(body: &Bytes) -> Result<Vec<NewEvent>, ApiError> {
    let lines = body.split(|b| *b == b'\n').enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(i, line)| event_from_json(line).map_err(|e| ApiError::bad(format!("line {}: {e}", i + 1))))
        .collect()
}

fn parse<'b, T: serde::Deserialize<'b>>(body: &'b [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| ApiError::bad(format!("the body is not JSON as expected: {e}")))
}

/// CloudEvents 1.0 in JSON format: the data is the value, the attributes are headers `ce_*` as in the Kafka
/// protocol binding, the extension `partitionkey` is the key.
fn structured(json: &[u8]) -> Result<NewEvent, ApiError> {
    let mut attributes: std::collections::BTreeMap<String, &RawValue> = parse(json)?;
    for required in ["specversion", "id", "source", "type"] {
        if !attributes.contains_key(required) {
            return Err(ApiError::bad(format!(
                "a CloudEvent has the attribute {required:?}; this one does not"
            )));
        }
    }
    let data = attributes.remove("data").map(|raw| Bytes::copy_from_slice(raw.get().as_bytes()));
    let base64 = attributes.remove("data_base64");
    let value = match (data, base64) {
        (None, Some(raw)) => {
            use base64::Engine as _;
            let text: String = parse(raw.get().as_bytes())?;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            Some(bytes.map_err(|e| ApiError::bad(format!("data_base64: {e}")))?.into())
        }
        (data, _) => data,
    };
    let texts = attributes.into_iter().map(|(name, raw)| {
        let text = serde_json::from_str::<String>(raw.get()).unwrap_or_else(|_| raw.get().to_owned());
        (name, text)
    });
    Ok(with_attributes(texts, value))
}

/// CloudEvents in binary mode: headers `ce-*`, the body is the value.
fn binary(headers: &HeaderMap, kind: &str, body: &Bytes) -> NewEvent {
    let attributes = headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("ce-")?;
        let value = percent_encoding::percent_decode(value.as_bytes()).decode_utf8_lossy().into_owned();
        Some((name.to_owned(), value))
    });
    let kind = (!kind.is_empty()).then(|| ("datacontenttype".to_owned(), kind.to_owned()));
    with_attributes(attributes.chain(kind), (!body.is_empty()).then(|| body.clone()))
}

fn with_attributes(attributes: impl Iterator<Item = (String, String)>, value: Option<Bytes>) -> NewEvent {
    let mut event = NewEvent { value, ..NewEvent::default() };
    for (name, text) in attributes {
        match name.as_str() {
            "partitionkey" => event.key = Some(text.into()),
            "traceparent" => event.headers.push((name, text.into())),
            "datacontenttype" => event.headers.push(("content-type".into(), text.into())),
            _ => event.headers.push((format!("ce_{name}"), text.into())),
        }
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(kind: &'static str, body: &'static str) -> Result<Vec<NewEvent>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        read_events(&headers, &Bytes::from(body))
    }

    #[test]
    fn one_event_a_list_and_lines_are_told_apart() {
        let count = |kind, body| read(kind, body).expect("events").len();
        assert_eq!(count("application/json", r#"{"value":1}"#), 1);
        assert_eq!(count("application/json", r#" [{"value":1},{"value":2}]"#), 2);
        assert_eq!(count("application/x-ndjson", "{\"value\":1}\n\n{\"value\":2}\n"), 2);
        assert!(read("application/x-ndjson", "{\"value\":1}\n{").is_err());
    }

    #[test]
    fn cloud_events_of_both_modes_become_the_same_event() {
        let json = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","partitionkey":"k","datacontenttype":"application/json","data":{"a":1}}"#;
        let mut structured = read("application/cloudevents+json", json).expect("an event").remove(0);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-type", "t"),
            ("ce-partitionkey", "k"),
            ("content-type", "application/json"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut binary = read_events(&headers, &Bytes::from(r#"{"a":1}"#)).expect("an event").remove(0);
        structured.headers.sort();
        binary.headers.sort();
        assert_eq!(structured, binary);
        assert_eq!(structured.key, Some("k".into()));
        assert!(read("application/cloudevents+json", r#"{"id":"1"}"#).is_err());
    }
}
