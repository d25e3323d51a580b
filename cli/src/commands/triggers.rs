//! `weir triggers`: list, pause, resume, seek, forget, wait.

use crate::api::{Api, encode};
use crate::args::Triggers;
use crate::commands::functions::list;
use crate::{output, terminal};
use anyhow::{Context as _, bail};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// How often `wait` looks.
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn run(api: &Api, action: Option<Triggers>, json: bool) -> anyhow::Result<()> {
    let Some(action) = action else {
        let columns = ["topic", "function", "state", "lag", "lag_seconds", "parked", "positions"];
        return list(api, "/v1/triggers", json, &columns).await;
    };
    let done = match action {
        Triggers::Pause { trigger } => api.call(Method::POST, &path(&trigger, "/pause")?, None).await?,
        Triggers::Resume { trigger } => api.call(Method::POST, &path(&trigger, "/resume")?, None).await?,
        Triggers::Seek { trigger, to, partition, yes } => {
            let question = format!("Move {trigger} to {to}? Events between are skipped, or run again.");
            terminal::confirm(&question, yes)?;
            let seek = json!({ "to": to, "partition": partition });
            api.call(Method::POST, &path(&trigger, "/seek")?, Some(seek)).await?
        }
        Triggers::Forget { trigger, yes } => {
            terminal::confirm(&format!("Forget the positions of {trigger}?"), yes)?;
            api.call(Method::DELETE, &path(&trigger, "")?, None).await?
        }
        Triggers::Wait { trigger, timeout } => {
            return wait(api, trigger.as_deref(), timeout.as_deref()).await;
        }
    };
    output::thing(&done, json);
    Ok(())
}

fn path(trigger: &str, act: &str) -> anyhow::Result<String> {
    let (topic, function) =
        trigger.split_once('/').with_context(|| format!("{trigger:?}: write a trigger as TOPIC/FUNCTION"))?;
    Ok(format!("/v1/triggers/{}/{}{act}", encode(topic), encode(function)))
}

async fn wait(api: &Api, trigger: Option<&str>, timeout: Option<&str>) -> anyhow::Result<()> {
    let idle = async {
        loop {
            let all = api.get("/v1/triggers").await?;
            let all = all.as_array().cloned().unwrap_or_default();
            let name = |t: &Value| format!("{}/{}", output::text(&t["topic"]), output::text(&t["function"]));
            let meant: Vec<_> = all.iter().filter(|t| trigger.is_none_or(|w| name(t) == w)).collect();
            if meant.is_empty() && trigger.is_some() {
                bail!("there is no trigger {}", trigger.unwrap_or_default());
            }
            let is_idle = |t: &&Value| t["lag"] == 0 || t["state"] == "orphaned";
            if meant.iter().all(is_idle) {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match timeout {
        None => idle.await,
        Some(text) => {
            let limit = weir_schema::parse_duration(text).context("--timeout")?;
            let done = tokio::time::timeout(limit, idle).await;
            done.unwrap_or_else(|_| bail!("not idle within {text} (weir triggers shows the lag)"))
        }
    }
}
