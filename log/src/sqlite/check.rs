//! Whether a transaction may be applied.

use super::error::Failure;
use super::{groups, schema, state};
use crate::{CommitError, LogLimits, Rejection};
use rusqlite::Connection;
use weir_schema::{CatalogVersion, Millis, Op, Read, StateKey, Transaction, counter};

/// What a check ends with beside a pass.
pub(super) enum Stop {
    /// The transaction is refused.
    Refused(CommitError),
    /// The file did not answer.
    Failed(Failure),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<CommitError> for Stop {
    fn from(refusal: CommitError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Rejection> for Stop {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(CommitError::Rejected(rejection))
    }
}

/// Checks a transaction that changes nothing. Needs one snapshot.
pub(super) fn read_only(
    connection: &Connection,
    transaction: &Transaction,
    limits: &LogLimits,
) -> Result<(), Stop> {
    let catalog = CatalogVersion(schema::number(connection, "catalog")?);
    all(connection, transaction, catalog, limits)
}

/// Checks everything but what `apply` sees for itself: topics and sums.
pub(super) fn all(
    connection: &Connection,
    transaction: &Transaction,
    catalog: CatalogVersion,
    limits: &LogLimits,
) -> Result<(), Stop> {
    owner(connection, transaction)?;
    reads(connection, transaction, catalog)?;
    Ok(limits.check(transaction)?)
}

fn owner(connection: &Connection, transaction: &Transaction) -> Result<(), Stop> {
    let Some(fence) = &transaction.fence else { return Ok(()) };
    let (epoch, position) = groups::owner(connection, fence)?.ok_or(Rejection::UNKNOWN_GROUP)?;
    if epoch != fence.epoch {
        return Err(CommitError::Fenced(epoch).into());
    }
    match transaction.advance {
        Some(advance) if advance.from != position => Err(CommitError::Moved(position).into()),
        _ => Ok(()),
    }
}

fn reads(connection: &Connection, transaction: &Transaction, catalog: CatalogVersion) -> Result<(), Stop> {
    let (mut now, mut ranges) = (Vec::new(), Vec::new());
    for read in &transaction.reads {
        match read {
            Read::Key(key, seen) => {
                if state::stamp(connection, key)? != *seen {
                    now.push((key.clone(), state::row(connection, key)?));
                }
            }
            Read::Range(range, seen) => {
                if state::digest(connection, range)? != *seen {
                    ranges.push(range.clone());
                }
            }
        }
    }
    let catalog = (transaction.catalog != catalog).then_some(catalog);
    if now.is_empty() && ranges.is_empty() && catalog.is_none() {
        return Ok(());
    }
    Err(CommitError::Conflict { now, ranges, catalog }.into())
}

/// What each `Add` comes to, with the expiry that its row keeps.
pub(super) fn sums(
    connection: &Connection,
    transaction: &Transaction,
    now: Millis,
) -> Result<Vec<Sum>, Stop> {
    let mut sums = Vec::new();
    for write in &transaction.writes {
        let Op::Add(by) = write.op else { continue };
        let row = state::row(connection, &write.key)?.filter(|row| row.is_live(now));
        let value = row.as_ref().map_or(Some(0), |row| counter(&row.value));
        let sum = value.and_then(|value| value.checked_add(by)).filter(|sum| is_counter(*sum));
        let sum = sum.ok_or_else(|| Rejection::NotACounter(write.key.clone()))?;
        sums.push(Sum { key: write.key.clone(), sum, expires: row.and_then(|row| row.expires) });
    }
    Ok(sums)
}

/// What an `Add` comes to.
pub(super) struct Sum {
    pub(super) key: StateKey,
    pub(super) sum: i64,
    pub(super) expires: Option<Millis>,
}

fn is_counter(sum: i64) -> bool {
    const BOUND: i64 = 1 << 53;
    -BOUND < sum && sum < BOUND
}
