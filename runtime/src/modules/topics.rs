//! `topics.append`.

use super::{Call, Registry};
use crate::journal::{NewRecord, records};
use crate::json::{Style, lossy, show};
use crate::run::Answered;
use crate::{Answer, FailureKind, TopicRef};
use bytes::Bytes;
use mlua::{Table, Value};
use weir_schema::{At, Cause, Headers, Offset, header};
use xxhash_rust::xxh3::xxh3_64;

pub(super) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("append", |call, (topic, entries, options): (Value, Value, Value)| {
        append(call, &topic, &entries, &options)
    })
}

fn append(call: &Call, topic: &Value, entries: &Value, options: &Value) -> mlua::Result<Answered> {
    let (Value::String(name), Value::Table(entries)) = (topic, entries) else {
        return call.raise("topics.append(TOPIC, ENTRIES): a text and a table expected");
    };
    let topic = match call.run.host.topic(&lossy(name)) {
        Ok(topic) => topic,
        Err(text) => return call.raise(text),
    };
    let is_immediate = match immediate(options) {
        Ok(is_immediate) => is_immediate,
        Err(text) => return call.raise(text),
    };
    let run = &call.run;
    if run.invocation.hops > run.limits().hops {
        return end_loop(call);
    }
    let events = match read_entries(call, &topic, entries)? {
        Ok(events) => events,
        Err(text) => return call.raise(text),
    };
    let limit = run.limits().event;
    if let Some((n, event)) = (1..).zip(&events).find(|(_, e)| e.bytes() > limit) {
        let bytes = event.bytes();
        let text = format!(
            "event {n} for {} takes {bytes} bytes; the limit is {limit} (weir.limits.event)",
            topic.name
        );
        return run.doom_here(&call.lua, FailureKind::Output, &text);
    }
    if is_immediate {
        return append_now(call, &events);
    }
    {
        let mut journal = run.journal.borrow_mut();
        events.into_iter().for_each(|event| journal.append(event));
    }
    within_output(call, || call.value("ok"))
}

/// Ends the invocation if it has put out too much by now.
pub(super) fn within_output(
    call: &Call,
    answer: impl FnOnce() -> mlua::Result<Answered>,
) -> mlua::Result<Answered> {
    let (bytes, limit) = (call.run.journal.borrow().bytes(), call.run.limits().output);
    if bytes <= limit {
        return answer();
    }
    let text =
        format!("the appends and writes take {bytes} bytes; the limit is {limit} (weir.limits.output)");
    call.run.doom_here(&call.lua, FailureKind::Output, &text)
}

fn immediate(options: &Value) -> Result<bool, String> {
    let table = match options {
        Value::Nil => return Ok(false),
        Value::Table(table) => table,
        other => return Err(format!("topics.append: options are a table, got {}", other.type_name())),
    };
    let mut is_immediate = false;
    for pair in table.pairs::<Value, Value>() {
        match pair.map_err(|e| e.to_string())? {
            (Value::String(key), Value::Boolean(value)) if key.as_bytes() == b"immediate" => {
                is_immediate = value
            }
            (key, _) => {
                let key = show(&key);
                return Err(format!(
                    "topics.append: option {key} is not known; there is {{immediate = true}}"
                ));
            }
        }
    }
    Ok(is_immediate)
}

/// How the loop came about may have to be read from the log.
fn end_loop(call: &Call) -> mlua::Result<Answered> {
    let (hops, limit) = (call.run.invocation.hops, call.run.limits().hops);
    let end = move |call: &Call, chain: &str| {
        let text = format!(
            "loop: this append would be hop {hops}, the limit is {limit} (weir.limits.hops): {chain}"
        );
        call.run.doom_here(&call.lua, FailureKind::Loop, &text)
    };
    match call.run.host.chain() {
        Answer::Now(chain) => end(call, &chain),
        Answer::Later(future) => {
            let call = call.clone();
            Ok(Answered::Later(Box::pin(async move { end(&call, &future.await) })))
        }
    }
}

fn append_now(call: &Call, events: &[NewRecord]) -> mlua::Result<Answered> {
    let n = call.run.immediate.get();
    call.run.immediate.set(n + 1);
    let answer = call.run.host.append_now(n, records(events));
    call.with(answer, |call, places: Vec<(At, Offset)>| {
        let list = call.lua.create_table_with_capacity(places.len(), 0)?;
        for (at, offset) in places {
            let place = call.lua.create_table()?;
            place.raw_set("partition", at.partition)?;
            place.raw_set("offset", offset.0 as f64)?;
            list.raw_push(place)?;
        }
        call.value(list)
    })
}

type Read<T> = mlua::Result<Result<T, String>>;

/// Either form: a list, or Spacer's key → value, whose keys are taken in byte order so that runs are the same.
fn read_entries(call: &Call, topic: &TopicRef, entries: &Table) -> Read<Vec<NewRecord>> {
    let mut hash = Vec::new();
    let mut numbers = Vec::new();
    for pair in entries.pairs::<Value, Value>() {
        let (key, value) = pair?;
        match key {
            Value::String(key) => hash.push((Bytes::copy_from_slice(&key.as_bytes()), value)),
            other => numbers.push((show(&other), value)),
        }
    }
    let is_item = |value: &Value| match value {
        Value::Table(item) => Ok::<_, mlua::Error>(!item.raw_get::<Value>("value")?.is_nil()),
        _ => Ok(false),
    };
    let mut is_list = hash.is_empty() && entries.raw_len() == numbers.len();
    for (_, value) in &numbers {
        is_list = is_list && is_item(value)?;
    }
    if let (false, Some((key, _))) = (is_list, numbers.first()) {
        return Ok(Err(format!("entry {key}: keys are text, write [tostring(id)]")));
    }
    let cause = cause_headers(call);
    let mut events = Vec::with_capacity(hash.len() + numbers.len());
    for n in 1..=numbers.len() {
        match read_item(call, topic, &entries.raw_get(n)?, &cause)? {
            Ok(event) => events.push(event),
            Err(text) => return Ok(Err(format!("entry {n}: {text}"))),
        }
    }
    hash.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, value) in hash {
        match encode(call, &value)? {
            Ok(value) => events.push(place(call, topic, Some(key), value, cause.clone())),
            Err(text) => return Ok(Err(format!("entry {:?}: {text}", String::from_utf8_lossy(&key)))),
        }
    }
    Ok(Ok(events))
}

/// `{key = k, value = v, headers = {a = "b"}}`.
fn read_item(call: &Call, topic: &TopicRef, item: &Table, cause: &[u8]) -> Read<NewRecord> {
    for pair in item.pairs::<Value, Value>() {
        let (name, _) = pair?;
        let is_known =
            name.as_string().is_some_and(|n| matches!(&*n.as_bytes(), b"key" | b"value" | b"headers"));
        if !is_known {
            return Ok(Err(format!("{} is not known; an entry has key, value, headers", show(&name))));
        }
    }
    let key = match item.raw_get("key")? {
        Value::Nil => None,
        Value::String(key) => Some(Bytes::copy_from_slice(&key.as_bytes())),
        other => {
            return Ok(Err(format!("the key is a {}: keys are text, write tostring(id)", other.type_name())));
        }
    };
    let mut headers = match read_headers(&item.raw_get("headers")?)? {
        Ok(headers) => headers,
        Err(text) => return Ok(Err(text)),
    };
    headers.extend_from_slice(cause);
    Ok(encode(call, &item.raw_get("value")?)?.map(|value| place(call, topic, key, value, headers)))
}

/// As [`Headers`] reads them, by name.
fn read_headers(headers: &Value) -> Read<Vec<u8>> {
    let table = match headers {
        Value::Nil => return Ok(Ok(Vec::new())),
        Value::Table(table) => table,
        other => return Ok(Err(format!("headers are a table, got {}", other.type_name()))),
    };
    let mut list = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        let Value::String(name) = name else { return Ok(Err("a header's name is text".to_owned())) };
        let name = lossy(&name);
        let reserved = name.get(..header::RESERVED.len());
        if reserved.is_some_and(|p| p.eq_ignore_ascii_case(header::RESERVED)) {
            return Ok(Err(format!("header {name}: names that begin with weir- are reserved")));
        }
        let value = match &value {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Integer(_) | Value::Number(_) => show(&value).into_bytes(),
            other => return Ok(Err(format!("header {name} is text, got {}", other.type_name()))),
        };
        list.push((name, value));
    }
    list.sort();
    let mut encoded = Vec::new();
    list.iter().for_each(|(name, value)| Headers::encode(&mut encoded, name, value));
    Ok(Ok(encoded))
}

fn encode(call: &Call, value: &Value) -> Read<Bytes> {
    let json = call.shared.json.to_vec(&call.lua, value, Style::Strict)?;
    Ok(json.map(Bytes::from).map_err(|error| format!("the value has no JSON form: {error}")))
}

fn cause_headers(call: &Call) -> Vec<u8> {
    let invocation = &call.run.invocation;
    let cause = Cause {
        source: invocation.source(),
        function: Some(call.run.function()),
        version: call.run.code.version().clone(),
        trace: Some(invocation.trace),
        hops: invocation.hops,
    };
    let mut headers = Vec::with_capacity(256);
    cause.encode(&mut headers);
    headers
}

/// Events without a key are spread, the same way in each run of one invocation.
fn place(call: &Call, topic: &TopicRef, key: Option<Bytes>, value: Bytes, headers: Vec<u8>) -> NewRecord {
    let partition = match &key {
        Some(key) => topic.partitioner.partition(key, topic.partitions),
        None => {
            let n = call.run.keyless.get();
            call.run.keyless.set(n.wrapping_add(1));
            let start = xxh3_64(&call.run.invocation.id.0.to_le_bytes()).wrapping_add(u64::from(n));
            (start % u64::from(topic.partitions.max(1))) as u32
        }
    };
    NewRecord { at: At { topic: topic.id, partition }, key, value, headers }
}
