//! Reads JSON onto the Lua stack.

use super::{EXACT, Step, room};
use crate::json::Flaw;
use mlua::ffi::*;
use std::ffi::c_int;

pub(super) struct Parser<'a> {
    /// Valid UTF-8.
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    pub(super) depth: u32,
    /// Where the array metatable stands on the stack.
    pub(super) array: c_int,
    pub(super) inexact: Option<usize>,
}

/// A string of the text: where it stands, or what its escapes come to.
pub(super) enum Text<'a> {
    Plain(&'a [u8]),
    Unescaped(Vec<u8>),
}

impl Text<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Unescaped(bytes) => bytes,
        }
    }
}

impl<'a> Parser<'a> {
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    pub(super) fn end(&mut self) -> Step {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Flaw::TextAfter) }
    }

    pub(super) fn enter(&mut self) -> Step {
        self.depth = self.depth.checked_sub(1).ok_or(Flaw::TooDeep)?;
        self.at += 1;
        self.space();
        Ok(())
    }

    pub(super) fn leave(&mut self) -> Step {
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    pub(super) fn literal(&mut self, word: &[u8]) -> Step {
        if !self.text[self.at..].starts_with(word) {
            return Err(Flaw::NoValue);
        }
        self.at += word.len();
        Ok(())
    }

    /// Pushes exactly one value, or fails.
    pub(super) unsafe fn value(&mut self, l: *mut lua_State) -> Step {
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
            let is_empty = self.peek() == b']';
            lua_createtable(l, if is_empty { 0 } else { 4 }, 0);
            lua_pushvalue(l, self.array); // a list that is emptied stays one
            lua_setmetatable(l, -2);
            if is_empty {
                return self.leave();
            }
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
    pub(super) fn key(&mut self) -> Result<Text<'a>, Flaw> {
        self.space();
        if self.peek() != b'"' {
            return Err(Flaw::NoKey);
        }
        let key = self.string()?;
        self.space();
        if self.peek() != b':' {
            return Err(Flaw::NoColon);
        }
        self.at += 1;
        Ok(key)
    }

    /// After a member: whether another follows; stays before the closing bracket.
    pub(super) fn more(&mut self, close: u8) -> Result<bool, Flaw> {
        self.space();
        match self.peek() {
            b',' => {
                self.at += 1;
                Ok(true)
            }
            c if c == close => Ok(false),
            _ if close == b']' => Err(Flaw::ListGoesOn),
            _ => Err(Flaw::ObjectGoesOn),
        }
    }

    pub(super) fn number(&mut self) -> Result<f64, Flaw> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        let digits = self.at;
        self.digits()?;
        if self.text[digits] == b'0' && self.at > digits + 1 {
            return Err(Flaw::LeadingZero);
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
        if is_integer && self.at - digits <= 15 {
            let magnitude = self.text[digits..self.at].iter().fold(0, |n, d| n * 10 + u64::from(d - b'0'));
            // exact, and there is a zero below zero
            return Ok(if digits > start { -(magnitude as f64) } else { magnitude as f64 });
        }
        let token = std::str::from_utf8(&self.text[start..self.at]).map_err(|_| Flaw::NoValue)?;
        if is_integer && self.inexact.is_none() {
            let magnitude = token.trim_start_matches('-').parse().unwrap_or(u64::MAX);
            self.inexact = (magnitude > EXACT).then_some(start);
        }
        let number: f64 = token.parse().map_err(|_| Flaw::NoValue)?;
        if number.is_finite() { Ok(number) } else { Err(Flaw::OutOfRange) }
    }

    fn digits(&mut self) -> Step {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at > start { Ok(()) } else { Err(Flaw::NoValue) }
    }

    pub(super) fn string(&mut self) -> Result<Text<'a>, Flaw> {
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
                0..=0x1f => return Err(Flaw::ControlCharacter),
                _ => self.at += 1,
            }
        }
        Err(Flaw::EndlessString)
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
            _ => return Err(Flaw::NoEscape),
        });
        Ok(())
    }

    fn unicode(&mut self) -> Result<char, Flaw> {
        let high = self.hex()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.hex()?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(Flaw::HalfPair);
            }
            0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)
        } else {
            high
        };
        char::from_u32(code).ok_or(Flaw::HalfPair)
    }

    fn hex(&mut self) -> Result<u32, Flaw> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Flaw::NoHex)?;
        self.at += 4;
        digits.iter().try_fold(0, |n, d| Ok(n * 16 + char::from(*d).to_digit(16).ok_or(Flaw::NoHex)?))
    }
}
