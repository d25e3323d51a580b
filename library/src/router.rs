//! `router`: paths matched with patterns, and made of them.

use crate::call::{Call, Done, misuse};
use crate::registry::Registry;
use crate::url::UNRESERVED;
use mlua::{LuaString, Table, Value};
use percent_encoding::utf8_percent_encode;

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("match", |_, (path, pattern): (String, String)| Ok(params(&path, &pattern).is_some()))?;
    to.add("params", |call, (path, pattern): (String, String)| {
        Ok(call.lua.create_table_from(params(&path, &pattern).unwrap_or_default())?)
    })?;
    to.add("path", |call, (pattern, params): (String, Option<Table>)| path(call, &pattern, params.as_ref()))
}

/// The parameters by which the path fits the pattern; none: it does not fit.
fn params<'p>(path: &'p str, pattern: &'p str) -> Option<Vec<(&'p str, String)>> {
    let path: Vec<_> = segments(path).collect();
    let mut at = 0;
    let mut params = Vec::new();
    for piece in segments(pattern) {
        if let Some(name) = piece.strip_prefix('*') {
            let rest = path.get(at..).filter(|rest| !rest.is_empty())?;
            params.push((if name.is_empty() { "*" } else { name }, rest.join("/")));
            return Some(params);
        }
        let segment = *path.get(at)?;
        match piece.strip_prefix(':') {
            Some(name) => params.push((name, segment.to_owned())),
            None if piece == segment => {}
            None => return None,
        }
        at += 1;
    }
    (at == path.len()).then_some(params)
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}

/// The path that a pattern and its parameters come to.
fn path(call: &Call, pattern: &str, params: Option<&Table>) -> Done<LuaString> {
    let mut path = String::new();
    for piece in segments(pattern) {
        path.push('/');
        let name = match (piece.strip_prefix(':'), piece.strip_prefix('*')) {
            (Some(name), _) => name,
            (None, Some("")) => "*",
            (None, Some(name)) => name,
            (None, None) => {
                path.push_str(piece);
                continue;
            }
        };
        let value = params.map(|p| p.raw_get::<Value>(name)).transpose()?.unwrap_or(Value::Nil);
        let value = match value {
            Value::String(_) | Value::Integer(_) | Value::Number(_) => value.to_string()?,
            other => return misuse(format!("{name} is a {}; text expected", other.type_name())),
        };
        match piece.starts_with('*') {
            true => path.push_str(&segments(&value).map(escaped).collect::<Vec<_>>().join("/")),
            false => path.push_str(&escaped(&value)),
        }
    }
    call.text(if path.is_empty() { "/" } else { &path })
}

fn escaped(segment: &str) -> String {
    utf8_percent_encode(segment, UNRESERVED).to_string()
}
