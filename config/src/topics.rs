//! Topics and triggers: what is listed, and what `weir:` says of it.

use crate::mistake::nearest;
use crate::reader::{Reader, distinct, path};
use crate::setting::{DetachAfter, Partitions, Ratio, Retention, Said, Wrong, words};
use crate::{Breaker, OnExhausted, Origin, Retry, Topic, Trigger};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_schema::{FunctionName, GroupName, Position, TopicName};

words!(OnExhausted: "hold" => Self::Hold, "skip" => Self::Skip, "pause" => Self::Pause);

/// The topics, in the order of the file.
pub(crate) fn topics(reader: &mut Reader<'_>) -> Vec<Topic> {
    let listed: Vec<Said<TopicName>> = reader.list("topics", "").unwrap_or_default();
    let listed = distinct(listed, "topics", reader);
    let names: Vec<&str> = listed.iter().map(|said| said.value.as_str()).collect();
    for said in reader.names(&["weir", "topics"]) {
        if !names.contains(&said.value.as_str()) {
            let full = path("weir.topics.*", &said.value);
            reader.wrong(said.origin, full, unlisted(&said.value, &names));
        }
    }
    listed.iter().map(|said| topic(reader, &said.value)).collect()
}

fn topic(reader: &mut Reader<'_>, name: &TopicName) -> Topic {
    let key = name.as_str();
    Topic {
        name: name.clone(),
        partitions: reader.value::<Partitions>("weir.topics.*.partitions", key).value.0,
        retention: reader.value::<Retention>("weir.topics.*.retention", key).value.0,
        partitioner: reader.value("weir.topics.*.partitioner", key).value,
    }
}

fn unlisted(name: &str, topics: &[&str]) -> Wrong {
    let remedy = match nearest(name, topics.iter().copied()) {
        Some(topic) => format!("did you mean {topic}?"),
        None => format!("add {name} to topics"),
    };
    Wrong::new(format!("topic {name:?} is not listed under topics"), remedy)
}

/// The triggers, topic by topic, in the order of the file.
pub(crate) fn triggers(reader: &mut Reader<'_>, topics: &[Topic]) -> Vec<Trigger> {
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let mut listed = Vec::new();
    for said in reader.names(&["events"]) {
        let Some(topic) = topics.iter().find(|topic| topic.name.as_str() == said.value) else {
            reader.wrong(said.origin, path("events.*", &said.value), unlisted(&said.value, &names));
            continue;
        };
        let Some(functions) = reader.list::<FunctionName>("events.*.APPEND", &said.value) else { continue };
        let functions = distinct(functions, &path("events.*.APPEND", &said.value), reader);
        listed.extend(functions.into_iter().map(|function| (topic, function.value)));
    }
    let full_names: Vec<String> =
        listed.iter().map(|(t, function)| format!("{}/{function}", t.name)).collect();
    for said in reader.names(&["weir", "triggers"]) {
        if !full_names.contains(&said.value) {
            let wrong = unknown_trigger(&said.value, &full_names);
            reader.wrong(said.origin, path("weir.triggers.*", &said.value), wrong);
        }
    }
    let triggers =
        listed.iter().map(|(topic, function)| trigger(reader, topic, function)).collect::<Vec<_>>();
    refuse_shared_groups(reader, &triggers);
    triggers
}

fn unknown_trigger(name: &str, known: &[String]) -> Wrong {
    let remedy = match (nearest(name, known.iter().map(String::as_str)), name.split_once('/')) {
        (Some(trigger), _) => format!("did you mean {trigger}?"),
        (None, Some((topic, function))) => format!("list {function} under events.{topic}.APPEND"),
        (None, None) => "write it as TOPIC/FUNCTION".to_owned(),
    };
    Wrong::new(format!("no trigger {name:?} under events"), remedy)
}

fn trigger(reader: &mut Reader<'_>, topic: &Topic, function: &FunctionName) -> Trigger {
    let name = format!("{}/{function}", topic.name);
    let key = name.as_str();
    let retry = retry(reader, key);
    let breaker = breaker(reader, key);
    let on_exhausted = reader.value("weir.triggers.*.onExhausted", key).value;
    let start_from = start_from(reader, key, topic);
    let group = group(reader, key, function);
    Trigger {
        topic: topic.name.clone(),
        function: function.clone(),
        group: GroupName::of_trigger(&topic.name, &group),
        retry,
        breaker,
        on_exhausted,
        start_from,
        window: reader.value("weir.triggers.*.window", key).value,
        detach_after: reader.value::<DetachAfter>("weir.triggers.*.detachAfter", key).value.0,
        max_parked: reader.value("weir.triggers.*.maxParked", key).value,
        max_concurrent: reader.value("weir.triggers.*.maxConcurrent", key).value,
        enabled: reader.value("weir.triggers.*.enabled", key).value,
    }
}

fn retry(reader: &mut Reader<'_>, key: &str) -> Retry {
    let attempts = reader.value("weir.triggers.*.retry.attempts", key).value;
    let backoff: Said<Duration> = reader.value("weir.triggers.*.retry.backoff", key);
    let max: Said<Duration> = reader.value("weir.triggers.*.retry.maxBackoff", key);
    if max.value < backoff.value {
        let origin = if max.origin == Origin::Default { backoff.origin } else { max.origin };
        let problem = format!("{:?} is shorter than the backoff of {:?}", max.value, backoff.value);
        let full = path("weir.triggers.*.retry.maxBackoff", key);
        reader.wrong(origin, full, Wrong::new(problem, "make it at least as long as the backoff"));
    }
    let jitter = reader.value::<Ratio>("weir.triggers.*.retry.jitter", key).value.0;
    Retry { attempts, backoff: backoff.value, max_backoff: max.value, jitter }
}

fn breaker(reader: &mut Reader<'_>, key: &str) -> Breaker {
    Breaker {
        failures: reader.value("weir.triggers.*.breaker.failures", key).value,
        keys: reader.value("weir.triggers.*.breaker.keys", key).value,
        ratio: reader.value::<Ratio>("weir.triggers.*.breaker.ratio", key).value.0,
        within: reader.value("weir.triggers.*.breaker.within", key).value,
        probe: reader.value("weir.triggers.*.breaker.probe", key).value,
    }
}

fn start_from(reader: &mut Reader<'_>, key: &str, topic: &Topic) -> Option<Position> {
    let said: Said<Position> = reader.optional("weir.triggers.*.startFrom", key)?;
    if let Position::Offset(offset) = said.value
        && topic.partitions.get() > 1
    {
        let problem =
            format!("offset {offset} names no partition, and {} has {}", topic.name, topic.partitions);
        let remedy = "write earliest, latest, an RFC 3339 time or a duration back as -2h";
        let full = path("weir.triggers.*.startFrom", key);
        reader.wrong(said.origin, full, Wrong::new(problem, remedy));
    }
    Some(said.value)
}

fn group(reader: &mut Reader<'_>, key: &str, function: &FunctionName) -> FunctionName {
    if let Some(said) = reader.said("weir.triggers.*.group", key) {
        return said.value;
    }
    reader.show(path("weir.triggers.*.group", key), function.as_str(), Origin::Default);
    function.clone()
}

/// Two triggers with one group would move each other's position.
fn refuse_shared_groups(reader: &mut Reader<'_>, triggers: &[Trigger]) {
    let mut owners: BTreeMap<&GroupName, String> = BTreeMap::new();
    for trigger in triggers {
        let name = trigger.name();
        let Some(owner) = owners.get(&trigger.group) else {
            owners.insert(&trigger.group, name);
            continue;
        };
        let key = "weir.triggers.*.group";
        let said = [&name, owner].into_iter().find_map(|n| Some((n, reader.origin_of(key, n)?)));
        let (at, origin) = said.map_or_else(|| (&name, reader.file()), |(n, origin)| (n, origin));
        let problem = format!("group {} is that of both {owner} and {name}", trigger.group);
        reader.wrong(origin, path(key, at), Wrong::new(problem, "give each trigger a group of its own"));
    }
}
