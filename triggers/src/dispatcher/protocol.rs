//! What goes into a dispatcher and what comes out of it.

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{CommitError, ReadLimit};
use weir_runtime::{Effects, HostRow};
use weir_schema::{
    CatalogVersion, Fence, Millis, Offset, Receipt, Record, Records, StateKey, StateRange, TopicName,
    Transaction, TxnId, Versioned,
};

/// What the owner of a partition begins with.
#[derive(Clone, Debug)]
pub struct Assignment {
    /// Group, partition and epoch.
    pub fence: Fence,
    /// The partition's topic.
    pub topic: TopicName,
    /// The group's position.
    pub position: Offset,
    /// How often the group has been moved back here.
    pub incarnation: u32,
    /// How many take-overs in a row found the partition not released.
    pub unclean: u32,
    /// The catalog's version.
    pub catalog: CatalogVersion,
    /// Every row of [`Entry::range`](crate::parked::Entry::range), read after the partition was assigned.
    pub parked: Vec<(Bytes, Versioned)>,
    /// The row [`mark_key`](crate::parked::mark_key), read after the partition was assigned.
    pub mark: Option<Versioned>,
    /// Whether someone has paused the trigger.
    pub is_paused: bool,
    /// The row [`lost_key`](weir_log::lost_key), if there is one: the first event that is kept. The position says nothing
    /// here, so the trigger stands still as `events-lost`.
    pub lost: Option<Offset>,
}

impl Assignment {
    /// Why the trigger stands still from the beginning.
    pub(super) fn paused(&self) -> Option<PauseReason> {
        let lost = self.lost.map(|earliest| PauseReason::EventsLost { earliest });
        lost.or_else(|| self.is_paused.then_some(PauseReason::ByHand))
    }

    /// The event that was marked before it ran.
    pub(super) fn mark(&self) -> Option<Offset> {
        let row = self.mark.as_ref()?;
        std::str::from_utf8(&row.value).ok()?.parse().ok().map(Offset)
    }
}

/// One event of a batch.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) batch: Arc<Records>,
    pub(crate) index: usize,
}

impl Event {
    /// The event.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        self.batch.get(self.index).expect("made with an index of this batch")
    }
}

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// [`Action::Read`] came to this; empty: `from` is the tail.
    Records {
        /// As asked.
        from: Offset,
        /// Of one partition, in offset order.
        records: Records,
    },
    /// [`Action::Read`] failed; the dispatcher asks again later.
    ReadFailed {
        /// As asked.
        from: Offset,
    },
    /// The events that were to be read next have been removed: the trigger pauses as `events-lost`.
    Trimmed {
        /// The first that are kept.
        earliest: Offset,
    },
    /// Events may have been appended since the last read.
    News,
    /// An attempt ended. One that was cancelled may end all the same; it is ignored.
    Ran {
        /// From [`Action::Start`].
        run: TxnId,
        /// How.
        end: RunEnd,
    },
    /// [`Action::Commit`] came to this.
    Replied {
        /// The transaction's id.
        id: TxnId,
        /// As the log answered.
        outcome: Result<Receipt, CommitError>,
    },
    /// Time has passed: due at [`Dispatcher::wake_at`](crate::Dispatcher::wake_at) at the latest.
    Tick,
    /// The catalog has this version.
    Catalog(CatalogVersion),
    /// Another is to have the partition: finish what runs, commit, [`Action::Release`].
    Revoking {
        /// How long that may take.
        within: Duration,
    },
    /// Another has the partition.
    Lost,
    /// Someone wants something; answered by [`Action::Answer`] under the same number.
    Command {
        /// The asker's number.
        request: u64,
        /// What.
        command: Command,
    },
}

/// How an attempt ended.
#[derive(Debug)]
pub enum RunEnd {
    /// The function returned. `Effects::writers` is not looked at: their rows are among the writes already.
    Ok(Effects),
    /// The function failed. Counts as an attempt if what it read proves true.
    Failed(RunFailure),
    /// It was not the function's doing (it is missing, the log did not answer): run again after a back-off,
    /// never counted.
    Interrupted,
}

/// A failed attempt.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RunFailure {
    /// For people; cut at 4 KiB in the entry's history.
    pub message: String,
    /// Further attempts would be of no use: as if they were used up.
    pub is_final: bool,
    /// The next attempt not before this long.
    pub retry_after: Option<Duration>,
}

/// What someone asks of a trigger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Start nothing more; what runs is finished and committed.
    Pause,
    /// Go on, whatever the reason of the pause was.
    Resume,
    /// Go on from here; parked events from here on are forgotten, for they come again.
    Seek(Offset),
    /// Try parked events now; the history and the count of attempts stay.
    Redrive(Selection),
    /// Drop a parked event, with an audit row.
    Skip {
        /// Which.
        offset: Offset,
        /// Who and why, for the audit.
        reason: String,
    },
    /// Try a parked event with another value. Its `ctx.id` changes.
    Edit {
        /// Which.
        offset: Offset,
        /// JSON, in place of the event's value.
        value: Bytes,
    },
}

/// Which parked events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// This one; if it waits behind others of its key, nothing changes until it is its turn.
    One(Offset),
    /// The sequence of a key.
    Key(Bytes),
    /// All.
    All,
}

/// Why a [`Command`] was not carried out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// No such event is parked.
    #[error("no event is parked at offset {0} (weir parked list shows those that are)")]
    NotParked(Offset),
    /// No event of the key is parked.
    #[error("no event of the key {:?} is parked", String::from_utf8_lossy(.0))]
    NoneOfKey(Bytes),
    /// Its attempt is being committed.
    #[error("the event at offset {0} is being run; try again")]
    Busy(Offset),
    /// The log refuses the change.
    #[error("the log refused it: {0}")]
    Refused(String),
    /// The partition is handed over, or moved; whoever has it then can be asked.
    #[error("the partition is being {0}; try again")]
    Unsettled(&'static str),
}

/// Something is to be done.
#[derive(Debug)]
pub enum Action {
    /// `Log::read`, then [`Input::Records`], `ReadFailed` or `Trimmed`.
    Read {
        /// From here on.
        from: Offset,
        /// How much.
        limit: ReadLimit,
    },
    /// Run the function, then [`Input::Ran`].
    Start(Start),
    /// Nobody waits for this attempt any more.
    Cancel(TxnId),
    /// `Log::commit`, in the order of these actions, then [`Input::Replied`].
    Commit(Arc<Transaction>),
    /// Keep others from writing these for a while, best until the next commit: they have conflicted again and again.
    Reserve(Vec<What>),
    /// `Membership::release`. The dispatcher is done.
    Release,
    /// `Membership::settled`: what the unclean take-over left has been digested.
    Settled,
    /// A command's answer; what it asked for is durable.
    Answer {
        /// The asker's number.
        request: u64,
        /// What became of it.
        result: Result<(), CommandError>,
    },
    /// For logs and metrics.
    Report(Report),
}

/// One attempt that is to be made.
#[derive(Clone, Debug)]
pub struct Start {
    /// Names the attempt; the stamp of what it writes.
    pub run: TxnId,
    /// The event's place.
    pub offset: Offset,
    /// The event; none for one that is parked: read it from the log.
    pub event: Option<Event>,
    /// From 1.
    pub attempt: u32,
    /// How often the value has been edited: part of `ctx.id`.
    pub edit: u32,
    /// What the function is given in place of the event's value.
    pub edited: Option<Bytes>,
    /// How often the group has been moved back: part of `ctx.id`.
    pub incarnation: u32,
    /// The catalog that the attempt is made under.
    pub catalog: CatalogVersion,
    /// Whether it runs beside the main line.
    pub is_parked: bool,
}

/// What an attempt reads of the state.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum What {
    /// One row.
    Key(StateKey),
    /// All of a range. A caller that wants a page narrows the range to what the store's page covers.
    Range(StateRange),
}

/// What the store holds of a [`What`]: every physical row, expired ones too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stored {
    /// Of a key.
    Row(Option<Versioned>),
    /// Of a range, in byte order, complete.
    Rows(Vec<(Bytes, Versioned)>),
}

/// What an attempt sees: live rows by the event's time, with the pending writes of earlier events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum View {
    /// Of a key. When it expires is part of what is seen: what increments a row keeps it.
    Row(Option<HostRow>),
    /// Of a range, in byte order.
    Rows(Vec<(Bytes, Bytes)>),
}

/// What [`Dispatcher::read`](crate::Dispatcher::read) comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// This.
    View(View),
    /// Ask the store, and come again with its answer.
    AskStore,
    /// The attempt has been cancelled: end it.
    Gone,
}

/// Why a trigger stands still.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PauseReason {
    /// Someone said so.
    ByHand,
    /// The event at this offset has used up its attempts, and `onExhausted` is `pause`.
    Exhausted(Offset),
    /// `maxParked`. Parked events are still retried; below nine tenths of it the trigger goes on by itself.
    TooManyParked,
    /// Events below this one were removed before they were handled, or the partition is another one than it was.
    EventsLost {
        /// The first that is kept.
        earliest: Offset,
    },
    /// The log refuses what the platform itself writes.
    Refused,
}

/// What a dispatcher is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// At work.
    Live,
    /// The breaker is open: one event is tried at a time.
    Probing,
    /// Standing still.
    Paused(PauseReason),
    /// Handing over.
    Draining,
    /// Moving.
    Seeking,
    /// Done.
    Lost,
}

/// Something worth a log line or a count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Report {
    /// The position moved.
    Committed {
        /// The new position.
        position: Offset,
        /// Events that the functions handled.
        handled: usize,
        /// Events that were parked.
        parked: usize,
    },
    /// An event failed and was parked with its key.
    Failed {
        /// Which.
        offset: Offset,
        /// Attempts so far.
        attempts: u32,
        /// The error.
        error: String,
        /// When it is tried again; none: not by itself.
        due: Option<Millis>,
    },
    /// A parked event was handled at last.
    Recovered {
        /// Which.
        offset: Offset,
        /// Failed attempts before.
        attempts: u32,
    },
    /// An event's attempts are used up, or it ended the process too often: it waits for someone.
    Held(Offset),
    /// An event's attempts are used up, or someone said so: it was dropped.
    Skipped(Offset),
    /// A slow head lets the others pass.
    Detached(Offset),
    /// A commit met stale reads; its events run again as far as they must.
    Conflict {
        /// Rows that had changed.
        rows: usize,
        /// Ranges that had changed.
        ranges: usize,
    },
    /// The trigger stands still.
    Paused(PauseReason),
    /// The trigger goes on.
    Resumed,
    /// Nearly everything fails: one event is tried at a time.
    BreakerOpened,
    /// One went through: all are tried again.
    BreakerClosed,
    /// The log cannot be reached, or does not say what became of a commit; it is sent again.
    CommitDelayed {
        /// The log's words.
        error: String,
    },
    /// Moved.
    Sought(Offset),
    /// Another has the partition.
    Lost,
}
