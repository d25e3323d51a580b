//! Replays: begin one, see how it gets on, pause, resume, cancel; dry runs, line by line.

use super::{Admin, ApiError, functions};
use crate::error_code::ErrorCode;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::num::NonZeroU32;
use tokio_stream::wrappers::ReceiverStream;
use weir_schema::{FunctionName, Position, TopicName};
use weir_triggers::replay::{DryLine, NewReplay, ReplayError, ReplayStatus};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/replays", get(list).post(create))
        .route("/v1/replays/{name}", get(show))
        .route("/v1/replays/{name}/pause", post(pause))
        .route("/v1/replays/{name}/resume", post(resume))
        .route("/v1/replays/{name}/cancel", post(cancel))
        .route("/v1/replays/{name}/promote", post(later))
        .route("/v1/replays/{name}/rollback", post(later))
        .route("/v1/replays/{name}/compare", get(later))
}

/// What is asked for. `mode` is `dry-run` or `in-place`; with `?plan=true` it is not looked at.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    topic: TopicName,
    function: FunctionName,
    mode: Option<String>,
    from: Option<String>,
    to: Option<String>,
    partition: Option<u32>,
    key: Option<String>,
    rate: Option<NonZeroU32>,
    #[serde(default)]
    emit: bool,
    #[serde(default)]
    allow_http: Vec<String>,
    name: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    /// Only say what it would be about.
    #[serde(default)]
    plan: bool,
    /// Of a dry run: each append and each write, one line each.
    #[serde(default)]
    effects: bool,
}

async fn create(
    State(admin): State<Admin>,
    Query(how): Query<How>,
    Json(asked): Json<Asked>,
) -> Result<Response, ApiError> {
    let mode = asked.mode.clone();
    let new = read(&admin, asked).await?;
    if how.plan {
        return Ok(Json(admin.replays.plan(&new).await?).into_response());
    }
    match mode.as_deref() {
        Some("in-place") => {
            Ok((StatusCode::CREATED, Json(admin.replays.create(&new).await?)).into_response())
        }
        Some("dry-run") => dry_run(admin, &new, how.effects).await,
        Some("shadow") => Err(not_yet("a shadow replay")),
        Some(other) => Err(ApiError::bad(format!("mode {other:?}: one of dry-run, in-place"))),
        None => Err(ApiError::bad("a replay names its mode: one of dry-run, in-place")),
    }
}

async fn read(admin: &Admin, asked: Asked) -> Result<NewReplay, ApiError> {
    super::topics::find(admin, asked.topic.as_str()).await?;
    let is_trigger = admin.triggers.named(&format!("{}/{}", asked.topic, asked.function)).is_ok();
    let functions = admin.live.borrow().code.functions();
    if !is_trigger && !functions.contains(&asked.function) {
        let known: Vec<_> = functions.iter().map(ToString::to_string).collect();
        let (function, known) = (&asked.function, known.join(", "));
        return Err(ApiError::missing(format!("there is no function {function} (functions: {known})")));
    }
    let position = |field: &str, text: Option<String>| -> Result<Option<Position>, ApiError> {
        let parsed = text.map(|t| t.parse()).transpose();
        parsed.map_err(|e| ApiError::bad(format!("{field}: {e}")))
    };
    Ok(NewReplay {
        from: position("from", asked.from)?,
        to: position("to", asked.to)?,
        topic: asked.topic,
        function: asked.function,
        partition: asked.partition,
        key: asked.key,
        rate: asked.rate,
        emit: asked.emit,
        allow_http: asked.allow_http,
        name: asked.name,
    })
}

/// NDJSON: `{"progress"}`, `{"failure"}`, with `effects` `{"append"}` and `{"write"}`, at last `{"report"}` or `{"error"}`.
async fn dry_run(admin: Admin, new: &NewReplay, with_effects: bool) -> Result<Response, ApiError> {
    let lines = ReceiverStream::new(admin.replays.dry_run(new).await?);
    let texts = lines.map(move |line| {
        let mut text = String::new();
        for json in to_json(&admin, line, with_effects) {
            text.push_str(&json.to_string());
            text.push('\n');
        }
        Ok::<_, Infallible>(Bytes::from(text))
    });
    let body = axum::body::Body::from_stream(texts);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

fn to_json(admin: &Admin, line: DryLine, with_effects: bool) -> Vec<Value> {
    match line {
        DryLine::Progress { done, total } => vec![json!({ "progress": { "done": done, "total": total } })],
        DryLine::Failure(failure) => vec![json!({ "failure": failure })],
        DryLine::Report(report) => vec![json!({ "report": report })],
        DryLine::Error(error) => vec![json!({ "error": error })],
        DryLine::Effects { .. } if !with_effects => Vec::new(),
        DryLine::Effects { partition, offset, effects } => {
            let cause = json!({ "partition": partition, "offset": offset });
            let appends = functions::describe_appends(admin, &effects.appends).into_iter();
            let appends = appends.map(|append| json!({ "append": append, "cause": cause }));
            let writes = effects.writes.iter().map(|(key, op)| super::state::describe(key, op));
            let writes = writes.map(|write| json!({ "write": write, "cause": cause }));
            appends.chain(writes).collect()
        }
    }
}

async fn list(State(admin): State<Admin>) -> Result<Json<Vec<ReplayStatus>>, ApiError> {
    Ok(Json(admin.replays.list().await?))
}

async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Json<ReplayStatus>, ApiError> {
    Ok(Json(admin.replays.show(&name).await?))
}

async fn pause(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Json<ReplayStatus>, ApiError> {
    Ok(Json(admin.replays.pause(&name).await?))
}

async fn resume(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<ReplayStatus>, ApiError> {
    Ok(Json(admin.replays.resume(&name).await?))
}

async fn cancel(
    State(admin): State<Admin>,
    Path(name): Path<String>,
) -> Result<Json<ReplayStatus>, ApiError> {
    Ok(Json(admin.replays.cancel(&name).await?))
}

/// What only a shadow replay can do.
async fn later(State(admin): State<Admin>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    admin.replays.show(&name).await?;
    Err(not_yet("compare, promote and rollback belong to shadow replays, and a shadow replay"))
}

fn not_yet(what: &str) -> ApiError {
    let text = format!("{what} comes with a later version; there are dry-run and in-place");
    ApiError::new(StatusCode::NOT_IMPLEMENTED, ErrorCode::NOT_YET, text)
}

impl From<ReplayError> for ApiError {
    fn from(error: ReplayError) -> Self {
        let (status, code) = match &error {
            ReplayError::Ask(_) | ReplayError::Log(_) | ReplayError::Commit(_) => return inner(error),
            ReplayError::Unknown(_) => (StatusCode::NOT_FOUND, ErrorCode::NOT_FOUND),
            ReplayError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::INVALID),
            ReplayError::Taken(_) => (StatusCode::CONFLICT, ErrorCode::ALREADY_EXISTS),
            ReplayError::Busy { .. } => (StatusCode::CONFLICT, ErrorCode::IN_USE),
            ReplayError::Over { .. } => (StatusCode::CONFLICT, ErrorCode::OVER),
            ReplayError::Changed(_) => (StatusCode::CONFLICT, ErrorCode::CONFLICT),
            ReplayError::NoServer => (StatusCode::CONFLICT, ErrorCode::NO_SERVER),
        };
        Self::new(status, code, error.to_string())
    }
}

fn inner(error: ReplayError) -> ApiError {
    match error {
        ReplayError::Ask(error) => error.into(),
        ReplayError::Log(error) => error.into(),
        ReplayError::Commit(error) => error.into(),
        other => ApiError::bad(other.to_string()),
    }
}
