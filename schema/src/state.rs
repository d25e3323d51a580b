//! Rows of state: their keys, versions and ranges.

use crate::{Millis, Stamp, TableName};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

/// Names one row: a table's key in one generation of the table.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StateKey {
    /// The table. Tables need no declaration: the first write makes one.
    pub table: TableName,
    /// 0 is the table as functions write it; a shadow replay writes another.
    pub generation: u32,
    /// Any bytes; rows are in byte order of these.
    pub key: Bytes,
}

/// A row as it is stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Versioned {
    /// JSON. A counter is its decimal digits.
    pub value: Bytes,
    /// The attempt that wrote it.
    pub stamp: Stamp,
    /// From this time on the row counts as absent. The log returns it all the same, with its stamp, until it
    /// is swept: whether it has expired is judged by the clock of the invocation that reads.
    pub expires: Option<Millis>,
}

impl Versioned {
    /// Whether a reader whose clock shows `now` sees this row.
    #[must_use]
    pub fn is_live(&self, now: Millis) -> bool {
        self.expires.is_none_or(|e| now < e)
    }
}

/// The keys of one table from `from` on and below `to`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct StateRange {
    /// The table.
    pub table: TableName,
    /// Its generation.
    pub generation: u32,
    /// The first key that belongs to the range, should it exist.
    pub from: Bytes,
    /// The first key that does not; none: to the end of the table.
    pub to: Option<Bytes>,
}

impl StateRange {
    /// Whether `key` lies in the range.
    #[must_use]
    pub fn contains(&self, key: &StateKey) -> bool {
        key.table == self.table
            && key.generation == self.generation
            && key.key >= self.from
            && self.to.as_ref().is_none_or(|to| key.key < *to)
    }

    /// The first key after every key that begins with `prefix`; none if there is no such key.
    #[must_use]
    pub fn end_of_prefix(prefix: &[u8]) -> Option<Bytes> {
        let last = prefix.iter().rposition(|b| *b != 0xff)?;
        let mut end = prefix[..=last].to_vec();
        end[last] += 1;
        Some(end.into())
    }
}

/// One page of a scan, in byte order of the keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ScanPage {
    /// Keys and rows.
    pub rows: Vec<(Bytes, Versioned)>,
    /// Where the next page begins; none: the range is done.
    pub next: Option<Bytes>,
}

/// What a range held when it was read: a hash of its keys and stamps, in order. Every physical row counts,
/// expired ones too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest(pub u128);

/// Computes a [`Digest`] row by row.
#[derive(Clone, Default)]
pub struct DigestBuilder(Xxh3);

impl std::fmt::Debug for DigestBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("DigestBuilder").field(&self.0.digest128()).finish()
    }
}

impl DigestBuilder {
    /// Adds the next row of the range.
    pub fn row(&mut self, key: &[u8], stamp: Stamp) {
        self.0.update(&(key.len() as u64).to_le_bytes());
        self.0.update(key);
        self.0.update(&stamp.0.to_le_bytes());
    }

    /// The digest of the rows so far.
    #[must_use]
    pub fn finish(&self) -> Digest {
        Digest(self.0.digest128())
    }
}

/// Reads a value as a counter: a canonical decimal integer of magnitude below 2^53. `007`, `1.0`, `-0` and
/// `"1"` are none.
#[must_use]
pub fn counter(value: &[u8]) -> Option<i64> {
    const BOUND: i64 = 1 << 53;
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let canonical = match digits {
        [b'0'] => value.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let number: i64 = std::str::from_utf8(value).ok().filter(|_| canonical)?.parse().ok()?;
    (-BOUND < number && number < BOUND).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_below_two_to_the_53rd_are_counters() {
        assert_eq!(counter(b"0"), Some(0));
        assert_eq!(counter(b"-17"), Some(-17));
        assert_eq!(counter(b"9007199254740991"), Some(9_007_199_254_740_991));
        for no in ["", "-", "-0", "007", "1.0", "1e3", "\"1\"", "9007199254740992", "99999999999999999999"] {
            assert_eq!(counter(no.as_bytes()), None, "{no}");
        }
    }

    #[test]
    fn the_end_of_a_prefix_follows_every_key_that_has_it() {
        assert_eq!(StateRange::end_of_prefix(b"eu/"), Some(Bytes::from_static(b"eu0")));
        assert_eq!(StateRange::end_of_prefix(b"a\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(StateRange::end_of_prefix(b"\xff\xff"), None);
        assert_eq!(StateRange::end_of_prefix(b""), None);
    }

    #[test]
    fn a_digest_tells_rows_and_stamps_apart() {
        let digest = |rows: &[(&[u8], u64)]| {
            let mut d = DigestBuilder::default();
            for (key, stamp) in rows {
                d.row(key, crate::TxnId(*stamp));
            }
            d.finish()
        };
        let base = digest(&[(b"a", 1), (b"b", 2)]);
        assert_eq!(base, digest(&[(b"a", 1), (b"b", 2)]));
        for other in [
            digest(&[(b"a", 1)]),
            digest(&[(b"a", 1), (b"b", 3)]),
            digest(&[(b"b", 2), (b"a", 1)]),
            digest(&[]),
        ] {
            assert_ne!(base, other);
        }
    }
}
