//! One attempt at one event: from the event to an invocation, from its outcome to what the dispatcher is told.

use crate::dispatcher::{RunEnd, RunFailure, Start};
use crate::home::Surroundings;
use crate::host::TriggerHost;
use crate::trigger::Trigger;
use crate::{Dispatcher, report};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use weir_log::ReadLimit;
use weir_runtime::{
    Args, Effects, EventContext, Failure, FailureKind, Invocation, Origin, Outcome, Reply, Session, Span,
    SpanKind,
};
use weir_schema::{At, Cause, InvocationId, Offset, Record, Records, Source, TraceContext, header};
use xxhash_rust::xxh3::Xxh3;

/// Makes one attempt at an event.
pub(crate) async fn attempt(
    around: Surroundings,
    trigger: Arc<Trigger>,
    dispatcher: Rc<RefCell<Dispatcher>>,
    at: At,
    start: Start,
) -> RunEnd {
    let records = match &start.event {
        Some(_) => None,
        None => match read_one(&around.session, at, start.offset).await {
            Some(records) => Some(records),
            None => return RunEnd::Interrupted,
        },
    };
    let record = match (&start.event, &records) {
        (Some(event), _) => event.record(),
        (None, Some(records)) => records.get(0).expect("read_one returns one event"),
        (None, None) => return RunEnd::Interrupted,
    };
    if trigger.replay.as_ref().is_some_and(|r| !r.takes(&record)) {
        return RunEnd::Ok(Effects::default());
    }
    let (trace, append) = trace(&trigger, &record);
    let started = std::time::Instant::now();
    let invocation = invocation(&trigger, &start, &record, trace);
    let host = TriggerHost {
        session: around.session.clone(),
        dispatcher,
        run: start.run,
        now: record.meta.time,
        invocation: invocation.id,
        event: source(&trigger, &record),
        trace,
        suppress_appends: trigger.replay.as_ref().is_some_and(|r| !r.emit),
    };
    let code = around.code.borrow().clone();
    let outcome = around.worker.run_shared(&code, Rc::new(invocation), Rc::new(host)).await;
    let parent = append.filter(|a| a.trace_id == trace.trace_id).map_or(0, |a| a.span_id);
    around.session.record("deliver", trace, parent, started, |span| {
        let failure = outcome.result.as_ref().err();
        describe(span, &trigger, &record, start.attempt, append, failure);
    });
    if let Err(failure) = &outcome.result {
        report::failure(&trigger, at.partition, start.offset, start.attempt, failure);
    }
    conclude(&around.session, &trigger, outcome)
}

/// The event at `offset`; none if it is gone or the log does not answer.
async fn read_one(session: &Session, at: At, offset: Offset) -> Option<Records> {
    let records = session.log().read(at, offset, ReadLimit { events: 1, bytes: 1 }).await.ok()?;
    records.get(0).is_some_and(|r| r.meta.offset == offset).then_some(records)
}

/// `ctx.id` of an event: the same for every run of it, another after a seek back or an edit.
pub(crate) fn invocation_id(trigger: &Trigger, at: At, start: &Start) -> InvocationId {
    let mut hash = Xxh3::new();
    for text in [trigger.group.as_str(), trigger.topic.as_str()] {
        hash.update(&(text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    for number in
        [u64::from(start.incarnation), u64::from(at.partition), start.offset.0, u64::from(start.edit)]
    {
        hash.update(&number.to_le_bytes());
    }
    InvocationId(hash.digest128())
}

/// What is to be run for an event. Its span is a child of the append's.
pub(crate) fn invocation(
    trigger: &Trigger,
    start: &Start,
    record: &Record<'_>,
    trace: TraceContext,
) -> Invocation {
    let at = record.meta.at;
    let value = start.edited.clone().or_else(|| record.value_bytes());
    let event = EventContext {
        topic: trigger.topic.clone(),
        partition: at.partition,
        offset: record.meta.offset,
        key: record.key_bytes(),
        timestamp: record.meta.time,
        headers: record.headers_bytes(),
    };
    Invocation {
        id: invocation_id(trigger, at, start),
        function: trigger.function.clone(),
        args: value.map_or(Args::None, Args::Json),
        hops: Cause::hops_of(record).saturating_add(1),
        attempt: start.attempt,
        trace,
        origin: Origin::Event(Box::new(event)),
        replay: trigger.replay.as_ref().map(|r| r.context.clone()),
        limits: trigger.limits,
    }
}

/// The event as the cause of what its function appends.
pub(crate) fn source(trigger: &Trigger, record: &Record<'_>) -> Source {
    let meta = record.meta;
    Source::Event { topic: trigger.topic.clone(), partition: meta.at.partition, offset: meta.offset }
}

/// The span of an event's handling, and the append's: its parent, but for a replay, which begins a trace of its own.
pub(crate) fn trace(trigger: &Trigger, record: &Record<'_>) -> (TraceContext, Option<TraceContext>) {
    let span = fastrand::u64(..);
    let append = record.header(header::TRACEPARENT).and_then(|v| std::str::from_utf8(v).ok());
    let append = append.and_then(TraceContext::parse);
    match append.filter(|_| trigger.replay.is_none()) {
        Some(parent) => (parent.child(span), append),
        None => (TraceContext::root(fastrand::u128(..), span, true), append),
    }
}

/// What is worth knowing of an event's handling.
pub(crate) fn describe(
    span: &mut Span,
    trigger: &Trigger,
    record: &Record<'_>,
    attempt: u32,
    append: Option<TraceContext>,
    failure: Option<&Failure>,
) {
    span.kind = SpanKind::Consumer;
    span.attributes = vec![
        ("messaging.destination.name", trigger.topic.to_string()),
        ("messaging.destination.partition.id", record.meta.at.partition.to_string()),
        ("messaging.kafka.offset", record.meta.offset.to_string()),
        ("messaging.consumer.group.name", trigger.group.to_string()),
        ("weir.function", trigger.function.to_string()),
        ("weir.attempt", attempt.to_string()),
    ];
    span.error = failure.map(|f| f.message.clone());
    if span.parent == 0 {
        span.links.extend(append);
    }
}

/// What an outcome means for the event.
pub(crate) fn conclude(session: &Session, trigger: &Trigger, outcome: Outcome) -> RunEnd {
    match judge(outcome) {
        RunEnd::Ok(mut effects) => {
            if trigger.replay.as_ref().is_some_and(|r| !r.emit) {
                effects.appends = Records::default();
            }
            record_writers(session, &mut effects);
            RunEnd::Ok(effects)
        }
        end => end,
    }
}

/// Whether the event was handled: a response of 400 and above is a failure.
pub(crate) fn judge(outcome: Outcome) -> RunEnd {
    match outcome.result {
        Ok(Reply::Response(response)) if response.status >= 400 => {
            let body = String::from_utf8_lossy(&response.body);
            let message = format!("the function answered with status {}: {body}", response.status);
            RunEnd::Failed(RunFailure { message, ..RunFailure::default() })
        }
        Ok(_) => RunEnd::Ok(outcome.effects),
        Err(failure) => failed(failure),
    }
}

fn record_writers(session: &Session, effects: &mut Effects) {
    let rows = session.new_writers(&effects.writers);
    effects.writes.extend(rows);
}

fn failed(failure: Failure) -> RunEnd {
    let message = match failure.place {
        Some(place) if !failure.message.contains(&place) => format!("{place}: {}", failure.message),
        _ => failure.message,
    };
    match failure.kind {
        // none of these is the event's doing
        FailureKind::NotFound | FailureKind::Unavailable | FailureKind::Cancelled => RunEnd::Interrupted,
        FailureKind::Rejected => RunEnd::Failed(RunFailure { message, is_final: true, retry_after: None }),
        FailureKind::RetryAfter(d) => {
            RunEnd::Failed(RunFailure { message, is_final: false, retry_after: Some(d) })
        }
        _ => RunEnd::Failed(RunFailure { message, ..RunFailure::default() }),
    }
}
