//! Triggers: how they are; pause, resume, seek, forget.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_schema::{GroupName, Position};
use weir_triggers::{Trigger, TriggerStatus};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/triggers", get(list))
        .route("/v1/triggers/{topic}/{function}", delete(forget))
        .route("/v1/triggers/{topic}/{function}/pause", post(pause))
        .route("/v1/triggers/{topic}/{function}/resume", post(resume))
        .route("/v1/triggers/{topic}/{function}/seek", post(seek))
}

async fn list(State(admin): State<Admin>) -> Result<Json<Vec<TriggerStatus>>, ApiError> {
    Ok(Json(admin.triggers.status().await?))
}

fn find(admin: &Admin, topic: &str, function: &str) -> Result<Arc<Trigger>, ApiError> {
    Ok(admin.triggers.named(&format!("{topic}/{function}"))?)
}

async fn pause(
    State(admin): State<Admin>,
    Path((topic, function)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    admin.triggers.pause(&find(&admin, &topic, &function)?.group).await?;
    Ok(Json(json!({ "paused": format!("{topic}/{function}") })))
}

async fn resume(
    State(admin): State<Admin>,
    Path((topic, function)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    admin.triggers.resume(&find(&admin, &topic, &function)?.group).await?;
    Ok(Json(json!({ "resumed": format!("{topic}/{function}") })))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Seek {
    to: String,
    partition: Option<u32>,
}

async fn seek(
    State(admin): State<Admin>,
    Path((topic, function)): Path<(String, String)>,
    Json(seek): Json<Seek>,
) -> Result<Json<Value>, ApiError> {
    let trigger = find(&admin, &topic, &function)?;
    let to: Position = seek.to.parse().map_err(|e| ApiError::bad(format!("to: {e}")))?;
    let info = super::topics::find(&admin, &topic).await?;
    super::topics::need_partition(&info, to, seek.partition)?;
    let positions = admin.triggers.seek(&trigger.group, to, seek.partition).await?;
    Ok(Json(json!({ "trigger": format!("{topic}/{function}"), "positions": positions })))
}

/// Drops a group that has no trigger any more.
async fn forget(
    State(admin): State<Admin>,
    Path((topic, function)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{topic}/{function}");
    if admin.triggers.named(&name).is_ok() {
        let text = format!("{name} is a trigger of this project; take it out of `events` first");
        return Err(ApiError::new(http::StatusCode::CONFLICT, ErrorCode::IN_USE, text));
    }
    let group = GroupName::new(&name).map_err(|e| ApiError::bad(e.to_string()))?;
    if admin.session.log().positions(Some(&group)).await?.is_empty() {
        return Err(ApiError::missing(format!("there is no group {name}")));
    }
    admin.triggers.forget(&group).await?;
    Ok(Json(json!({ "forgotten": name })))
}
