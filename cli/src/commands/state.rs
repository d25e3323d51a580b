//! `weir state`: tables and their rows.

use crate::api::{Api, encode};
use crate::args::State;
use crate::commands::functions::list;
use crate::{output, terminal};
use anyhow::Context as _;
use http::Method;
use serde_json::Value;
use std::io::Read as _;

/// Rows of one request.
const PAGE: u32 = 1000;

pub(super) async fn run(api: &Api, action: Option<State>, json: bool) -> anyhow::Result<()> {
    let Some(action) = action else {
        return list(api, "/v1/state", json, &["table", "keys", "bytes", "writers"]).await;
    };
    match action {
        State::List { table, prefix, limit } => rows(api, &table, &prefix, limit, json).await,
        State::Get { table, key } => {
            output::line(&api.get(&row(&table, &key)).await?.to_string());
            Ok(())
        }
        State::Set { table, key, value } => {
            let mut text = value.clone();
            if value == "-" {
                text.clear();
                std::io::stdin().read_to_string(&mut text).context("read stdin")?;
            }
            serde_json::from_str::<serde::de::IgnoredAny>(&text)
                .with_context(|| format!("{text:?} is not JSON (a text needs its quotes: '\"text\"')"))?;
            let reply = api.send(Method::PUT, &row(&table, &key), "application/json", text.into()).await?;
            reply.json().map(drop)
        }
        State::Delete { table, key } => api.call(Method::DELETE, &row(&table, &key), None).await.map(drop),
        State::Drop { table, yes } => {
            terminal::confirm(&format!("Delete every row of the table {table}?"), yes)?;
            let dropped = api.call(Method::DELETE, &format!("/v1/state/{}", encode(&table)), None).await?;
            output::thing(&dropped, json);
            Ok(())
        }
    }
}

fn row(table: &str, key: &str) -> String {
    format!("/v1/state/{}/{}", encode(table), encode(key))
}

async fn rows(api: &Api, table: &str, prefix: &str, limit: Option<u32>, json: bool) -> anyhow::Result<()> {
    let (mut left, mut after) = (limit.unwrap_or(u32::MAX), String::new());
    let mut all = Vec::new();
    while left > 0 {
        let path =
            format!("/v1/state/{}?prefix={}&limit={}{after}", encode(table), encode(prefix), left.min(PAGE));
        let page = api.get(&path).await?;
        let rows = page["rows"].as_array().cloned().unwrap_or_default();
        left -= u32::try_from(rows.len())?.min(left);
        all.extend(rows);
        match &page["after"] {
            Value::String(last) => after = format!("&after={}", encode(last)),
            _ => break,
        }
    }
    let as_text = |row: &Value| {
        let mut row = row.clone();
        if !json {
            row["value"] = Value::String(row["value"].to_string());
        }
        row
    };
    output::list(&all.iter().map(as_text).collect::<Vec<_>>(), json, &["key", "value", "expires"]);
    Ok(())
}
