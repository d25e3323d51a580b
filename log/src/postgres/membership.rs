//! Memberships: every process knows by itself which partitions are to be its own, and takes those that nobody has.
//!
//! A process says that it is alive by renewing its row, on the server's clock. Whoever holds a partition that is to be
//! another's is asked to hand it over. What a process holds that is not heard of any more is taken: its epoch is raised,
//! so that whatever that process still sends is refused.

use super::Shared;
use super::error::Failure;
use super::groups::{self, Standing};
use super::placement::place;
use crate::keeper::Keeper;
use crate::members::Stake;
use crate::{LogError, Membership, MembershipEnd};
use deadpool_postgres::Client;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_schema::{At, Epoch, GroupName, Offset};

/// How long a hand-over may take.
const HAND_OVER: Duration = Duration::from_secs(1);
/// A lease is renewed so many times while it lasts.
const RENEWALS: u32 = 5;
/// At the first and at every so many renewals the rows of processes that have long been dead are removed.
const CLEANING: u32 = 60;
/// What is not handed over within so many times what that may take is taken away.
const OVERDUE: u32 = 5;

/// Takes part in `group`, as [`Log::join`](crate::Log::join) says.
pub(super) async fn join(
    shared: &Arc<Shared>,
    keeper: &Arc<Keeper>,
    group: &GroupName,
    start: &[(At, Offset)],
) -> Result<Membership, LogError> {
    let balancing = shared.balancing.lock().await;
    let (node, lease) = (shared.node(), shared.lease);
    let (name, from): (_, Arc<[_]>) = (group.clone(), start.into());
    let work = |mut client: Client| {
        let (name, from) = (name.clone(), from.clone());
        async move {
            groups::renew(&client, node, lease).await?;
            groups::start(&mut client, node, &name, &from).await
        }
    };
    let claims = shared.run("join a group of", work).await?;
    let joined = shared.members.enter(group, claims).ok_or(LogError::Closed)?;
    // here and not in a task, so that of two joins of this process the later one gets the partitions
    if let Err(error) = balance(shared, std::slice::from_ref(group)).await {
        tracing::warn!(%error, %group, "could not take partitions over; trying again");
    }
    drop(balancing);
    shared.news.tell_of_groups();
    let (shared, group) = (shared.clone(), group.clone());
    keeper.spawn(async move { serve(&shared, joined.number, &group, joined.ends).await });
    Ok(joined.membership)
}

/// Says again and again that this process is alive, and sees to it that it has the partitions that are to be its own.
pub(super) async fn attend(shared: Arc<Shared>) {
    let mut lease = Lease { client: None, renewals: 0 };
    let mut is_troubled = false;
    loop {
        // either it is time, or another process tells of a change
        drop(tokio::time::timeout(shared.lease / RENEWALS, shared.regroup.notified()).await);
        let groups = shared.members.groups();
        let result = round(&shared, &groups, &mut lease).await;
        match &result {
            Ok(()) if is_troubled => tracing::debug!("the leases and groups of this process are kept again"),
            // that the server does not answer is said already
            Err(error) if !is_troubled && !error.is_retryable() => {
                tracing::warn!(%error, "could not keep the lease and the groups of this process; trying until it can");
            }
            Ok(()) | Err(_) => {}
        }
        is_troubled = result.is_err();
    }
}

async fn round(shared: &Arc<Shared>, groups: &[GroupName], lease: &mut Lease) -> Result<(), LogError> {
    // a process that does not go on lets its lease end, so that others can have its partitions
    shared.history.check(&shared.server.place)?;
    let renewed = lease.renew(shared).await;
    renewed.map_err(|failure| failure.into_log_error("renew a lease in", &shared.server.place))?;
    if groups.is_empty() {
        return Ok(());
    }
    let _balancing = shared.balancing.lock().await;
    balance(shared, groups).await
}

/// Renews the lease on a connection that it keeps, so that busy readers do not hold it up.
struct Lease {
    /// None: the last renewal failed.
    client: Option<Client>,
    renewals: u32,
}

impl Lease {
    async fn renew(&mut self, shared: &Shared) -> Result<(), Failure> {
        let departed = shared.departed.lock().await;
        if *departed {
            return Ok(());
        }
        let client = match self.client.take() {
            Some(client) => client,
            None => shared.server.client().await?,
        };
        let renewal = async {
            groups::renew(&client, shared.node(), shared.lease).await?;
            if self.renewals.is_multiple_of(CLEANING) {
                groups::forget_dead(&client).await?;
            }
            Ok(())
        };
        shared.server.ask(&client, renewal).await?;
        self.renewals = self.renewals.wrapping_add(1);
        self.client = Some(client);
        Ok(())
    }
}

/// Compares what is with what is to be. To be called under the lock.
async fn balance(shared: &Arc<Shared>, groups: &[GroupName]) -> Result<(), LogError> {
    let work = |client: Client| {
        let groups = groups.to_vec();
        async move { groups::standings(&client, &groups).await }
    };
    let standings = shared.run("look at the groups of", work).await?;
    for (group, standing) in standings {
        let stakes = shared.members.stakes(&group);
        let Moves { wanted, overdue } = settle(shared, &group, &standing, &stakes);
        for (at, epoch) in overdue {
            take_away(shared, &group, at, epoch).await?;
        }
        for (number, seen) in wanted {
            let node = shared.node();
            let work = |mut client: Client| {
                let (group, seen) = (group.clone(), seen.clone());
                async move { groups::take_over(&mut client, node, &group, &seen).await }
            };
            let assigned = shared.run("take over partitions of", work).await?;
            shared.members.assign(number, assigned);
        }
    }
    Ok(())
}

/// Ends that a member here holds what it was asked to hand over and has not: it is nobody's, and unclean.
async fn take_away(shared: &Shared, group: &GroupName, at: At, epoch: Epoch) -> Result<(), LogError> {
    tracing::warn!(%group, partition = at.partition, "not handed over in time: taken away");
    let work = |client: Client| {
        let group = group.clone();
        async move { groups::abandon(&client, &group, at, epoch).await }
    };
    shared.run("take a partition away in", work).await?;
    shared.members.lose(group, at);
    shared.news.tell_of_groups();
    Ok(())
}

/// What is to change about a group's partitions.
#[derive(Default)]
struct Moves {
    /// What each member here is to take.
    wanted: BTreeMap<u64, Vec<(At, Epoch)>>,
    /// What was to be handed over long ago.
    overdue: Vec<(At, Epoch)>,
}

/// Tells members what others do to their partitions; returns what is to change.
fn settle(shared: &Shared, group: &GroupName, standing: &Standing, stakes: &BTreeMap<At, Stake>) -> Moves {
    let node = shared.node();
    let placed = placed(group, standing);
    let mut moves = Moves::default();
    let mut known = BTreeSet::new();
    for stored in &standing.places {
        known.insert(stored.at);
        let stake = stakes.get(&stored.at).copied().unwrap_or_default();
        let held = stake.holder.filter(|(_, epoch)| *epoch == stored.epoch);
        if stake.holder.is_some() && held.is_none() {
            shared.members.lose(group, stored.at);
        }
        let is_ours = placed.get(&stored.at) == Some(&node);
        let is_free = stored.node.is_none_or(|holder| holder == node);
        match (stake.claimant, held) {
            (Some(claimant), held)
                if is_ours && is_free && held.is_none_or(|(holder, _)| holder < claimant) =>
            {
                moves.wanted.entry(claimant).or_default().push((stored.at, stored.epoch));
            }
            (_, Some((_, epoch))) if !is_ours && placed.contains_key(&stored.at) => {
                let asked = shared.members.revoke(group, stored.at, HAND_OVER);
                moves.overdue.extend((asked > HAND_OVER * OVERDUE).then_some((stored.at, epoch)));
            }
            _ => {}
        }
    }
    let forgotten = stakes.iter().filter(|(at, stake)| stake.holder.is_some() && !known.contains(at));
    forgotten.for_each(|(at, _)| shared.members.lose(group, *at));
    moves
}

/// Which process is to have which partition.
fn placed(group: &GroupName, standing: &Standing) -> HashMap<At, i32> {
    let mut topics: BTreeMap<_, Vec<At>> = BTreeMap::new();
    for stored in &standing.places {
        topics.entry(stored.at.topic).or_default().push(stored.at);
    }
    let nodes = |topic| standing.nodes.get(&topic).map_or(&[][..], Vec::as_slice);
    topics.into_iter().flat_map(|(topic, partitions)| place(group, &partitions, nodes(topic))).collect()
}

/// Serves a member until it leaves.
async fn serve(
    shared: &Arc<Shared>,
    number: u64,
    group: &GroupName,
    mut ends: mpsc::Receiver<MembershipEnd>,
) {
    while let Some(end) = ends.recv().await {
        match end {
            MembershipEnd::Release(at, epoch, done) => {
                let work = |client: Client| {
                    let group = group.clone();
                    async move { groups::release(&client, &group, at, epoch).await }
                };
                let released = shared.run("release a partition of", work).await;
                shared.members.released(number, at);
                shared.news.tell_of_groups();
                drop(done.send(released));
            }
            MembershipEnd::Settled(at, epoch, done) => {
                let work = |client: Client| {
                    let group = group.clone();
                    async move { groups::settle(&client, &group, at, epoch).await }
                };
                drop(done.send(shared.run("settle a partition of", work).await));
            }
        }
    }
    leave(shared, number, group).await;
}

/// What a member held that has left without releasing it is nobody's, and unclean; and if it was the last one here to
/// want partitions of a topic, this process wants none any more.
async fn leave(shared: &Arc<Shared>, number: u64, group: &GroupName) {
    let _balancing = shared.balancing.lock().await;
    let left = shared.members.leave(number);
    let wanted: BTreeSet<_> = shared.members.stakes(group).keys().map(|at| at.topic).collect();
    let node = shared.node();
    let work = |client: Client| {
        let (group, left, wanted) = (group.clone(), left.clone(), wanted.clone());
        async move {
            for (at, epoch) in left {
                groups::abandon(&client, &group, at, epoch).await?;
            }
            groups::resign(&client, node, &group, &wanted).await
        }
    };
    if let Err(error) = shared.run("leave a group of", work).await {
        tracing::warn!(%error, %group, "could not leave; the lease ends it");
    }
    shared.news.tell_of_groups();
}

/// Says that this process is gone, so that others need not wait for its lease to end.
pub(super) async fn depart(shared: &Shared) -> Result<(), Failure> {
    let node = shared.node();
    *shared.departed.lock().await = true;
    shared.server.with(|client| async move { groups::depart(&client, node).await }).await
}
