//! JSON to Lua values and back, without a tree between them.
//!
//! A table that was parsed from bytes and has not changed since is written as those bytes again ("a value that
//! passes through untouched keeps its bytes"): [`Json::parse_kept`] remembers the source of a table, weakly.

mod raw;
mod reason;
#[cfg(test)]
mod tests;

pub(crate) use reason::{Flaw, Formless};

use crate::heap::Heap;
use mlua::{Lua, LuaString, Table, Value};
use std::fmt;
use std::rc::Rc;

/// Tables nested deeper than this are refused, reading and writing.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Longer texts are not written.
pub(crate) const MAX_BYTES: usize = 32 << 20;

/// What one VM needs to read and write JSON.
#[derive(Debug)]
pub(crate) struct Json {
    /// Marks an empty table as `[]`. Read-only.
    array: Table,
    /// Table → the bytes it was parsed from; the keys are weak.
    sources: Table,
    heap: Rc<Heap>,
}

/// How tables that are neither list nor object are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Style {
    /// They are errors that name the path.
    Strict,
    /// As lua-cjson: number keys become text, holes become null, up to what it calls excessively sparse.
    Cjson(Cjson),
}

impl Style {
    /// lua-cjson as it is when nothing is set.
    pub(crate) const CJSON: Self = Self::Cjson(Cjson::DEFAULT);
}

/// What code can set of lua-cjson.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cjson {
    /// Whether an empty table is `[]`.
    pub(crate) empty_is_list: bool,
    /// Whether a list that is excessively sparse is an object, not an error.
    pub(crate) converts_sparse: bool,
    /// A list is excessively sparse when its last index is larger than this many times the number of its items …
    pub(crate) ratio: u32,
    /// … and than this. With a ratio of 0 none is.
    pub(crate) safe: u32,
    /// Of a number that is not whole.
    pub(crate) digits: u8,
}

impl Cjson {
    const DEFAULT: Self =
        Self { empty_is_list: false, converts_sparse: false, ratio: 2, safe: 10, digits: 14 };
}

impl Default for Cjson {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Why a text is no JSON.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not JSON at byte {at}: {reason}")]
pub(crate) struct ParseError {
    pub(crate) at: usize,
    pub(crate) reason: Flaw,
}

/// Why a value has no JSON form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct WriteError {
    pub(crate) reason: Formless,
    /// From the innermost outwards.
    path: Vec<Segment>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    Key(String),
    Index(usize),
}

/// A parsed text.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) value: Value,
    /// Where the first integer beyond 2^53 stands: it has lost digits.
    pub(crate) inexact: Option<usize>,
}

impl Json {
    pub(crate) fn new(lua: &Lua, heap: Rc<Heap>) -> mlua::Result<Self> {
        let array = lua.create_table()?;
        array.raw_set("__jsontype", "array")?;
        array.set_readonly(true);
        let sources = lua.create_table()?;
        let weak = lua.create_table()?;
        weak.raw_set("__mode", "k")?;
        sources.set_metatable(Some(weak))?;
        Ok(Self { array, sources, heap })
    }

    /// The metatable that makes an empty table a list.
    pub(crate) fn array(&self) -> &Table {
        &self.array
    }

    /// Reads one JSON text. The outer error is the engine's (out of memory).
    pub(crate) fn parse(&self, lua: &Lua, text: &[u8]) -> mlua::Result<Result<Parsed, ParseError>> {
        raw::parse(lua, self, text)
    }

    /// As [`Json::parse`], and remembers the bytes of a table.
    pub(crate) fn parse_kept(&self, lua: &Lua, text: &[u8]) -> mlua::Result<Result<Parsed, ParseError>> {
        let parsed = self.parse(lua, text)?;
        if let Ok(Parsed { value: Value::Table(table), .. }) = &parsed {
            self.sources.raw_set(table, lua.create_string(text)?)?;
        }
        Ok(parsed)
    }

    /// Appends the JSON form of a value to `out`; nil is `null`. On an error `out` is as it was.
    pub(crate) fn write(
        &self,
        lua: &Lua,
        value: &Value,
        style: Style,
        out: &mut Vec<u8>,
    ) -> mlua::Result<Result<(), WriteError>> {
        raw::write(lua, self, value, style, out)
    }

    /// A value's JSON form.
    pub(crate) fn to_vec(
        &self,
        lua: &Lua,
        value: &Value,
        style: Style,
    ) -> mlua::Result<Result<Vec<u8>, WriteError>> {
        let mut out = Vec::with_capacity(128);
        Ok(self.write(lua, value, style, &mut out)?.map(|()| out))
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return self.reason.fmt(f);
        }
        write!(f, "at {}: {}", shown(self.path.iter().rev()), self.reason)
    }
}

impl std::error::Error for WriteError {}

impl From<Formless> for WriteError {
    fn from(reason: Formless) -> Self {
        Self { reason, path: Vec::new() }
    }
}

impl WriteError {
    fn under(mut self, segment: Segment) -> Self {
        self.path.push(segment);
        self
    }
}

/// A value as errors show it. Asks no `__tostring`: that would run the function's code, outside of its limits.
pub(crate) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => lossy(text),
        Value::Nil | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
            value.to_string().unwrap_or_default()
        }
        other => other.type_name().to_owned(),
    }
}

/// A Lua string as text, with replacement characters where it is not UTF-8.
pub(crate) fn lossy(text: &LuaString) -> String {
    String::from_utf8_lossy(&text.as_bytes()).into_owned()
}

/// The path (`items[2].id`) of the value that begins at byte `at` of a valid JSON text.
pub(crate) fn path_at(text: &[u8], at: usize) -> String {
    let mut open: Vec<Segment> = Vec::new();
    let mut i = 0;
    while i < at {
        match text[i] {
            b'{' => open.push(Segment::Key(String::new())),
            b'[' => open.push(Segment::Index(1)),
            b'}' | b']' => drop(open.pop()),
            b',' => {
                if let Some(Segment::Index(n)) = open.last_mut() {
                    *n += 1;
                }
            }
            b'"' => {
                let end = string_end(text, i);
                let is_key = text[end..].iter().find(|c| !c.is_ascii_whitespace()) == Some(&b':');
                if let (true, Some(Segment::Key(key))) = (is_key, open.last_mut()) {
                    *key = String::from_utf8_lossy(&text[i + 1..end - 1]).into_owned();
                }
                i = end;
                continue;
            }
            _ => {}
        }
        i += 1;
    }
    shown(open.iter())
}

/// A path from the outermost segment inwards.
fn shown<'s>(path: impl Iterator<Item = &'s Segment>) -> String {
    let mut shown = String::new();
    for segment in path {
        match segment {
            Segment::Key(_) if !shown.is_empty() => shown.push('.'),
            _ => {}
        }
        match segment {
            Segment::Key(key) => shown.push_str(key),
            Segment::Index(index) => shown.push_str(&format!("[{index}]")),
        }
    }
    shown
}

/// The byte after the string that begins at `start`.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < text.len() && text[i] != b'"' {
        i += if text[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(text.len())
}
