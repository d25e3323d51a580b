//! Compares a value on the Lua stack with the JSON text that it may have come from, without building anything.

use super::parser::Parser;
use super::{count, is_list, is_null, room, string_at};
use crate::json::Flaw;
use mlua::ffi::*;

impl Parser<'_> {
    /// Whether the value on top of the stack is what this text, which is valid, parses to. Leaves the stack.
    pub(super) unsafe fn is_value(&mut self, l: *mut lua_State) -> Result<bool, Flaw> {
        self.space();
        // SAFETY: each table checks for six slots; every push is popped.
        unsafe {
            let kind = lua_type(l, -1);
            Ok(match self.peek() {
                b'{' => kind == LUA_TTABLE && self.is_object(l)?,
                b'[' => kind == LUA_TTABLE && self.is_array(l)?,
                b'"' => self.string()?.bytes() == string_at(l, -1),
                b't' => self.literal(b"true").is_ok() && kind == LUA_TBOOLEAN && lua_toboolean(l, -1) == 1,
                b'f' => self.literal(b"false").is_ok() && kind == LUA_TBOOLEAN && lua_toboolean(l, -1) == 0,
                b'n' => self.literal(b"null").is_ok() && is_null(l),
                _ => self.number().is_ok_and(|n| kind == LUA_TNUMBER && n == lua_tonumber(l, -1)),
            })
        }
    }

    unsafe fn is_object(&mut self, l: *mut lua_State) -> Result<bool, Flaw> {
        self.enter()?;
        let mut members = 0;
        // SAFETY: see `is_value`.
        unsafe {
            room(l)?;
            if self.peek() == b'}' {
                self.leave()?;
                return Ok(count(l) == 0 && !is_list(l, self.array));
            }
            loop {
                let key = self.key()?;
                lua_pushlstring(l, key.bytes().as_ptr().cast(), key.bytes().len());
                drop(key);
                lua_rawget(l, -2);
                let is_same = self.is_value(l);
                lua_pop(l, 1);
                members += 1;
                if !is_same? {
                    return Ok(false);
                }
                if !self.more(b'}')? {
                    self.leave()?;
                    return Ok(count(l) == members);
                }
            }
        }
    }

    unsafe fn is_array(&mut self, l: *mut lua_State) -> Result<bool, Flaw> {
        self.enter()?;
        // SAFETY: see `is_value`.
        unsafe {
            room(l)?;
            if self.peek() == b']' {
                self.leave()?;
                return Ok(count(l) == 0 && is_list(l, self.array));
            }
            for n in 1.. {
                lua_rawgeti(l, -1, n);
                let is_same = self.is_value(l);
                lua_pop(l, 1);
                if !is_same? {
                    return Ok(false);
                }
                if !self.more(b']')? {
                    self.leave()?;
                    return Ok(count(l) == n as usize);
                }
            }
            Ok(false)
        }
    }
}
