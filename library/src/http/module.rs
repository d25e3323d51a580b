//! `http`: what functions ask of other servers.

use super::options::{Asked, request};
use super::{HttpAnswer, HttpError, HttpRequest};
use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use crate::surroundings::Sent;
use futures::stream::{self, StreamExt as _};
use http::{HeaderMap, Method};
use mlua::{IntoLua as _, LuaString, Table, Value};
use std::rc::Rc;
use std::time::Instant;

/// Requests of one `http.all` that are under way at once.
const AT_ONCE: usize = 16;
/// Requests of one `http.all`.
const MOST: usize = 256;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    let shape = Rc::new(Shape::new(to)?);
    let methods = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
    ];
    for method in methods {
        let (name, shape) = (method.as_str().to_ascii_lowercase(), shape.clone());
        to.add_later(&name, move |call, (url, options): (LuaString, Option<Table>)| {
            one(call, shape.clone(), Ok(method.clone()), url, options)
        })?;
    }
    let shape_of_one = shape.clone();
    to.add_later("request", move |call, (method, url, options): (LuaString, LuaString, Option<Table>)| {
        one(call, shape_of_one.clone(), read_method(&method.to_string_lossy()), url, options)
    })?;
    to.add_later("all", move |call, list: Table| all(call, shape.clone(), list))
}

fn read_method(name: &str) -> Done<Method> {
    match Method::from_bytes(name.to_ascii_uppercase().as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(method),
        _ => misuse(format!("{name:?} is no method that can be requested")),
    }
}

async fn one(
    call: Call,
    shape: Rc<Shape>,
    method: Done<Method>,
    url: LuaString,
    options: Option<Table>,
) -> Done<Result<Table, String>> {
    let limit = call.around.largest();
    match request(&call, Asked { method: method?, url, options }, limit)? {
        Ok(request) => answer(&call, &shape, send(&call, request).await),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Each answer in its place; what has none is `{error = TEXT}`.
async fn all(call: Call, shape: Rc<Shape>, list: Table) -> Done<Table> {
    let count = list.raw_len();
    if count > MOST {
        return misuse(format!("{count} requests; at most {MOST}"));
    }
    // together the answers may take what one alone may
    let limit = call.around.largest() / count.max(1);
    let mut requests = Vec::with_capacity(count);
    for n in 1..=count {
        let asked = listed(list.raw_get(n)?, n)?;
        requests.push(request(&call, asked, limit)?);
    }
    let sent = requests.into_iter().map(|request| {
        let call = call.clone();
        async move { send(&call, request?).await }
    });
    let done: Vec<_> = stream::iter(sent).buffered(AT_ONCE).collect().await;
    let answers = call.lua.create_table()?;
    for done in done {
        answers.raw_push(match answer(&call, &shape, done)? {
            Ok(answer) => answer,
            Err(error) => call.lua.create_table_from([("error", error)])?,
        })?;
    }
    Ok(answers)
}

/// A member of the list: a URL, or `{url = …, method = …, the options}`.
fn listed(entry: Value, n: usize) -> Done<Asked> {
    match entry {
        Value::String(url) => Ok(Asked { method: Method::GET, url, options: None }),
        Value::Table(options) => {
            let Value::String(url) = options.raw_get("url")? else {
                return misuse(format!("request {n} has no `url`"));
            };
            let method = match options.raw_get("method")? {
                Value::Nil => Method::GET,
                Value::String(method) => read_method(&method.to_string_lossy())?,
                _ => return misuse(format!("request {n}: `method` is a text, as \"POST\"")),
            };
            Ok(Asked { method, url, options: Some(options) })
        }
        other => misuse(format!("request {n}: a URL or a table expected, got {}", other.type_name())),
    }
}

/// Sends a request as the invocation's: in its trace, within its time, and known again by what receives it twice.
async fn send(call: &Call, mut request: HttpRequest) -> Result<HttpAnswer, HttpError> {
    let around = &call.around;
    let span = around.span_id();
    let started = Instant::now();
    let set = |headers: &mut HeaderMap, name: &'static str, value: String| {
        if !headers.contains_key(name) {
            headers.insert(name, value.parse().expect("hex digits and dashes"));
        }
    };
    set(&mut request.headers, "traceparent", around.traceparent(span));
    if !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        set(&mut request.headers, "idempotency-key", format!("{}-{}", around.id(), around.next_request()));
    }
    request.only = around.only_hosts();
    let (method, url) = (request.method.clone(), request.url.clone());
    let answer = call.services().outbound.send(request).await;
    around.sent(&Sent {
        span,
        started,
        method: method.as_str(),
        host: url.host_str().unwrap_or_default(),
        path: url.path(),
        status: answer.as_ref().ok().map(|answer| answer.status.as_u16()),
        error: answer.as_ref().err().map(ToString::to_string),
    });
    answer
}

/// What answers have in common in one VM.
struct Shape {
    answer: Table,
    headers: Table,
}

impl Shape {
    fn new(to: &Registry<'_>) -> mlua::Result<Self> {
        let (methods, answer) = to.class("http answer")?;
        methods.add("json", |call, answer: Table| match answer.raw_get("body")? {
            Value::String(body) => Ok(call.around.read_json(&body.as_bytes())?),
            _ => misuse("the answer has no body"),
        })?;
        let headers = to.lua().create_table()?;
        let find = to.lua().create_function(|_, (table, name): (Table, Value)| match name {
            Value::String(name) => table.raw_get::<Value>(name.to_string_lossy().to_ascii_lowercase()),
            _ => Ok(Value::Nil),
        })?;
        headers.raw_set("__index", find)?;
        headers.set_readonly(true);
        Ok(Self { answer, headers })
    }
}

fn answer(call: &Call, shape: &Shape, done: Result<HttpAnswer, HttpError>) -> Done<Result<Table, String>> {
    let answer = match done {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let table = call.lua.create_table()?;
    for name in ["status", "statusCode", "status_code"] {
        table.raw_set(name, answer.status.as_u16())?;
    }
    let headers = call.lua.create_table()?;
    for name in answer.headers.keys() {
        headers.raw_set(name.as_str(), header(call, &answer.headers, name)?)?;
    }
    headers.set_metatable(Some(shape.headers.clone()))?;
    table.raw_set("headers", headers)?;
    table.raw_set("body", call.text(&answer.body)?)?;
    table.raw_set("url", answer.url.as_str())?;
    table.set_metatable(Some(shape.answer.clone()))?;
    Ok(Ok(table))
}

/// The text of a header; those of one that repeats are joined, but cookies, which cannot be: they are a list.
fn header(call: &Call, headers: &HeaderMap, name: &http::HeaderName) -> mlua::Result<Value> {
    let values = || headers.get_all(name).iter().map(http::HeaderValue::as_bytes);
    if *name == http::header::SET_COOKIE {
        let list: mlua::Result<Vec<_>> = values().map(|value| call.lua.create_string(value)).collect();
        return list?.into_lua(&call.lua);
    }
    let all: Vec<&[u8]> = values().collect();
    call.lua.create_string(all.join(&b", "[..]))?.into_lua(&call.lua)
}
