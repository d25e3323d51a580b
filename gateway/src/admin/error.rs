//! Errors of the admin API: `{"error": TEXT, "code": CODE}`.

use crate::error_code::ErrorCode;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use weir_log::{CommitError, LogError, Rejection};
use weir_triggers::AskError;
use weir_triggers::dispatcher::CommandError;

/// What the client sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: ErrorCode,
    text: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: ErrorCode, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// What was asked for cannot be.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::INVALID, text)
    }

    /// There is no such thing.
    pub(super) fn missing(text: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, ErrorCode::NOT_FOUND, text)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.text, "code": self.code.as_str() });
        (self.status, axum::Json(body)).into_response()
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let (status, code) = match &error {
            LogError::Trimmed { .. } => (StatusCode::GONE, ErrorCode::TRIMMED),
            LogError::NoTopic(_) => (StatusCode::NOT_FOUND, ErrorCode::NO_TOPIC),
            LogError::AlreadyExists(_) => (StatusCode::CONFLICT, ErrorCode::ALREADY_EXISTS),
            LogError::Closed | LogError::Unavailable { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::UNAVAILABLE)
            }
            LogError::Corrupt { .. } => (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::CORRUPT),
        };
        Self::new(status, code, error.to_string())
    }
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        let (status, code) = match &error {
            CommitError::Conflict { .. } => (StatusCode::CONFLICT, ErrorCode::CONFLICT),
            CommitError::Rejected(Rejection::TooLarge { .. }) => {
                (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TOO_LARGE)
            }
            CommitError::Rejected(Rejection::NoTopic { .. }) => (StatusCode::NOT_FOUND, ErrorCode::NO_TOPIC),
            CommitError::Rejected(_) => (StatusCode::UNPROCESSABLE_ENTITY, ErrorCode::REJECTED),
            CommitError::Fenced(_) | CommitError::Moved(_) => (StatusCode::CONFLICT, ErrorCode::MOVED),
            CommitError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::UNAVAILABLE),
            CommitError::Ambiguous(_) => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::OUTCOME_UNKNOWN),
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
            AskError::NeedsStart(_) => Self::bad(error.to_string()),
            AskError::NotHere => Self::new(StatusCode::CONFLICT, ErrorCode::NOT_HERE, error.to_string()),
            AskError::Held { .. } => Self::new(StatusCode::CONFLICT, ErrorCode::HELD, error.to_string()),
            AskError::Refused(CommandError::NotParked(_)) => {
                Self::new(StatusCode::NOT_FOUND, ErrorCode::NOT_PARKED, error.to_string())
            }
            AskError::Refused(_) => Self::new(StatusCode::CONFLICT, ErrorCode::REFUSED, error.to_string()),
        }
    }
}
