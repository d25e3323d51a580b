//! `weir parked`: events that failed and wait.

use crate::api::{Api, encode};
use crate::args::{Parked, Selection};
use crate::{output, terminal};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::io::Read as _;

const COLUMNS: [&str; 8] =
    ["id", "key", "function", "state", "attempts", "next_attempt", "last_error", "topic"];

/// What can be done to each of many: as the API calls it, and what then has been done to it.
const REDRIVE: [&str; 2] = ["redrive", "redriven"];
const SKIP: [&str; 2] = ["skip", "skipped"];
/// What the API answers where there is no such event any more.
const GONE: [&str; 2] = ["not_parked", "not_found"];

pub(super) async fn run(api: &Api, action: Option<Parked>, json: bool) -> anyhow::Result<()> {
    match action.unwrap_or_else(|| Parked::List(Selection::default())) {
        Parked::List(which) => {
            output::list(&select(api, &which).await?, json, &COLUMNS);
        }
        Parked::Show { id } => {
            let event = api.get(&format!("/v1/parked/{}", encode(&id))).await?;
            output::thing(&event, json);
        }
        Parked::Redrive(which) => {
            let events = chosen(api, &which).await?;
            each(api, "parked", &events, REDRIVE, json).await?;
        }
        Parked::Skip(which) => {
            let events = chosen(api, &which).await?;
            let question =
                format!("Drop {} parked events? Their functions will not run on them.", events.len());
            terminal::confirm(&question, which.yes)?;
            each(api, "parked", &events, SKIP, json).await?;
        }
        Parked::Edit { id, value } => edit(api, &id, &value, json).await?,
    }
    Ok(())
}

async fn edit(api: &Api, id: &str, value: &str, json: bool) -> anyhow::Result<()> {
    let mut text = value.to_owned();
    if value == "-" {
        text.clear();
        std::io::stdin().read_to_string(&mut text).context("read stdin")?;
    }
    let value: Value = serde_json::from_str(&text).context("the value is not JSON")?;
    let path = format!("/v1/parked/{}/value", encode(id));
    output::thing(&api.call(Method::PUT, &path, Some(value)).await?, json);
    Ok(())
}

/// Acts on each of the events that the API lists under `list`. One that waited behind another may have gone on by itself
/// since they were listed.
pub(super) async fn each(
    api: &Api,
    list: &str,
    events: &[Value],
    [act, done]: [&str; 2],
    json: bool,
) -> anyhow::Result<()> {
    let mut gone = 0;
    for event in events {
        let id = event["id"].as_str().unwrap_or_default();
        let path = format!("/v1/{list}/{}/{act}", encode(id));
        let reply = api.send(Method::POST, &path, "application/json", Bytes::new()).await?;
        if GONE.iter().any(|code| reply.has_code(code)) {
            gone += 1;
            output::thing(&json!({ "gone": id }), json);
        } else {
            output::thing(&reply.json()?, json);
        }
    }
    if events.len() > 1 || gone > 0 {
        let count = events.len() - gone;
        terminal::tell(&format!("{done}: {count} · gone on by themselves before: {gone}"));
    }
    Ok(())
}

/// What a command that acts is to act on: something must be said.
async fn chosen(api: &Api, which: &Selection) -> anyhow::Result<Vec<Value>> {
    let says_nothing =
        which.ids.is_empty() && which.topic.is_none() && which.function.is_none() && which.key.is_none();
    if says_nothing && !which.all {
        bail!("say which: ids, --topic, --function, --key, or --all");
    }
    let events = select(api, which).await?;
    check_found(&events, &which.ids, "no event that is parked", "weir parked list")?;
    Ok(events)
}

/// That there is something to act on, and every event that was named; else the error begins with `none`.
pub(super) fn check_found(events: &[Value], ids: &[String], none: &str, lists: &str) -> anyhow::Result<()> {
    if let Some(id) = ids.iter().find(|id| !events.iter().any(|event| event["id"] == ***id)) {
        bail!("{none} matches {id:?} ({lists} shows them)");
    }
    if events.is_empty() {
        bail!("{none} matches ({lists} shows them)");
    }
    Ok(())
}

async fn select(api: &Api, which: &Selection) -> anyhow::Result<Vec<Value>> {
    let texts = [("topic", &which.topic), ("function", &which.function), ("key", &which.key)];
    query(api, "parked", &texts, &which.ids).await
}

/// The events that the API lists under `list`, those that match and are named; all if none is named.
pub(super) async fn query(
    api: &Api,
    list: &str,
    texts: &[(&str, &Option<String>)],
    ids: &[String],
) -> anyhow::Result<Vec<Value>> {
    let query: Vec<_> =
        texts.iter().filter_map(|(n, t)| Some(format!("{n}={}", encode(t.as_ref()?)))).collect();
    let all = api.get(&format!("/v1/{list}?{}", query.join("&"))).await?;
    let all = all.as_array().cloned().unwrap_or_default();
    let is_named = |event: &Value| ids.is_empty() || ids.iter().any(|id| event["id"] == **id);
    Ok(all.into_iter().filter(is_named).collect())
}
