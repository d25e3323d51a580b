//! Parked events: list, show, redrive, edit, skip.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use weir_log::ReadLimit;
use weir_schema::{At, event_to_json};
use weir_triggers::Place;
use weir_triggers::dispatcher::{Command, Selection};
use weir_triggers::parked_list::{self, ParkedEvent};

pub(super) fn routes(body: usize) -> Router<Admin> {
    Router::new()
        .route("/v1/parked", get(list))
        .route("/v1/parked/{id}", get(show))
        .route("/v1/parked/{id}/redrive", post(redrive))
        .route("/v1/parked/{id}/skip", post(skip))
        .route("/v1/parked/{id}/value", put(edit))
        .layer(DefaultBodyLimit::max(body))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    topic: Option<String>,
    function: Option<String>,
    key: Option<String>,
}

async fn list(State(admin): State<Admin>, Query(which): Query<Which>) -> Result<Json<Vec<Value>>, ApiError> {
    let events = parked_list::list(&admin.session, None).await?;
    let matches = |event: &ParkedEvent| {
        which.topic.as_ref().is_none_or(|t| event.entry.topic.as_str() == t)
            && which.function.as_ref().is_none_or(|f| function(&admin, event) == *f)
            && which.key.as_ref().is_none_or(|k| event.entry.key.as_deref() == Some(k.as_bytes()))
    };
    Ok(Json(events.iter().filter(|e| matches(e)).map(|e| e.to_json(&function(&admin, e))).collect()))
}

fn function(admin: &Admin, event: &ParkedEvent) -> String {
    let named = admin.triggers.trigger(&event.group).map(|t| t.name.to_string());
    named.unwrap_or_else(|_| event.group.as_str().split_once('/').map_or("", |(_, f)| f).to_owned())
}

async fn find(admin: &Admin, id: &str) -> Result<ParkedEvent, ApiError> {
    let missing = || {
        let text = format!("no event is parked under {id:?} (weir parked list shows those that are)");
        ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NOT_PARKED, text)
    };
    let (group, partition, offset) = ParkedEvent::parse_id(id).ok_or_else(missing)?;
    let events = parked_list::list(&admin.session, Some(&group)).await?;
    events
        .into_iter()
        .find(|e| e.entry.partition == partition && e.entry.offset == offset)
        .ok_or_else(missing)
}

/// The event with its full history, and its value as it is and as it was edited.
async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let event = find(&admin, &id).await?;
    let mut shown = event.to_json(&function(&admin, &event));
    let entry = &event.entry;
    let errors = entry
        .errors
        .iter()
        .map(|e| json!({ "time": e.time.to_rfc3339(), "attempt": e.attempt, "error": e.error }));
    shown["errors"] = errors.collect();
    shown["crashes"] = json!(entry.crashes);
    if let Some(edited) = &entry.edited {
        shown["edited_value"] = serde_json::from_slice(edited).unwrap_or(Value::Null);
    }
    let topic = super::topics::find(&admin, entry.topic.as_str()).await?;
    let at = At { topic: topic.id, partition: entry.partition };
    let records = admin.session.log().read(at, entry.offset, ReadLimit { events: 1, bytes: 1 }).await?;
    if let Some(record) = records.get(0).filter(|r| r.meta.offset == entry.offset) {
        let mut json = Vec::new();
        event_to_json(entry.topic.as_str(), &record, &mut json);
        shown["event"] = serde_json::from_slice(&json).unwrap_or(Value::Null);
    }
    Ok(Json(shown))
}

async fn place(admin: &Admin, event: &ParkedEvent) -> Result<Place, ApiError> {
    let topic = super::topics::find(admin, event.entry.topic.as_str()).await?;
    Ok(Place { group: event.group.clone(), at: At { topic: topic.id, partition: event.entry.partition } })
}

async fn redrive(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let event = find(&admin, &id).await?;
    let command = Command::Redrive(Selection::One(event.entry.offset));
    admin.triggers.ask(&place(&admin, &event).await?, command).await?;
    Ok(Json(json!({ "redriven": id })))
}

async fn skip(State(admin): State<Admin>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let event = find(&admin, &id).await?;
    let command = Command::Skip { offset: event.entry.offset, reason: "skipped by hand".into() };
    admin.triggers.ask(&place(&admin, &event).await?, command).await?;
    Ok(Json(json!({ "skipped": id })))
}

async fn edit(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    serde_json::from_slice::<serde::de::IgnoredAny>(&body)
        .map_err(|e| ApiError::bad(format!("the value is not JSON: {e}")))?;
    let event = find(&admin, &id).await?;
    let command = Command::Edit { offset: event.entry.offset, value: body };
    admin.triggers.ask(&place(&admin, &event).await?, command).await?;
    Ok(Json(json!({ "edited": id })))
}
