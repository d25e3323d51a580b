//! `strings`: what Lua's own `string` lacks, with the names of Go's package.

use crate::call::{Call, Done, Pace, misuse};
use crate::registry::Registry;
use memchr::memmem;
use mlua::{LuaString, Table, Value};

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("trim", |call, s: LuaString| call.text(s.as_bytes().trim_ascii()))?;
    to.add("trimLeft", |call, s: LuaString| call.text(s.as_bytes().trim_ascii_start()))?;
    to.add("trimRight", |call, s: LuaString| call.text(s.as_bytes().trim_ascii_end()))?;
    to.add("hasPrefix", |_, (s, x): (LuaString, LuaString)| Ok(s.as_bytes().starts_with(&x.as_bytes())))?;
    to.add("hasSuffix", |_, (s, x): (LuaString, LuaString)| Ok(s.as_bytes().ends_with(&x.as_bytes())))?;
    to.add_later("contains", |call, (s, x): (LuaString, LuaString)| async move {
        let x = x.as_bytes().to_vec();
        call.apart(&s, move |s| memmem::find(s, &x).is_some()).await
    })?;
    to.add_later("count", |call, (s, x): (LuaString, LuaString)| async move {
        let x = x.as_bytes().to_vec();
        call.apart(&s, move |s| memmem::find_iter(s, &x).count() as f64).await
    })?;
    to.add_later("toLower", |call, s| change(call, s, |s| s.to_lowercase(), |s| s.to_ascii_lowercase()))?;
    to.add_later("toUpper", |call, s| change(call, s, |s| s.to_uppercase(), |s| s.to_ascii_uppercase()))?;
    to.add_later("replace", replace)?;
    to.add("repeat", repeat)?;
    to.add("rep", repeat)?;
    to.add("padLeft", |call, args| pad(call, args, true))?;
    to.add("padRight", |call, args| pad(call, args, false))?;
    to.add_later("split", split)?;
    to.add_later("fields", fields)?;
    to.add_later("lines", lines)?;
    to.add_later("join", join)
}

/// The other case, of letters in general if the text is UTF-8.
async fn change(
    call: Call,
    s: LuaString,
    unicode: fn(&str) -> String,
    ascii: fn(&[u8]) -> Vec<u8>,
) -> Done<LuaString> {
    let changed = call.apart(&s, move |s| match std::str::from_utf8(s) {
        Ok(text) => unicode(text).into_bytes(),
        Err(_) => ascii(s),
    });
    let changed = changed.await?;
    call.text(changed)
}

async fn replace(
    call: Call,
    (s, old, new, n): (LuaString, LuaString, LuaString, Option<i64>),
) -> Done<LuaString> {
    let (old, new) = (old.as_bytes().to_vec(), new.as_bytes().to_vec());
    let most = n.and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
    if old.is_empty() {
        return misuse("the text to replace is empty");
    }
    let count = {
        let old = old.clone();
        call.apart(&s, move |s| memmem::find_iter(s, &old).take(most).count()).await?
    };
    call.reserve(count.saturating_mul(new.len()))?;
    let replaced = call.apart(&s, move |s| {
        let mut out = Vec::with_capacity(s.len());
        let mut from = 0;
        for at in memmem::find_iter(s, &old).take(most) {
            out.extend_from_slice(&s[from..at]);
            out.extend_from_slice(&new);
            from = at + old.len();
        }
        out.extend_from_slice(&s[from..]);
        out
    });
    let replaced = replaced.await?;
    call.text(replaced)
}

fn repeat(call: &Call, (s, n): (LuaString, i64)) -> Done<LuaString> {
    let n = usize::try_from(n).unwrap_or(0);
    let s = s.as_bytes();
    call.reserve(s.len().saturating_mul(n))?;
    call.text(s.repeat(n))
}

fn pad(
    call: &Call,
    (s, width, with): (LuaString, usize, Option<LuaString>),
    on_the_left: bool,
) -> Done<LuaString> {
    let s = s.as_bytes();
    let with = with.map_or_else(|| b" ".to_vec(), |with| with.as_bytes().to_vec());
    if with.is_empty() {
        return misuse("the text to fill with is empty");
    }
    let missing = width.saturating_sub(width_of(&s));
    call.reserve(missing.saturating_mul(4))?;
    // characters are filled in, so that none is cut in two
    let filling: Vec<u8> = match std::str::from_utf8(&with) {
        Ok(text) => text.chars().cycle().take(missing).collect::<String>().into_bytes(),
        Err(_) => with.iter().copied().cycle().take(missing).collect(),
    };
    call.text(if on_the_left { [&filling, &*s].concat() } else { [&*s, &filling].concat() })
}

/// Characters, or bytes where it is not UTF-8.
fn width_of(s: &[u8]) -> usize {
    std::str::from_utf8(s).map_or(s.len(), |text| text.chars().count())
}

async fn split(call: Call, (s, separator): (LuaString, LuaString)) -> Done<Table> {
    let (s, separator) = (s.as_bytes(), separator.as_bytes());
    if separator.is_empty() {
        return list(&call, characters(&s)).await;
    }
    let finder = memmem::Finder::new(&*separator);
    let mut rest = Some(&*s);
    let parts = std::iter::from_fn(move || {
        let here = rest?;
        let Some(at) = finder.find(here) else { return rest.take() };
        rest = Some(&here[at + finder.needle().len()..]);
        Some(&here[..at])
    });
    list(&call, parts).await
}

/// Each character, or each byte where it is not UTF-8.
fn characters(s: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = match std::str::from_utf8(s) {
        Ok(_) => |rest: &[u8]| 1 + rest[1..].iter().take_while(|b| **b & 0xc0 == 0x80).count(),
        Err(_) => |_: &[u8]| 1,
    };
    let mut rest = s;
    std::iter::from_fn(move || {
        let (first, others) = rest.split_at_checked(if rest.is_empty() { 1 } else { step(rest) })?;
        rest = others;
        Some(first)
    })
}

async fn fields(call: Call, s: LuaString) -> Done<Table> {
    let s = s.as_bytes();
    list(&call, s.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())).await
}

async fn lines(call: Call, s: LuaString) -> Done<Table> {
    let s = s.as_bytes();
    // a line break ends a line, and does not begin another
    let lines = s.strip_suffix(b"\n").unwrap_or(&s).split(|b| *b == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    list(&call, lines.take(if s.is_empty() { 0 } else { usize::MAX })).await
}

async fn list<'s>(call: &Call, parts: impl Iterator<Item = &'s [u8]>) -> Done<Table> {
    let list = call.list()?;
    let mut pace = Pace::new(call);
    for part in parts {
        list.raw_push(call.lua.create_string(part)?)?;
        pace.step().await?;
    }
    Ok(list)
}

async fn join(call: Call, (list, separator): (Table, LuaString)) -> Done<LuaString> {
    let separator = separator.as_bytes();
    let mut pace = Pace::new(&call);
    let mut joined = Vec::new();
    for n in 1..=list.raw_len() {
        if n > 1 {
            joined.extend_from_slice(&separator);
        }
        match list.raw_get::<Value>(n)? {
            Value::String(part) => joined.extend_from_slice(&part.as_bytes()),
            part @ (Value::Integer(_) | Value::Number(_)) => {
                joined.extend_from_slice(part.to_string()?.as_bytes());
            }
            other => return misuse(format!("entry {n} is a {}; text expected", other.type_name())),
        }
        call.reserve(joined.len())?;
        pace.step().await?;
    }
    call.text(joined)
}
