//! The stack machine side of JSON: reads bytes onto the Lua stack, writes bytes from it.
//!
//! Through the safe API each string and table goes through a reference; straight onto the stack is 2.5 times faster.
#![expect(unsafe_code, reason = "pushes onto and reads from the Lua stack without references between")]

mod matcher;
mod parser;
mod writer;

use super::{Flaw, Json, MAX_DEPTH, ParseError, Parsed, Style, WriteError};
use crate::heap::Guard;
use mlua::ffi::*;
use mlua::{IntoLuaMulti, Lua, Value};
use parser::Parser;
use std::ffi::c_int;
use writer::Writer;

/// Integers are exact up to here.
const EXACT: u64 = 1 << 53;

type Step = Result<(), Flaw>;

pub(super) fn parse(lua: &Lua, json: &Json, text: &[u8]) -> mlua::Result<Result<Parsed, ParseError>> {
    if let Err(error) = std::str::from_utf8(text) {
        return Ok(Err(ParseError { at: error.valid_up_to(), reason: Flaw::NotUtf8 }));
    }
    let mut parser = Parser { text, at: 0, depth: MAX_DEPTH, array: 0, inexact: None };
    let mut failed = None;
    let guard = json.heap.lift_for(lua, text.len());
    let parse = |l: *mut lua_State, array: c_int| {
        parser.array = array;
        // SAFETY: every push is covered by a lua_checkstack; one value is left on the stack.
        unsafe {
            failed = parser.value(l).and_then(|()| parser.end()).err();
            if failed.is_some() {
                lua_settop(l, array);
            }
        }
    };
    // SAFETY: `parse` leaves at most one value above its argument.
    let value = unsafe { on_stack(lua, &guard, &json.array, parse) }?;
    Ok(match failed {
        None => Ok(Parsed { value, inexact: parser.inexact }),
        Some(reason) => Err(ParseError { at: parser.at.min(text.len()), reason }),
    })
}

pub(super) fn write(
    lua: &Lua,
    json: &Json,
    value: &Value,
    style: Style,
    out: &mut Vec<u8>,
) -> mlua::Result<Result<(), WriteError>> {
    let mut writer = Writer { out: &mut *out, style, array: 0, sources: None };
    // what is no table does not need the stack
    match value {
        Value::Nil => return Ok(writer.word("null")),
        Value::Boolean(is) => return Ok(writer.word(if *is { "true" } else { "false" })),
        Value::Number(number) => return Ok(writer.number(*number)),
        Value::String(text) => return Ok(writer.string(&text.as_bytes())),
        _ => {}
    }
    let start = out.len();
    let mut result = Ok(());
    let guard = json.heap.lift(lua);
    let write = |l: *mut lua_State, first: c_int| {
        // SAFETY: every push is covered by a lua_checkstack; nothing is left above the arguments.
        unsafe {
            let sources = (!is_empty(l, first + 1)).then_some(first + 1);
            let mut writer = Writer { out: &mut *out, style, array: first, sources };
            result = writer.value(l, MAX_DEPTH);
            lua_settop(l, first);
        }
    };
    // SAFETY: `write` leaves one value of its arguments.
    let done = unsafe { on_stack(lua, &guard, (&json.array, &json.sources, value), write) };
    if done.is_err() || result.is_err() {
        out.truncate(start);
    }
    done.map(|_| result)
}

/// Runs `work` with `args` on top of the stack; it is told where the first of them stands. Returns the value that it
/// leaves on top. Protected where an allocation may fail, since nothing else in `work` can.
///
/// # Safety
/// `work` leaves at least its first argument's slot, and has room for what it pushes.
unsafe fn on_stack(
    lua: &Lua,
    guard: &Guard,
    args: impl IntoLuaMulti,
    work: impl FnOnce(*mut lua_State, c_int),
) -> mlua::Result<Value> {
    if guard.is_held() {
        // SAFETY: the caller's; protected, on a stack of its own.
        return unsafe {
            lua.exec_raw(args, |l| {
                work(l, 1);
                lua_replace(l, 1);
                lua_settop(l, 1);
            })
        };
    }
    lua.exec_raw_lua(|raw| {
        let l = raw.state();
        // SAFETY: what is pushed is popped; without a limit on memory none of this can raise.
        unsafe {
            let base = lua_gettop(l);
            room(l).map_err(mlua::Error::runtime)?;
            args.push_into_stack_multi(raw)?;
            work(l, base + 1);
            let value = raw.pop_value();
            lua_settop(l, base);
            Ok(value)
        }
    })
}

unsafe fn room(l: *mut lua_State) -> Result<(), Flaw> {
    // SAFETY: a plain call.
    if unsafe { lua_checkstack(l, 8) } == 0 { Err(Flaw::StackFull) } else { Ok(()) }
}

/// The bytes of the string at `index`; empty if there is none. They live as long as the string does.
unsafe fn string_at<'s>(l: *mut lua_State, index: c_int) -> &'s [u8] {
    // SAFETY: it is a string.
    unsafe { if lua_type(l, index) == LUA_TSTRING { bytes_at(l, index) } else { &[] } }
}

/// As [`string_at`], where a string is known to be there.
unsafe fn bytes_at<'s>(l: *mut lua_State, index: c_int) -> &'s [u8] {
    let mut length = 0;
    // SAFETY: lua_tolstring of a string does not convert, and its pointer is good for `length` bytes.
    unsafe {
        let start = lua_tolstring(l, index, &raw mut length);
        std::slice::from_raw_parts(start.cast(), length)
    }
}

unsafe fn is_null(l: *mut lua_State) -> bool {
    // SAFETY: reads the top.
    unsafe { lua_type(l, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(l, -1).is_null() }
}

/// Whether the table on top has the array metatable, which stands at `array`.
unsafe fn is_list(l: *mut lua_State, array: c_int) -> bool {
    // SAFETY: the metatable, if there is one, is popped again.
    unsafe {
        if lua_getmetatable(l, -1) == 0 {
            return false;
        }
        let is_list = lua_rawequal(l, -1, array) != 0;
        lua_pop(l, 1);
        is_list
    }
}

/// Whether the table at `index` has no keys.
unsafe fn is_empty(l: *mut lua_State, index: c_int) -> bool {
    // SAFETY: two slots of `room`; what the iteration pushed is popped.
    unsafe {
        let is_empty = lua_rawiter(l, index, 0) < 0;
        if !is_empty {
            lua_pop(l, 2);
        }
        is_empty
    }
}

/// How many keys the table on top has.
unsafe fn count(l: *mut lua_State) -> usize {
    let mut keys = 0;
    let mut next = 0;
    loop {
        // SAFETY: the iteration pops what it pushed.
        unsafe {
            next = lua_rawiter(l, -1, next);
            if next < 0 {
                return keys;
            }
            lua_pop(l, 2);
        }
        keys += 1;
    }
}
