//! `ctx`: its fields are made when a function asks for them.

use super::{Call, Registry};
use crate::args::set_pairs;
use crate::failure::json_text;
use crate::json::{Style, lossy};
use crate::run::Answered;
use crate::{EventContext, Failure, FailureKind, HttpContext, Origin, interrupt};
use bytes::Bytes;
use mlua::{IntoLua, Lua, Table, Value};
use weir_schema::{Headers, header, parse_duration};

/// Every field that there can be; `field` answers nil for one that this invocation does not have.
const FIELDS: [&str; 17] = [
    "id",
    "trace_id",
    "function_name",
    "attempt",
    "replay",
    "method",
    "path",
    "params",
    "query",
    "headers",
    "body",
    "remote_addr",
    "topic",
    "partition",
    "offset",
    "key",
    "timestamp",
];

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.put("ctx_fields", FIELDS)?;
    to.add_plain("ctx_field", |call, key: Value| match &key {
        Value::String(key) => field(call, &lossy(key)),
        _ => Ok(Value::Nil),
    })?;
    to.add_plain("deadline", |call, (): ()| Ok(call.run.left().as_millis() as f64))?;
    to.add_plain("is_trigger", |call, (): ()| Ok(matches!(call.run.invocation.origin, Origin::Event(_))))?;
    to.add("reject", |call, reason: Value| reject(call, &reason))?;
    to.add("retry_after", |call, delay: Value| retry_after(call, &delay))
}

fn field(call: &Call, key: &str) -> mlua::Result<Value> {
    let (lua, invocation) = (&call.lua, &call.run.invocation);
    match key {
        "id" => invocation.id.hex().as_str().into_lua(lua),
        "trace_id" => invocation.trace.trace_id_hex().as_str().into_lua(lua),
        "function_name" => call.run.function().as_str().into_lua(lua),
        "attempt" => invocation.attempt.into_lua(lua),
        "replay" => match &invocation.replay {
            Some(replay) => {
                let table = lua.create_table()?;
                table.raw_set("name", replay.name.as_str())?;
                table.raw_set("mode", replay.mode)?;
                table.into_lua(lua)
            }
            None => Ok(Value::Nil),
        },
        // a function called by `flow` is not called by HTTP
        _ => match &invocation.origin {
            Origin::Http(http) if call.run.depth() == 1 => http_field(lua, http, key),
            Origin::Event(event) => event_field(lua, event, key),
            Origin::Http(_) | Origin::Call => Ok(Value::Nil),
        },
    }
}

fn http_field(lua: &Lua, http: &HttpContext, key: &str) -> mlua::Result<Value> {
    match key {
        "method" => http.method.as_str().into_lua(lua),
        "path" => http.path.as_str().into_lua(lua),
        "remote_addr" => http.remote_addr.to_string().into_lua(lua),
        "body" => lua.create_string(&http.body)?.into_lua(lua),
        "headers" => headers(lua, Headers::decode(&http.headers))?.into_lua(lua),
        "query" => {
            let table = lua.create_table()?;
            set_pairs(lua, &table, &http.query)?;
            table.into_lua(lua)
        }
        "params" => {
            let pairs = http.params.iter().map(|(n, v)| (n.as_str(), v.as_str()));
            lua.create_table_from(pairs)?.into_lua(lua)
        }
        _ => Ok(Value::Nil),
    }
}

fn event_field(lua: &Lua, event: &EventContext, key: &str) -> mlua::Result<Value> {
    match key {
        "topic" => event.topic.as_str().into_lua(lua),
        "partition" => event.partition.into_lua(lua),
        "offset" => (event.offset.0 as f64).into_lua(lua),
        "key" => event.key.as_ref().map(|k| lua.create_string(k)).transpose()?.into_lua(lua),
        "timestamp" => (event.timestamp.0 as f64).into_lua(lua),
        "headers" => event_headers(lua, &event.headers)?.into_lua(lua),
        _ => Ok(Value::Nil),
    }
}

/// Name to value; of those that repeat, the last counts.
fn headers<'h>(lua: &Lua, headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    for (name, value) in headers {
        table.raw_set(name, lua.create_string(value)?)?;
    }
    Ok(table)
}

/// With lower-case names, and without the platform's own.
fn event_headers(lua: &Lua, encoded: &[u8]) -> mlua::Result<Table> {
    let own = Headers::decode(encoded).filter(|(name, _)| !name.starts_with(header::RESERVED));
    let own: Vec<_> = own.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    headers(lua, own.iter().map(|(name, value)| (name.as_str(), *value)))
}

/// `ctx.reject(reason)`: the reason may be any value with a JSON form.
fn reject(call: &Call, reason: &Value) -> mlua::Result<Answered> {
    let (message, payload) = match reason {
        Value::Nil => ("rejected".to_owned(), json_text("rejected")),
        Value::String(text) => (lossy(text), json_text(&lossy(text))),
        other => match call.shared.json.to_vec(&call.lua, other, Style::Strict)? {
            Ok(json) => (String::from_utf8_lossy(&json).into_owned(), json.into()),
            Err(error) => return call.raise(format!("ctx.reject: {error}")),
        },
    };
    end(call, FailureKind::Rejected, message, payload)
}

fn retry_after(call: &Call, delay: &Value) -> mlua::Result<Answered> {
    let text = match delay {
        Value::String(text) => lossy(text),
        other => return call.raise(format!("ctx.retry_after: write \"30s\", got {}", other.type_name())),
    };
    match parse_duration(&text) {
        Ok(delay) => {
            let message = format!("retry after {text}");
            let payload = json_text(&message);
            end(call, FailureKind::RetryAfter(delay), message, payload)
        }
        Err(error) => call.raise(format!("ctx.retry_after: {error}")),
    }
}

/// Ends the invocation by the function's own wish.
fn end(call: &Call, kind: FailureKind, message: String, payload: Bytes) -> mlua::Result<Answered> {
    let failure = Failure { payload, ..Failure::new(kind, message.as_str()) };
    call.run.doom(failure.locate(&call.run.code, &interrupt::stack_of(&call.lua)));
    call.raise(message)
}
