//! What the earlier events of a dry run would have written.

use bytes::Bytes;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Bound;
use weir_log::LogError;
use weir_runtime::{HostRow, Session};
use weir_schema::{Millis, Op, StateKey, StateRange, counter};

/// Bytes of rows that a dry run keeps.
const MAX_BYTES: usize = 256 << 20;

/// The bound of a counter.
const MAX_COUNTER: i64 = 1 << 53;

/// Rows over the live state; none: deleted.
#[derive(Default, Debug)]
pub(super) struct Overlay {
    rows: BTreeMap<StateKey, Option<HostRow>>,
    bytes: usize,
}

/// A run writes more than fits.
#[derive(Debug, thiserror::Error)]
#[error("the range would write more than {} MiB of rows: replay a part of it (--from, --to, --key)", MAX_BYTES >> 20)]
pub(super) struct TooLarge;

impl Overlay {
    /// What a key holds here; none: it is as in the live state.
    pub(super) fn get(&self, key: &StateKey, now: Millis) -> Option<Option<HostRow>> {
        Some(self.rows.get(key)?.clone().and_then(|row| row.live(now)))
    }

    /// Lays the rows of a range over those of the live state.
    pub(super) fn patch(&self, range: &StateRange, rows: &mut BTreeMap<Bytes, Bytes>, now: Millis) {
        let key = |key: &Bytes| StateKey {
            table: range.table.clone(),
            generation: range.generation,
            key: key.clone(),
        };
        let from = Bound::Included(key(&range.from));
        for (key, row) in self.rows.range((from, Bound::Unbounded)).take_while(|(k, _)| range.contains(k)) {
            match row.clone().and_then(|row| row.live(now)) {
                Some(row) => rows.insert(key.key.clone(), row.value),
                None => rows.remove(&key.key),
            };
        }
    }

    /// How many rows of each table would differ.
    pub(super) fn rows_by_table(&self) -> BTreeMap<String, u64> {
        let mut tables = BTreeMap::new();
        for key in self.rows.keys() {
            *tables.entry(key.table.to_string()).or_default() += 1;
        }
        tables
    }

    fn put(&mut self, key: StateKey, row: Option<HostRow>) -> Result<(), TooLarge> {
        let size = |row: &Option<HostRow>| row.as_ref().map_or(0, |r| r.value.len());
        let added = key.key.len() + size(&row);
        let key_bytes = key.key.len();
        if let Some(before) = self.rows.insert(key, row) {
            self.bytes = self.bytes.saturating_sub(key_bytes + size(&before));
        }
        self.bytes += added;
        if self.bytes > MAX_BYTES { Err(TooLarge) } else { Ok(()) }
    }
}

/// Applies what an event wrote, as a commit would. Inside: what the log would refuse, and then nothing is applied.
pub(super) async fn apply(
    overlay: &RefCell<Overlay>,
    session: &Session,
    writes: &[(StateKey, Op)],
    now: Millis,
) -> Result<Result<(), String>, super::Stopped> {
    let mut rows = Vec::new();
    for (key, op) in writes {
        let row = match op {
            Op::Put { value, expires } => Some(HostRow { value: value.clone(), expires: *expires }),
            Op::Delete => None,
            Op::Add(by) => {
                let before = read(overlay, session, key, now).await?;
                match add(before, *by) {
                    Some(row) => Some(row),
                    None => return Ok(Err(weir_log::Rejection::NotACounter(key.clone()).to_string())),
                }
            }
        };
        rows.push((key.clone(), row));
    }
    let mut overlay = overlay.borrow_mut();
    for (key, row) in rows {
        overlay.put(key, row)?;
    }
    Ok(Ok(()))
}

/// What a key holds for the run: its own earlier writes over the live state.
pub(super) async fn read(
    overlay: &RefCell<Overlay>,
    session: &Session,
    key: &StateKey,
    now: Millis,
) -> Result<Option<HostRow>, LogError> {
    let own = overlay.borrow().get(key, now);
    if let Some(row) = own {
        return Ok(row);
    }
    let row = session.log().get(std::slice::from_ref(key)).await?.pop().flatten();
    Ok(row.and_then(|row| HostRow::from(row).live(now)))
}

/// A counter with `by` added, which expires when it did; none: it is no counter, or would be too large.
fn add(before: Option<HostRow>, by: i64) -> Option<HostRow> {
    let number = before.as_ref().map_or(Some(0), |row| counter(&row.value))?;
    let sum = number.checked_add(by).filter(|sum| (1 - MAX_COUNTER..MAX_COUNTER).contains(sum))?;
    Some(HostRow { value: sum.to_string().into(), expires: before.and_then(|row| row.expires) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schema::TableName;

    fn key(text: &str) -> StateKey {
        StateKey { table: TableName::new("t").expect("valid"), generation: 0, key: text.to_owned().into() }
    }

    fn row(value: &str, expires: Option<Millis>) -> Option<HostRow> {
        Some(HostRow { value: value.to_owned().into(), expires })
    }

    #[test]
    fn rows_of_the_run_lie_over_the_live_ones_until_they_expire() {
        let mut overlay = Overlay::default();
        overlay.put(key("a"), row("1", None)).expect("fits");
        overlay.put(key("b"), None).expect("fits");
        overlay.put(key("c"), row("3", Some(Millis(100)))).expect("fits");
        assert_eq!(overlay.get(&key("x"), Millis(0)), None, "as in the live state");
        assert_eq!(overlay.get(&key("b"), Millis(0)), Some(None));
        assert_eq!(overlay.get(&key("c"), Millis(99)), Some(row("3", Some(Millis(100)))));
        assert_eq!(overlay.get(&key("c"), Millis(100)), Some(None));
        let live = [("a", "0"), ("b", "0"), ("d", "0")];
        let mut rows: BTreeMap<Bytes, Bytes> = live.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let range =
            StateRange { table: key("").table, generation: 0, from: "a".into(), to: Some("d".into()) };
        overlay.patch(&range, &mut rows, Millis(0));
        let rows: Vec<_> = rows.iter().map(|(k, v)| (&k[..], &v[..])).collect();
        assert_eq!(rows, [(&b"a"[..], &b"1"[..]), (b"c", b"3"), (b"d", b"0")]);
    }

    #[test]
    fn a_run_that_writes_too_much_is_stopped_and_overwriting_is_not_writing_more() {
        let mut overlay = Overlay::default();
        let big = "x".repeat(MAX_BYTES / 2);
        overlay.put(key("a"), row(&big, None)).expect("fits");
        overlay.put(key("a"), row(&big, None)).expect("fits in place of the first");
        assert!(overlay.put(key("b"), row(&big, None)).is_err());
    }

    #[test]
    fn adding_follows_the_rules_of_the_log() {
        let expires = Some(Millis(9));
        assert_eq!(add(None, 2), row("2", None));
        assert_eq!(add(row("40", expires), 2), row("42", expires));
        assert_eq!(add(row("{}", None), 1), None);
        assert_eq!(add(row("9007199254740991", None), 1), None);
        assert_eq!(add(row("-9007199254740991", None), -1), None);
    }
}
