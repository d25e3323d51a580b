//! `cache`: values that all invocations of a node share, for a while.

use crate::call::{Call, Done, duration, misuse, number};
use crate::registry::Registry;
use mlua::{LuaString, Table, Value};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of keys and values that a process keeps.
const KEPT: u64 = 64 << 20;

/// A longer value is not kept.
const LARGEST: usize = 1 << 20;

/// About what an entry takes beside its key and value.
const ENTRY: u64 = 128;

const TTL: &str = "ttl is a number of seconds, or a duration as \"30s\"";

/// Values by key. They are kept as JSON, so that no two invocations ever hold the same table.
#[derive(Debug)]
pub(crate) struct Values {
    kept: Cache<Vec<u8>, Arc<Entry>, Weight>,
    /// Held by whoever writes.
    writes: Mutex<()>,
}

#[derive(Debug)]
struct Entry {
    json: Vec<u8>,
    /// From 1970; none: it is kept until there is no room.
    expires: Option<Duration>,
}

impl Entry {
    fn is_live(&self, now: Duration) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<Vec<u8>, Arc<Entry>> for Weight {
    fn weight(&self, key: &Vec<u8>, entry: &Arc<Entry>) -> u64 {
        ENTRY + key.len() as u64 + entry.json.len() as u64
    }
}

impl Default for Values {
    fn default() -> Self {
        let kept = Cache::with_weighter((KEPT / 1024) as usize, KEPT, Weight);
        Self { kept, writes: Mutex::default() }
    }
}

impl Values {
    pub(crate) fn forget(&self) {
        self.kept.clear();
    }

    fn live(&self, key: &[u8], now: Duration) -> Option<Arc<Entry>> {
        self.kept.get(key).filter(|entry| entry.is_live(now))
    }

    /// Puts what `make` makes of the live entry; none leaves it as it is. Nobody else writes meanwhile.
    fn replace<T>(
        &self,
        key: &[u8],
        now: Duration,
        make: impl FnOnce(Option<&Entry>) -> Done<(Option<Entry>, T)>,
    ) -> Done<T> {
        let _alone = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let (entry, answer) = make(self.live(key, now).as_deref())?;
        if let Some(entry) = entry {
            self.kept.insert(key.to_vec(), Arc::new(entry));
        }
        Ok(answer)
    }
}

pub(crate) fn install(to: &Registry<'_>) -> mlua::Result<()> {
    to.add("get", |call, key: LuaString| {
        let entry = call.services().values.live(&key.as_bytes(), call.around.wall());
        entry.map_or(Ok(Value::Nil), |entry| read(call, &entry.json))
    })?;
    to.add("set", |call, (key, value, options): (LuaString, Value, Option<Table>)| {
        let (now, entry) = (call.around.wall(), entry(call, &value, options.as_ref())?);
        call.services().values.replace(&key.as_bytes(), now, |_| Ok((Some(entry), ())))
    })?;
    to.add("add", |call, (key, value, options): (LuaString, Value, Option<Table>)| {
        let (now, entry) = (call.around.wall(), entry(call, &value, options.as_ref())?);
        call.services().values.replace(&key.as_bytes(), now, |known| match known {
            Some(_) => Ok((None, false)),
            None => Ok((Some(entry), true)),
        })
    })?;
    to.add("incr", |call, (key, by, options): (LuaString, Option<f64>, Option<Table>)| {
        let by = by.unwrap_or(1.0);
        let (now, first) = (call.around.wall(), entry(call, &Value::Number(by), options.as_ref())?);
        call.services().values.replace(&key.as_bytes(), now, |known| {
            let Some(known) = known else { return Ok((Some(first), by)) };
            let Some(before) = number(&read(call, &known.json)?) else {
                return misuse(format!("the value at {:?} is no number", key.to_string_lossy()));
            };
            let json = written(call, &Value::Number(before + by))?;
            Ok((Some(Entry { json, expires: known.expires }), before + by))
        })
    })?;
    to.add("delete", |call, key: LuaString| {
        let now = call.around.wall();
        let removed = call.services().values.kept.remove(&*key.as_bytes());
        Ok(removed.is_some_and(|(_, entry)| entry.is_live(now)))
    })
}

fn entry(call: &Call, value: &Value, options: Option<&Table>) -> Done<Entry> {
    let json = written(call, value)?;
    if json.len() > LARGEST {
        return misuse(format!("a value of {} bytes as JSON; the limit is {LARGEST}", json.len()));
    }
    let ttl = match options.map(|options| options.raw_get::<Value>("ttl")).transpose()? {
        None | Some(Value::Nil) => None,
        Some(ttl) => Some(duration(&ttl).map_or_else(|| misuse(TTL), Ok)?),
    };
    Ok(Entry { json, expires: ttl.map(|ttl| call.around.wall().saturating_add(ttl)) })
}

fn written(call: &Call, value: &Value) -> Done<Vec<u8>> {
    call.around.write_json(value)?.or_else(misuse)
}

fn read(call: &Call, json: &[u8]) -> Done<Value> {
    call.around.read_json(json)?.or_else(misuse)
}
