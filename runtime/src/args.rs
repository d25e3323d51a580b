//! What becomes of `args`.

use crate::json::{Json, path_at};
use crate::run::Run;
use crate::{LogLevel, LogLine};
use bytes::Bytes;
use mlua::{Lua, Table, Value};
use std::borrow::Cow;

/// The parts of one table, in falling precedence.
#[derive(Debug)]
pub(crate) struct Merged<'a> {
    pub(crate) params: &'a [(String, String)],
    pub(crate) query: &'a [(String, Option<String>)],
    pub(crate) body: Option<&'a Bytes>,
    pub(crate) form: &'a [(String, String)],
}

/// A JSON text as a value: null is nil, what is not JSON is a string of the bytes.
pub(crate) fn from_json(lua: &Lua, json: &Json, run: &Run, text: &[u8]) -> mlua::Result<Value> {
    match json.parse_kept(lua, text)? {
        Ok(parsed) => {
            warn_if_inexact(run, text, parsed.inexact);
            let is_null = matches!(parsed.value, Value::LightUserData(_));
            Ok(if is_null { Value::Nil } else { parsed.value })
        }
        Err(_) => Ok(Value::String(lua.create_string(text)?)),
    }
}

/// One table of route parameters, query and body.
pub(crate) fn merge(lua: &Lua, json: &Json, run: &Run, parts: &Merged<'_>) -> mlua::Result<Value> {
    let body = match parts.body {
        Some(text) => json.parse(lua, text)?.ok().map(|parsed| (text, parsed)),
        None => None,
    };
    let is_json = body.is_some();
    let table = match body {
        Some((text, parsed)) => {
            warn_if_inexact(run, text, parsed.inexact);
            match parsed.value {
                // an empty list would stay one, whatever is merged into it
                Value::Table(table) if table.raw_len() > 0 || table.metatable().is_none() => table,
                _ => lua.create_table()?,
            }
        }
        None => lua.create_table()?,
    };
    if !is_json {
        let fields: Vec<_> = parts.form.iter().map(|(n, v)| (n.clone(), Some(v.clone()))).collect();
        set_pairs(lua, &table, &fields)?;
    }
    set_pairs(lua, &table, parts.query)?;
    for (name, value) in parts.params {
        table.raw_set(name.as_str(), value.as_str())?;
    }
    Ok(Value::Table(table))
}

/// A table of pairs: a name without a value is `true`, a name that repeats is a list in order.
pub(crate) fn set_pairs(lua: &Lua, table: &Table, pairs: &[(String, Option<String>)]) -> mlua::Result<()> {
    let value = |v: &Option<String>| match v {
        Some(text) => Ok(Value::String(lua.create_string(text)?)),
        None => Ok::<_, mlua::Error>(Value::Boolean(true)),
    };
    for (i, (name, first)) in pairs.iter().enumerate() {
        if pairs[..i].iter().any(|(n, _)| n == name) {
            continue;
        }
        let same: Vec<_> = pairs[i..].iter().filter(|(n, _)| n == name).collect();
        if same.len() == 1 {
            table.raw_set(name.as_str(), value(first)?)?;
            continue;
        }
        let list = lua.create_table_with_capacity(same.len(), 0)?;
        for (_, v) in same {
            list.raw_push(value(v)?)?;
        }
        table.raw_set(name.as_str(), list)?;
    }
    Ok(())
}

/// Warns once per function that an integer has lost digits.
fn warn_if_inexact(run: &Run, text: &[u8], inexact: Option<usize>) {
    let Some(at) = inexact else { return };
    let function = &run.invocation.function;
    if !run.code.warn_once(function) {
        return;
    }
    let path = path_at(text, at);
    let path = if path.is_empty() { "the value itself" } else { &path };
    let message = format!(
        "{function}: the integer at {path} is beyond 2^53 and has lost digits; send it as text, or pass the value on unchanged"
    );
    run.host.log(LogLine {
        level: LogLevel::Warn,
        message: Cow::Owned(message),
        fields: Cow::Borrowed(b""),
        place: Cow::Owned(format!("app/{function}.lua")),
    });
}
