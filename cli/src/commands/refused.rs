//! `weir refused`: events that are committed and that Kafka does not take.

use super::parked::{check_found, each, query};
use crate::api::Api;
use crate::args::{Refused, RefusedSelection};
use crate::{output, terminal};
use anyhow::bail;
use serde_json::Value;

const COLUMNS: [&str; 6] = ["id", "topic", "partition", "key", "timestamp", "why"];

pub(super) async fn run(api: &Api, action: Option<Refused>, json: bool) -> anyhow::Result<()> {
    match action.unwrap_or_else(|| Refused::List(RefusedSelection::default())) {
        Refused::List(which) => output::list(&select(api, &which).await?, json, &COLUMNS),
        Refused::Retry(which) => {
            each(api, "refused", &chosen(api, &which).await?, ["retry", "sent"], json).await?;
        }
        Refused::Drop(which) => {
            let events = chosen(api, &which).await?;
            let question =
                format!("Drop {} events? Nobody will ever see them in their topics.", events.len());
            terminal::confirm(&question, which.yes)?;
            each(api, "refused", &events, ["drop", "dropped"], json).await?;
        }
    }
    Ok(())
}

/// What a command that acts is to act on: something must be said.
async fn chosen(api: &Api, which: &RefusedSelection) -> anyhow::Result<Vec<Value>> {
    if which.ids.is_empty() && which.topic.is_none() && !which.all {
        bail!("say which: ids, --topic, or --all");
    }
    let events = select(api, which).await?;
    check_found(&events, &which.ids, "no event that was refused", "weir refused")?;
    Ok(events)
}

async fn select(api: &Api, which: &RefusedSelection) -> anyhow::Result<Vec<Value>> {
    query(api, "refused", &[("topic", &which.topic)], &which.ids).await
}
