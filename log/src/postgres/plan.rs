//! A batch worked out in memory: what it takes the log to be, and what it makes of it.
//!
//! Members are judged one after the other, each on top of what those before it do. Where the log is not known, the first
//! member to have seen something is believed, and what it saw becomes a claim that the server checks; so a batch that is
//! applied equals its members applied one by one, and those refused here were refused rightly. If the server refuses a
//! claim, it tells the fact, and the batch is judged again.

mod sums;

use super::facts::Facts;
use crate::limits::raises;
use crate::{LogLimits, Rejection};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use weir_schema::{
    At, CatalogVersion, Digest, DigestBuilder, Epoch, Fence, GroupName, Millis, Offset, Read, Record,
    Records, Stamp, StateKey, StateRange, TopicId, Transaction,
};

pub(super) use sums::{Reach, Row, SumOf};

/// What is the same for all members of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    pub(super) facts: &'a Facts,
    pub(super) now: Millis,
    pub(super) limits: &'a LogLimits,
    /// How many partitions each topic has, of the topics that members append to.
    pub(super) topics: &'a HashMap<TopicId, u32>,
}

/// See the module's docs. Everything in it is in the order in which it is locked.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    ground: Ground<'a>,
    /// The claim.
    pub(super) catalog: Option<CatalogVersion>,
    pub(super) raise_catalog: u64,
    pub(super) raise_control: u64,
    pub(super) groups: BTreeMap<(&'a GroupName, At), Standing>,
    /// Claims.
    pub(super) reads: BTreeMap<&'a StateKey, Option<Stamp>>,
    /// Claims: they hold what the facts say.
    pub(super) ranges: Vec<&'a StateRange>,
    /// Claims: counters that stay within bounds.
    pub(super) counters: BTreeMap<&'a StateKey, Reach>,
    /// What becomes of rows.
    pub(super) rows: BTreeMap<&'a StateKey, Row>,
    /// How much each partition gets.
    pub(super) partitions: BTreeMap<At, Growth>,
    /// With their places among the batch's events of their partitions.
    pub(super) events: Vec<(Record<'a>, u64)>,
}

/// A group in one partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The claim.
    pub(super) epoch: Epoch,
    /// The claim, if there is one.
    pub(super) from: Option<Offset>,
    /// Where it is moved.
    pub(super) to: Option<Offset>,
    /// How often it is moved back.
    pub(super) back: u32,
}

/// What a partition gets.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Growth {
    pub(super) events: u64,
    pub(super) bytes: u64,
}

/// Why a member is not applied.
#[derive(Debug)]
pub(super) enum Refusal {
    Fenced(Epoch),
    Moved(Offset),
    /// Something that it saw is no longer so.
    Stale,
    Rejected(Rejection),
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// The receipt of a member before the server has said where the partitions ended and what the counters were.
#[derive(Debug)]
pub(super) struct Draft {
    /// Runs, with places among the batch's events instead of offsets.
    pub(super) runs: SmallVec<[(At, Offset, u32); 1]>,
    pub(super) sums: Vec<(StateKey, SumOf)>,
}

impl<'a> Plan<'a> {
    /// A batch without members.
    pub(super) fn new(ground: Ground<'a>) -> Self {
        Self {
            ground,
            catalog: None,
            raise_catalog: 0,
            raise_control: 0,
            groups: BTreeMap::new(),
            reads: BTreeMap::new(),
            ranges: Vec::new(),
            counters: BTreeMap::new(),
            rows: BTreeMap::new(),
            partitions: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Adds a member as a whole, or refuses it and applies nothing of it. What it claims stays where the refusal is
    /// right only if the claim is: a check that comes earlier is the one that counts.
    pub(super) fn add(&mut self, transaction: &'a Transaction) -> Result<Draft, Refusal> {
        self.check_owner(transaction)?;
        let current = self.check_reads(transaction);
        self.claim_owner(transaction);
        current?;
        let effects = self.check_effects(transaction);
        self.claim_reads(transaction);
        effects?;
        let sums = self.sums(transaction)?;
        Ok(self.apply(transaction, sums))
    }

    /// Whether there is nothing that the server has to be asked about.
    pub(super) fn is_empty(&self) -> bool {
        self.catalog.is_none() && self.groups.is_empty()
    }

    fn check_owner(&self, transaction: &Transaction) -> Result<(), Refusal> {
        let Some(Fence { group, at, epoch }) = &transaction.fence else { return Ok(()) };
        let standing = self.groups.get(&(group, *at));
        let fact = match self.ground.facts.groups.get(&(group.clone(), *at)) {
            Some(None) => return Err(Rejection::UNKNOWN_GROUP.into()),
            Some(known) => *known,
            None => None,
        };
        let owner = standing.map(|s| s.epoch).or_else(|| fact.map(|(epoch, _)| epoch));
        if let Some(owner) = owner.filter(|owner| owner != epoch) {
            return Err(Refusal::Fenced(owner));
        }
        let position = standing.and_then(|s| s.to.or(s.from)).or_else(|| fact.map(|(_, position)| position));
        match (transaction.advance, position) {
            (Some(advance), Some(position)) if advance.from != position => Err(Refusal::Moved(position)),
            _ => Ok(()),
        }
    }

    fn check_reads(&self, transaction: &'a Transaction) -> Result<(), Refusal> {
        let mut seen_here = HashMap::new();
        let is_current = |read: &'a Read| match read {
            Read::Key(key, seen) => {
                let now = self.stamp(key).unwrap_or_else(|| *seen_here.entry(key).or_insert(*seen));
                now == *seen
            }
            Read::Range(range, seen) => self.digest(range) == *seen,
        };
        let is_current_catalog = self.catalog().is_none_or(|version| version == transaction.catalog);
        if is_current_catalog && transaction.reads.iter().all(is_current) {
            Ok(())
        } else {
            Err(Refusal::Stale)
        }
    }

    fn catalog(&self) -> Option<CatalogVersion> {
        let raised = self.catalog.map(|claim| CatalogVersion(claim.0 + self.raise_catalog));
        raised.or(self.ground.facts.catalog)
    }

    /// The stamp of a row, if anything is known of it.
    fn stamp(&self, key: &StateKey) -> Option<Option<Stamp>> {
        let made = self.rows.get(key).map(Row::stamp);
        made.or_else(|| self.reads.get(key).copied()).or_else(|| self.ground.facts.stamps.get(key).copied())
    }

    /// What `range` holds with what the batch has made of it.
    fn digest(&self, range: &StateRange) -> Digest {
        let held = self.ground.facts.ranges.get(range).expect("the ranges of the batch have been read");
        let from =
            StateKey { table: range.table.clone(), generation: range.generation, key: range.from.clone() };
        let made = self.rows.range::<StateKey, _>((Bound::Included(&from), Bound::Unbounded));
        let mut made = made.take_while(|(key, _)| range.contains(key)).peekable();
        let mut digest = DigestBuilder::default();
        let mut held = held.rows.iter().peekable();
        loop {
            let next_made = made.peek().map(|(key, _)| &key.key);
            match (held.peek(), next_made) {
                (Some((key, stamp)), next) if next.is_none_or(|next| key < next) => {
                    digest.row(key, *stamp);
                    held.next();
                }
                (there, Some(next)) => {
                    if there.is_some_and(|(key, _)| key == next) {
                        held.next();
                    }
                    if let Some((key, Some(stamp))) = made.next().map(|(key, row)| (key, row.stamp())) {
                        digest.row(&key.key, stamp);
                    }
                }
                (_, None) => return digest.finish(),
            }
        }
    }

    fn check_effects(&self, transaction: &Transaction) -> Result<(), Rejection> {
        self.ground.limits.check(transaction)?;
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let At { topic, partition } = event.meta.at;
            if self.ground.topics.get(&topic).is_none_or(|partitions| partition >= *partitions) {
                return Err(Rejection::NoTopic { topic, partition });
            }
        }
        Ok(())
    }

    fn claim_owner(&mut self, transaction: &'a Transaction) {
        let Some(Fence { group, at, epoch }) = &transaction.fence else { return };
        let unmoved = Standing { epoch: *epoch, from: None, to: None, back: 0 };
        let standing = self.groups.entry((group, *at)).or_insert(unmoved);
        if let Some(advance) = transaction.advance {
            standing.from.get_or_insert(advance.from);
        }
    }

    fn claim_reads(&mut self, transaction: &'a Transaction) {
        self.catalog.get_or_insert(transaction.catalog);
        for read in &transaction.reads {
            match read {
                Read::Key(key, seen) if !self.rows.contains_key(key) => {
                    self.reads.entry(key).or_insert(*seen);
                }
                Read::Range(range, _) if !self.ranges.contains(&range) => self.ranges.push(range),
                Read::Key(..) | Read::Range(..) => {}
            }
        }
    }

    fn apply(&mut self, transaction: &'a Transaction, sums: Vec<Option<SumOf>>) -> Draft {
        self.advance(transaction);
        for (write, sum) in transaction.writes.iter().zip(&sums) {
            self.write(write, *sum);
        }
        let (catalog, control) = raises(transaction);
        self.raise_catalog += u64::from(catalog);
        self.raise_control += u64::from(control);
        let runs = self.append(transaction);
        let named = transaction.writes.iter().zip(sums);
        Draft { runs, sums: named.filter_map(|(write, sum)| Some((write.key.clone(), sum?))).collect() }
    }

    fn advance(&mut self, transaction: &'a Transaction) {
        let (Some(Fence { group, at, .. }), Some(advance)) = (&transaction.fence, transaction.advance) else {
            return;
        };
        if let Some(standing) = self.groups.get_mut(&(group, *at)) {
            standing.to = Some(advance.to);
            standing.back += u32::from(advance.to < advance.from);
        }
    }

    fn append(&mut self, transaction: &'a Transaction) -> SmallVec<[(At, Offset, u32); 1]> {
        let mut runs = SmallVec::new();
        for event in transaction.appends.iter().flat_map(Records::iter) {
            let at = event.meta.at;
            let growth = self.partitions.entry(at).or_default();
            crate::topic::extend_runs(&mut runs, at, Offset(growth.events));
            self.events.push((event, growth.events));
            growth.events += 1;
            growth.bytes += event.meta.bytes() as u64;
        }
        runs
    }
}
