//! `url`: addresses taken apart, put together and escaped.

use crate::call::{Call, Done, Pace, misuse};
use crate::fields::{self, Field, shown};
use crate::registry::Registry;
use mlua::{LuaString, Table, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use std::borrow::Cow;

/// Longer texts are no addresses.
const LONGEST: usize = 64 << 10;

/// What stays as it is wherever it stands (RFC 3986, 2.3).
pub(crate) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What stays as it is in a query, as in Go; a blank becomes `+`.
const QUERY: &AsciiSet = &UNRESERVED.remove(b' ');
/// What stays as it is in a path.
const PATH: &AsciiSet = &UNRESERVED
    .remove(b'/')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b';')
    .remove(b'!')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add_later("encode", |call: Call, s: LuaString| async move {
        let text = call.apart(&s, encode).await?;
        call.text(text)
    })?;
    to.add_later("decode", |call: Call, s: LuaString| async move {
        call.text_or(call.apart(&s, |s| decode(s, true)).await?)
    })?;
    to.add_later("parse", |call: Call, s: LuaString| async move {
        match Parts::of(&s.as_bytes()) {
            Ok(parts) => Ok(Ok(parts.table(&call).await?)),
            Err(error) => Ok(Err(error)),
        }
    })?;
    to.add("build", |call, parts: Table| build(call, &parts))?;
    to.add("join", |call, (base, reference): (LuaString, LuaString)| {
        let (base, reference) = (base.to_string_lossy(), reference.to_string_lossy());
        call.text_or(url::Url::parse(&base).and_then(|base| base.join(&reference)).map(String::from))
    })?;
    to.add("query", |call, fields: Table| {
        let query = query(&fields)?;
        call.text(query)
    })?;
    to.add_later("parse_query", |call: Call, s: LuaString| async move {
        match call.apart(&s, pairs).await? {
            Ok(pairs) => Ok(Ok(fields(&call, &pairs).await?)),
            Err(error) => Ok(Err(error)),
        }
    })
}

/// An address taken apart, its escapes undone.
#[derive(Default)]
struct Parts {
    scheme: String,
    username: Option<Vec<u8>>,
    password: Option<Vec<u8>>,
    host: Vec<u8>,
    path: Vec<u8>,
    query: Vec<Field>,
    fragment: Vec<u8>,
}

impl Parts {
    /// As RFC 3986 divides it (appendix B). A relative reference has parts too.
    fn of(text: &[u8]) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("an address of {} bytes; the limit is {LONGEST}", text.len()));
        }
        if let Some(at) = text.iter().position(|b| b.is_ascii_control()) {
            return Err(format!("a control character at byte {at}"));
        }
        let mut parts = Self::default();
        let (rest, fragment) = cut(text, b'#');
        parts.fragment = decode(fragment.unwrap_or_default(), false)?;
        let (mut rest, query) = cut(rest, b'?');
        parts.query = pairs(query.unwrap_or_default())?;
        if let (before, Some(after)) = cut(rest, b':')
            && !before.contains(&b'/')
        {
            parts.scheme = scheme(before)?;
            rest = after;
        }
        if let Some(authority) = rest.strip_prefix(b"//") {
            let end = authority.iter().position(|b| *b == b'/').unwrap_or(authority.len());
            parts.authority(&authority[..end])?;
            rest = &authority[end..];
        }
        parts.path = decode(rest, false)?;
        Ok(parts)
    }

    fn authority(&mut self, text: &[u8]) -> Result<(), String> {
        let host = match text.iter().rposition(|b| *b == b'@') {
            Some(at) => {
                let (name, password) = cut(&text[..at], b':');
                self.username = Some(decode(name, false)?);
                self.password = password.map(|p| decode(p, false)).transpose()?;
                &text[at + 1..]
            }
            None => text,
        };
        let port = host.iter().rposition(|b| *b == b':').map(|at| &host[at + 1..]);
        // within brackets a colon is an address's
        if let Some(port) = port.filter(|p| !p.contains(&b']'))
            && !port.iter().all(u8::is_ascii_digit)
        {
            return Err(format!("port {:?} is no number", String::from_utf8_lossy(port)));
        }
        if let Some(b) = host.iter().find(|b| b" \"<>\\^`{|}".contains(b)) {
            return Err(format!("character {:?} in the host", char::from(*b)));
        }
        self.host = decode(host, false)?;
        Ok(())
    }

    async fn table(&self, call: &Call) -> Done<Table> {
        let table = call.lua.create_table()?;
        let text = |bytes: &[u8]| call.lua.create_string(bytes);
        table.raw_set("scheme", self.scheme.as_str())?;
        table.raw_set("host", text(&self.host)?)?;
        table.raw_set("path", text(&self.path)?)?;
        table.raw_set("fragment", text(&self.fragment)?)?;
        table.raw_set("query", fields(call, &self.query).await?)?;
        table.raw_set("username", self.username.as_deref().map(text).transpose()?)?;
        table.raw_set("password", self.password.as_deref().map(text).transpose()?)?;
        Ok(table)
    }
}

fn scheme(text: &[u8]) -> Result<String, String> {
    let is_one = text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b));
    let shown = String::from_utf8_lossy(text);
    if is_one { Ok(shown.to_ascii_lowercase()) } else { Err(format!("{shown:?} is no scheme")) }
}

/// What stands before the first `at`, and what behind it.
fn cut(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(at, text) {
        Some(n) => (&text[..n], Some(&text[n + 1..])),
        None => (text, None),
    }
}

fn encode(s: &[u8]) -> String {
    percent_encode(s, QUERY).to_string().replace(' ', "+")
}

fn decode(s: &[u8], is_query: bool) -> Result<Vec<u8>, String> {
    for at in memchr::memchr_iter(b'%', s) {
        let digits = s.get(at + 1..at + 3);
        if !digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit)) {
            let shown = String::from_utf8_lossy(&s[at..s.len().min(at + 3)]);
            return Err(format!("invalid URL escape {shown:?}"));
        }
    }
    let s = match is_query && s.contains(&b'+') {
        true => Cow::Owned(s.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect()),
        false => Cow::Borrowed(s),
    };
    Ok(percent_decode(&s).collect())
}

fn pairs(query: &[u8]) -> Result<Vec<Field>, String> {
    let pieces = query.split(|b| *b == b'&').filter(|piece| !piece.is_empty());
    let pair = |piece| {
        let (name, value) = cut(piece, b'=');
        Ok((decode(name, true)?, decode(value.unwrap_or_default(), true)?))
    };
    pieces.map(pair).collect()
}

/// A name that repeats has a list.
async fn fields(call: &Call, pairs: &[Field]) -> Done<Table> {
    let table = call.lua.create_table()?;
    let mut pace = Pace::new(call);
    for (name, value) in pairs {
        let (name, value) = (call.lua.create_string(name)?, call.lua.create_string(value)?);
        match table.raw_get::<Value>(&name)? {
            Value::Nil => table.raw_set(name, value)?,
            Value::Table(list) => list.raw_push(value)?,
            first => table.raw_set(name, call.lua.create_sequence_from([first, Value::String(value)])?)?,
        }
        pace.step().await?;
    }
    Ok(table)
}

/// The fields as they stand in an address, in the order of their names.
fn query(fields: &Table) -> Done<String> {
    let pairs = fields::read(fields, "the query")?;
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    Ok(pairs.collect::<Vec<_>>().join("&"))
}

/// The address that has these parts.
fn build(call: &Call, parts: &Table) -> Done<LuaString> {
    let part = |name: &str| -> Done<Option<Vec<u8>>> {
        match parts.raw_get::<Value>(name)? {
            Value::Nil => Ok(None),
            value => Ok(Some(shown(name, &value)?).filter(|text| !text.is_empty())),
        }
    };
    let escaped = |bytes: &[u8]| percent_encode(bytes, PATH).to_string();
    let mut out = Vec::new();
    if let Some(scheme) = part("scheme")? {
        out.extend_from_slice(&scheme);
        out.push(b':');
    }
    if let Some(host) = part("host")? {
        out.extend_from_slice(b"//");
        if let Some(name) = part("username")? {
            out.extend_from_slice(encode(&name).as_bytes());
            if let Some(password) = part("password")? {
                out.push(b':');
                out.extend_from_slice(encode(&password).as_bytes());
            }
            out.push(b'@');
        }
        out.extend_from_slice(&host);
    }
    if let Some(path) = part("path")? {
        if out.ends_with(b"/") || (!out.is_empty() && !path.starts_with(b"/")) {
            out.push(b'/');
        }
        out.extend_from_slice(escaped(&path).as_bytes());
    }
    match parts.raw_get::<Value>("query")? {
        Value::Table(fields) if !fields.is_empty() => {
            out.push(b'?');
            out.extend_from_slice(query(&fields)?.as_bytes());
        }
        Value::Nil | Value::Table(_) => {}
        other => return misuse(format!("query is a {}; a table expected", other.type_name())),
    }
    if let Some(fragment) = part("fragment")? {
        out.push(b'#');
        out.extend_from_slice(escaped(&fragment).as_bytes());
    }
    call.text(out)
}
