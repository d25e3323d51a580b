//! `re`: regular expressions whose time grows with the text, never with its powers.

use crate::call::{Call, Done, Fault, Pace, misuse};
use crate::registry::Registry;
use mlua::{LuaString, Table, Value};
use quick_cache::sync::Cache;
use regex::bytes::{Captures, Regex, RegexBuilder};
use std::sync::Arc;

/// Longer patterns are refused.
const LONGEST: usize = 8 << 10;

/// How large a compiled pattern may be, in bytes; below the first it is a small one.
const SIZES: [usize; 2] = [32 << 10, 1 << 20];

/// Up to this length a text is searched on the worker's own thread, and up to this at all; by the pattern's size. In
/// the worst case each byte takes a step for each part of the pattern.
const TEXTS: [(usize, usize); 2] = [(4 << 10, 16 << 20), (256, 1 << 20)];

/// Matches that one call may answer.
const MOST: usize = 1_000_000;

/// Compiled patterns that a process keeps.
const KEPT: usize = 1000;

/// The patterns that functions have used, compiled.
#[derive(Debug)]
pub(crate) struct Patterns(Cache<String, Arc<Pattern>>);

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// Which of [`SIZES`].
    size: usize,
}

impl Default for Patterns {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Patterns {
    fn compiled(&self, pattern: &str) -> Result<Arc<Pattern>, String> {
        if let Some(known) = self.0.get(pattern) {
            return Ok(known);
        }
        let compiled = Arc::new(compile(pattern)?);
        self.0.insert(pattern.to_owned(), compiled.clone());
        Ok(compiled)
    }
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    if pattern.len() > LONGEST {
        return Err(format!("the pattern has {} bytes; the limit is {LONGEST}", pattern.len()));
    }
    let compiled = |size: usize| RegexBuilder::new(pattern).size_limit(SIZES[size]).nest_limit(100).build();
    match compiled(0) {
        Ok(regex) => Ok(Pattern { regex, size: 0 }),
        Err(regex::Error::CompiledTooBig(_)) => match compiled(1) {
            Ok(regex) => Ok(Pattern { regex, size: 1 }),
            Err(_) => Err(format!("the pattern takes more than {} bytes when it is compiled", SIZES[1])),
        },
        Err(error) => Err(last_line(&error.to_string())),
    }
}

/// What the error says below the drawing of the place.
fn last_line(error: &str) -> String {
    let line = error.lines().last().unwrap_or(error);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("check", |call, pattern: String| Ok(call.services().patterns.compiled(&pattern).map(|_| true)))?;
    to.add("escape", |_, s: String| Ok(regex::escape(&s)))?;
    to.add_later("is_match", |call, (s, pattern): (LuaString, String)| async move {
        searched(&call, &s, &pattern, |regex, s| regex.is_match(s)).await
    })?;
    to.add_later("find", |call, (s, pattern, init): (LuaString, String, Option<usize>)| async move {
        let from = start(init);
        let found = searched(&call, &s, &pattern, move |regex, s| {
            (from <= s.len()).then(|| regex.find_at(s, from).map(|m| (m.start(), m.end()))).flatten()
        });
        Ok(found.await?.map_or((None, None), |(from, to)| (Some(from as f64 + 1.0), Some(to as f64))))
    })?;
    to.add_later("match", |call, (s, pattern, init): (LuaString, String, Option<usize>)| async move {
        let found = all(&call, &s, &pattern, start(init), 1).await?;
        if found.len() == 0 { Ok(None) } else { found.table(&call, &s, 0).map(Some) }
    })?;
    to.add_later("all", |call, (s, pattern, limit): (LuaString, String, Option<usize>)| async move {
        let found = all(&call, &s, &pattern, 0, limit.unwrap_or(usize::MAX)).await?;
        let (list, mut pace) = (call.list()?, Pace::new(&call));
        for n in 0..found.len() {
            list.raw_push(found.table(&call, &s, n)?)?;
            pace.step().await?;
        }
        Ok(list)
    })?;
    to.add_later("replace", replace)?;
    to.add_later("split", split)
}

/// What `ngx.re` is made of, which needs to know where matches stand.
pub(crate) fn install_spans(to: &Registry<'_>) -> mlua::Result<()> {
    type Asked = (LuaString, String, usize, Option<usize>);
    to.add_later("spans", |call: Call, (s, pattern, init, limit): Asked| async move {
        if let Err(error) = call.services().patterns.compiled(&pattern) {
            return Ok((None, Value::String(call.text(error)?)));
        }
        let found = all(&call, &s, &pattern, start(Some(init)), limit.unwrap_or(usize::MAX)).await?;
        let (list, mut pace) = (call.list()?, Pace::new(&call));
        for groups in found.matches.chunks(found.names.len()) {
            let at = |group: &Option<(u32, u32)>| group.map_or([0, 0], |(from, to)| [from + 1, to]);
            list.raw_push(call.lua.create_sequence_from(groups.iter().flat_map(at))?)?;
            pace.step().await?;
        }
        let names = (0_u32..).zip(&found.names).filter_map(|(n, name)| Some((n, name.as_deref()?)));
        Ok((Some(list), Value::Table(call.lua.create_table_from(names)?)))
    })
}

/// Where Lua's `init` points, from 0.
fn start(init: Option<usize>) -> usize {
    init.map_or(0, |init| init.saturating_sub(1))
}

/// Searches: here if it is quickly done, else on another thread.
async fn searched<T: Send + 'static>(
    call: &Call,
    s: &LuaString,
    pattern: &str,
    search: impl FnOnce(&Regex, &[u8]) -> T + Send + 'static,
) -> Done<T> {
    let pattern = call.services().patterns.compiled(pattern).map_err(Fault::Misuse)?;
    let length = s.as_bytes().len();
    let (near, longest) = TEXTS[pattern.size];
    if length > longest {
        return misuse(format!("a text of {length} bytes; with this pattern the limit is {longest}"));
    }
    call.apart_beyond(near, s, move |bytes| search(&pattern.regex, bytes)).await
}

/// Matches, their groups one after the other.
struct Found {
    names: Vec<Option<String>>,
    matches: Vec<Option<(u32, u32)>>,
}

impl Found {
    fn len(&self) -> usize {
        self.matches.len() / self.names.len()
    }

    /// Of the match `n`, from 0: the whole at 0, then the groups by number and by name.
    fn table(&self, call: &Call, s: &LuaString, n: usize) -> Done<Table> {
        let (table, s) = (call.lua.create_table()?, s.as_bytes());
        let groups = self.matches.iter().skip(n * self.names.len());
        for (group, (at, name)) in groups.zip((0_u32..).zip(&self.names)) {
            let Some((from, to)) = *group else { continue };
            let text = call.lua.create_string(&s[from as usize..to as usize])?;
            if let Some(name) = name {
                table.raw_set(name.as_str(), &text)?;
            }
            table.raw_set(at, text)?;
        }
        Ok(table)
    }
}

/// Up to `limit` matches from the byte `from` on.
async fn all(call: &Call, s: &LuaString, pattern: &str, from: usize, limit: usize) -> Done<Found> {
    let found = searched(call, s, pattern, move |regex, s| {
        let names: Vec<_> = regex.capture_names().map(|name| name.map(str::to_owned)).collect();
        let mut matches = Vec::new();
        let mut take = |groups: Captures<'_>| {
            matches.extend(groups.iter().map(|g| g.map(|g| (g.start() as u32, g.end() as u32))));
        };
        match limit {
            _ if from > s.len() => {}
            1 => regex.captures_at(s, from).into_iter().for_each(&mut take),
            _ => regex.captures_iter(s).take(limit.min(MOST + 1)).for_each(&mut take),
        }
        Found { names, matches }
    });
    let found = found.await?;
    if found.len() > MOST {
        return misuse(format!("more than {MOST} matches: give a limit"));
    }
    Ok(found)
}

/// In what is put in, `$1` and `${name}` are groups.
async fn replace(
    call: Call,
    (s, pattern, with, n): (LuaString, String, LuaString, Option<usize>),
) -> Done<(LuaString, f64)> {
    let with = with.as_bytes().to_vec();
    let most = call.around.largest();
    let replaced = searched(&call, &s, &pattern, move |regex, s| {
        let (mut out, mut from, mut count) = (Vec::with_capacity(s.len()), 0, 0_u32);
        for groups in regex.captures_iter(s).take(n.unwrap_or(usize::MAX)) {
            let whole = groups.get(0).map_or(0..0, |g| g.range());
            out.extend_from_slice(&s[from..whole.start]);
            groups.expand(&with, &mut out);
            (from, count) = (whole.end, count + 1);
            if out.len() > most {
                break;
            }
        }
        out.extend_from_slice(&s[from..]);
        (out, count)
    });
    let (out, count) = replaced.await?;
    Ok((call.text(out)?, f64::from(count)))
}

async fn split(call: Call, (s, pattern, limit): (LuaString, String, Option<usize>)) -> Done<Table> {
    let limit = limit.unwrap_or(usize::MAX).saturating_sub(1);
    let cuts = searched(&call, &s, &pattern, move |regex, s| {
        regex.find_iter(s).take(limit.min(MOST)).map(|m| m.range()).collect::<Vec<_>>()
    });
    let cuts = cuts.await?;
    let (list, bytes) = (call.list()?, s.as_bytes());
    let (mut from, mut pace) = (0, Pace::new(&call));
    for cut in cuts {
        list.raw_push(call.lua.create_string(&bytes[from..cut.start])?)?;
        from = cut.end;
        pace.step().await?;
    }
    list.raw_push(call.lua.create_string(&bytes[from..])?)?;
    Ok(list)
}
