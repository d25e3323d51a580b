//! Topics: list, describe, create, trim.

use super::{Admin, ApiError};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::time::Duration;
use weir_log::{TopicInfo, TopicSpec, resolve};
use weir_schema::{Partitioner, Position, TopicName, parse_duration};

pub(super) fn routes() -> Router<Admin> {
    Router::new()
        .route("/v1/topics", get(list).post(create))
        .route("/v1/topics/{topic}", get(describe))
        .route("/v1/topics/{topic}/trim", post(trim))
}

/// The topic of this name, as it is now.
pub(super) async fn find(admin: &Admin, name: &str) -> Result<TopicInfo, ApiError> {
    let topics = admin.session.log().topics().await?;
    let known: Vec<_> = topics.iter().map(|t| t.spec.name.as_str().to_owned()).collect();
    topics.into_iter().find(|t| t.spec.name.as_str() == name).ok_or_else(|| {
        let known = if known.is_empty() { "there is none yet".to_owned() } else { known.join(", ") };
        ApiError::missing(format!("there is no topic {name:?} (topics: {known})"))
    })
}

async fn list(State(admin): State<Admin>) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(admin.session.log().topics().await?.iter().map(summary).collect()))
}

async fn describe(State(admin): State<Admin>, Path(topic): Path<String>) -> Result<Json<Value>, ApiError> {
    let topic = find(&admin, &topic).await?;
    let mut described = summary(&topic);
    described["earliest"] = json!(topic.earliest);
    described["partitioner"] = json!(topic.spec.partitioner);
    described["retention_ms"] = json!(topic.spec.retention.map(|r| r.as_millis()));
    described["declared"] = json!(admin.session.topic(topic.spec.name.as_str()).is_ok());
    Ok(Json(described))
}

fn summary(topic: &TopicInfo) -> Value {
    let events: u64 = topic.tail.iter().zip(&topic.earliest).map(|(t, e)| t.0 - e.0).sum();
    json!({
        "topic": topic.spec.name,
        "partitions": topic.spec.partitions,
        "events": events,
        "bytes": topic.bytes,
        "tail": topic.tail,
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTopic {
    topic: TopicName,
    #[serde(default = "one")]
    partitions: u32,
    #[serde(default)]
    partitioner: Partitioner,
    #[serde(default)]
    retention: Option<String>,
}

const fn one() -> u32 {
    1
}

async fn create(State(admin): State<Admin>, Json(new): Json<NewTopic>) -> Result<Json<Value>, ApiError> {
    if new.partitions == 0 {
        return Err(ApiError::bad("a topic has at least 1 partition"));
    }
    let retention: Option<Duration> = new
        .retention
        .as_deref()
        .map(parse_duration)
        .transpose()
        .map_err(|e| ApiError::bad(format!("retention: {e}")))?;
    let spec =
        TopicSpec { name: new.topic, partitions: new.partitions, partitioner: new.partitioner, retention };
    let topic = admin.session.log().create_topic(&spec).await?;
    Ok(Json(summary(&topic)))
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Trim {
    before: String,
    partition: Option<u32>,
}

async fn trim(
    State(admin): State<Admin>,
    Path(topic): Path<String>,
    Json(trim): Json<Trim>,
) -> Result<Json<Value>, ApiError> {
    let topic = find(&admin, &topic).await?;
    let before: Position = trim.before.parse().map_err(|e| ApiError::bad(format!("before: {e}")))?;
    need_partition(&topic, before, trim.partition)?;
    let log = admin.session.log();
    let mut earliest = topic.earliest.clone();
    for at in topic.partitions().filter(|at| trim.partition.is_none_or(|p| p == at.partition)) {
        let offset = resolve(&**log, &topic, at.partition, before, admin.session.clock().now()).await?;
        earliest[at.partition as usize] = log.trim(at, offset).await?;
    }
    let removed: u64 =
        earliest.iter().zip(&topic.earliest).map(|(now, was)| now.0.saturating_sub(was.0)).sum();
    Ok(Json(json!({ "topic": topic.spec.name, "removed": removed, "earliest": earliest })))
}

/// A bare offset needs a partition where the topic has more than one.
pub(super) fn need_partition(
    topic: &TopicInfo,
    position: Position,
    partition: Option<u32>,
) -> Result<(), ApiError> {
    if let Some(p) = partition.filter(|p| *p >= topic.spec.partitions) {
        let text =
            format!("topic {} has partitions 0 to {}, not {p}", topic.spec.name, topic.spec.partitions - 1);
        return Err(ApiError::bad(text));
    }
    if matches!(position, Position::Offset(_)) && partition.is_none() && topic.spec.partitions > 1 {
        let text = format!(
            "topic {} has {} partitions: say which (--partition)",
            topic.spec.name, topic.spec.partitions
        );
        return Err(ApiError::bad(text));
    }
    Ok(())
}
