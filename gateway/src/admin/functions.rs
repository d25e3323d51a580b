//! Functions and routes: list them, call one.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use crate::respond;
use crate::transact::{Done, Refusal};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{mpsc, oneshot};
use weir_runtime::{Args, Invocation, Origin, Reply};
use weir_schema::{FunctionName, InvocationId, Record, Records, TraceContext, event_to_json};

/// A call for a worker.
#[derive(Debug)]
pub struct Call {
    /// What to run.
    pub invocation: Invocation,
    /// The request's span.
    pub trace: TraceContext,
    /// Commit nothing.
    pub dry: bool,
    /// Where the outcome goes.
    pub done: oneshot::Sender<Done>,
}

/// The workers' ends, in turn.
#[derive(Debug)]
pub struct Calls {
    workers: Vec<mpsc::Sender<Call>>,
    next: AtomicUsize,
}

impl Calls {
    /// Calls for these workers.
    #[must_use]
    pub fn new(workers: Vec<mpsc::Sender<Call>>) -> Self {
        Self { workers, next: AtomicUsize::new(0) }
    }

    async fn run(&self, invocation: Invocation, trace: TraceContext, dry: bool) -> Option<Done> {
        let (done, outcome) = oneshot::channel();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let worker = self.workers.get(turn % self.workers.len().max(1))?;
        worker.send(Call { invocation, trace, dry, done }).await.ok()?;
        outcome.await.ok()
    }
}

pub(super) fn routes(body: usize) -> Router<Admin> {
    Router::new()
        .route("/v1/functions", get(list))
        .route("/v1/routes", get(list_routes))
        .route("/v1/functions/{function}/call", post(call))
        .layer(DefaultBodyLimit::max(body))
}

async fn list(State(admin): State<Admin>) -> Json<Vec<Value>> {
    let project = admin.live.borrow().clone();
    let errors = project.code.errors();
    let functions = project.code.functions().into_iter().map(|name| {
        let path = format!("app/{name}.lua");
        let error = errors.iter().find(|e| e.file == path).map(ToString::to_string);
        let routes: Vec<_> = project.router.routes().iter().filter(|r| r.function == name).collect();
        let routes: Vec<_> = routes.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
        json!({ "function": name, "routes": routes, "error": error })
    });
    Json(functions.collect())
}

async fn list_routes(State(admin): State<Admin>) -> Json<Vec<Value>> {
    let project = admin.live.borrow().clone();
    let routes = project.router.routes().iter();
    Json(routes.map(|r| json!({ "method": r.method, "path": r.path, "function": r.function })).collect())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct How {
    #[serde(default)]
    dry_run: bool,
}

async fn call(
    State(admin): State<Admin>,
    Path(function): Path<String>,
    Query(how): Query<How>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let function = FunctionName::new(&function).map_err(|e| ApiError::bad(e.to_string()))?;
    refuse_unknown(&admin, &function)?;
    if !body.is_empty() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&body)
            .map_err(|e| ApiError::bad(format!("the arguments are not JSON: {e}")))?;
    }
    let settings = admin.live.borrow().settings.clone();
    let (trace, _) = crate::request::trace(&headers, settings.sample);
    let invocation = Invocation {
        id: InvocationId(fastrand::u128(..)),
        limits: settings.limits_of(&function),
        function,
        // as a request without a body
        args: Args::Json(if body.is_empty() { Bytes::from_static(b"{}") } else { body }),
        hops: 0,
        attempt: 1,
        trace: trace.child(fastrand::u64(..)),
        origin: Origin::Call,
        replay: None,
    };
    let stopping =
        || ApiError::new(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::STOPPING, "this server is stopping");
    let done = admin.calls.run(invocation, trace, how.dry_run).await.ok_or_else(stopping)?;
    Ok(if how.dry_run { dry_answer(&admin, done) } else { answer(done) })
}

fn refuse_unknown(admin: &Admin, function: &FunctionName) -> Result<(), ApiError> {
    let code = admin.live.borrow().code.clone();
    if code.has_function(function) {
        return Ok(());
    }
    let known: Vec<_> = code.functions().iter().map(ToString::to_string).collect();
    let text = format!(
        "there is no function {function}: app/{function}.lua is missing (functions: {})",
        known.join(", ")
    );
    Err(ApiError::missing(text))
}

/// As the gateway would answer; the admin API shows causes in production too.
fn answer(done: Done) -> Response {
    match done.result {
        Ok(reply) => respond::reply(reply),
        Err(refusal) => respond::refusal(&refusal, true),
    }
    .map(axum::body::Body::new)
}

/// What would have been committed.
fn dry_answer(admin: &Admin, done: Done) -> Response {
    let value = |bytes: &[u8]| {
        serde_json::from_slice(bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(bytes)))
    };
    let reply = match done.result {
        Ok(Reply::Value(v)) => json!({ "data": value(&v) }),
        Ok(Reply::Response(r)) => json!({ "status": r.status, "body": value(&r.body) }),
        Err(Refusal::Failed(f)) => {
            json!({ "error": value(&f.payload), "code": f.kind.code(), "message": f.message })
        }
        Err(other) => json!({ "error": other.to_string() }),
    };
    let appends = describe_appends(admin, &done.effects.appends);
    let writes: Vec<Value> =
        done.effects.writes.iter().map(|(key, op)| super::state::describe(key, op)).collect();
    Json(json!({ "reply": reply, "appends": appends, "writes": writes })).into_response()
}

/// Events that are not in the log, as they would be.
pub(super) fn describe_appends(admin: &Admin, appends: &Records) -> Vec<Value> {
    let topics = admin.session.topic_names();
    let describe = |record: Record<'_>| {
        let mut json = Vec::new();
        event_to_json(topics.get(&record.meta.at.topic).map_or("?", |t| t.as_str()), &record, &mut json);
        let mut event: Value = serde_json::from_slice(&json).unwrap_or(Value::Null);
        // what the log would set is not known yet
        if let Some(event) = event.as_object_mut() {
            event.remove("offset");
            event.remove("timestamp");
        }
        event
    };
    appends.iter().map(describe).collect()
}
