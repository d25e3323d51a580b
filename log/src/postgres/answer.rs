//! What the server says to a call of `weir_commit` (sql/001_commit.sql), and what that means.

use super::facts::{Facts, Lesson};
use super::plan::{Draft, Plan, SumOf};
use super::state::stamp;
use std::collections::HashMap;
use tokio_postgres::Row;
use weir_schema::{At, CatalogVersion, Epoch, GroupName, Offset, Receipt, StateKey};

/// What the server says. What a column means is said at the function.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) applied: bool,
    tails: Vec<i64>,
    bases: Vec<Option<i64>>,
    pub(super) catalog: Option<CatalogVersion>,
    pub(super) control: Option<u64>,
    epochs: Vec<Option<i64>>,
    positions: Vec<Option<i64>>,
    stale: Vec<i64>,
    stamps: Vec<Option<i64>>,
    stale_ranges: Vec<i64>,
}

impl Answer {
    pub(super) fn read(row: &Row) -> Self {
        Self {
            applied: row.get(0),
            tails: list(row.get(1)),
            bases: list(row.get(2)),
            catalog: row.get::<_, Option<i64>>(3).map(|n| CatalogVersion(n.cast_unsigned())),
            control: row.get::<_, Option<i64>>(4).map(i64::cast_unsigned),
            epochs: list(row.get(5)),
            positions: list(row.get(6)),
            stale: list(row.get(7)),
            stamps: list(row.get(8)),
            stale_ranges: list(row.get(9)),
        }
    }

    /// What a refusal tells.
    pub(super) fn lesson(&self, plan: &Plan<'_>) -> Lesson {
        let mut facts = Facts { catalog: self.catalog, ..Facts::default() };
        let owners = self.epochs.iter().zip(&self.positions).map(|(epoch, position)| {
            let (epoch, position) = ((*epoch)?, (*position)?);
            Some((Epoch(epoch.cast_unsigned()), Offset(position.cast_unsigned())))
        });
        let groups = plan.groups.keys().map(|(group, at)| (GroupName::clone(group), *at));
        facts.groups = groups.zip(owners).collect();
        let reads: Vec<_> = plan.reads.keys().copied().collect();
        let stale = nth(&reads, &self.stale).copied().cloned();
        facts.stamps = stale.zip(self.stamps.iter().map(|s| s.map(stamp))).collect();
        let counters = plan.counters.keys().copied().cloned();
        facts.counters = counters.zip(self.bases.iter().copied()).collect();
        let stale = nth(&plan.ranges, &self.stale_ranges).copied().cloned();
        Lesson { facts, stale: stale.collect() }
    }
}

/// The elements that `ordinals`, from 1, name.
fn nth<'l, T>(list: &'l [T], ordinals: &'l [i64]) -> impl Iterator<Item = &'l T> {
    ordinals.iter().filter_map(|n| list.get(usize::try_from(n - 1).ok()?))
}

/// What is needed to make receipts of an answer, whenever it comes.
#[derive(Debug)]
pub(super) struct Receipts {
    partitions: Vec<(At, u64)>,
    counters: Vec<StateKey>,
}

impl Receipts {
    pub(super) fn of(plan: &Plan<'_>) -> Self {
        Self {
            partitions: plan.partitions.iter().map(|(at, growth)| (*at, growth.events)).collect(),
            counters: plan.counters.keys().copied().cloned().collect(),
        }
    }

    /// The partitions' new tails.
    pub(super) fn tails(&self, answer: &Answer) -> Vec<(At, Offset)> {
        let tails = self.partitions.iter().zip(&answer.tails);
        tails.map(|((at, events), tail)| (*at, Offset(tail.cast_unsigned() + events))).collect()
    }

    /// What was drafted, with the offsets and the sums that it came to.
    pub(super) fn fill(&self, answer: &Answer, drafts: Vec<Draft>) -> Vec<Receipt> {
        let tails: HashMap<At, u64> = self
            .partitions
            .iter()
            .map(|(at, _)| *at)
            .zip(answer.tails.iter().map(|t| t.cast_unsigned()))
            .collect();
        let bases: HashMap<&StateKey, i64> =
            self.counters.iter().zip(answer.bases.iter().map(|base| base.unwrap_or_default())).collect();
        let fill = |draft: Draft| Receipt {
            bases: draft.runs.iter().map(|(at, place, n)| (*at, Offset(tails[at] + place.0), *n)).collect(),
            sums: draft
                .sums
                .into_iter()
                .map(|(key, sum)| match sum {
                    SumOf::Known(sum) => (key, sum),
                    SumOf::Over(by) => {
                        let sum = bases[&key] + by;
                        (key, sum)
                    }
                })
                .collect(),
        };
        drafts.into_iter().map(fill).collect()
    }
}

fn list<T>(column: Option<Vec<T>>) -> Vec<T> {
    column.unwrap_or_default()
}
