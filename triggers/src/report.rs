//! What triggers tell people and machines: log lines and numbers. `docs/telemetry.md` lists the numbers.

use crate::dispatcher::{PauseReason, Report};
use crate::trigger::Trigger;
use weir_runtime::{Failure, FailureKind};
use weir_schema::Offset;

/// Logs and counts what a dispatcher reports.
pub(crate) fn report(trigger: &Trigger, partition: u32, report: &Report) {
    let name = label(trigger);
    match report {
        Report::Committed { handled, parked, .. } => {
            let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
            metrics::counter!("weir_trigger_events_total", "trigger" => name.clone())
                .increment(count(*handled));
            metrics::counter!("weir_trigger_parked_total", "trigger" => name).increment(count(*parked));
        }
        Report::Conflict { rows, ranges } => {
            metrics::counter!("weir_trigger_conflicts_total", "trigger" => name.clone()).increment(1);
            tracing::debug!(trigger = name, partition, rows, ranges, "stale reads, run again");
        }
        Report::Failed { offset, attempts, error, due } => {
            metrics::counter!("weir_trigger_failures_total", "trigger" => name.clone()).increment(1);
            let due = due.map(weir_schema::Millis::to_rfc3339);
            tracing::warn!(trigger = name, partition, %offset, attempts, due, "an event failed and is parked: {error}");
        }
        Report::Recovered { offset, attempts } => {
            tracing::info!(trigger = name, partition, %offset, attempts, "a parked event was handled");
        }
        // the replay itself tells what it did not apply
        Report::Held(offset) if trigger.replay.is_some() => {
            tracing::warn!(trigger = name, partition, %offset, "an event is not applied by the replay");
        }
        Report::Held(offset) => {
            tracing::error!(trigger = name, partition, %offset, "an event waits for someone: weir parked show");
        }
        Report::Skipped(offset) => {
            tracing::warn!(trigger = name, partition, %offset, "a parked event was dropped")
        }
        Report::Detached(offset) => {
            tracing::info!(trigger = name, partition, %offset, "a slow event lets others pass")
        }
        Report::Paused(PauseReason::EventsLost { earliest }) => {
            tracing::error!(
                trigger = name,
                partition,
                %earliest,
                "events that the trigger had not handled are gone, and it stands still until someone says where it goes on: \
                 weir triggers seek {name} --to earliest takes what there is"
            );
        }
        Report::Paused(reason) => {
            tracing::warn!(trigger = name, partition, ?reason, "the trigger stands still")
        }
        Report::Resumed => tracing::info!(trigger = name, partition, "the trigger goes on"),
        Report::BreakerOpened => {
            tracing::error!(
                trigger = name,
                partition,
                "nearly everything fails: one event is tried at a time"
            );
        }
        Report::BreakerClosed => tracing::info!(trigger = name, partition, "events are handled again"),
        Report::CommitDelayed { error } => {
            tracing::warn!(trigger = name, partition, "a commit waits: {error}")
        }
        Report::Sought(offset) => tracing::info!(trigger = name, partition, %offset, "moved"),
        Report::Lost => tracing::info!(trigger = name, partition, "another node has the partition"),
    }
}

/// Shows how much of its worker a partition uses, and says what helps where that is all there is.
pub(crate) fn load(trigger: &Trigger, partition: u32, ratio: f64, fills: bool) {
    let name = label(trigger);
    if fills {
        tracing::warn!(
            trigger = name,
            partition,
            "the partition fills its worker and its events pile up: a topic with more partitions spreads over more \
             workers (the number is fixed when a topic is created)"
        );
    }
    let labels = [("trigger", name), ("partition", partition.to_string())];
    metrics::gauge!("weir_trigger_partition_busy_ratio", &labels).set(ratio);
}

/// `TOPIC/NAME`; of a replay its group, which says which replay.
fn label(trigger: &Trigger) -> String {
    match &trigger.replay {
        Some(_) => trigger.group.to_string(),
        None => format!("{}/{}", trigger.topic, trigger.name),
    }
}

/// Logs a failed attempt with its place in the code.
pub(crate) fn failure(trigger: &Trigger, partition: u32, offset: Offset, attempt: u32, failure: &Failure) {
    if failure.kind == FailureKind::Cancelled {
        return;
    }
    let (topic, function, code) = (&trigger.topic, &trigger.function, failure.kind.code());
    let stack = failure.stack.join("\n  ");
    tracing::debug!(%topic, partition, %offset, %function, attempt, code, "{}\n{}\n  {stack}", failure.message, failure.frame);
}
