//! One request to its answer, redirects included.

use super::unpack::Unpacking;
use super::{HttpError, Policy};
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What is sent.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// `GET`, …
    pub method: Method,
    /// Where to; `http` or `https`.
    pub url: Url,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty for none.
    pub body: Bytes,
    /// For everything: redirects and the whole body included.
    pub timeout: Duration,
    /// How many redirects are followed; 0: a redirect is the answer.
    pub redirects: u32,
    /// Bytes of the answer's body, unpacked.
    pub max_body: usize,
    /// In a replay: the hosts that may be reached, and the policy's word on them counts too.
    pub only: Option<Arc<[String]>>,
}

impl HttpRequest {
    /// A request for `url`, without headers and body.
    ///
    /// # Errors
    /// It is no `http` or `https` URL.
    pub fn new(method: Method, url: &str, timeout: Duration, max_body: usize) -> Result<Self, HttpError> {
        let url = read_url(url)?;
        let headers = HeaderMap::new();
        Ok(Self { method, url, headers, body: Bytes::new(), timeout, redirects: 5, max_body, only: None })
    }
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpAnswer {
    /// 200, …
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, unpacked.
    pub body: Bytes,
    /// What answered, after redirects.
    pub url: Url,
}

fn read_url(text: &str) -> Result<Url, HttpError> {
    let wrong = |why: &str| HttpError::Url(text.to_owned(), why.to_owned());
    let url = Url::parse(text).map_err(|e| wrong(&e.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(wrong("the scheme is http or https")),
    }
}

/// Sends the request, and again where it is redirected to.
pub(super) async fn follow(
    client: &reqwest::Client,
    policy: &Policy,
    mut request: HttpRequest,
) -> Result<HttpAnswer, HttpError> {
    let mut left = request.redirects;
    loop {
        check(policy, &request)?;
        let host = request.url.host_str().unwrap_or_default().to_owned();
        let sent = client.execute(client_request(&request)).await;
        let response = sent.map_err(|e| HttpError::of_client(&e, &host))?;
        let target = target(&request, &response)?.filter(|_| request.redirects > 0);
        match target {
            None => return read(response, &request, &host).await,
            Some(_) if left == 0 => return Err(HttpError::Redirects(request.redirects)),
            Some(target) => redirect(&mut request, response.status(), target),
        }
        left -= 1;
    }
}

fn check(policy: &Policy, request: &HttpRequest) -> Result<(), HttpError> {
    if let Some(hosts) = &request.only {
        let host = request.url.host_str().unwrap_or_default();
        if !hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)) {
            return Err(HttpError::Denied(format!(
                "a replay sends no requests to {host}: start it with --allow-http {host} if it may"
            )));
        }
    }
    Ok(policy.check_url(&request.url)?)
}

fn client_request(request: &HttpRequest) -> reqwest::Request {
    let mut sent = reqwest::Request::new(request.method.clone(), request.url.clone());
    *sent.headers_mut() = request.headers.clone();
    sent.headers_mut().entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
    if !request.body.is_empty() {
        *sent.body_mut() = Some(request.body.clone().into());
    }
    sent
}

/// Where an answer redirects to.
fn target(request: &HttpRequest, response: &reqwest::Response) -> Result<Option<Url>, HttpError> {
    let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
    let Some(location) = response.headers().get(LOCATION).filter(|_| is_redirect) else { return Ok(None) };
    let location = String::from_utf8_lossy(location.as_bytes());
    let joined =
        request.url.join(&location).map_err(|e| HttpError::Url(location.to_string(), e.to_string()))?;
    read_url(joined.as_str()).map(Some)
}

/// The next request, as browsers make it: 303, and 301 and 302 after POST, ask by GET; credentials stay with the origin
/// that they were meant for.
fn redirect(request: &mut HttpRequest, status: StatusCode, target: Url) {
    let is_get = request.method == Method::GET || request.method == Method::HEAD;
    let becomes_get = match status.as_u16() {
        303 => !is_get,
        301 | 302 => request.method == Method::POST,
        _ => false,
    };
    if becomes_get {
        request.method = Method::GET;
        request.body = Bytes::new();
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
            request.headers.remove(name);
        }
    }
    if request.url.origin() != target.origin() {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
            request.headers.remove(name);
        }
    }
    request.url = target;
}

/// Reads the body up to its limit, unpacked as it comes where it was asked for packed.
async fn read(
    mut response: reqwest::Response,
    request: &HttpRequest,
    host: &str,
) -> Result<HttpAnswer, HttpError> {
    let headers = response.headers_mut();
    let is_packed = !request.headers.contains_key(ACCEPT_ENCODING)
        && headers.get(CONTENT_ENCODING).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"gzip"))
        && request.method != Method::HEAD;
    let mut body = Unpacking::new(is_packed, request.max_body);
    while let Some(piece) = response.chunk().await.map_err(|e| HttpError::of_client(&e, host))? {
        body.take(&piece, host)?;
    }
    let body = body.finish(host)?;
    let (status, url) = (response.status(), response.url().clone());
    let mut headers = std::mem::take(response.headers_mut());
    if is_packed {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
    }
    Ok(HttpAnswer { status, headers, body, url })
}
