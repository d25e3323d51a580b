//! From what became of an invocation to an HTTP response. The one place that gives a status to each outcome.

use crate::error_code::ErrorCode;
use crate::transact::Refusal;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use weir_runtime::{Failure, FailureKind, Reply, envelope};

/// A response with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// How many headers most answers have.
const USUAL_HEADERS: usize = 12;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A platform error: what the client sees.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlatformError {
    /// The status.
    pub(crate) status: StatusCode,
    /// Shown, but where Spacer's clients expect none.
    pub(crate) code: ErrorCode,
    /// For people.
    pub(crate) text: String,
}

impl PlatformError {
    pub(crate) fn new(status: StatusCode, code: ErrorCode, text: impl Into<String>) -> Self {
        Self { status, code, text: text.into() }
    }

    /// `{"error": TEXT, "code": CODE}`.
    pub(crate) fn answer(&self) -> Answer {
        let body = if self.code == ErrorCode::FORBIDDEN {
            serde_json::json!({ "error": self.text })
        } else {
            serde_json::json!({ "error": self.text, "code": self.code.as_str() })
        };
        let mut answer = json(self.status, body.to_string().into());
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        answer
    }
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    // room for those of every answer: a map that grows is hashed anew
    answer.headers_mut().reserve(USUAL_HEADERS);
    answer.headers_mut().insert(CONTENT_TYPE, JSON);
    answer
}

/// No such route: Spacer's text, and what the path has for other methods.
pub(crate) fn not_found(allowed: &[&str]) -> Answer {
    let mut answer = json(StatusCode::NOT_FOUND, Bytes::from_static(br#"{"error":"not found"}"#));
    if let (false, Ok(value)) = (allowed.is_empty(), HeaderValue::from_str(&allowed.join(", "))) {
        answer.headers_mut().insert(ALLOW, value);
    }
    answer
}

/// What the function returned.
pub(crate) fn reply(reply: Reply) -> Answer {
    match reply {
        Reply::Value(value) => json(StatusCode::OK, envelope(&value).into()),
        Reply::Response(response) => shaped(response),
    }
}

fn shaped(response: weir_runtime::Response) -> Answer {
    let Ok(status) = StatusCode::from_u16(response.status) else {
        let text = format!("the function answered with status {}, which is none", response.status);
        return PlatformError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::BAD_RESPONSE, text).answer();
    };
    let mut answer = Response::new(Full::new(response.body));
    *answer.status_mut() = status;
    answer.headers_mut().reserve(USUAL_HEADERS);
    for (name, value) in &response.headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => drop(answer.headers_mut().append(name, value)),
            _ => {
                let text = format!("the function answered with a header that HTTP does not allow: {name:?}");
                return PlatformError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::BAD_RESPONSE, text)
                    .answer();
            }
        }
    }
    let kind = if response.is_json { JSON } else { HeaderValue::from_static("text/plain; charset=utf-8") };
    answer.headers_mut().entry(CONTENT_TYPE).or_insert(kind);
    answer
}

/// Why there is no reply. In production the causes of a function's own errors stay in the log.
pub(crate) fn refusal(refusal: &Refusal, is_dev: bool) -> Answer {
    match refusal {
        Refusal::Failed(failure) => failed(failure, is_dev),
        Refusal::Conflict => unavailable(ErrorCode::CONFLICT, refusal),
        Refusal::Unavailable(_) => unavailable(ErrorCode::UNAVAILABLE, refusal),
        Refusal::OutcomeUnknown(_) => unavailable(ErrorCode::OUTCOME_UNKNOWN, refusal),
        Refusal::Rejected(_) => {
            PlatformError::new(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::REJECTED, refusal.to_string())
                .answer()
        }
        Refusal::KeyReused => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            PlatformError::new(status, ErrorCode::IDEMPOTENCY_KEY_REUSED, refusal.to_string()).answer()
        }
    }
}

fn unavailable(code: ErrorCode, refusal: &Refusal) -> Answer {
    PlatformError::new(StatusCode::SERVICE_UNAVAILABLE, code, refusal.to_string()).answer()
}

fn failed(failure: &Failure, is_dev: bool) -> Answer {
    let own = |status, hidden: &str| {
        let mut body = b"{\"error\":".to_vec();
        if is_dev || status == StatusCode::BAD_REQUEST {
            body.extend_from_slice(&failure.payload);
        } else {
            weir_schema::write_json_string(hidden, &mut body);
        }
        body.push(b'}');
        json(status, body.into())
    };
    match &failure.kind {
        FailureKind::Refused => own(StatusCode::BAD_REQUEST, ""),
        FailureKind::NotFound => not_found(&[]),
        FailureKind::Load => own(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
        FailureKind::Raised | FailureKind::Rejected | FailureKind::RetryAfter(_) => {
            own(StatusCode::INTERNAL_SERVER_ERROR, "We're sorry, something went wrong")
        }
        kind => PlatformError::new(status_of(kind), kind.into(), &*failure.message).answer(),
    }
}

fn status_of(kind: &FailureKind) -> StatusCode {
    match kind {
        FailureKind::Wall => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::Unavailable | FailureKind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;
    use http_body_util::BodyExt as _;

    fn failure(kind: FailureKind) -> Failure {
        Failure {
            kind,
            message: "app/a.lua:1: no".into(),
            payload: Bytes::from_static(br#"{"why":"no"}"#),
            place: None,
            frame: String::new(),
            stack: vec![],
        }
    }

    fn text(answer: Answer) -> (u16, String) {
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().now_or_never().expect("a whole body is there at once");
        let body = body.expect("a whole body cannot fail").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("UTF-8"))
    }

    #[test]
    fn replies_and_failures_have_spacers_envelopes() {
        assert_eq!(text(reply(Reply::Value("null".into()))), (200, r#"{"data":null}"#.into()));
        let refused = failure(FailureKind::Refused);
        assert_eq!(text(failed(&refused, false)), (400, r#"{"error":{"why":"no"}}"#.into()));
        let raised = failure(FailureKind::Raised);
        assert_eq!(text(failed(&raised, true)), (500, r#"{"error":{"why":"no"}}"#.into()));
        assert_eq!(
            text(failed(&raised, false)),
            (500, r#"{"error":"We're sorry, something went wrong"}"#.into())
        );
        assert_eq!(
            text(failed(&failure(FailureKind::NotFound), true)),
            (404, r#"{"error":"not found"}"#.into())
        );
    }

    #[test]
    fn limits_have_codes_of_their_own() {
        let (status, body) = text(failed(&failure(FailureKind::Wall), false));
        assert_eq!((status, body.contains(r#""code":"limit_wall""#)), (504, true));
    }

    #[test]
    fn a_function_may_answer_with_a_header_more_than_once() {
        let response = weir_runtime::Response {
            status: 201,
            headers: vec![("Set-Cookie".into(), "a".into()), ("Set-Cookie".into(), "b".into())],
            body: "hi".into(),
            is_json: false,
        };
        let answer = shaped(response);
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        assert_eq!(text(answer), (201, "hi".into()));
    }
}
