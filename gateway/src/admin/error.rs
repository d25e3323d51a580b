//! Errors of the admin API: `{"error": TEXT, "code": CODE}`.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use weir_log::{CommitError, LogError, Rejection};
use weir_triggers::AskError;

/// What the client sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    text: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// What was asked for cannot be.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text)
    }

    /// There is no such thing.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.text, "code": self.code });
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let (status, code) = match &error {
            LogError::Trimmed { .. } => (StatusCode::GONE, "trimmed"),
            LogError::NoTopic(_) => (StatusCode::NOT_FOUND, "no_topic"),
            LogError::AlreadyExists(_) => (StatusCode::CONFLICT, "already_exists"),
            LogError::Closed | LogError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
            }
            LogError::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "corrupt"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        let (status, code) = match &error {
            CommitError::Conflict { .. } => (StatusCode::CONFLICT, "conflict"),
            CommitError::Rejected(Rejection::TooLarge { .. }) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            CommitError::Rejected(Rejection::NoTopic { .. }) => (StatusCode::NOT_FOUND, "no_topic"),
            CommitError::Rejected(_) => (StatusCode::UNPROCESSABLE_ENTITY, "rejected"),
            CommitError::Fenced(_) | CommitError::Moved(_) => (StatusCode::CONFLICT, "moved"),
            CommitError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            CommitError::Ambiguous(_) => (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown"),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Log(error) => error.into(),
            AskError::Commit(error) => error.into(),
            AskError::NoTrigger(_) => Self::missing(error.to_string()),
            AskError::NotHere => Self::new(StatusCode::CONFLICT, "not_here", error.to_string()),
            AskError::Held { .. } => Self::new(StatusCode::CONFLICT, "held", error.to_string()),
            AskError::Refused(_) => Self::new(StatusCode::CONFLICT, "refused", error.to_string()),
        }
    }
}
