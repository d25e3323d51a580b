//! Memberships: all partitions belong to the process that holds the lock.

use super::error::Failure;
use super::{Shared, groups};
use crate::keeper::Keeper;
use crate::{LogError, Membership, MembershipEnd};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use weir_schema::{At, GroupName, Offset};

/// How often a process that does not own the log tries to.
const LOOK: Duration = Duration::from_millis(200);

/// Takes part in `group`, as [`Log::join`](crate::Log::join) says.
pub(super) async fn join(
    shared: &Arc<Shared>,
    keeper: &Keeper,
    group: &GroupName,
    start: &[(At, Offset)],
) -> Result<Membership, LogError> {
    let (name, start) = (group.clone(), start.to_vec());
    let write = move |c: &Connection| groups::start(c, &name, &start);
    let claims = shared.change("join a group of", write, |_| ()).await?;
    let joined = shared.members.enter(group, claims).ok_or(LogError::Closed)?;
    // here and not in the task, so that of two joins of this process the later one gets the partitions
    if let Err(error) = take_over(shared).await {
        tracing::warn!(%error, %group, "could not take partitions over; trying again");
    }
    let (shared, group) = (shared.clone(), group.clone());
    keeper.spawn(async move { attend(&shared, joined.number, &group, joined.ends).await });
    Ok(joined.membership)
}

/// Waits for the ownership of the log, then serves the member until it leaves.
async fn attend(
    shared: &Arc<Shared>,
    number: u64,
    group: &GroupName,
    mut ends: mpsc::Receiver<MembershipEnd>,
) {
    while shared.members.is_waiting(number) {
        match tokio::time::timeout(LOOK, ends.recv()).await {
            Ok(Some(end)) => serve(shared, number, group, end).await,
            Ok(None) => break,
            Err(_) => {
                if let Err(error) = take_over(shared).await {
                    tracing::warn!(%error, %group, "could not take partitions over; trying again");
                }
            }
        }
    }
    while let Some(end) = ends.recv().await {
        serve(shared, number, group, end).await;
    }
    drop(shared.members.leave(number));
}

async fn take_over(shared: &Arc<Shared>) -> Result<(), LogError> {
    if shared.owner.try_take()? { assign_waiting(shared).await } else { Ok(()) }
}

/// Assigns to every member that waits what it claims, in the order in which they have joined.
async fn assign_waiting(shared: &Arc<Shared>) -> Result<(), LogError> {
    for (number, group, claims) in shared.members.waiting() {
        let write = move |c: &Connection| groups::take_over(c, &group, &claims);
        let told = shared.clone();
        let tell = move |assigned: &Vec<_>| told.members.assign(number, assigned.clone());
        shared.change("take over partitions of", write, tell).await?;
    }
    Ok(())
}

async fn serve(shared: &Arc<Shared>, number: u64, group: &GroupName, end: MembershipEnd) {
    let group = group.clone();
    match end {
        MembershipEnd::Release(at, epoch, done) => {
            let write = move |c: &Connection| groups::release(c, &group, at, epoch).map_err(Failure::from);
            let released = shared.change("release a partition of", write, |()| ()).await;
            shared.members.released(number, at);
            drop(done.send(released));
        }
        MembershipEnd::Settled(at, epoch, done) => {
            let write = move |c: &Connection| groups::settle(c, &group, at, epoch).map_err(Failure::from);
            drop(done.send(shared.change("settle a partition of", write, |()| ()).await));
        }
    }
}
