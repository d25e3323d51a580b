//! `state`: named tables of key → JSON, read and written inside the transaction.
//!
//! What the invocation has written itself is laid over what the host answers.

use super::topics::within_output;
use super::{Call, Registry};
use crate::journal::{AddError, sum};
use crate::json::{Style, lossy, show};
use crate::run::Answered;
use crate::{Answer, HostPage, HostRow};
use bytes::Bytes;
use mlua::{Table, Value};
use weir_schema::{Millis, Op, StateKey, StateRange, TableName, counter, parse_duration};

const LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("state_get", |call, (table, key): (Value, Value)| match row(call, &table, &key) {
        Ok(key) => get(call, key),
        Err(text) => call.raise(text),
    })?;
    to.add("state_set", |call, (table, key, value, options): (Value, Value, Value, Value)| {
        set(call, &table, &key, &value, &options)
    })?;
    to.add("state_delete", |call, (table, key): (Value, Value)| match row(call, &table, &key) {
        Ok(key) => {
            call.run.journal.borrow_mut().write(&call.run.function(), key, Op::Delete);
            within_output(call, || call.value(Value::Nil))
        }
        Err(text) => call.raise(text),
    })?;
    to.add("state_incr", |call, (table, key, by): (Value, Value, Value)| {
        match row(call, &table, &key).and_then(|key| Ok((key, whole("incr", &by)?))) {
            Ok((key, by)) => incr(call, key, by),
            Err(text) => call.raise(text),
        }
    })?;
    to.add("state_add", |call, (table, key, by): (Value, Value, Value)| {
        match row(call, &table, &key).and_then(|key| Ok((key, whole("add", &by)?))) {
            Ok((key, by)) => add(call, &key, by),
            Err(text) => call.raise(text),
        }
    })?;
    to.add("state_scan", |call, (table, options): (Value, Value)| scan(call, &table, &options))
}

fn row(call: &Call, table: &Value, key: &Value) -> Result<StateKey, String> {
    let table = table_name(table)?;
    match key {
        Value::String(key) => {
            let generation = call.run.host.generation(table.as_str());
            Ok(StateKey { table, generation, key: Bytes::copy_from_slice(&key.as_bytes()) })
        }
        other => {
            let shown = show(other);
            Err(format!(
                "state: the key {shown} is a {}: keys are text, write tostring(id)",
                other.type_name()
            ))
        }
    }
}

fn table_name(table: &Value) -> Result<TableName, String> {
    let Value::String(name) = table else {
        return Err(format!("state: a table's name expected, got {}", table.type_name()));
    };
    let name = TableName::new(&lossy(name)).map_err(|e| format!("state: {e}"))?;
    if name.is_reserved() {
        return Err(format!(
            "state: table {name} is the platform's; names that begin with _weir_ are reserved"
        ));
    }
    Ok(name)
}

fn whole(what: &str, by: &Value) -> Result<i64, String> {
    let number = match by {
        Value::Nil => return Ok(1),
        Value::Integer(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    };
    let exact = number.filter(|n| n.fract() == 0.0 && n.abs() < (1_i64 << 53) as f64);
    exact.map(|n| n as i64).ok_or_else(|| {
        let shown = show(by);
        format!("state.{what}: by {shown} is not a whole number below 2^53")
    })
}

fn get(call: &Call, key: StateKey) -> mlua::Result<Answered> {
    current(call, key, |call, row| match row {
        None => call.value(Value::Nil),
        Some(row) => {
            let value = crate::args::from_json(&call.lua, &call.shared.json, &call.run, &row.value)?;
            // a row that holds null is there: unlike a missing one, it is not nil
            call.value(if value.is_nil() { Value::NULL } else { value })
        }
    })
}

/// Goes on with a row as this invocation sees it.
fn current(
    call: &Call,
    key: StateKey,
    go_on: impl FnOnce(&Call, Option<HostRow>) -> mlua::Result<Answered> + 'static,
) -> mlua::Result<Answered> {
    let written = call.run.journal.borrow().written(&key).cloned();
    let added = match written {
        Some(Op::Put { value, expires }) => return go_on(call, Some(HostRow { value, expires })),
        Some(Op::Delete) => return go_on(call, None),
        Some(Op::Add(n)) => Some(n),
        None => None,
    };
    let answer = call.run.host.get(key.clone());
    call.with(answer, move |call, row| match added {
        None => go_on(call, row),
        Some(n) => match counted(row, n) {
            Ok((row, _)) => go_on(call, Some(row)),
            Err(error) => call.raise(not_counted("add", &key, &error)),
        },
    })
}

/// A counter with `n` added, which expires when it did, and the sum.
fn counted(row: Option<HostRow>, n: i64) -> Result<(HostRow, i64), AddError> {
    let sum = plus(row.as_ref().map(|row| &row.value[..]), n)?;
    Ok((HostRow { value: sum.to_string().into(), expires: row.and_then(|row| row.expires) }, sum))
}

/// A counter and what is added to it; an absent row counts as 0.
fn plus(base: Option<&[u8]>, n: i64) -> Result<i64, AddError> {
    let base = match base {
        None => 0,
        Some(bytes) => counter(bytes)
            .ok_or_else(|| AddError::NotACounter(String::from_utf8_lossy(bytes).into_owned()))?,
    };
    sum(base, n)
}

fn not_counted(what: &str, key: &StateKey, error: &AddError) -> String {
    format!("state.{what}: {} {:?}: {error}", key.table, String::from_utf8_lossy(&key.key))
}

fn set(call: &Call, table: &Value, key: &Value, value: &Value, options: &Value) -> mlua::Result<Answered> {
    if value.is_nil() {
        return call.raise("state.set: the value is nil; use state.delete, or json.null");
    }
    let key = match row(call, table, key) {
        Ok(key) => key,
        Err(text) => return call.raise(text),
    };
    let expires = match expiry(call, options) {
        Ok(expires) => expires,
        Err(text) => return call.raise(text),
    };
    let value = match call.shared.json.to_vec(&call.lua, value, Style::Strict)? {
        Ok(json) => Bytes::from(json),
        Err(error) => return call.raise(format!("state.set: the value has no JSON form: {error}")),
    };
    call.run.journal.borrow_mut().write(&call.run.function(), key, Op::Put { value, expires });
    within_output(call, || call.value(Value::Nil))
}

fn expiry(call: &Call, options: &Value) -> Result<Option<Millis>, String> {
    let table = match options {
        Value::Nil => return Ok(None),
        Value::Table(table) => table,
        other => return Err(format!("state.set: options are a table, got {}", other.type_name())),
    };
    only(table, "state.set", &["ttl"])?;
    match table.raw_get::<Value>("ttl").map_err(|e| e.to_string())? {
        Value::Nil => Ok(None),
        Value::String(text) => {
            let ttl = parse_duration(&lossy(&text)).map_err(|e| format!("state.set: ttl: {e}"))?;
            Ok(Some(call.run.host.now().after(ttl)))
        }
        other => Err(format!("state.set: ttl is text, as \"24h\", got {}", other.type_name())),
    }
}

fn only(options: &Table, what: &str, known: &[&str]) -> Result<(), String> {
    for pair in options.pairs::<Value, Value>() {
        let (key, _) = pair.map_err(|e| e.to_string())?;
        let is_known = key.as_string().is_some_and(|k| known.iter().any(|n| k.as_bytes() == n.as_bytes()));
        if !is_known {
            let key = show(&key);
            return Err(format!("{what}: option {key} is not known; there is {}", known.join(", ")));
        }
    }
    Ok(())
}

/// A read and a write; the row expires when it did.
fn incr(call: &Call, key: StateKey, by: i64) -> mlua::Result<Answered> {
    let place = key.clone();
    current(call, key, move |call, row| match counted(row, by) {
        Ok((HostRow { value, expires }, sum)) => {
            let op = Op::Put { value, expires };
            call.run.journal.borrow_mut().write(&call.run.function(), place, op);
            within_output(call, || call.value(sum as f64))
        }
        Err(error) => call.raise(not_counted("incr", &place, &error)),
    })
}

fn add(call: &Call, key: &StateKey, by: i64) -> mlua::Result<Answered> {
    let added = call.run.journal.borrow_mut().add(&call.run.function(), key.clone(), by);
    match added {
        Ok(()) => within_output(call, || call.value(Value::Nil)),
        Err(error) => call.raise(not_counted("add", key, &error)),
    }
}

fn scan(call: &Call, table: &Value, options: &Value) -> mlua::Result<Answered> {
    let (range, limit) = match read_scan(call, table, options) {
        Ok(scan) => scan,
        Err(text) => return call.raise(text),
    };
    let own = call.run.journal.borrow().written_in(&range);
    // a row that this invocation deleted still takes a place in the host's page
    let hidden = own.iter().filter(|(_, op)| *op == Op::Delete).count();
    let asked = limit.saturating_add(u32::try_from(hidden).unwrap_or(u32::MAX));
    let answer = match range.to.as_ref().is_some_and(|to| range.from >= *to) {
        true => Answer::Now(Ok(HostPage { rows: Vec::new(), is_last: true })),
        false => call.run.host.scan(range, asked),
    };
    call.with(answer, move |call, page| {
        let rows = match overlay(page, own) {
            Ok(rows) => rows,
            Err(error) => return call.raise(format!("state.scan: {error}")),
        };
        let list = call.lua.create_table()?;
        for (key, value) in rows.into_iter().take(limit as usize) {
            let row = call.lua.create_table()?;
            row.raw_set("key", call.lua.create_string(&key)?)?;
            let value = crate::args::from_json(&call.lua, &call.shared.json, &call.run, &value)?;
            row.raw_set("value", if value.is_nil() { Value::NULL } else { value })?;
            list.raw_push(row)?;
        }
        call.value(list)
    })
}

fn read_scan(call: &Call, table: &Value, options: &Value) -> Result<(StateRange, u32), String> {
    let table = table_name(table)?;
    let generation = call.run.host.generation(table.as_str());
    let (mut prefix, mut after, mut limit) = (Bytes::new(), None, LIMIT);
    if let Value::Table(options) = options {
        only(options, "state.scan", &["prefix", "after", "limit"])?;
        let text = |name: &str| match options.raw_get::<Value>(name).map_err(|e| e.to_string())? {
            Value::Nil => Ok(None),
            Value::String(text) => Ok(Some(Bytes::copy_from_slice(&text.as_bytes()))),
            other => Err(format!("state.scan: {name} is text, got {}", other.type_name())),
        };
        prefix = text("prefix")?.unwrap_or_default();
        after = text("after")?;
        let wanted: Value = options.raw_get("limit").map_err(|e| e.to_string())?;
        if !wanted.is_nil() {
            let number = whole("scan", &wanted)?;
            let valid = u32::try_from(number).ok().filter(|n| (1..=MAX_LIMIT).contains(n));
            limit =
                valid.ok_or_else(|| format!("state.scan: limit {number} is not from 1 to {MAX_LIMIT}"))?;
        }
    } else if !options.is_nil() {
        return Err(format!("state.scan: options are a table, got {}", options.type_name()));
    }
    // the first key after `after` is the same with a zero byte
    let next = after.map(|a| Bytes::from([&a[..], b"\0"].concat()));
    let to = StateRange::end_of_prefix(&prefix);
    let from = next.map_or_else(|| prefix.clone(), |n| n.max(prefix.clone()));
    Ok((StateRange { table, generation, from, to }, limit))
}

/// The rows of a page with the invocation's own writes laid over them. Own rows past the end of a page that is not
/// the last wait for the next one.
fn overlay(page: HostPage, own: Vec<(Bytes, Op)>) -> Result<Vec<(Bytes, Bytes)>, AddError> {
    let end = if page.is_last { None } else { page.rows.last().map(|(key, _)| key.clone()) };
    let mut rows: std::collections::BTreeMap<Bytes, Bytes> = page.rows.into_iter().collect();
    for (key, op) in own {
        if end.as_ref().is_some_and(|end| key > *end) {
            continue;
        }
        match op {
            Op::Put { value, .. } => drop(rows.insert(key, value)),
            Op::Delete => drop(rows.remove(&key)),
            Op::Add(n) => {
                let sum = plus(rows.get(&key).map(|v| &v[..]), n)?;
                rows.insert(key, sum.to_string().into());
            }
        }
    }
    Ok(rows.into_iter().collect())
}
