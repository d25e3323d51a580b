//! From an HTTP request to what a function is given.

use crate::router::Matched;
use crate::settings::Settings;
use crate::stamp;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, FORWARDED};
use http::{HeaderMap, HeaderName, Method, Uri};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body;
use std::net::{IpAddr, SocketAddr};
use weir_runtime::{Args, HttpContext};
use weir_schema::{Headers, TraceContext};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// Larger than `weir.limits.body`.
    TooLarge,
    /// The client stopped sending.
    Broken(String),
    /// The type says JSON, and it is none.
    NotJson(String),
}

/// Reads a whole body, at most `limit` bytes, with at most `settings.body_timeout` between two pieces.
pub(crate) async fn read_body<B>(
    headers: &HeaderMap,
    body: B,
    settings: &Settings,
) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|n| n > settings.body as u64) {
        return Err(BodyError::TooLarge);
    }
    let mut body = Limited::new(body, settings.body);
    let mut whole = bytes::BytesMut::new();
    loop {
        let frame = tokio::time::timeout(settings.body_timeout, body.frame()).await;
        match frame.map_err(|_| BodyError::Broken("the body came too slowly".into()))? {
            None => return Ok(whole.freeze()),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    if whole.is_empty() && body.is_end_stream() {
                        return Ok(data); // the common case: one piece, no copy
                    }
                    whole.extend_from_slice(&data);
                }
            }
            Some(Err(e)) if e.is::<LengthLimitError>() => return Err(BodyError::TooLarge),
            Some(Err(e)) => return Err(BodyError::Broken(e.to_string())),
        }
    }
}

/// What a route's function is given: `args`, and the fields of `ctx`.
pub(crate) fn of_route(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    matched: &Matched<'_>,
    remote: IpAddr,
) -> Result<(Args, HttpContext), BodyError> {
    let query = parse_form(uri.query().unwrap_or_default().as_bytes());
    let (json, form) = read_args(headers, body)?;
    let args = Args::Merged { params: matched.params.clone(), query: query.clone(), body: json, form };
    let mut context = context(method, uri, headers, body, remote);
    context.params.clone_from(&matched.params);
    context.query = query;
    Ok((args, context))
}

/// What a private function is given: the body alone.
pub(crate) fn of_private(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &Bytes,
    remote: IpAddr,
) -> Result<(Args, HttpContext), BodyError> {
    let (json, form) = read_args(headers, body)?;
    let args = Args::Merged { params: Vec::new(), query: Vec::new(), body: json, form };
    Ok((args, context(method, uri, headers, body, remote)))
}

fn context(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes, remote: IpAddr) -> HttpContext {
    let mut encoded = Vec::with_capacity(256);
    for (name, value) in headers {
        Headers::encode(&mut encoded, name.as_str(), value.as_bytes());
    }
    HttpContext {
        method: method.as_str().to_owned(),
        path: uri.path().to_owned(),
        params: Vec::new(),
        query: Vec::new(),
        headers: encoded.into(),
        body: body.clone(),
        remote_addr: remote,
    }
}

type Form = Vec<(String, String)>;

/// A body is tried as JSON whatever its type, as Spacer does (curl's default type is a form).
fn read_args(headers: &HeaderMap, body: &Bytes) -> Result<(Option<Bytes>, Form), BodyError> {
    if body.is_empty() {
        return Ok((None, Vec::new()));
    }
    let kind =
        headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => Ok((Some(body.clone()), Vec::new())),
        Err(e) if kind.starts_with("application/json") || kind.contains("+json") => {
            Err(BodyError::NotJson(e.to_string()))
        }
        Err(_) if kind.starts_with("application/x-www-form-urlencoded") => {
            let fields = parse_form(body).into_iter().map(|(n, v)| (n, v.unwrap_or_default()));
            Ok((None, fields.collect()))
        }
        Err(_) => Ok((None, Vec::new())),
    }
}

/// Reads `a=1&b&c=x+y`: a name without `=` has no value.
fn parse_form(text: &[u8]) -> Vec<(String, Option<String>)> {
    let text = String::from_utf8_lossy(text);
    let decode = |s: &str| {
        let spaced = s.replace('+', " ");
        percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pairs = text.split('&').filter(|p| !p.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (decode(name), Some(decode(value))),
            None => (decode(pair), None),
        })
        .collect()
}

/// The client's address: the peer's, or what a trusted proxy says of it.
pub(crate) fn remote(peer: SocketAddr, headers: &HeaderMap, settings: &Settings) -> IpAddr {
    let mut address = peer.ip().to_canonical();
    let Some(forwarded) = headers.get(FORWARDED_FOR).and_then(|v| v.to_str().ok()) else { return address };
    let is_trusted = |ip: IpAddr| settings.trusted_proxies.iter().any(|net| net.contains(&ip));
    for hop in forwarded.rsplit(',').map(str::trim) {
        match hop.parse() {
            Ok(before) if is_trusted(address) => address = before,
            _ => break,
        }
    }
    address
}

/// Whether a request comes from this machine, and not through a proxy on it.
pub(crate) fn is_local(peer: SocketAddr, headers: &HeaderMap) -> bool {
    let forwarded = [FORWARDED, FORWARDED_FOR, REAL_IP].iter().any(|h| headers.contains_key(h));
    peer.ip().to_canonical().is_loopback() && !forwarded
}

/// The span of a request, and the client's span if it sends one in W3C's or in Spacer's form.
pub(crate) fn trace(headers: &HeaderMap, sample: f64) -> (TraceContext, u64) {
    let text = |name: HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    let span = fastrand::u64(..);
    if let Some(parent) = text(stamp::TRACEPARENT).and_then(TraceContext::parse) {
        return (parent.child(span), parent.span_id);
    }
    let hex = |name| text(name).map(|id| id.replace('-', ""));
    let trace = hex(stamp::SPACER_TRACE_ID).and_then(|id| u128::from_str_radix(&id, 16).ok());
    let parent = trace.and_then(|_| u64::from_str_radix(hex(stamp::SPACER_SPAN_ID)?.get(..16)?, 16).ok());
    let is_sampled = sample >= 1.0 || fastrand::f64() < sample;
    (TraceContext::root(trace.unwrap_or_else(|| fastrand::u128(..)), span, is_sampled), parent.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_body_is_json_whatever_its_type_says() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let read = |headers: &HeaderMap, body: &'static str| read_args(headers, &Bytes::from(body));
        assert_eq!(read(&headers, r#"{"a":1}"#), Ok((Some(r#"{"a":1}"#.into()), vec![])));
        assert_eq!(
            read(&headers, "a=1+2&b"),
            Ok((None, vec![("a".into(), "1 2".into()), ("b".into(), String::new())]))
        );
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(matches!(read(&headers, "{"), Err(BodyError::NotJson(_))));
        assert_eq!(read(&HeaderMap::new(), "{"), Ok((None, vec![])));
    }

    #[test]
    fn only_trusted_proxies_say_whom_they_speak_for() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("9.9.9.9, 10.0.0.1"));
        let peer: SocketAddr = "10.0.0.2:5".parse().expect("an address");
        let ip = |s: &str| s.parse::<IpAddr>().expect("an address");
        let trusting = |ips: &[&str]| Settings {
            trusted_proxies: ips.iter().map(|s| ip(s).into()).collect(),
            ..Settings::default()
        };
        assert_eq!(remote(peer, &headers, &trusting(&[])), ip("10.0.0.2"));
        assert_eq!(remote(peer, &headers, &trusting(&["10.0.0.2"])), ip("10.0.0.1"));
        assert_eq!(remote(peer, &headers, &trusting(&["10.0.0.2", "10.0.0.1"])), ip("9.9.9.9"));
    }

    #[test]
    fn a_proxied_request_is_not_local() {
        let peer: SocketAddr = "127.0.0.1:5".parse().expect("an address");
        let mut headers = HeaderMap::new();
        assert!(is_local(peer, &headers));
        headers.insert("x-real-ip", HeaderValue::from_static("127.0.0.1"));
        assert!(!is_local(peer, &headers));
    }
}
