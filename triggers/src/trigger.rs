//! A trigger as the configuration declares it.

use crate::dispatcher;
use std::sync::Arc;
use weir_runtime::{Limits, ReplayContext};
use weir_schema::{At, FunctionName, GroupName, TopicName};

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
    /// Whether `other` would run the same way.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        // the seed of the jitter is drawn anew for each
        let settings = dispatcher::Settings { seed: other.settings.seed, ..self.settings.clone() };
        let of = |t: &Self| (t.topic.clone(), t.name.clone(), t.function.clone(), t.group.clone(), t.limits);
        of(self) == of(other) && settings == other.settings && self.replay == other.replay
    }
}

/// What a replay's runs have that a live trigger's do not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayRun {
    /// For `ctx.replay`.
    pub context: ReplayContext,
    /// Whether appends are committed.
    pub emit: bool,
    /// Only events of this key run.
    pub key: Option<bytes::Bytes>,
}

/// One partition of one trigger.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Place {
    /// The trigger's group.
    pub group: GroupName,
    /// The partition.
    pub at: At,
}
