//! Writes the value on top of the Lua stack as JSON.

use super::parser::Parser;
use super::{EXACT, bytes_at, is_list, is_null, room, string_at};
use crate::json::{Cjson, Formless, MAX_BYTES, MAX_DEPTH, Segment, Style, WriteError};
use mlua::ffi::*;
use std::ffi::c_int;

pub(super) struct Writer<'o> {
    pub(super) out: &'o mut Vec<u8>,
    pub(super) style: Style,
    /// Where the array metatable stands on the stack.
    pub(super) array: c_int,
    /// Where the sources of tables stand, if any table has one.
    pub(super) sources: Option<c_int>,
}

pub(super) type Written = Result<(), WriteError>;

impl Writer<'_> {
    /// Writes the value on top of the stack and leaves it there. After an error the stack is higher.
    pub(super) unsafe fn value(&mut self, l: *mut lua_State, depth: u32) -> Written {
        // SAFETY: reads of the top; tables check for their slots.
        unsafe {
            match lua_type(l, -1) {
                LUA_TNIL => self.word("null"),
                LUA_TBOOLEAN => self.word(if lua_toboolean(l, -1) != 0 { "true" } else { "false" }),
                LUA_TNUMBER => self.number(lua_tonumber(l, -1)),
                LUA_TSTRING => self.string(bytes_at(l, -1)),
                LUA_TLIGHTUSERDATA if is_null(l) => self.word("null"),
                LUA_TTABLE => self.table(l, depth),
                other => {
                    let name = std::ffi::CStr::from_ptr(lua_typename(l, other)).to_string_lossy();
                    Err(Formless::Type(name.into_owned()).into())
                }
            }
        }
    }

    pub(super) fn word(&mut self, word: &str) -> Written {
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    pub(super) fn number(&mut self, number: f64) -> Written {
        if !number.is_finite() {
            return Err(Formless::NotFinite.into());
        }
        let is_negative_zero = number == 0.0 && number.is_sign_negative();
        if number.fract() == 0.0 && number.abs() <= EXACT as f64 && !is_negative_zero {
            self.out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        } else if let Style::Cjson(cjson) = self.style {
            self.out.extend_from_slice(general(number, usize::from(cjson.digits)).as_bytes());
        } else {
            self.out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        }
        Ok(())
    }

    pub(super) fn string(&mut self, bytes: &[u8]) -> Written {
        let text = std::str::from_utf8(bytes).map_err(|_| Formless::NotUtf8)?;
        write_string(text, self.out);
        Ok(())
    }

    unsafe fn table(&mut self, l: *mut lua_State, depth: u32) -> Written {
        if depth == 0 {
            return Err(Formless::TooDeep.into());
        }
        // tables that share tables are written out each time: a few of them can be more than any memory holds
        if self.out.len() > MAX_BYTES {
            return Err(Formless::TooLong.into());
        }
        // SAFETY: `room` covers a key, a value and scratch; the iteration pops what it pushed.
        unsafe {
            room(l).map_err(|_| Formless::StackFull)?;
            if self.source(l) {
                return Ok(());
            }
            let start = self.out.len();
            let mut next = lua_rawiter(l, -1, 0);
            if next < 0 {
                let is_list =
                    is_list(l, self.array) || matches!(self.style, Style::Cjson(c) if c.empty_is_list);
                self.out.extend_from_slice(if is_list { b"[]" } else { b"{}" });
                return Ok(());
            }
            let is_object = lua_type(l, -2) == LUA_TSTRING;
            self.out.push(if is_object { b'{' } else { b'[' });
            let mut index = 0;
            while next >= 0 {
                index += 1;
                let fits = if is_object {
                    lua_type(l, -2) == LUA_TSTRING
                } else {
                    lua_type(l, -2) == LUA_TNUMBER && lua_tonumber(l, -2) == index as f64
                };
                if !fits {
                    lua_pop(l, 2);
                    self.out.truncate(start);
                    return self.irregular(l, depth);
                }
                if index > 1 {
                    self.out.push(b',');
                }
                if is_object {
                    let key = bytes_at(l, -2);
                    self.string(key).map_err(|e| e.under(member(key)))?;
                    self.out.push(b':');
                    self.value(l, depth - 1).map_err(|e| e.under(member(key)))?;
                } else {
                    self.value(l, depth - 1).map_err(|e| e.under(Segment::Index(index)))?;
                }
                lua_pop(l, 2);
                next = lua_rawiter(l, -1, next);
            }
            self.out.push(if is_object { b'}' } else { b']' });
        }
        Ok(())
    }

    /// If the table on top was parsed from bytes and is still what they say: writes them.
    unsafe fn source(&mut self, l: *mut lua_State) -> bool {
        let Some(sources) = self.sources else { return false };
        // SAFETY: one slot of `room`; the source stays on the stack, and so alive, while it is read.
        unsafe {
            lua_pushvalue(l, -1);
            lua_rawget(l, sources);
            let is_same = lua_type(l, -1) == LUA_TSTRING && {
                let text = string_at(l, -1);
                lua_pushvalue(l, -2);
                let mut parser = Parser { text, at: 0, depth: MAX_DEPTH, array: self.array, inexact: None };
                let is_same = parser.is_value(l).unwrap_or(false);
                lua_pop(l, 1);
                if is_same {
                    self.out.extend_from_slice(text);
                }
                is_same
            };
            lua_pop(l, 1);
            is_same
        }
    }

    /// A table whose keys do not come as 1…n or as strings: a list that is kept out of order, or neither.
    unsafe fn irregular(&mut self, l: *mut lua_State, depth: u32) -> Written {
        // SAFETY: as `table`.
        unsafe {
            let keys = Keys::of(l);
            let is_list = keys.others == 0 && keys.texts == 0;
            if is_list && keys.max == keys.numbers {
                return self.list(l, keys.max, depth);
            }
            match self.style {
                Style::Strict if is_list => {
                    Err(Formless::Holes { items: keys.numbers, length: keys.max }.into())
                }
                Style::Strict => Err(Formless::Mixture.into()),
                Style::Cjson(_) if keys.has_strange => Err(Formless::StrangeKey.into()),
                Style::Cjson(cjson) if is_list && !keys.is_too_sparse(cjson) => self.list(l, keys.max, depth),
                Style::Cjson(cjson) if is_list && !cjson.converts_sparse => Err(Formless::TooSparse.into()),
                Style::Cjson(_) => self.mixed(l, depth),
            }
        }
    }

    unsafe fn list(&mut self, l: *mut lua_State, length: usize, depth: u32) -> Written {
        self.out.push(b'[');
        for index in 1..=length {
            if index > 1 {
                self.out.push(b',');
            }
            // SAFETY: as `table`.
            unsafe {
                lua_rawgeti(l, -1, index as _);
                self.value(l, depth - 1).map_err(|e| e.under(Segment::Index(index)))?;
                lua_pop(l, 1);
            }
        }
        self.out.push(b']');
        Ok(())
    }

    /// lua-cjson's object with keys that are numbers.
    unsafe fn mixed(&mut self, l: *mut lua_State, depth: u32) -> Written {
        self.out.push(b'{');
        let mut next = 0;
        let mut is_first = true;
        loop {
            // SAFETY: as `table`.
            unsafe {
                next = lua_rawiter(l, -1, next);
                if next < 0 {
                    break;
                }
                if !std::mem::take(&mut is_first) {
                    self.out.push(b',');
                }
                let start = self.out.len();
                if lua_type(l, -2) == LUA_TSTRING {
                    self.string(string_at(l, -2))?;
                } else {
                    self.out.push(b'"');
                    self.number(lua_tonumber(l, -2))?;
                    self.out.push(b'"');
                }
                let key = start + 1..self.out.len() - 1;
                self.out.push(b':');
                self.value(l, depth - 1).map_err(|e| e.under(member(&self.out[key])))?;
                lua_pop(l, 2);
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// What the keys of a table are.
#[derive(Default)]
struct Keys {
    /// Whole numbers from 1.
    numbers: usize,
    max: usize,
    texts: usize,
    /// Other numbers, and what is neither number nor text.
    others: usize,
    has_strange: bool,
}

impl Keys {
    fn is_too_sparse(&self, cjson: Cjson) -> bool {
        let (ratio, safe) = (cjson.ratio as usize, cjson.safe as usize);
        ratio > 0 && self.max > safe && self.max > ratio.saturating_mul(self.numbers)
    }

    /// Of the table on top.
    unsafe fn of(l: *mut lua_State) -> Self {
        let mut keys = Self::default();
        let mut next = 0;
        loop {
            // SAFETY: the iteration pops what it pushed.
            unsafe {
                next = lua_rawiter(l, -1, next);
                if next < 0 {
                    return keys;
                }
                match lua_type(l, -2) {
                    LUA_TNUMBER => {
                        let number = lua_tonumber(l, -2);
                        if number >= 1.0 && number.fract() == 0.0 && number <= EXACT as f64 {
                            keys.numbers += 1;
                            keys.max = keys.max.max(number as usize);
                        } else {
                            keys.others += 1;
                        }
                    }
                    LUA_TSTRING => keys.texts += 1,
                    _ => {
                        keys.others += 1;
                        keys.has_strange = true;
                    }
                }
                lua_pop(l, 2);
            }
        }
    }
}

/// C's `%.*g`.
fn general(number: f64, digits: usize) -> String {
    let scientific = format!("{number:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').expect("the form of `e`");
    let exponent: i32 = exponent.parse().expect("a whole number");
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    trimmed(&format!("{number:.*}", (digits as i32 - 1 - exponent) as usize))
}

/// Appends `text` as a JSON string.
fn write_string(text: &str, out: &mut Vec<u8>) {
    const ESCAPE: [u8; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 32 {
            table[i] = b'u';
            i += 1;
        }
        table[b'"' as usize] = b'"';
        table[b'\\' as usize] = b'\\';
        table[b'\n' as usize] = b'n';
        table[b'\r' as usize] = b'r';
        table[b'\t' as usize] = b't';
        table
    };
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (i, c) in bytes.iter().enumerate() {
        let escape = ESCAPE[usize::from(*c)];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[start..i]);
        start = i + 1;
        if escape == b'u' {
            out.extend_from_slice(format!("\\u{c:04x}").as_bytes());
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

fn member(key: &[u8]) -> Segment {
    Segment::Key(String::from_utf8_lossy(key).into_owned())
}
