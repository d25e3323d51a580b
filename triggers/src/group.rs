//! The task of one trigger: takes part in its group, and gives each assigned partition a home on a worker.

use crate::control;
use crate::dispatcher::{Assignment, Input};
use crate::parked::{Entry, mark_key};
use crate::pump::{HomeNews, PumpHandle, Take, ToPump};
use crate::replay;
use crate::trigger::{Place, Trigger};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_log::{Change, LogError, Membership, all_rows, lost_key};
use weir_runtime::Session;
use weir_schema::{At, Epoch, Fence, Offset};

/// How long a hand-over may take when the node stops.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The pause before an assignment is tried again.
const RETRY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(crate) struct GroupTask {
    pub(crate) session: Arc<Session>,
    pub(crate) trigger: Arc<Trigger>,
    pub(crate) pumps: Arc<Vec<PumpHandle>>,
    /// Whether partitions are taken but nothing is run: for commands on a log that no server has open.
    pub(crate) hold: bool,
}

/// The partitions that have a home, and where.
type Homes = HashMap<Place, (Epoch, usize)>;

impl GroupTask {
    /// Runs until `shutdown`, then hands every partition over.
    pub(crate) async fn run(self, mut membership: Membership, shutdown: CancellationToken) {
        let (news, mut from_homes) = mpsc::channel(64);
        let mut homes = Homes::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                change = membership.changes.recv() => match change {
                    Some(change) => self.change(change, &mut homes, &news).await,
                    None => return, // the log is closed
                },
                Some(told) = from_homes.recv() => match told {
                    HomeNews::Lost(place) => {
                        // one that the membership has told of is rightly another's
                        if homes.remove(&place).is_some() {
                            self.drop_all(&mut homes).await;
                            match self.join_again().await {
                                Some(joined) => membership = joined,
                                None => return,
                            }
                        }
                    }
                    told => settle(&membership, told, &mut homes).await,
                },
            }
        }
        for (place, (_, worker)) in &homes {
            self.tell(*worker, ToPump::Tell(place.clone(), Input::Revoking { within: STOP_WITHIN })).await;
        }
        while !homes.is_empty() {
            match tokio::time::timeout(STOP_WITHIN * 2, from_homes.recv()).await {
                Ok(Some(told)) => settle(&membership, told, &mut homes).await,
                Ok(None) | Err(_) => return, // what is left is taken over as unclean
            }
        }
    }

    async fn change(&self, change: Change, homes: &mut Homes, news: &mpsc::Sender<HomeNews>) {
        let place = |at| Place { group: self.trigger.group.clone(), at };
        match change {
            Change::Assigned { at, epoch, position, incarnation, unclean } => {
                let worker = self.home_of(at);
                let assignment = loop {
                    match self.assignment(at, epoch, position, incarnation, unclean).await {
                        Ok(assignment) => break assignment,
                        Err(LogError::Closed) => return,
                        Err(error) => {
                            tracing::warn!(group = %self.trigger.group, %error, "cannot take a partition yet");
                            tokio::time::sleep(RETRY).await;
                        }
                    }
                };
                homes.insert(place(at), (epoch, worker));
                let (trigger, news) = (self.trigger.clone(), news.clone());
                let take = Take { place: place(at), epoch, trigger, assignment, news };
                self.tell(worker, ToPump::Take(Box::new(take))).await;
            }
            Change::Revoking { at, within } => {
                if let Some((_, worker)) = homes.get(&place(at)) {
                    self.tell(*worker, ToPump::Tell(place(at), Input::Revoking { within })).await;
                }
            }
            Change::Lost { at } => {
                if let Some((_, worker)) = homes.remove(&place(at)) {
                    self.tell(worker, ToPump::Tell(place(at), Input::Lost)).await;
                }
            }
        }
    }

    /// Ends the homes of the partitions that are left: they come again with the next membership.
    async fn drop_all(&self, homes: &mut Homes) {
        for (place, (_, worker)) in homes.drain() {
            self.tell(worker, ToPump::Tell(place, Input::Lost)).await;
        }
    }

    /// Takes part in the group anew, after a commit that should not have been refused was; none: the log is closed.
    async fn join_again(&self) -> Option<Membership> {
        loop {
            tokio::time::sleep(RETRY).await;
            let topics = match self.session.log().topics().await {
                Ok(topics) => topics,
                Err(LogError::Closed) => return None,
                Err(_) => continue,
            };
            let topic = topics.iter().find(|t| t.spec.name == self.trigger.topic)?;
            // the group has positions: these are not looked at
            let start: Vec<_> = topic.partitions().map(|at| (at, Offset::ZERO)).collect();
            match self.session.log().join(&self.trigger.group, &start).await {
                Ok(membership) => return Some(membership),
                Err(LogError::Closed) => return None,
                Err(error) => {
                    tracing::warn!(group = %self.trigger.group, %error, "cannot take part in the group yet")
                }
            }
        }
    }

    async fn tell(&self, worker: usize, message: ToPump) {
        if self.pumps[worker].0.send(message).await.is_err() {
            tracing::error!(group = %self.trigger.group, worker, "a worker has ended: its partitions stand still");
        }
    }

    fn home_of(&self, at: At) -> usize {
        let key = format!("{}\0{}\0{}", self.trigger.group, at.topic.0, at.partition);
        let hash = xxhash_rust::xxh3::xxh3_64(key.as_bytes());
        usize::try_from(hash % self.pumps.len() as u64).expect("less than the number of workers")
    }

    async fn assignment(
        &self,
        at: At,
        epoch: Epoch,
        position: Offset,
        incarnation: u32,
        unclean: u32,
    ) -> Result<Assignment, LogError> {
        let (log, group) = (self.session.log(), &self.trigger.group);
        let range = Entry::range(group, at.partition);
        let mut keys = vec![
            mark_key(group, at.partition),
            lost_key(group, at.partition),
            control::pause_key(group),
            replay::hold_key(group),
        ];
        let replay = self.trigger.replay.as_ref();
        keys.extend(replay.map(|r| replay::record_key(&r.context.name)));
        let mut rows = log.get(&keys).await?.into_iter();
        let mark = rows.next().flatten();
        let lost = rows.next().flatten();
        let lost = lost.map(|row| Offset(String::from_utf8_lossy(&row.value).parse().unwrap_or(0)));
        let is_paused = self.hold || rows.by_ref().take(2).flatten().next().is_some();
        // another process may have ended it since it was begun here
        let is_over = replay.is_some() && !rows.flatten().next().is_some_and(|row| replay::may_run(&row));
        Ok(Assignment {
            fence: Fence { group: group.clone(), at, epoch },
            topic: self.trigger.topic.clone(),
            position,
            incarnation,
            unclean,
            catalog: self.session.catalog(),
            parked: all_rows(&**log, range).await?,
            mark,
            is_paused: is_paused || is_over,
            lost,
        })
    }
}

async fn settle(membership: &Membership, told: HomeNews, homes: &mut Homes) {
    let (place, done) = match told {
        HomeNews::Released(place, epoch) => {
            homes.remove(&place);
            let done = membership.release(place.at, epoch).await;
            (place, done)
        }
        HomeNews::Settled(place, epoch) => {
            let done = membership.settled(place.at, epoch).await;
            (place, done)
        }
        HomeNews::Broken(place) | HomeNews::Lost(place) => {
            homes.remove(&place);
            return;
        }
    };
    if let Err(error) = done {
        tracing::warn!(group = %place.group, partition = place.at.partition, %error, "cannot say how a partition was left");
    }
}
