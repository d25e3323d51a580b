//! Numbers that mean one thing each.

use crate::Hex;
use std::fmt;
use std::time::Duration;

/// A place in a partition: strictly increasing in commit order. Dense from 0 on SQLite and PostgreSQL, with
/// gaps on Kafka: the next offset to read is the last one read plus 1, never a count.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset of the first event that a dense log holds.
    pub const ZERO: Self = Self(0);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This time and `by` more; saturates.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This time less `by`; saturates.
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 with milliseconds, in UTC: `2026-11-21T12:00:00.000Z`. Times that no calendar holds are
    /// clamped to the calendar's ends.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let clamped =
            self.0.clamp(jiff::Timestamp::MIN.as_millisecond(), jiff::Timestamp::MAX.as_millisecond());
        let time = jiff::Timestamp::from_millisecond(clamped).unwrap_or_default();
        format!("{time:.3}")
    }

    /// Reads any RFC 3339 time; what is finer than a millisecond is cut off.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }
}

/// A topic's number in its log: given at creation, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct TopicId(pub u32);

/// One partition of one topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct At {
    /// The topic.
    pub topic: TopicId,
    /// The partition, from 0.
    pub partition: u32,
}

/// Who writes: a counter row of the log, raised each time a log is opened. 24 bits are used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WriterId(pub u32);

/// Names one attempt at one transaction for ever: 24 bits writer number and 40 bits sequence.
/// Never used again; compared for equality only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TxnId(pub u64);

impl TxnId {
    /// The `sequence`th id of `writer`. Sequences past 2^40 and writers past 2^24 wrap; a log that opens
    /// a thousand times a day gets there after 45 years.
    #[must_use]
    pub const fn new(writer: WriterId, sequence: u64) -> Self {
        Self(((writer.0 as u64 & 0xff_ffff) << 40) | (sequence & 0xff_ffff_ffff))
    }
}

/// `ctx.id`: names one invocation, its re-runs and retries included. Prints as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InvocationId(pub u128);

impl InvocationId {
    /// As it prints.
    #[must_use]
    pub fn hex(self) -> Hex<32> {
        Hex::of(self.0)
    }
}

impl fmt::Display for InvocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().fmt(f)
    }
}

/// The version of a state row: the id of the attempt that wrote it.
pub type Stamp = TxnId;

/// Raised each time a partition of a group changes hands; what carries an older one is refused.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The version of the catalog: raised by every transaction that writes the table `_weir_catalog`
/// (generations, promotions). Creating a topic does not raise it: nothing built before it is wrong after.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct CatalogVersion(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_with_milliseconds_and_read_back() {
        let time = Millis(1_795_262_400_042);
        assert_eq!(time.to_rfc3339(), "2026-11-21T12:00:00.042Z");
        assert_eq!(Millis::from_rfc3339("2026-11-21T13:00:00.042+01:00"), Some(time));
        assert_eq!(Millis::from_rfc3339("yesterday"), None);
        assert_eq!(Millis(i64::MAX).to_rfc3339().len(), "9999-12-30T22:00:00.999Z".len());
    }

    #[test]
    fn transaction_ids_of_two_writers_never_meet() {
        let (a, b) = (TxnId::new(WriterId(1), (1 << 40) - 1), TxnId::new(WriterId(2), 0));
        assert_ne!(a, b);
        assert_eq!(a.0 >> 40, 1);
    }
}
