//! `weir events` and `weir tail`: read a topic, one event a line.

use crate::api::{Api, encode};
use crate::args::Events;
use crate::output;
use anyhow::Context as _;
use futures::StreamExt as _;
use serde_json::value::RawValue;

/// Events of one request.
const PAGE: u64 = 1000;

#[derive(serde::Deserialize)]
struct Page<'p> {
    #[serde(borrow)]
    events: Vec<&'p RawValue>,
    cursor: String,
    done: bool,
}

pub(super) async fn run(api: &Api, events: &Events) -> anyhow::Result<()> {
    let topic = format!("/v1/topics/{}/events", encode(&events.topic));
    if events.follow {
        return follow(api, &format!("{topic}?{}", query(events))).await;
    }
    let mut left = events.limit.unwrap_or(u64::MAX);
    let mut cursor = String::new();
    while left > 0 {
        let path = format!("{topic}?{}&limit={}{cursor}", query(events), left.min(PAGE));
        let reply = api.send(http::Method::GET, &path, "application/json", bytes::Bytes::new()).await?;
        if !reply.status.is_success() {
            reply.json()?;
        }
        let page: Page<'_> =
            serde_json::from_slice(&reply.body).context("the server's answer is no page of events")?;
        page.events.iter().for_each(|event| output::line(event.get()));
        left -= u64::try_from(page.events.len())?.min(left);
        if page.done {
            break;
        }
        cursor = format!("&cursor={}", encode(&page.cursor));
    }
    Ok(())
}

fn query(events: &Events) -> String {
    let mut parts = Vec::new();
    let texts = [("from", &events.from), ("to", &events.to), ("key", &events.key)];
    parts.extend(
        texts.into_iter().filter_map(|(name, text)| Some(format!("{name}={}", encode(text.as_ref()?)))),
    );
    parts.extend(events.partition.map(|p| format!("partition={p}")));
    parts.join("&")
}

async fn follow(api: &Api, path: &str) -> anyhow::Result<()> {
    let mut stream = api.follow(path).await?;
    let mut text = Vec::new();
    while let Some(piece) = stream.next().await {
        text.extend_from_slice(&piece?);
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            if let Some(data) = line.strip_prefix(b"data:") {
                output::line(String::from_utf8_lossy(data).trim());
            }
        }
    }
    Ok(())
}
