//! The stack machine side of JSON: reads bytes onto the Lua stack, writes bytes from it.
//!
//! Through the safe API each string and table goes through a reference; straight onto the stack is 2.5 times faster.
#![expect(unsafe_code, reason = "pushes onto and reads from the Lua stack without references between")]

use super::{Json, MAX_DEPTH, ParseError, Parsed, Segment, Style, WriteError};
use mlua::ffi::*;
use mlua::{Lua, Table, Value};
use std::ffi::c_int;

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

struct Parser<'a> {
    /// Valid UTF-8.
    text: &'a [u8],
    at: usize,
    depth: u32,
    inexact: Option<usize>,
}

/// A string of the text: where it stands, or what its escapes come to.
enum Text<'a> {
    Plain(&'a [u8]),
    Unescaped(Vec<u8>),
}

impl Text<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Unescaped(bytes) => bytes,
        }
    }
}

impl<'a> Parser<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Step {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err("text after the value") }
    }

    fn enter(&mut self) -> Step {
        self.depth = self.depth.checked_sub(1).ok_or("nested too deeply")?;
        self.at += 1;
        self.space();
        Ok(())
    }

    fn leave(&mut self) -> Step {
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Step {
        if !self.text[self.at..].starts_with(word) {
            return Err("not a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Pushes exactly one value, or fails.
    unsafe fn value(&mut self, l: *mut lua_State) -> Step {
        self.space();
        // SAFETY: each table checks for six slots before it is made: itself, a key, a value and scratch.
        unsafe {
            match self.peek() {
                b'{' => self.object(l),
                b'[' => self.array(l),
                b'"' => {
                    let text = self.string()?;
                    lua_pushlstring(l, text.bytes().as_ptr().cast(), text.bytes().len());
                    Ok(())
                }
                b't' => self.literal(b"true").map(|()| lua_pushboolean(l, 1)),
                b'f' => self.literal(b"false").map(|()| lua_pushboolean(l, 0)),
                b'n' => self.literal(b"null").map(|()| lua_pushlightuserdata(l, std::ptr::null_mut())),
                _ => self.number().map(|n| lua_pushnumber(l, n)),
            }
        }
    }

    unsafe fn object(&mut self, l: *mut lua_State) -> Step {
        self.enter()?;
        // SAFETY: see `value`.
        unsafe {
            room(l)?;
            lua_createtable(l, 0, 4);
            if self.peek() == b'}' {
                return self.leave();
            }
            loop {
                let key = self.key()?;
                lua_pushlstring(l, key.bytes().as_ptr().cast(), key.bytes().len());
                drop(key);
                self.value(l)?;
                lua_rawset(l, -3);
                if !self.more(b'}')? {
                    return self.leave();
                }
            }
        }
    }

    unsafe fn array(&mut self, l: *mut lua_State) -> Step {
        self.enter()?;
        // SAFETY: see `value`.
        unsafe {
            room(l)?;
            if self.peek() == b']' {
                lua_createtable(l, 0, 0);
                lua_pushvalue(l, 1); // the array metatable
                lua_setmetatable(l, -2);
                return self.leave();
            }
            lua_createtable(l, 4, 0);
            for n in 1.. {
                self.value(l)?;
                lua_rawseti(l, -2, n);
                if !self.more(b']')? {
                    break;
                }
            }
        }
        self.leave()
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<Text<'a>, &'static str> {
        self.space();
        if self.peek() != b'"' {
            return Err("a key is missing");
        }
        let key = self.string()?;
        self.space();
        if self.peek() != b':' {
            return Err("a colon is missing");
        }
        self.at += 1;
        Ok(key)
    }

    /// After a member: whether another follows; stays before the closing bracket.
    fn more(&mut self, close: u8) -> Result<bool, &'static str> {
        self.space();
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            c if c == close => Ok(false),
            _ => Err("a comma or a closing bracket is missing"),
        }
    }

    fn number(&mut self) -> Result<f64, &'static str> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        let digits = self.at;
        self.digits()?;
        if self.text[digits] == b'0' && self.at > digits + 1 {
            return Err("a number with a leading zero");
        }
        let mut is_integer = true;
        if self.peek() == b'.' {
            is_integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            is_integer = false;
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        let token = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| "not a number")?;
        if is_integer && self.inexact.is_none() && self.at - digits > 15 {
            let magnitude = token.trim_start_matches('-').parse().unwrap_or(u64::MAX);
            self.inexact = (magnitude > EXACT).then_some(start);
        }
        let number: f64 = token.parse().map_err(|_| "not a number")?;
        if number.is_finite() { Ok(number) } else { Err("a number out of range") }
    }

    fn digits(&mut self) -> Step {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err("not a value") }
    }

    fn string(&mut self) -> Result<Text<'a>, &'static str> {
        self.at += 1;
        let start = self.at;
        self.plain()?;
        if self.peek() == b'"' {
            self.at += 1;
            return Ok(Text::Plain(&self.text[start..self.at - 1]));
        }
        let mut unescaped = self.text[start..self.at].to_vec();
        while self.peek() == b'\\' {
            self.at += 1;
            self.escape(&mut unescaped)?;
            let start = self.at;
            self.plain()?;
            unescaped.extend_from_slice(&self.text[start..self.at]);
        }
        self.at += 1;
        Ok(Text::Unescaped(unescaped))
    }

    /// Goes on to the next quote or backslash.
    fn plain(&mut self) -> Step {
        while let Some(c) = self.text.get(self.at) {
            match c {
                b'"' | b'\\' => return Ok(()),
                0..=0x1f => return Err("a control character in a string"),
                _ => self.at += 1,
            }
        }
        Err("a string without end")
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Step {
        let c = self.peek();
        self.at += 1;
        out.push(match c {
            b'"' | b'\\' | b'/' => c,
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let c = self.unicode()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err("not an escape"),
        });
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, &'static str> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err("half a surrogate pair");
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or("half a surrogate pair")
    }

    fn hex(&mut self) -> Result<u32, &'static str> {
        const NO: &str = "not four hexadecimal digits";
        let digits = self.text.get(self.at..self.at + 4).ok_or(NO)?;
        self.at += 4;
        digits.iter().try_fold(0, |n, d| Ok(n * 16 + char::from(*d).to_digit(16).ok_or(NO)?))
    }

    /// Whether the value on top of the stack is what this text, which is valid, parses to. Leaves the stack.
    unsafe fn is_value(&mut self, l: *mut lua_State) -> Result<bool, &'static str> {
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

    unsafe fn is_object(&mut self, l: *mut lua_State) -> Result<bool, &'static str> {
        self.enter()?;
        let mut members = 0;
        // SAFETY: see `is_value`.
        unsafe {
            room(l)?;
            if self.peek() == b'}' {
                self.leave()?;
                return Ok(count(l) == 0 && !is_list(l));
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

    unsafe fn is_array(&mut self, l: *mut lua_State) -> Result<bool, &'static str> {
        self.enter()?;
        // SAFETY: see `is_value`.
        unsafe {
            room(l)?;
            if self.peek() == b']' {
                self.leave()?;
                return Ok(count(l) == 0 && is_list(l));
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

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    style: Style,
}

type Written = Result<(), WriteError>;

impl Writer<'_> {
    /// Writes the value on top of the stack and leaves it there. After an error the stack is higher.
    unsafe fn value(&mut self, l: *mut lua_State, depth: u32) -> Written {
        // SAFETY: reads of the top; tables check for their slots.
        unsafe {
            match lua_type(l, -1) {
                LUA_TNIL => self.out.extend_from_slice(b"null"),
                LUA_TBOOLEAN => {
                    self.out.extend_from_slice(if lua_toboolean(l, -1) != 0 { b"true" } else { b"false" });
                }
                LUA_TNUMBER => return self.number(lua_tonumber(l, -1)),
                LUA_TSTRING => return self.string(string_at(l, -1)),
                LUA_TLIGHTUSERDATA if is_null(l) => self.out.extend_from_slice(b"null"),
                LUA_TTABLE => return self.table(l, depth),
                other => {
                    let name = std::ffi::CStr::from_ptr(lua_typename(l, other)).to_string_lossy();
                    return Err(WriteError::new(format!("a {name} has no JSON form")));
                }
            }
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> Written {
        if !number.is_finite() {
            return Err(WriteError::new("a number must not be NaN or infinite"));
        }
        let is_negative_zero = number == 0.0 && number.is_sign_negative();
        if number.fract() == 0.0 && number.abs() <= EXACT as f64 && !is_negative_zero {
            self.out.extend_from_slice(itoa::Buffer::new().format(number as i64).as_bytes());
        } else {
            self.out.extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        }
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) -> Written {
        let text = std::str::from_utf8(bytes).map_err(|_| WriteError::new("a string that is not UTF-8"))?;
        write_string(text, self.out);
        Ok(())
    }

    unsafe fn table(&mut self, l: *mut lua_State, depth: u32) -> Written {
        if depth == 0 {
            return Err(WriteError::new(format!(
                "nested deeper than {MAX_DEPTH} (or a table that holds itself)"
            )));
        }
        // SAFETY: `room` covers a key, a value and scratch; the iteration pops what it pushed.
        unsafe {
            room(l).map_err(WriteError::new)?;
            if self.source(l) {
                return Ok(());
            }
            let start = self.out.len();
            let mut next = lua_rawiter(l, -1, 0);
            if next < 0 {
                self.out.extend_from_slice(if is_list(l) { b"[]" } else { b"{}" });
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
                    let key = string_at(l, -2);
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
        // SAFETY: one slot of `room`; the source stays on the stack, and so alive, while it is read.
        unsafe {
            lua_pushvalue(l, -1);
            lua_rawget(l, SOURCES);
            let is_same = lua_type(l, -1) == LUA_TSTRING && {
                let text = string_at(l, -1);
                lua_pushvalue(l, -2);
                let mut parser = Parser { text, at: 0, depth: MAX_DEPTH, inexact: None };
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
                Style::Strict if is_list => Err(WriteError::new(format!(
                    "a list with holes: {} of {} items; use json.null",
                    keys.numbers, keys.max
                ))),
                Style::Strict => Err(WriteError::new(
                    "a table is a list (keys 1…n) or an object (keys that are text), not a mixture; write [tostring(id)]",
                )),
                Style::Cjson if keys.has_strange => {
                    Err(WriteError::new("table key must be a number or string"))
                }
                Style::Cjson if is_list && keys.max > 10 && keys.max > 2 * keys.numbers => {
                    Err(WriteError::new("Cannot serialise table: excessively sparse array"))
                }
                Style::Cjson if is_list => self.list(l, keys.max, depth),
                Style::Cjson => self.mixed(l, depth),
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

fn member(key: &[u8]) -> Segment {
    Segment::Key(String::from_utf8_lossy(key).into_owned())
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
