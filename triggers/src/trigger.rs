//! A trigger as the configuration declares it.

use crate::dispatcher;
use crate::replay::{Counts, Pace};
use std::sync::Arc;
use weir_runtime::{Limits, ReplayContext};
use weir_schema::{At, FunctionName, GroupName, Millis, Offset, Record, Records, TopicName};

/// A topic's events, handled by a function.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The topic.
    pub topic: TopicName,
    /// As the configuration names it: `weir triggers` shows `TOPIC/NAME`.
    pub name: FunctionName,
    /// What runs: `name`, or the function of the POST route of that name.
    pub function: FunctionName,
    /// Keeps the positions.
    pub group: GroupName,
    /// How events are dispatched.
    pub settings: dispatcher::Settings,
    /// What an invocation may use.
    pub limits: Limits,
    /// Set where the trigger is a replay's.
    pub replay: Option<Arc<ReplayRun>>,
}

impl Trigger {
    /// Whether `other`, a live trigger as this one, would run the same way.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        // the seed of the jitter is drawn anew for each
        let settings = dispatcher::Settings { seed: other.settings.seed, ..self.settings.clone() };
        let of = |t: &Self| (t.topic.clone(), t.name.clone(), t.function.clone(), t.group.clone(), t.limits);
        of(self) == of(other) && settings == other.settings
    }
}

/// What a replay's runs have that a live trigger's do not.
#[derive(Clone, Debug)]
pub struct ReplayRun {
    /// For `ctx.replay`.
    pub context: ReplayContext,
    /// Whether appends are committed.
    pub emit: bool,
    /// Only events of this key run.
    pub key: Option<bytes::Bytes>,
    /// Per partition the first offset that is not replayed.
    pub to: Vec<Offset>,
    /// How fast, all partitions together; none: as fast as it goes.
    pub pace: Option<Arc<Pace>>,
    /// What its commits came to.
    pub counts: Arc<Counts>,
}

impl ReplayRun {
    /// Whether the function runs for an event; the others count as handled.
    pub(crate) fn takes(&self, record: &Record<'_>) -> bool {
        self.key.as_deref().is_none_or(|key| record.key() == Some(key))
    }

    /// Of events read from one partition, those that belong to the range.
    pub(crate) fn within(&self, partition: u32, records: &Records) -> Records {
        let Some(to) = self.to.get(partition as usize) else { return Records::default() };
        records.first(records.iter().take_while(|r| r.meta.offset < *to).count())
    }

    /// Of these events as many as may run now: up to the first that has to wait.
    pub(crate) fn paced(&self, records: &Records, now: Millis) -> Records {
        let Some(pace) = &self.pace else { return records.clone() };
        let wanted = records.iter().filter(|r| self.takes(r)).count();
        let mut allowed = pace.take(wanted, now);
        let fits = |r: &Record<'_>| {
            let waits = self.takes(r) && allowed == 0;
            allowed = allowed.saturating_sub(usize::from(self.takes(r)));
            !waits
        };
        records.first(records.iter().take_while(fits).count())
    }
}

/// One partition of one trigger.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The trigger's group.
    pub group: GroupName,
    /// The partition.
    pub at: At,
}
