//! `response(status, body, headers)`.

use super::Registry;
use crate::Response;
use crate::json::{Style, lossy, show};
use crate::vm::Shared;
use mlua::{Lua, Table, Value};

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.put("response_mt", &to.shared.response)?;
    // where it is called, so that the error is there; again when it is returned, since a table can be changed
    to.add("check_response", |call, (status, headers): (Value, Value)| {
        match read_status(&status).and_then(|_| read_headers(&headers)) {
            Ok(_) => call.value(true),
            Err(text) => call.raise(text),
        }
    })
}

/// The table, if the value is a response.
pub(crate) fn of(shared: &Shared, value: &Value) -> Option<Table> {
    value.as_table().filter(|t| t.metatable().is_some_and(|m| m == shared.response)).cloned()
}

/// Reads what `response` made.
pub(crate) fn build(lua: &Lua, shared: &Shared, table: &Table) -> Result<Response, String> {
    let field = |name: &str| table.raw_get::<Value>(name).map_err(|e| e.to_string());
    let status = read_status(&field("status")?)?;
    let headers = read_headers(&field("headers")?)?;
    let (body, is_json) = match field("body")? {
        Value::Nil => (Vec::new(), false),
        Value::String(text) => (text.as_bytes().to_vec(), false),
        value => {
            let json = shared.json.to_vec(lua, &value, Style::Strict).map_err(|e| e.to_string())?;
            (json.map_err(|error| format!("the body has no JSON form: {error}"))?, true)
        }
    };
    Ok(Response { status, headers, body: body.into(), is_json })
}

/// What a function said by `ngx` (see `ngx.lua`); none: it said nothing, and did not end by `ngx.exit`.
pub(crate) fn said(shape: &Table, value: &Value) -> Option<Result<Response, String>> {
    let read = || -> Result<Option<Response>, String> {
        let (head, said) = read_shape(shape)?;
        let has_ended = shape.raw_get::<Option<bool>>("has_ended").map_err(|e| e.to_string())?.is_some();
        if said.is_empty() && !has_ended {
            return Ok(None);
        }
        if !value.is_nil() {
            return Err("it returned a value and used ngx.say: one of them is the response".to_owned());
        }
        Ok(Some(Response { body: said.into(), ..head }))
    };
    read().transpose()
}

/// The response around a value, where `ngx.status` or `ngx.header` say something of it; what a callee says of itself
/// counts only if it is a failure.
pub(crate) fn around(shape: &Table, json: &[u8], is_callee: bool) -> Result<Option<Response>, String> {
    let (head, _) = read_shape(shape)?;
    let is_plain = match is_callee {
        true => (200..300).contains(&head.status),
        false => head.status == 200 && head.headers.is_empty(),
    };
    if is_plain {
        return Ok(None);
    }
    Ok(Some(Response { body: crate::outcome::envelope(json).into(), is_json: true, ..head }))
}

/// Status and headers, and what was said.
fn read_shape(shape: &Table) -> Result<(Response, Vec<u8>), String> {
    let field = |name: &str| shape.raw_get::<Value>(name).map_err(|e| e.to_string());
    let status = match field("status")? {
        Value::Nil => 200,
        status => read_status(&status).map_err(|text| text.replace("response:", "ngx.status:"))?,
    };
    let headers =
        read_headers(&field("headers")?).map_err(|text| text.replace("response:", "ngx.header:"))?;
    let mut said = Vec::new();
    if let Value::Table(parts) = field("said")? {
        for part in parts.sequence_values::<mlua::LuaString>() {
            said.extend_from_slice(&part.map_err(|e| e.to_string())?.as_bytes());
        }
    }
    Ok((Response { status, headers, body: Vec::new().into(), is_json: false }, said))
}

fn read_status(status: &Value) -> Result<u16, String> {
    let number = status.as_f64().or_else(|| status.as_i64().map(|n| n as f64));
    let whole = number.filter(|n| n.fract() == 0.0 && (100.0..600.0).contains(n));
    whole.map(|n| n as u16).ok_or_else(|| {
        let shown = show(status);
        format!("response: the status is {shown}; write a whole number from 100 to 599")
    })
}

/// Names in byte order; the values of one name in the order of its list.
fn read_headers(headers: &Value) -> Result<Vec<(String, String)>, String> {
    let table = match headers {
        Value::Nil => return Ok(Vec::new()),
        Value::Table(table) => table,
        other => return Err(format!("response: headers are a table, got {}", other.type_name())),
    };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair.map_err(|e| e.to_string())?;
        let name = match &name {
            Value::String(name) if is_token(&name.as_bytes()) => lossy(name),
            other => {
                return Err(format!("response: {} is no header name", show(other)));
            }
        };
        match value {
            Value::Table(values) => {
                for n in 1..=values.raw_len() {
                    let value = values.raw_get::<Value>(n).map_err(|e| e.to_string())?;
                    list.push((name.clone(), read_value(&name, &value)?));
                }
            }
            value => list.push((name.clone(), read_value(&name, &value)?)),
        }
    }
    list.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(list)
}

fn read_value(name: &str, value: &Value) -> Result<String, String> {
    let text = match value {
        Value::String(text) => lossy(text),
        Value::Integer(_) | Value::Number(_) => show(value),
        other => return Err(format!("response: header {name} is text, got {}", other.type_name())),
    };
    if text.bytes().any(|b| b < 0x20 && b != b'\t' || b == 0x7f) {
        return Err(format!("response: header {name} has a line break or a control character"));
    }
    Ok(text)
}

/// RFC 9110's `token`.
fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}
