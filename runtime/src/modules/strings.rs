//! String functions that Luau runs without looking up: in linear time here, or not past the memory limit.

use super::Registry;
use memchr::memmem;
use mlua::{LuaString, Value};

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    // whether `size` more bytes may be allocated at once; if not, the invocation is over
    to.add_plain("reserve", |call, (size, what): (f64, String)| {
        Ok(call.run.may_take(&call.lua, size, &what))
    })?;
    to.add_plain("find_plain", |_, (text, needle, init): (LuaString, LuaString, f64)| {
        let (text, needle) = (text.as_bytes(), needle.as_bytes());
        let from = start(init, text.len());
        let found = text.get(from..).and_then(|rest| memmem::find(rest, &needle));
        Ok(match found {
            Some(at) => (Some(from + at + 1), Some(from + at + needle.len())),
            None => (None, None),
        })
    })?;
    to.add_plain("split_plain", |call, (text, separator): (LuaString, LuaString)| {
        let (text, separator) = (text.as_bytes(), separator.as_bytes());
        let parts = call.lua.create_table()?;
        let mut from = 0;
        for at in memmem::find_iter(&text, &*separator) {
            parts.raw_push(call.lua.create_string(&text[from..at])?)?;
            from = at + separator.len();
        }
        parts.raw_push(call.lua.create_string(&text[from..])?)?;
        Ok(Value::Table(parts))
    })
}

/// Where Lua's `init` points in a string of `length` bytes, from 0; past the end it finds nothing.
fn start(init: f64, length: usize) -> usize {
    if init < 0.0 { length.saturating_sub((-init) as usize) } else { (init as usize).saturating_sub(1) }
}
