//! `weir migrate`: brings the log's schema up to date, as the next start would; with `--plan` it only says what that is.

use crate::args::{Global, Migrate};
use crate::log;
use crate::output;
use crate::project::Project;
use serde_json::json;
use std::time::Duration;
use weir_config::Flags;
use weir_log::SchemaState;

pub(super) async fn run(global: &Global, migrate: &Migrate) -> anyhow::Result<()> {
    let flags = Flags { log: migrate.log.clone(), ..Flags::default() };
    let project = Project::of_command(global, None, &flags)?;
    let driver = log::config(&project).driver;
    let state = weir_log::schema_state(&driver).await;
    let state = state.map_err(|error| log::with_remedy(&error, &driver, Duration::ZERO))?;
    let is_done = !migrate.plan && !state.missing.is_empty();
    if is_done {
        log::open(&project, Duration::ZERO).await?.close().await?;
    }
    if global.json {
        output::line(&as_json(&state, is_done).to_string());
    } else {
        in_words(&state, is_done).iter().for_each(|line| output::line(line));
    }
    Ok(())
}

fn in_words(state: &SchemaState, is_done: bool) -> Vec<String> {
    let Some(found) = state.found else {
        return vec![format!("{}: it has no schema; nothing to do", state.place)];
    };
    if state.missing.is_empty() {
        return vec![format!("{}: schema version {found}; nothing to do", state.place)];
    }
    let (verb, newest) = (if is_done { "migrated" } else { "to be migrated" }, state.newest);
    let mut lines = vec![format!("{}: {verb} from schema version {found} to {newest}", state.place)];
    lines.extend((found + 1..).zip(&state.missing).map(|(version, what)| format!("  {version}  {what}")));
    lines
}

fn as_json(state: &SchemaState, is_done: bool) -> serde_json::Value {
    let steps = (state.found.unwrap_or_default() + 1..).zip(&state.missing);
    let steps: Vec<_> = steps.map(|(version, what)| json!({"version": version, "what": what})).collect();
    json!({
        "log": state.place, "found": state.found, "newest": state.newest, "steps": steps, "done": is_done,
    })
}
