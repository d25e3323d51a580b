//! Spacer's write proxy: `POST {"topic": T, "entries": {KEY: JSON}}` → `{"data":"ok"}`, after it is durable.

use crate::admin::append_events;
use crate::request;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, StatusCode};
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;
use weir_runtime::Session;
use weir_schema::NewEvent;

/// What the write proxy acts on.
#[derive(Clone, Debug)]
pub struct WriteProxy {
    /// The log.
    pub session: Arc<Session>,
    /// What clients must send as `Authorization: Bearer`; empty: nothing.
    pub token: String,
    /// Bytes of a request's body.
    pub body: usize,
}

/// The write proxy as a service. Spacer's clients post to any path.
pub fn write_proxy(proxy: WriteProxy) -> Router {
    let body = proxy.body;
    Router::new()
        .route("/", post(write))
        .route("/{*path}", post(write))
        .layer(DefaultBodyLimit::max(body))
        .with_state(proxy)
}

#[derive(serde::Deserialize)]
struct Request {
    topic: String,
    entries: Entries,
}

/// An object's members in the order of the text.
struct Entries(Vec<(String, Box<RawValue>)>);

impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Entries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of keys and values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

async fn write(State(proxy): State<WriteProxy>, headers: HeaderMap, body: Bytes) -> Response {
    let sent = headers.get(AUTHORIZATION).and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    if !proxy.token.is_empty() && sent != Some(proxy.token.as_bytes()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    // as in Spacer: what is malformed is 400 with an empty body
    let Ok(Request { topic, entries: Entries(entries) }) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if proxy.session.topic(&topic).is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let event = |(key, value): (String, Box<RawValue>)| NewEvent {
        key: Some(key.into()),
        value: Some(Bytes::copy_from_slice(value.get().as_bytes())),
        headers: Vec::new(),
    };
    let events: Vec<_> = entries.into_iter().map(event).collect();
    match append(&proxy, &topic, &events, &headers).await {
        Ok(()) => ([("content-type", "application/json")], r#"{"data":"ok"}"#).into_response(),
        Err(error) => {
            let body = serde_json::json!({ "error": error.to_string() });
            (StatusCode::SERVICE_UNAVAILABLE, axum::Json(body)).into_response()
        }
    }
}

async fn append(
    proxy: &WriteProxy,
    topic: &str,
    events: &[NewEvent],
    headers: &HeaderMap,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let topics = proxy.session.log().topics().await?;
    let found =
        topics.iter().find(|t| t.spec.name.as_str() == topic).ok_or("the topic has not been created")?;
    append_events(&proxy.session, found, events, &request::trace(headers, 1.0).0).await?;
    Ok(())
}
