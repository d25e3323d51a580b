//! `weir topics`: list, create, describe, trim.

use crate::api::{Api, encode};
use crate::args::Topics;
use crate::commands::functions::list;
use crate::{output, terminal};
use http::Method;
use serde_json::json;

pub(super) async fn run(api: &Api, action: Option<Topics>, json: bool) -> anyhow::Result<()> {
    let Some(action) = action else {
        return list(api, "/v1/topics", json, &["topic", "partitions", "events", "bytes", "tail"]).await;
    };
    let done = match action {
        Topics::Create { topic, partitions } => {
            let new = json!({ "topic": topic, "partitions": partitions });
            api.call(Method::POST, "/v1/topics", Some(new)).await?
        }
        Topics::Describe { topic } => api.get(&format!("/v1/topics/{}", encode(&topic))).await?,
        Topics::Trim { topic, before, partition, yes } => {
            let question = format!("Remove the events of {topic} before {before}, for good?");
            terminal::confirm(&question, yes)?;
            let trim = json!({ "before": before, "partition": partition });
            api.call(Method::POST, &format!("/v1/topics/{}/trim", encode(&topic)), Some(trim)).await?
        }
    };
    output::thing(&done, json);
    Ok(())
}
