//! Reading a topic's events, page by page or following; appending is in `ingest`.

use super::topics::{find, need_partition};
use super::{Admin, ApiError, follow, ingest};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use std::collections::BTreeMap;
use weir_log::{ReadLimit, TopicInfo, resolve};
use weir_schema::{At, Millis, Offset, Position, Record, Records, event_to_json};

/// Events of a page when nothing is said, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;

/// How many events one page looks at while it filters.
const MAX_LOOKED_AT: usize = 50_000;

pub(super) fn routes(body: usize) -> Router<Admin> {
    Router::new()
        .route("/v1/topics/{topic}/events", get(read).post(ingest::append))
        .layer(DefaultBodyLimit::max(body))
}

#[derive(serde::Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    pub(super) partition: Option<u32>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) key: Option<String>,
    pub(super) limit: Option<usize>,
    /// Where the page before ended: `PARTITION:OFFSET,…`.
    pub(super) cursor: Option<String>,
}

/// What of a topic is to be read: where each partition stands, and where it ends.
pub(super) struct Range {
    pub(super) topic: TopicInfo,
    pub(super) next: BTreeMap<u32, Offset>,
    ends: BTreeMap<u32, Offset>,
    key: Option<Vec<u8>>,
}

/// An event that belongs to the range, and the place right after it.
pub(super) struct Found {
    pub(super) json: Vec<u8>,
    pub(super) partition: u32,
    pub(super) next: Offset,
}

async fn read(
    State(admin): State<Admin>,
    Path(topic): Path<String>,
    Query(which): Query<Which>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let topic = find(&admin, &topic).await?;
    let follows = headers.get(ACCEPT).is_some_and(|a| a.as_bytes().starts_with(b"text/event-stream"));
    let resumed = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let cursor = resumed.filter(|_| follows).or_else(|| which.cursor.clone());
    let mut range = Range::new(&admin, topic, &which, cursor.as_deref()).await?;
    if follows {
        return Ok(follow::stream(admin, range));
    }
    let limit = which.limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT);
    let (events, done) = range.page(&admin, limit).await?;
    let mut body = b"{\"events\":[".to_vec();
    for (i, event) in events.iter().enumerate() {
        if i > 0 {
            body.push(b',');
        }
        body.extend_from_slice(&event.json);
    }
    let tail = format!("],\"cursor\":\"{}\",\"done\":{done}}}", range.cursor());
    body.extend_from_slice(tail.as_bytes());
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

impl Range {
    async fn new(
        admin: &Admin,
        topic: TopicInfo,
        which: &Which,
        cursor: Option<&str>,
    ) -> Result<Self, ApiError> {
        let parse = |label: &str, text: Option<&str>, default: Position| match text {
            None => Ok(default),
            Some(text) => text.parse::<Position>().map_err(|e| ApiError::bad(format!("{label}: {e}"))),
        };
        let from = parse("from", which.from.as_deref(), Position::Earliest)?;
        let to = which.to.as_deref().map(|to| parse("to", Some(to), Position::Latest)).transpose()?;
        need_partition(&topic, from, which.partition)?;
        need_partition(&topic, to.unwrap_or(Position::Latest), which.partition)?;
        let (log, now) = (admin.session.log(), admin.session.clock().now());
        let (mut next, mut ends) = (BTreeMap::new(), BTreeMap::new());
        for p in (0..topic.spec.partitions).filter(|p| which.partition.is_none_or(|w| w == *p)) {
            next.insert(p, resolve(&**log, &topic, p, from, now).await?);
            if let Some(to) = to {
                ends.insert(p, resolve(&**log, &topic, p, to, now).await?);
            }
        }
        if let Some(cursor) = cursor {
            for (p, offset) in parse_cursor(cursor)? {
                next.entry(p).and_modify(|n| *n = offset);
            }
        }
        Ok(Self { topic, next, ends, key: which.key.as_ref().map(|k| k.as_bytes().to_vec()) })
    }

    /// Up to `limit` events in the order of their times, and whether the range (or the topic, now) is at its end.
    pub(super) async fn page(&mut self, admin: &Admin, limit: usize) -> Result<(Vec<Found>, bool), ApiError> {
        let mut looked_at = 0;
        let mut events = Vec::new();
        loop {
            let batches = self.read_batches(admin, limit - events.len()).await?;
            if batches.iter().all(Records::is_empty) {
                return Ok((events, true));
            }
            for record in merge(&batches) {
                if events.len() == limit || looked_at == MAX_LOOKED_AT {
                    return Ok((events, false));
                }
                looked_at += 1;
                self.next.insert(record.meta.at.partition, record.meta.offset.next());
                if self.key.as_deref().is_none_or(|k| record.key() == Some(k)) {
                    let mut json = Vec::with_capacity(record.meta.bytes() + 200);
                    event_to_json(self.topic.spec.name.as_str(), &record, &mut json);
                    let (partition, next) = (record.meta.at.partition, record.meta.offset.next());
                    events.push(Found { json, partition, next });
                }
            }
            if events.len() == limit {
                return Ok((events, false));
            }
        }
    }

    async fn read_batches(&self, admin: &Admin, wanted: usize) -> Result<Vec<Records>, ApiError> {
        let events = if self.key.is_some() { 1000 } else { wanted.clamp(1, 1000) };
        let mut batches = Vec::new();
        for (&partition, &from) in &self.next {
            let left = self.ends.get(&partition).map_or(u64::MAX, |end| end.0.saturating_sub(from.0));
            if left == 0 {
                continue;
            }
            let at = At { topic: self.topic.id, partition };
            let events = usize::try_from(left).map_or(events, |left| left.min(events));
            let batch = admin.session.log().read(at, from, ReadLimit { events, bytes: 4 << 20 }).await;
            batches.push(self.before_end(partition, batch?));
        }
        Ok(batches)
    }

    /// Cuts off what lies at or past the end: where offsets have gaps, a batch may reach over it.
    fn before_end(&self, partition: u32, batch: Records) -> Records {
        let Some(end) = self.ends.get(&partition) else { return batch };
        batch.first(batch.iter().take_while(|r| r.meta.offset < *end).count())
    }

    /// Where it stands, for the next page.
    fn cursor(&self) -> String {
        cursor(&self.next)
    }
}

/// A place in every partition, for the next page or for `Last-Event-ID`.
pub(super) fn cursor(next: &BTreeMap<u32, Offset>) -> String {
    let parts: Vec<_> = next.iter().map(|(p, o)| format!("{p}:{o}")).collect();
    parts.join(",")
}

/// All events in the order of their times; those of one partition keep theirs.
fn merge(batches: &[Records]) -> Vec<Record<'_>> {
    let mut all: Vec<_> = batches.iter().flat_map(Records::iter).collect();
    all.sort_by_key(|r| -> (Millis, u32, Offset) { (r.meta.time, r.meta.at.partition, r.meta.offset) });
    all
}

fn parse_cursor(cursor: &str) -> Result<Vec<(u32, Offset)>, ApiError> {
    let part = |text: &str| {
        let (partition, offset) = text.split_once(':')?;
        Some((partition.parse().ok()?, Offset(offset.parse().ok()?)))
    };
    let parts: Option<Vec<_>> = cursor.split(',').map(part).collect();
    parts.ok_or_else(|| ApiError::bad(format!("cursor {cursor:?} is none: it is PARTITION:OFFSET,…")))
}
