//! `json` and `cjson`.

mod cjson;

use super::{Call, Registry};
use crate::json::Style;
use crate::run::Answered;
use mlua::Value;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    let empty = to.lua.create_table()?;
    empty.set_metatable(Some(to.shared.json.array().clone()))?;
    empty.set_readonly(true);
    to.put("empty_array", empty)?;
    to.put("array_mt", to.shared.json.array())?;
    to.add("json_encode", |call, value: Value| encode(call, &value, Style::Strict))?;
    cjson::install(to)?;
    to.add("json_decode", |call, text: Value| decode(call, &text))?;
    to.add("json_array", |call, list: Value| array(call, list))
}

fn encode(call: &Call, value: &Value, style: Style) -> mlua::Result<Answered> {
    match call.shared.json.to_vec(&call.lua, value, style)? {
        Ok(json) => call.value(call.lua.create_string(json)?),
        Err(error) => call.raise(error.to_string()),
    }
}

fn decode(call: &Call, text: &Value) -> mlua::Result<Answered> {
    let Value::String(text) = text else {
        return call.raise(format!("decode: text expected, got {}", text.type_name()));
    };
    match call.shared.json.parse(&call.lua, &text.as_bytes())? {
        Ok(parsed) => call.value(parsed.value),
        Err(error) => call.raise(error.to_string()),
    }
}

/// Marks a table as a list, so that it is `[]` when it is empty.
fn array(call: &Call, list: Value) -> mlua::Result<Answered> {
    let table = match list {
        Value::Nil => call.lua.create_table()?,
        Value::Table(table) => table,
        other => return call.raise(format!("json.array: a table expected, got {}", other.type_name())),
    };
    if table.is_readonly() {
        return call.raise("json.array: the table is read-only");
    }
    table.set_metatable(Some(call.shared.json.array().clone()))?;
    call.value(table)
}
