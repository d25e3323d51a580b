//! What is asked for, and which events that is.

use super::record::{Record, ReplayMode, ReplayState};
use super::{ReplayError, record};
use crate::manager::Triggers;
use std::num::NonZeroU32;
use weir_log::{Log, TopicInfo, resolve};
use weir_runtime::Session;
use weir_schema::{FunctionName, GroupName, Offset, Position, TableName, TopicName};

/// A replay that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewReplay {
    /// The topic.
    pub topic: TopicName,
    /// A trigger of the topic, or any function.
    pub function: FunctionName,
    /// The first event; none: the earliest that is kept.
    pub from: Option<Position>,
    /// The first event that is not replayed; none: the tail as it is now.
    pub to: Option<Position>,
    /// Only this partition.
    pub partition: Option<u32>,
    /// Only events of this key run.
    pub key: Option<String>,
    /// Events per second; none: as fast as it goes.
    pub rate: Option<NonZeroU32>,
    /// Whether appends are committed.
    pub emit: bool,
    /// The hosts that its functions may send requests to.
    pub allow_http: Vec<String>,
    /// 1 to 64 of `A-Z a-z 0-9 . _ -`; none: the function's name and a number.
    pub name: Option<String>,
}

/// What a replay would be about, before it is begun.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct Plan {
    /// The topic.
    pub topic: TopicName,
    /// The function that runs.
    pub function: FunctionName,
    /// Per partition the first offset of the range.
    pub from: Vec<Offset>,
    /// Per partition the first offset past it.
    pub to: Vec<Offset>,
    /// Events in the range, as far as offsets tell.
    pub events: u64,
    /// Those that an in-place replay takes: the live trigger has handled them.
    pub events_in_place: u64,
    /// The tables that the function is known to have written.
    pub tables: Vec<TableName>,
    /// The live trigger that an in-place replay holds up.
    pub live: Option<GroupName>,
    /// Per partition where an in-place replay ends.
    #[serde(skip)]
    pub(super) to_in_place: Vec<Offset>,
}

/// Works out a range, and what it touches.
pub(super) async fn plan(triggers: &Triggers, new: &NewReplay) -> Result<Plan, ReplayError> {
    let session = triggers.session();
    let topic = triggers.topic(&new.topic).await?;
    check_partition(&topic, new)?;
    let live = triggers.live(&new.topic, &new.function);
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for partition in 0..topic.spec.partitions {
        let (first, last) = range(session, &topic, partition, new).await?;
        from.push(first);
        to.push(last);
    }
    let group = live.as_ref().map(|t| t.group.clone());
    let mut to_in_place = to.clone();
    if let Some(group) = &group {
        for position in session.log().positions(Some(group)).await? {
            if let Some(to) = to_in_place.get_mut(position.at.partition as usize) {
                *to = position.position.min(*to);
            }
        }
    }
    let count = |to: &[Offset]| from.iter().zip(to).map(|(from, to)| to.0.saturating_sub(from.0)).sum();
    let function = live.map_or_else(|| new.function.clone(), |t| t.function.clone());
    Ok(Plan {
        topic: new.topic.clone(),
        tables: tables(session, &function).await?,
        function,
        events: count(&to),
        events_in_place: count(&to_in_place),
        from,
        to,
        live: group,
        to_in_place,
    })
}

async fn range(
    session: &Session,
    topic: &TopicInfo,
    partition: u32,
    new: &NewReplay,
) -> Result<(Offset, Offset), ReplayError> {
    let (log, now): (&dyn Log, _) = (&**session.log(), session.clock().now());
    let tail = topic.tail.get(partition as usize).copied().unwrap_or_default();
    if new.partition.is_some_and(|only| only != partition) {
        return Ok((tail, tail));
    }
    let from = resolve(log, topic, partition, new.from.unwrap_or(Position::Earliest), now).await?;
    let to = match new.to {
        Some(to) => resolve(log, topic, partition, to, now).await?,
        None => tail,
    };
    let from = from.min(tail);
    Ok((from, to.min(tail).max(from)))
}

fn check_partition(topic: &TopicInfo, new: &NewReplay) -> Result<(), ReplayError> {
    let (name, partitions) = (&topic.spec.name, topic.spec.partitions);
    if let Some(p) = new.partition.filter(|p| *p >= partitions) {
        let text = format!("topic {name} has partitions 0 to {}, not {p}", partitions - 1);
        return Err(ReplayError::Invalid(text));
    }
    let is_offset = |p: &Position| matches!(p, Position::Offset(_));
    if new.partition.is_none() && partitions > 1 && new.from.iter().chain(&new.to).any(is_offset) {
        let text = format!("topic {name} has {partitions} partitions: say which one's offset (--partition)");
        return Err(ReplayError::Invalid(text));
    }
    Ok(())
}

/// The tables that a function is known to have written.
async fn tables(session: &Session, function: &FunctionName) -> Result<Vec<TableName>, ReplayError> {
    let rows = record::rows(session, Session::WRITERS).await?;
    let written = rows.iter().filter_map(|(key, _)| {
        let (table, writer) = std::str::from_utf8(key).ok()?.split_once('\0')?;
        TableName::new(table).ok().filter(|_| writer == function.as_str())
    });
    Ok(written.collect())
}

/// The record of a replay that begins now.
pub(super) fn record(
    session: &Session,
    new: &NewReplay,
    plan: Plan,
    name: String,
    mode: ReplayMode,
) -> Record {
    let in_place = mode == ReplayMode::InPlace;
    let to = if in_place { plan.to_in_place } else { plan.to };
    Record {
        name,
        mode,
        state: ReplayState::Running,
        topic: new.topic.clone(),
        function: new.function.clone(),
        // what the live trigger has not handled yet is no part of the range
        from: plan.from.iter().zip(&to).map(|(from, to)| *from.min(to)).collect(),
        to,
        partition: new.partition,
        key: new.key.clone(),
        rate: new.rate,
        emit: new.emit,
        allow_http: new.allow_http.clone(),
        live: plan.live.filter(|_| in_place),
        created: session.clock().now(),
        ended: None,
        done: 0,
        appended: 0,
        written: 0,
        parked: 0,
        failures: Vec::new(),
        error: None,
        is_cleared: false,
    }
}

/// A name that is not taken: the given one, checked, or the function's with a number.
pub(super) fn name(new: &NewReplay, taken: &[String]) -> Result<String, ReplayError> {
    let is_taken = |name: &String| taken.contains(name);
    if let Some(name) = &new.name {
        let ok = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(ok) {
            let text = format!("replay {name:?}: a name has 1 to 64 of A-Z a-z 0-9 . _ -");
            return Err(ReplayError::Invalid(text));
        }
        return if is_taken(name) { Err(ReplayError::Taken(name.clone())) } else { Ok(name.clone()) };
    }
    let base: String = new.function.as_str().replace('/', "-").chars().take(50).collect();
    let mut names = (1..=taken.len() + 1).map(|n| format!("{base}-{n}"));
    Ok(names.find(|n| !is_taken(n)).expect("of n + 1 names one is not among n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(function: &str, name: Option<&str>) -> NewReplay {
        NewReplay {
            topic: TopicName::new("orders").expect("valid"),
            function: FunctionName::new(function).expect("valid"),
            from: None,
            to: None,
            partition: None,
            key: None,
            rate: None,
            emit: false,
            allow_http: Vec::new(),
            name: name.map(str::to_owned),
        }
    }

    #[test]
    fn a_replay_without_a_name_gets_the_functions_and_the_first_free_number() {
        let taken = ["private-on-1".to_owned(), "private-on-3".to_owned()];
        assert_eq!(name(&asked("private/on", None), &taken).expect("a name"), "private-on-2");
        assert_eq!(name(&asked("on", None), &taken).expect("a name"), "on-1");
    }

    #[test]
    fn a_given_name_must_be_free_and_well_formed() {
        let taken = ["a".to_owned()];
        assert!(matches!(name(&asked("on", Some("a")), &taken), Err(ReplayError::Taken(n)) if n == "a"));
        for bad in ["", "a b", "a/b", &"x".repeat(65)] {
            assert!(matches!(name(&asked("on", Some(bad)), &taken), Err(ReplayError::Invalid(_))), "{bad:?}");
        }
        assert_eq!(name(&asked("on", Some("v2.1_b-c")), &taken).expect("a name"), "v2.1_b-c");
    }
}
