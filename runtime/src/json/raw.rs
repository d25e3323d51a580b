//! The stack machine side of JSON: reads bytes onto the Lua stack, writes bytes from it.
//!
//! Through the safe API each string and table goes through a reference; straight onto the stack is 2.5 times faster.
#![expect(unsafe_code, reason = "pushes onto and reads from the Lua stack without references between")]

mod matcher;
mod parser;
mod writer;

use super::{Json, MAX_DEPTH, ParseError, Parsed, Style, WriteError};
use mlua::ffi::*;
use mlua::{Lua, Table, Value};
use parser::Parser;
use std::ffi::c_int;
use writer::Writer;

/// Where `write` finds its arguments.
const VALUE: c_int = 1;
const ARRAY: c_int = 2;
const SOURCES: c_int = 3;

/// Integers are exact up to here.
const EXACT: u64 = 1 << 53;

type Step = Result<(), &'static str>;

pub(super) fn parse(lua: &Lua, array: &Table, text: &[u8]) -> mlua::Result<Result<Parsed, ParseError>> {
    if let Err(error) = std::str::from_utf8(text) {
        return Ok(Err(ParseError { at: error.valid_up_to(), reason: "not UTF-8" }));
    }
    let mut parser = Parser { text, at: 0, depth: MAX_DEPTH, inexact: None };
    let mut failed = None;
    // SAFETY: runs protected; every push is covered by a lua_checkstack; one value is left on the stack.
    let value = unsafe {
        lua.exec_raw::<Value>(array, |l| {
            let end = parser.value(l).and_then(|()| parser.end());
            failed = end.err();
            if failed.is_some() {
                lua_settop(l, 0);
            } else {
                lua_replace(l, 1);
                lua_settop(l, 1);
            }
        })
    }?;
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
    let start = out.len();
    let mut result = Ok(());
    // SAFETY: runs protected; every push is covered by a lua_checkstack; nothing is left on the stack.
    let done = unsafe {
        lua.exec_raw::<()>((value, &json.array, &json.sources), |l| {
            lua_pushvalue(l, VALUE);
            result = Writer { out: &mut *out, style }.value(l, MAX_DEPTH);
            lua_settop(l, 0);
        })
    };
    if done.is_err() || result.is_err() {
        out.truncate(start);
    }
    done.map(|()| result)
}

unsafe fn room(l: *mut lua_State) -> Result<(), &'static str> {
    // SAFETY: a plain call.
    if unsafe { lua_checkstack(l, 8) } == 0 { Err("the stack is full") } else { Ok(()) }
}

/// The bytes of the string at `index`; empty if there is none. They live as long as the string does.
unsafe fn string_at<'s>(l: *mut lua_State, index: c_int) -> &'s [u8] {
    // SAFETY: lua_tolstring of a string does not convert, and its pointer is good for `length` bytes.
    unsafe {
        if lua_type(l, index) != LUA_TSTRING {
            return &[];
        }
        let mut length = 0;
        let start = lua_tolstring(l, index, &raw mut length);
        std::slice::from_raw_parts(start.cast(), length)
    }
}

unsafe fn is_null(l: *mut lua_State) -> bool {
    // SAFETY: reads the top.
    unsafe { lua_type(l, -1) == LUA_TLIGHTUSERDATA && lua_touserdata(l, -1).is_null() }
}

/// Whether the table on top has the array metatable, which `write` keeps at `ARRAY`.
unsafe fn is_list(l: *mut lua_State) -> bool {
    // SAFETY: the metatable, if there is one, is popped again.
    unsafe {
        if lua_getmetatable(l, -1) == 0 {
            return false;
        }
        let is_list = lua_rawequal(l, -1, ARRAY) != 0;
        lua_pop(l, 1);
        is_list
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
