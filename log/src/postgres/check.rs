//! Whether what transactions saw is still so.

use super::error::Failure;
use super::{groups, state};
use crate::{CommitError, LogLimits, Rejection};
use deadpool_postgres::{Client, GenericClient, Transaction as Snapshot};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_postgres::IsolationLevel;
use weir_schema::{CatalogVersion, DigestBuilder, Read, StateKey, StateRange, Transaction, Versioned};

/// What is not as a transaction saw it, as it is.
#[derive(Default, Debug)]
pub(super) struct Stale {
    pub(super) now: Vec<(StateKey, Option<Versioned>)>,
    pub(super) ranges: Vec<StateRange>,
    pub(super) catalog: Option<CatalogVersion>,
}

impl Stale {
    fn is_empty(&self) -> bool {
        self.now.is_empty() && self.ranges.is_empty() && self.catalog.is_none()
    }
}

impl From<Stale> for CommitError {
    fn from(Stale { now, ranges, catalog }: Stale) -> Self {
        Self::Conflict { now, ranges, catalog }
    }
}

/// Checks a transaction that changes nothing, in one snapshot.
pub(super) async fn read_only(
    client: &mut Client,
    transaction: &Arc<Transaction>,
    limits: &LogLimits,
) -> Result<Result<(), CommitError>, Failure> {
    let snapshot = snapshot(client).await?;
    if let Some(fence) = &transaction.fence {
        match groups::owner(&snapshot, fence).await? {
            None => return Ok(Err(CommitError::Rejected(Rejection::UNKNOWN_GROUP))),
            Some(epoch) if epoch != fence.epoch => return Ok(Err(CommitError::Fenced(epoch))),
            Some(_) => {}
        }
    }
    let stale = all(&snapshot, std::slice::from_ref(transaction)).await?;
    snapshot.commit().await?;
    match stale.into_iter().find(|stale| !stale.is_empty()) {
        Some(stale) => Ok(Err(stale.into())),
        None => Ok(limits.check(transaction).map_err(CommitError::Rejected)),
    }
}

/// What each of `transactions` saw that is no longer so, in one snapshot.
pub(super) async fn stale(
    client: &mut Client,
    transactions: &[Arc<Transaction>],
) -> Result<Vec<Stale>, Failure> {
    let snapshot = snapshot(client).await?;
    let stale = all(&snapshot, transactions).await?;
    snapshot.commit().await?;
    Ok(stale)
}

async fn snapshot(client: &mut Client) -> Result<Snapshot<'_>, Failure> {
    let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    Ok(snapshot.start().await?)
}

async fn all(snapshot: &Snapshot<'_>, transactions: &[Arc<Transaction>]) -> Result<Vec<Stale>, Failure> {
    let catalog = snapshot.prepare_cached("SELECT value FROM meta WHERE name = 'catalog'").await?;
    let catalog: i64 = snapshot.query_one(&catalog, &[]).await?.get(0);
    let catalog = CatalogVersion(catalog.cast_unsigned());
    let reads = || transactions.iter().flat_map(|transaction| &transaction.reads);
    let keys = reads().filter_map(|read| if let Read::Key(key, _) = read { Some(key.clone()) } else { None });
    let keys: Vec<_> = keys.collect();
    let rows = if keys.is_empty() { Vec::new() } else { state::get(snapshot, &keys).await? };
    let rows: HashMap<_, _> = keys.into_iter().zip(rows).collect();
    let mut stale = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        let catalog = (transaction.catalog != catalog).then_some(catalog);
        let mut found = Stale { catalog, ..Stale::default() };
        for read in &transaction.reads {
            match read {
                Read::Key(key, seen) if rows[key].as_ref().map(|row| row.stamp) != *seen => {
                    found.now.push((key.clone(), rows[key].clone()));
                }
                Read::Key(..) => {}
                Read::Range(range, seen) => {
                    let mut digest = DigestBuilder::default();
                    let held = state::held(snapshot, range).await?;
                    held.rows.iter().for_each(|(key, stamp)| digest.row(key, *stamp));
                    if digest.finish() != *seen {
                        found.ranges.push(range.clone());
                    }
                }
            }
        }
        stale.push(found);
    }
    Ok(stale)
}
