//! Rows that a batch makes, and counters whose value only the server knows.

use super::Plan;
use crate::Rejection;
use bytes::Bytes;
use weir_schema::{Millis, Op, Stamp, Transaction, Write, counter};

/// Counters stay below this in magnitude.
const BOUND: i64 = 1 << 53;

/// What becomes of a row.
#[derive(Clone, Debug)]
pub(in crate::postgres) enum Row {
    Put {
        value: Bytes,
        stamp: Stamp,
        expires: Option<Millis>,
    },
    Gone,
    /// The counter that the server has, and this.
    Grown {
        by: i64,
        stamp: Stamp,
    },
}

/// The least and the most that is added to a counter at any moment of the batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::postgres) struct Reach {
    pub(in crate::postgres) low: i64,
    pub(in crate::postgres) high: i64,
}

/// What an `Add` comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::postgres) enum SumOf {
    /// This.
    Known(i64),
    /// The counter that the server has, and this.
    Over(i64),
}

impl Row {
    pub(super) fn stamp(&self) -> Option<Stamp> {
        match self {
            Self::Put { stamp, .. } | Self::Grown { stamp, .. } => Some(*stamp),
            Self::Gone => None,
        }
    }
}

impl<'a> Plan<'a> {
    /// What each write that is an `Add` comes to; none for the others. Of several that cannot be added to the first is named, so
    /// where one is refused, those before it that only the server knows are claims.
    pub(super) fn sums(&mut self, transaction: &'a Transaction) -> Result<Vec<Option<SumOf>>, Rejection> {
        let mut sums = Vec::with_capacity(transaction.writes.len());
        for write in &transaction.writes {
            let Op::Add(by) = write.op else {
                sums.push(None);
                continue;
            };
            let Some(sum) = self.sum(write, by) else {
                for (before, sum) in transaction.writes.iter().zip(sums) {
                    self.claim_sum(before, sum);
                }
                return Err(Rejection::NotACounter(write.key.clone()));
            };
            sums.push(Some(sum));
        }
        Ok(sums)
    }

    /// Has the server look whether its counter stays within bounds, if it is the one who knows it.
    fn claim_sum(&mut self, write: &'a Write, sum: Option<SumOf>) {
        if let Some(SumOf::Over(by)) = sum {
            let reach = self.counters.entry(&write.key).or_insert(Reach { low: by, high: by });
            *reach = Reach { low: reach.low.min(by), high: reach.high.max(by) };
        }
    }

    fn sum(&self, write: &Write, by: i64) -> Option<SumOf> {
        let over = match self.rows.get(&write.key) {
            Some(Row::Put { value, expires, .. }) => {
                let is_live = expires.is_none_or(|expires| self.ground.now < expires);
                let base = if is_live { counter(value)? } else { 0 };
                return within(base.checked_add(by)?).map(SumOf::Known);
            }
            Some(Row::Gone) => return within(by).map(SumOf::Known),
            Some(Row::Grown { by: before, .. }) => before.saturating_add(by),
            None => by,
        };
        // past every counter's reach, but not past an i64's when the server adds
        let over = over.clamp(-2 * BOUND, 2 * BOUND);
        if let Some(base) = self.ground.facts.counters.get(&write.key) {
            within((*base)? + over)?;
        }
        Some(SumOf::Over(over))
    }

    /// Writes a row; `sum` is what its `Add` comes to.
    pub(super) fn write(&mut self, write: &'a Write, sum: Option<SumOf>) {
        let stamp = write.stamp;
        self.claim_sum(write, sum);
        let row = match (sum, &write.op) {
            (Some(SumOf::Over(by)), _) => Row::Grown { by, stamp },
            (Some(SumOf::Known(sum)), _) => {
                Row::Put { value: sum.to_string().into(), stamp, expires: self.kept_expiry(write) }
            }
            (None, Op::Put { value, expires }) => Row::Put { value: value.clone(), stamp, expires: *expires },
            // an `Add` has a sum
            (None, Op::Delete | Op::Add(_)) => Row::Gone,
        };
        self.rows.insert(&write.key, row);
    }

    /// When a row that the batch has put, and now adds to, expires.
    fn kept_expiry(&self, write: &Write) -> Option<Millis> {
        match self.rows.get(&write.key) {
            Some(Row::Put { expires, .. }) => expires.filter(|expires| self.ground.now < *expires),
            Some(Row::Gone | Row::Grown { .. }) | None => None,
        }
    }
}

fn within(sum: i64) -> Option<i64> {
    (-BOUND < sum && sum < BOUND).then_some(sum)
}
