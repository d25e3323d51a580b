//! What a server answered.

use http::{HeaderMap, StatusCode};
use serde_json::Value;

/// A whole response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// As a number.
    pub status: u16,
    /// All of them.
    pub headers: HeaderMap,
    /// As it came.
    pub body: String,
}

impl Answer {
    /// Sends a request and waits for the whole answer.
    ///
    /// # Errors
    /// The connection could not be made or broke.
    pub async fn of(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers): (StatusCode, _) = (response.status(), response.headers().clone());
        Ok(Self { status: status.as_u16(), headers, body: response.text().await? })
    }

    /// The body as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {}: {}", self.status, self.body))
    }

    /// A header's text, empty if it is not there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header that is text"))
    }
}
