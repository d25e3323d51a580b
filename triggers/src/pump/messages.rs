//! How a pump is reached, and what it tells.

use crate::dispatcher::{Assignment, Command, CommandError, Input, Mode};
use crate::replay::DryRun;
use crate::trigger::{Place, Trigger};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use weir_schema::{Epoch, Offset};

/// For a pump.
#[derive(Debug)]
pub(crate) enum ToPump {
    /// A partition is at home here.
    Take(Box<Take>),
    /// Tell the dispatcher of a place; nothing if it is not here.
    Tell(Place, Input),
    /// Ask the dispatcher of a place.
    Ask(Place, Command, oneshot::Sender<Result<(), CommandError>>),
    /// Run a range without committing anything.
    DryRun(Box<DryRun>),
    /// How are the homes?
    Status(oneshot::Sender<Vec<HomeStatus>>),
}

/// A partition that gets its home.
#[derive(Debug)]
pub(crate) struct Take {
    pub(crate) place: Place,
    pub(crate) epoch: Epoch,
    pub(crate) trigger: Arc<Trigger>,
    pub(crate) assignment: Assignment,
    /// Where the home's news go.
    pub(crate) news: mpsc::Sender<HomeNews>,
}

/// What a home tells its trigger's task.
#[derive(Debug)]
pub(crate) enum HomeNews {
    /// The partition is handed over.
    Released(Place, Epoch),
    /// What an unclean take-over left has been digested.
    Settled(Place, Epoch),
    /// It could not begin.
    Broken(Place),
    /// Someone else has it, or had: take part in the group anew.
    Lost(Place),
}

/// How one home is.
#[derive(Clone, Debug)]
pub struct HomeStatus {
    /// Which.
    pub place: Place,
    /// What its dispatcher is about.
    pub mode: Mode,
    /// The first offset that is not handled.
    pub position: Offset,
    /// Parked events.
    pub parked: usize,
    /// Whether nothing runs and nothing is being committed.
    pub is_quiet: bool,
}

/// The end by which a pump is reached.
#[derive(Clone, Debug)]
pub struct PumpHandle(pub(crate) mpsc::Sender<ToPump>);

/// A pump's inbox, made before its thread.
#[derive(Debug)]
pub struct Inbox(pub(super) mpsc::Receiver<ToPump>);

/// A pump's two ends.
#[must_use]
pub fn pump_channel() -> (PumpHandle, Inbox) {
    let (sender, receiver) = mpsc::channel(1024);
    (PumpHandle(sender), Inbox(receiver))
}
