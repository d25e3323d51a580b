//! The admin API: everything that the command line does, over HTTP. `weir` itself is a client of it: of a running
//! server's, or of one in its own process on the log alone.

mod error;
mod events;
mod follow;
mod functions;
mod health;
mod ingest;
mod parked;
mod refused;
mod replays;
mod state;
mod topics;
mod triggers;

pub use functions::{Call, Calls};
pub(crate) use ingest::append_events;

use crate::error_code::ErrorCode;
use crate::project::Live;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use error::ApiError;
use http::StatusCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use weir_runtime::Session;
use weir_triggers::{Replays, Triggers};

/// What the admin API acts on.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The log and what the process knows of it.
    pub session: Arc<Session>,
    /// The project, where one is served; its functions and routes.
    pub live: Live,
    /// Where functions are run.
    pub calls: Arc<Calls>,
    /// The triggers of this process.
    pub triggers: Triggers,
    /// The replays of the log.
    pub replays: Replays,
    /// What the API needs to know of the configuration.
    pub settings: Arc<AdminSettings>,
    /// Ends what follows the log.
    pub shutdown: CancellationToken,
    /// What `/metrics` shows.
    pub metrics: Metrics,
}

/// The process's numbers in Prometheus's text form.
#[derive(Clone)]
pub struct Metrics(pub Arc<dyn Fn() -> String + Send + Sync>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// What the admin API is told by the configuration.
#[derive(Clone, Debug)]
pub struct AdminSettings {
    /// What clients must send as `Authorization: Bearer`; empty: nothing.
    pub token: String,
    /// The application's name.
    pub app: String,
    /// `development`, `production`, …
    pub env: String,
    /// Bytes of a request's body.
    pub body: usize,
}

/// The whole API, health checks included.
pub fn router(admin: Admin) -> Router {
    let v1 = Router::new()
        .route("/metrics", get(health::metrics))
        .route("/v1/openapi.json", get(openapi))
        .route("/v1/status", get(health::status))
        .merge(topics::routes())
        .merge(events::routes(admin.settings.body))
        .merge(functions::routes(admin.settings.body))
        .merge(state::routes(admin.settings.body))
        .merge(triggers::routes())
        .merge(parked::routes(admin.settings.body))
        .merge(refused::routes())
        .merge(replays::routes())
        .layer(middleware::from_fn_with_state(admin.clone(), authorize));
    let probes = Router::new().route("/healthz", get(health::live)).route("/readyz", get(health::ready));
    probes.with_state(admin.clone()).merge(v1.with_state(admin)).fallback(not_found)
}

/// `/healthz`, `/readyz`, `/metrics` and nothing else: for probes.
pub fn health_router(admin: &Admin) -> Router {
    Router::new()
        .route("/healthz", get(health::live))
        .route("/readyz", get(health::ready))
        .with_state(admin.clone())
}

async fn authorize(State(admin): State<Admin>, request: Request, next: Next) -> Response {
    let token = admin.settings.token.as_bytes();
    let sent = request
        .headers()
        .get(http::header::AUTHORIZATION)
        .and_then(|v| v.as_bytes().strip_prefix(b"Bearer "));
    if token.is_empty() || sent.is_some_and(|sent| same(sent, token)) {
        return next.run(request).await;
    }
    let text =
        "this server asks for the admin token: send `Authorization: Bearer TOKEN` (WEIR_TOKEN for `weir`)";
    ApiError::new(StatusCode::UNAUTHORIZED, ErrorCode::UNAUTHORIZED, text).into_response()
}

/// Compares without telling by its time how much was right.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |different, (x, y)| different | (x ^ y)) == 0
}

async fn openapi() -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "application/json")], include_str!("admin/openapi.json"))
}

async fn not_found(request: Request) -> ApiError {
    let text = format!(
        "no {} {} here: the API is described at /v1/openapi.json",
        request.method(),
        request.uri().path()
    );
    ApiError::new(StatusCode::NOT_FOUND, ErrorCode::NOT_FOUND, text)
}
