//! What other servers would answer: prepared by a test, and asked for instead of the network.

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use weir_library::{HttpAnswer, HttpError, HttpRequest, StandIn};

/// The answers of one test, and the requests that it has seen.
#[derive(Default, Debug)]
pub(super) struct Answers(Mutex<Exchange>);

#[derive(Default, Debug)]
struct Exchange {
    prepared: Vec<Prepared>,
    sent: Vec<Value>,
}

#[derive(Debug)]
struct Prepared {
    method: String,
    /// Whole, or up to a `*` at its end.
    url: String,
    answer: Result<Reply, String>,
}

#[derive(Clone, Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answers {
    /// Prepares one; of several that fit, the last counts.
    pub(super) fn prepare(&self, args: &Value) -> anyhow::Result<()> {
        let text = |name: &str| args[name].as_str().with_context(|| format!("http: {name} is a text"));
        let (method, mut url) = (text("method")?.to_ascii_uppercase(), text("url")?.to_owned());
        if !url.ends_with('*') {
            // as it is when it is sent
            url = HttpRequest::new(Method::GET, &url, Duration::ZERO, 0)?.url.into();
        }
        let answer = match args["answer"]["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(Reply::read(&args["answer"])?),
        };
        self.lock().prepared.push(Prepared { method, url, answer });
        Ok(())
    }

    /// The requests so far, as a test sees them.
    pub(super) fn sent(&self) -> Value {
        Value::Array(self.lock().sent.clone())
    }

    pub(super) fn forget(&self) {
        *self.lock() = Exchange::default();
    }

    fn lock(&self) -> MutexGuard<'_, Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reply {
    /// Reads `{status, headers, body}`, or `json` in the place of `body`.
    fn read(answer: &Value) -> anyhow::Result<Self> {
        let status = answer["status"].as_u64().unwrap_or(200);
        let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let mut headers = HeaderMap::new();
        let body = match answer.get("json") {
            Some(json) => {
                headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                json.to_string()
            }
            None => answer["body"].as_str().unwrap_or_default().to_owned(),
        };
        for (name, value) in answer["headers"].as_object().into_iter().flatten() {
            let name: HeaderName = name.parse().with_context(|| format!("http: the header {name:?}"))?;
            let value = value.as_str().context("http: a header is a text")?;
            headers.insert(name, value.parse().context("http: a header's text")?);
        }
        Ok(Self { status: status.context("http: status is a number from 100 to 999")?, headers, body })
    }
}

impl Prepared {
    fn fits(&self, request: &HttpRequest) -> bool {
        let url = request.url.as_str();
        let is_url = self.url.strip_suffix('*').map_or(self.url == url, |begin| url.starts_with(begin));
        self.method == request.method.as_str() && is_url
    }
}

impl StandIn for Answers {
    fn answer(&self, request: HttpRequest) -> Result<HttpAnswer, HttpError> {
        let mut exchange = self.lock();
        exchange.sent.push(shown(&request));
        let (method, url) = (&request.method, &request.url);
        let Some(prepared) = exchange.prepared.iter().rev().find(|prepared| prepared.fits(&request)) else {
            let text = format!(
                "the test has no answer for it: test.http(\"{method}\", \"{url}\", {{status = 200}})"
            );
            return Err(HttpError::Unusable(text));
        };
        let reply = prepared.answer.clone().map_err(HttpError::Broken)?;
        let Reply { status, headers, body } = reply;
        Ok(HttpAnswer { status, headers, body: body.into(), url: request.url })
    }
}

fn shown(request: &HttpRequest) -> Value {
    let headers = request.headers.iter();
    let headers: serde_json::Map<_, _> =
        headers.map(|(name, value)| (name.to_string(), json!(value.to_str().unwrap_or_default()))).collect();
    json!({
        "method": request.method.as_str(),
        "url": request.url.as_str(),
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
        "json": serde_json::from_slice::<Value>(&request.body).ok(),
    })
}
