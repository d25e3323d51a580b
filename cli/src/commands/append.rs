//! `weir append`: one event from the command line, or NDJSON from stdin.

use crate::api::{Api, encode};
use crate::args::Append;
use crate::output;
use anyhow::{Context as _, bail};
use http::Method;
use serde_json::Value;
use std::io::{BufRead as _, IsTerminal as _};

/// Lines that go into one request, and so into one transaction.
const BATCH: usize = 1000;

pub(super) async fn run(api: &Api, append: &Append, json: bool) -> anyhow::Result<()> {
    let path = format!("/v1/topics/{}/events", encode(&append.topic));
    if let Some(value) = &append.value {
        let event = event(value, append.key.as_deref()).context("VALUE")?;
        return send(api, &path, &event, json).await;
    }
    if std::io::stdin().is_terminal() {
        bail!("write the event's value as JSON, or pipe NDJSON into stdin");
    }
    let mut batch = String::new();
    let mut lines = 0;
    for (i, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.context("read stdin")?;
        if line.trim().is_empty() {
            continue;
        }
        let event = line_event(&line, append.key.as_deref()).with_context(|| format!("line {}", i + 1))?;
        batch.push_str(&event);
        batch.push('\n');
        lines += 1;
        if lines == BATCH {
            send(api, &path, &batch, json).await?;
            batch.clear();
            lines = 0;
        }
    }
    if lines > 0 { send(api, &path, &batch, json).await } else { Ok(()) }
}

async fn send(api: &Api, path: &str, body: &str, json: bool) -> anyhow::Result<()> {
    let reply = api.send(Method::POST, path, "application/x-ndjson", body.to_owned().into()).await?.json()?;
    let appended = reply["appended"].as_array().cloned().unwrap_or_default();
    output::list(&appended, json, &["partition", "offset"]);
    Ok(())
}

/// The event of a value, kept byte for byte.
fn event(value: &str, key: Option<&str>) -> anyhow::Result<String> {
    serde_json::from_str::<serde::de::IgnoredAny>(value)
        .with_context(|| format!("{value:?} is not JSON (a text needs its quotes: '\"text\"')"))?;
    let value = value.replace(['\n', '\r'], " "); // white space between JSON's words: a string holds none
    Ok(match key {
        Some(key) => format!("{{\"key\":{},\"value\":{value}}}", Value::from(key)),
        None => format!("{{\"value\":{value}}}"),
    })
}

/// A line is an event if it is an object with none but an event's members; else it is a plain value.
fn line_event(line: &str, key: Option<&str>) -> anyhow::Result<String> {
    const MEMBERS: [&str; 9] =
        ["key", "value", "headers", "key_bytes", "value_bytes", "topic", "partition", "offset", "timestamp"];
    let parsed: Value = serde_json::from_str(line).with_context(|| format!("{line:?} is not JSON"))?;
    let is_event = parsed.as_object().is_some_and(|o| {
        (o.contains_key("value") || o.contains_key("value_bytes"))
            && o.keys().all(|k| MEMBERS.contains(&k.as_str()))
    });
    if is_event && key.is_none() { Ok(line.to_owned()) } else { event(line, key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_event_or_a_plain_value() {
        let line = |text| line_event(text, None).expect("a line");
        assert_eq!(line(r#"{"key":"a","value":1}"#), r#"{"key":"a","value":1}"#);
        assert_eq!(line(r#"{"sku":"a"}"#), r#"{"value":{"sku":"a"}}"#);
        assert_eq!(line("7"), r#"{"value":7}"#);
        assert_eq!(line_event("7", Some("k")).expect("a line"), r#"{"key":"k","value":7}"#);
        assert!(line_event("{", None).is_err());
    }
}
