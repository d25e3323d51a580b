//! What a function asks for, as a request.

use super::{HttpError, HttpRequest};
use crate::call::{self, Call, Done, misuse, only_options};
use crate::fields;
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use mlua::{LuaString, Table, Value};
use std::time::Duration;
use url::form_urlencoded::Serializer;

/// Redirects that can be asked for.
const MAX_REDIRECTS: u32 = 20;

const OPTIONS: [&str; 11] =
    ["headers", "query", "body", "json", "form", "timeout", "redirects", "max_body", "auth", "url", "method"];

pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) url: LuaString,
    pub(super) options: Option<Table>,
}

/// The request, or why its URL cannot be requested. Its answer is not larger than `limit`.
pub(super) fn request(call: &Call, asked: Asked, limit: usize) -> Done<Result<HttpRequest, HttpError>> {
    let settings = call.services().outbound.settings();
    let url = asked.url.to_string_lossy();
    let max_body = settings.max_body.min(limit);
    let mut request = match HttpRequest::new(asked.method, &url, settings.timeout, max_body) {
        Ok(request) => request,
        Err(error) => return Ok(Err(error)),
    };
    let Some(options) = asked.options else { return Ok(Ok(request)) };
    only_options(&options, &OPTIONS)?;
    if let Some(headers) = table(&options, "headers")? {
        read_headers(&headers, &mut request.headers)?;
    }
    match options.raw_get("query")? {
        Value::Nil => {}
        Value::String(text) => {
            request.url.set_query(Some(text.to_string_lossy().trim_start_matches('?')));
        }
        Value::Table(pairs) => {
            let pairs = read_pairs(&pairs, "query")?;
            request.url.query_pairs_mut().extend_pairs(pairs);
        }
        other => return misuse(format!("`query` is a text or a table, got {}", other.type_name())),
    }
    if let Some(auth) = table(&options, "auth")? {
        let part = |name: &str| auth.raw_get::<Option<String>>(name).map(Option::unwrap_or_default);
        let text = BASE64.encode(format!("{}:{}", part("user")?, part("pass")?).as_bytes());
        request
            .headers
            .insert(AUTHORIZATION, format!("Basic {text}").parse().expect("base64 is a header's text"));
    }
    read_body(call, &options, &mut request)?;
    request.timeout = read_timeout(&options)?.unwrap_or(request.timeout);
    if let Some(redirects) = number(&options, "redirects")? {
        request.redirects = redirects.min(f64::from(MAX_REDIRECTS)) as u32;
    }
    if let Some(bytes) = number(&options, "max_body")? {
        request.max_body = (bytes as usize).min(limit);
    }
    Ok(Ok(request))
}

fn table(options: &Table, name: &str) -> Done<Option<Table>> {
    match options.raw_get(name)? {
        Value::Nil => Ok(None),
        Value::Table(table) => Ok(Some(table)),
        other => misuse(format!("`{name}` is a table, got {}", other.type_name())),
    }
}

fn number(options: &Table, name: &str) -> Done<Option<f64>> {
    let value: Value = options.raw_get(name)?;
    match (&value, call::number(&value)) {
        (Value::Nil, _) => Ok(None),
        (_, Some(n)) if n >= 0.0 && n.fract() == 0.0 => Ok(Some(n)),
        _ => misuse(format!("`{name}` is a whole number from 0")),
    }
}

fn read_headers(table: &Table, headers: &mut HeaderMap) -> Done<()> {
    for (name, value) in read_pairs(table, "headers")? {
        let wrong = |what: &str| misuse(format!("header {name:?} has {what} that HTTP does not allow"));
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else { return wrong("a name") };
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(header, value);
        } else {
            return wrong("a value");
        }
    }
    Ok(())
}

/// What is no text in UTF-8 is made one.
fn read_pairs(table: &Table, option: &str) -> Done<Vec<(String, String)>> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let pairs = fields::read(table, &format!("`{option}`"))?;
    Ok(pairs.into_iter().map(|(name, value)| (text(name), text(value))).collect())
}

fn read_body(call: &Call, options: &Table, request: &mut HttpRequest) -> Done<()> {
    let (body, json, form) =
        (options.raw_get("body")?, options.raw_get::<Value>("json")?, table(options, "form")?);
    let given = [!matches!(body, Value::Nil), !json.is_nil(), form.is_some()];
    if given.iter().filter(|is| **is).count() > 1 {
        return misuse("of `body`, `json` and `form` only one can be sent");
    }
    let kind = match (body, form) {
        (Value::String(text), _) => {
            request.body = Bytes::copy_from_slice(&text.as_bytes());
            return Ok(());
        }
        (Value::Nil, Some(form)) => {
            let pairs = read_pairs(&form, "form")?;
            request.body = Serializer::new(String::new()).extend_pairs(pairs).finish().into();
            "application/x-www-form-urlencoded"
        }
        (Value::Nil, None) if json.is_nil() => return Ok(()),
        (Value::Nil, None) => {
            request.body = match call.around.write_json(&json)? {
                Ok(text) => text.into(),
                Err(error) => return misuse(format!("`json`: {error}")),
            };
            "application/json"
        }
        (other, _) => return misuse(format!("`body` is a text, got {}", other.type_name())),
    };
    request.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    Ok(())
}

/// A number of seconds, or `"30s"`.
fn read_timeout(options: &Table) -> Done<Option<Duration>> {
    let value: Value = options.raw_get("timeout")?;
    if value.is_nil() {
        return Ok(None);
    }
    match call::duration(&value).filter(|t| !t.is_zero()) {
        Some(timeout) => Ok(Some(timeout)),
        None => misuse("`timeout` is a number of seconds above 0, or a text as \"30s\""),
    }
}
