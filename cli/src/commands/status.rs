//! `weir status`: what runs, where, how it is. Exit code 1 if someone must act.

use crate::api::Api;
use crate::output;
use serde_json::Value;
use std::process::ExitCode;

/// States of a trigger in which it does nothing by itself any more.
const STUCK: [&str; 6] = ["exhausted", "too-many-parked", "events-lost", "needs-start", "refused", "probing"];

pub(super) async fn run(api: &Api, json: bool) -> anyhow::Result<ExitCode> {
    let status = api.get("/v1/status").await?;
    let triggers = status["triggers"].as_array().cloned().unwrap_or_default();
    let mut broken = status["broken"].as_array().cloned().unwrap_or_default();
    broken.extend(status["troubles"].as_array().cloned().unwrap_or_default());
    if json {
        output::line(&status.to_string());
    } else {
        let text = |path: &str| output::text(status.pointer(path).unwrap_or(&Value::Null));
        output::line(&format!(
            "{} · {} · weir {} · code {}",
            text("/app"),
            text("/env"),
            text("/version"),
            text("/code")
        ));
        output::line(&format!(
            "log {} {} ({})",
            text("/log/driver"),
            text("/log/place"),
            text("/log/durability")
        ));
        output::line(&format!(
            "{} topics, {} functions, {} routes",
            text("/topics"),
            text("/functions"),
            text("/routes")
        ));
        output::list(&triggers, false, &["topic", "function", "state", "lag", "lag_seconds", "parked"]);
        broken.iter().filter_map(Value::as_str).for_each(output::line);
    }
    let is_stuck = |t: &Value| t["state"].as_str().is_some_and(|s| STUCK.contains(&s));
    let must_act = !broken.is_empty() || triggers.iter().any(is_stuck);
    Ok(if must_act { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
