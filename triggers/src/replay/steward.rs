//! Makes the replays of this process what their records say: starts them, ends them, and lets live triggers stand
//! still and go on.
//!
//! It compares the log with what it has done, again and again, so that a crash at any point, a command given to
//! another process and a restart all come to the same.

use super::hold::holds;
use super::progress::Meter;
use super::record::{self, Record, ReplayState, Stored};
use super::{ReplayError, Replays, Running};
use crate::control;
use crate::dispatcher::{Command, Mode};
use crate::manager::AskError;
use crate::parked::{Entry, EntryState, mark_key};
use crate::parked_list;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{LogError, ReadLimit};
use weir_schema::{GroupName, Millis, Op, StateKey, Transaction, Write};

/// How often it looks while a replay is under way, and while none is.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_IDLE: Duration = Duration::from_secs(2);

/// How often the counts of effects go into the record.
const SAVE: Duration = Duration::from_secs(5);

/// Rows that one transaction deletes.
const STEP: usize = 500;

/// Looks until the process stops.
pub(super) async fn run(replays: Replays) {
    let shutdown = replays.inner.triggers.shutdown().clone();
    let mut steward = Steward { replays, stopped: HashSet::new() };
    let mut is_troubled = false;
    loop {
        let looked = steward.look().await;
        let was_troubled = std::mem::replace(&mut is_troubled, looked.is_err());
        let is_busy = match looked {
            Ok(is_busy) => is_busy,
            Err(ReplayError::Log(LogError::Closed)) => return,
            Err(error) => {
                // that a log's server does not answer is said by whoever asks it
                let is_said = matches!(&error, ReplayError::Log(error) if error.is_retryable());
                if !was_troubled && !is_said {
                    tracing::warn!(%error, "cannot look after the replays; trying until it can");
                }
                true
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = steward.replays.inner.changed.notified() => {}
            () = tokio::time::sleep(if is_busy { LOOK } else { LOOK_IDLE }) => {}
        }
    }
}

struct Steward {
    replays: Replays,
    /// Live triggers that were told to stand still.
    stopped: HashSet<GroupName>,
}

/// What lies before a replay.
enum Outlook {
    More,
    Reached,
    Lost(String),
}

impl Steward {
    /// Does what is to be done; whether a replay is under way.
    async fn look(&mut self) -> Result<bool, ReplayError> {
        self.settle_holds().await?;
        let mut is_busy = false;
        for stored in record::list(self.replays.inner.triggers.session()).await? {
            if stored.record.is_cleared {
                self.leave(&stored.record).await?;
                continue;
            }
            is_busy = true;
            match self.tend(&stored).await {
                // the next look sees what it is now
                Ok(()) | Err(ReplayError::Changed(_)) => {}
                Err(error) => {
                    tracing::warn!(replay = stored.record.name, %error, "cannot go on with a replay")
                }
            }
        }
        self.settle_holds().await?;
        Ok(is_busy)
    }

    /// Takes no part any more in a replay that another process has ended.
    async fn leave(&self, record: &Record) -> Result<(), ReplayError> {
        let was_here = self.replays.running().remove(&record.name).is_some();
        if was_here {
            let (triggers, group) = (&self.replays.inner.triggers, record.group()?);
            triggers.stop(&group).await;
            // taking part may have come after the end, and then it has begun the group anew
            triggers.session().log().forget(&group).await?;
        }
        Ok(())
    }

    /// Lets triggers stand still that a replay holds, and those go on that none holds any more.
    async fn settle_holds(&mut self) -> Result<(), ReplayError> {
        let triggers = &self.replays.inner.triggers;
        let held: HashSet<_> = holds(triggers.session()).await?.into_iter().map(|(group, _)| group).collect();
        for group in held.difference(&self.stopped) {
            tell(&self.replays, group, &Command::Pause).await?;
        }
        for group in self.stopped.difference(&held) {
            if !control::is_paused(triggers.session(), group).await? {
                tell(&self.replays, group, &Command::Resume).await?;
            }
        }
        self.stopped = held;
        Ok(())
    }

    async fn tend(&self, stored: &Stored) -> Result<(), ReplayError> {
        let record = &stored.record;
        if record.state.is_over() {
            return self.clear(stored).await;
        }
        if !self.begin(record).await? {
            return Ok(());
        }
        let session = self.replays.inner.triggers.session();
        let (now, done) = (session.clock().now(), self.replays.done(record).await?);
        let is_due = self.note(record, now, done);
        if record.state == ReplayState::Paused {
            return Ok(());
        }
        let (state, error) = match self.outlook(record).await? {
            Outlook::Reached => (ReplayState::Done, None),
            Outlook::Lost(error) => (ReplayState::Failed, Some(error)),
            Outlook::More if is_due => return self.save(stored).await,
            Outlook::More => return Ok(()),
        };
        let after = self.replays.close(record.clone(), state, error).await?;
        record::update(session, stored, &after, Vec::new()).await?;
        let (name, parked) = (&after.name, after.parked);
        tracing::info!(replay = name, done, parked, error = after.error, "a replay is over");
        let ended = record::find(session, name).await?;
        self.clear(&ended).await
    }

    /// Starts a replay here, unless it has been; false: the live trigger is not standing still yet.
    async fn begin(&self, record: &Record) -> Result<bool, ReplayError> {
        if self.replays.running().contains_key(&record.name) {
            return Ok(true);
        }
        let triggers = &self.replays.inner.triggers;
        if let Some(live) = &record.live {
            let homes = triggers.homes().await;
            let is_still = |mode| !matches!(mode, Mode::Live | Mode::Probing | Mode::Seeking);
            if !homes.iter().filter(|h| h.place.group == *live).all(|h| h.is_quiet && is_still(h.mode)) {
                return Ok(false);
            }
        }
        let trigger = self.replays.trigger(record)?;
        let topic = triggers.topic(&record.topic).await?;
        let from: Vec<_> = topic.partitions().zip(record.from.iter().copied()).collect();
        let counts = trigger.replay.as_ref().map(|r| r.counts.clone()).unwrap_or_default();
        triggers.start_at(trigger, &from).await?;
        let saved_at = triggers.session().clock().now();
        let running = Running { counts, meter: Meter::default(), saved_at };
        self.replays.running().insert(record.name.clone(), running);
        tracing::info!(replay = record.name, "a replay goes on");
        Ok(true)
    }

    /// Takes note of the progress; whether the counts are to be saved.
    fn note(&self, record: &Record, now: Millis, done: u64) -> bool {
        let mut running = self.replays.running();
        let Some(running) = running.get_mut(&record.name) else { return false };
        running.meter.note(now, done);
        let is_due =
            now.since(running.saved_at) >= SAVE && running.counts.read() != (record.appended, record.written);
        if is_due {
            running.saved_at = now;
        }
        is_due
    }

    async fn save(&self, stored: &Stored) -> Result<(), ReplayError> {
        let (appended, written) = self.replays.effects(&stored.record);
        let after = Record { appended, written, ..stored.record.clone() };
        record::update(self.replays.inner.triggers.session(), stored, &after, Vec::new()).await
    }

    async fn outlook(&self, record: &Record) -> Result<Outlook, ReplayError> {
        let session = self.replays.inner.triggers.session();
        let group = record.group()?;
        let positions = session.log().positions(Some(&group)).await?;
        if positions.len() < record.to.len() {
            return Ok(Outlook::More);
        }
        for position in positions {
            let partition = position.at.partition;
            let to = record.to.get(partition as usize).copied().unwrap_or_default();
            if position.position >= to {
                continue;
            }
            match session.log().read(position.at, position.position, ReadLimit { events: 1, bytes: 1 }).await
            {
                Ok(next) if next.get(0).is_some_and(|r| r.meta.offset < to) => return Ok(Outlook::More),
                Ok(_) => {} // nothing but a gap before the end
                Err(LogError::Trimmed { earliest }) => {
                    return Ok(Outlook::Lost(format!(
                        "events of partition {partition} below offset {earliest} were removed before they were replayed"
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
        let parked = parked_list::list(session, Some(&group)).await?;
        let waits = has_retries(parked.iter().map(|p| &p.entry));
        Ok(if waits { Outlook::More } else { Outlook::Reached })
    }

    /// Leaves nothing of a replay that is over but its record.
    async fn clear(&self, stored: &Stored) -> Result<(), ReplayError> {
        let triggers = &self.replays.inner.triggers;
        let (session, group) = (triggers.session(), stored.record.group()?);
        triggers.stop(&group).await;
        let stored = &self.count_again(stored).await?;
        let mut rows = vec![control::pause_key(&group)];
        rows.extend(
            (0..stored.record.to.len()).filter_map(|p| Some(mark_key(&group, u32::try_from(p).ok()?))),
        );
        for parked in parked_list::list(session, Some(&group)).await? {
            rows.push(Entry::row(&group, parked.entry.partition, parked.entry.offset));
        }
        for rows in rows.chunks(STEP) {
            self.delete(rows).await?;
        }
        session.log().forget(&group).await?;
        let after = Record { is_cleared: true, ..stored.record.clone() };
        record::update(session, stored, &after, Vec::new()).await?;
        self.replays.running().remove(&stored.record.name);
        Ok(())
    }

    /// What ran when a replay was cancelled has been committed since.
    async fn count_again(&self, stored: &Stored) -> Result<Stored, ReplayError> {
        let record = &stored.record;
        let session = self.replays.inner.triggers.session();
        if record.state != ReplayState::Cancelled {
            return Ok(stored.clone());
        }
        let now = self.replays.close(record.clone(), record.state, None).await?;
        // a process that ended in the middle of this has deleted some of it already
        if now.done <= record.done && now.parked <= record.parked {
            return Ok(stored.clone());
        }
        record::update(session, stored, &Record { ended: record.ended, ..now }, Vec::new()).await?;
        record::find(session, &record.name).await
    }

    async fn delete(&self, rows: &[StateKey]) -> Result<(), ReplayError> {
        let session = self.replays.inner.triggers.session();
        let mut transaction = Transaction::new(session.next_id(), session.catalog());
        let stamp = transaction.id;
        transaction.writes.extend(rows.iter().map(|key| Write { key: key.clone(), op: Op::Delete, stamp }));
        Ok(session.log().commit(Arc::new(transaction)).await.map(drop)?)
    }
}

async fn tell(replays: &Replays, group: &GroupName, command: &Command) -> Result<(), ReplayError> {
    match replays.inner.triggers.ask_all(group, command).await {
        // a trigger that is no more cannot be in the way
        Ok(()) | Err(AskError::NoTrigger(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether any parked event will run again by itself: the first of its key does unless it waits for someone, and the
/// others wait for the first.
fn has_retries<'e>(entries: impl Iterator<Item = &'e Entry>) -> bool {
    let mut keys = HashSet::new();
    let mut heads = entries.filter(|e| e.key.as_ref().is_none_or(|key| keys.insert((e.partition, key))));
    heads.any(|e| e.state != EntryState::Held)
}
