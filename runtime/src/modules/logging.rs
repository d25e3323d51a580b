//! `log`, `print`, `os.getenv`.

use super::{Call, Registry};
use crate::json::{Style, lossy, show};
use crate::{LogLevel, LogLine};
use mlua::{LuaString, Value};
use std::borrow::Cow;
use weir_schema::write_json_string;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    type Line = (u8, LuaString, Value, String, usize);
    to.add_plain("log", |call, (level, message, fields, file, line): Line| {
        let fields = fields_json(call, &fields)?;
        call.run.host.log(LogLine {
            level: [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error]
                [usize::from(level.min(3))],
            message: Cow::Owned(lossy(&message)),
            fields: Cow::Owned(fields),
            place: Cow::Owned(format!("{file}:{line}")),
        });
        Ok(())
    })?;
    to.add("getenv", |call, name: Value| match &name {
        Value::String(name) => call.value(call.run.host.env(&lossy(name))),
        other => call.raise(format!("os.getenv: a name expected, got {}", other.type_name())),
    })
}

/// Fields as one JSON object. A value without a JSON form does not fail the function that logs it.
fn fields_json(call: &Call, fields: &Value) -> mlua::Result<Vec<u8>> {
    let mut object = Vec::new();
    let (name, reason) = match fields {
        Value::Nil => return Ok(object),
        Value::Table(_) => match call.shared.json.write(&call.lua, fields, Style::CJSON, &mut object)? {
            Ok(()) if object.first() == Some(&b'{') => return Ok(object),
            Ok(()) => ("list", String::from_utf8_lossy(&object).into_owned()),
            Err(error) => ("fields_error", error.to_string()),
        },
        other => ("fields", show(other)),
    };
    let mut object = format!("{{\"{name}\":").into_bytes();
    write_json_string(&reason, &mut object);
    object.push(b'}');
    Ok(object)
}
