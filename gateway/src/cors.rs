//! The headers that let pages of other origins call.

use crate::settings::Settings;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Whether a request is a browser's question before the real one.
pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Adds to `answer` what the rules allow the origin of `request`.
pub(crate) fn allow(settings: &Settings, request: &HeaderMap, answer: &mut HeaderMap) {
    let Some(origin) = request.get(ORIGIN) else { return };
    let cors = &settings.cors;
    let any = cors.origins.iter().any(|o| o == "*") || (settings.is_dev && cors.origins.is_empty());
    if !any && !cors.origins.iter().any(|o| o.as_bytes() == origin.as_bytes()) {
        return;
    }
    // with credentials the standard forbids the star
    let star = any && !cors.credentials;
    answer.insert(
        ACCESS_CONTROL_ALLOW_ORIGIN,
        if star { HeaderValue::from_static("*") } else { origin.clone() },
    );
    if !star {
        answer.append(VARY, HeaderValue::from_static("Origin"));
    }
    if cors.credentials {
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
    answer.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-function, x-invocation-id, traceparent"),
    );
}

/// Adds the answer to a preflight for a path that has `methods`.
pub(crate) fn answer_preflight(
    settings: &Settings,
    methods: &[&str],
    request: &HeaderMap,
    answer: &mut HeaderMap,
) {
    allow(settings, request, answer);
    if !answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
        return;
    }
    let cors = &settings.cors;
    let methods = if cors.methods.is_empty() { methods.join(", ") } else { cors.methods.join(", ") };
    put(answer, ACCESS_CONTROL_ALLOW_METHODS, &methods);
    match request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        Some(asked) if cors.headers.is_empty() => {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
        _ => put(answer, ACCESS_CONTROL_ALLOW_HEADERS, &cors.headers.join(", ")),
    }
    put(answer, ACCESS_CONTROL_MAX_AGE, &cors.max_age.as_secs().to_string());
}

fn put(answer: &mut HeaderMap, name: HeaderName, value: &str) {
    // a value from the configuration that no header can hold is left out, as if it were not allowed
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Cors;

    fn allowed(settings: &Settings, origin: &'static str) -> Option<String> {
        let (mut request, mut answer) = (HeaderMap::new(), HeaderMap::new());
        request.insert(ORIGIN, HeaderValue::from_static(origin));
        allow(settings, &request, &mut answer);
        answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|v| v.to_str().expect("text").to_owned())
    }

    #[test]
    fn any_origin_may_call_in_development_and_none_otherwise() {
        assert_eq!(
            allowed(&Settings { is_dev: true, ..Settings::default() }, "http://a").as_deref(),
            Some("*")
        );
        assert_eq!(allowed(&Settings::default(), "http://a"), None);
    }

    #[test]
    fn listed_origins_are_named_back() {
        let cors = Cors { origins: vec!["http://a".into()], credentials: true, ..Cors::default() };
        let settings = Settings { cors, ..Settings::default() };
        assert_eq!(allowed(&settings, "http://a").as_deref(), Some("http://a"));
        assert_eq!(allowed(&settings, "http://b"), None);
    }
}
