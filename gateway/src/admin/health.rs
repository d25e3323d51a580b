//! Whether the server lives, is ready, and how it is.

use super::{Admin, ApiError};
use crate::error_code::ErrorCode;
use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Ready: the log answers. What someone must see to is told, a line each; it does not make the server less ready.
pub(super) async fn ready(State(admin): State<Admin>) -> Result<String, ApiError> {
    if admin.shutdown.is_cancelled() {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::STOPPING,
            "this server is stopping",
        ));
    }
    admin.session.log().topics().await?;
    let mut told = String::from("ready\n");
    for trouble in admin.session.log().troubles().await? {
        told.push_str(&trouble);
        told.push('\n');
    }
    Ok(told)
}

pub(super) async fn status(State(admin): State<Admin>) -> Result<Json<Value>, ApiError> {
    let capabilities = admin.session.log().capabilities();
    let topics = admin.session.log().topics().await?;
    let triggers = admin.triggers.status().await?;
    let troubles = admin.session.log().troubles().await?;
    let project = admin.live.borrow().clone();
    Ok(Json(json!({
        "app": admin.settings.app,
        "env": admin.settings.env,
        "version": env!("CARGO_PKG_VERSION"),
        "code": &**project.code.version(),
        "log": {
            "driver": capabilities.driver,
            "place": capabilities.place,
            "durability": capabilities.durability,
        },
        "topics": topics.len(),
        "functions": project.code.functions().len(),
        "routes": project.router.routes().len(),
        "triggers": triggers,
        "troubles": troubles,
        "broken": project.code.errors().iter().map(ToString::to_string).collect::<Vec<_>>(),
    })))
}

pub(super) async fn metrics(State(admin): State<Admin>) -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (admin.metrics.0)())
}
