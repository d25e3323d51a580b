//! `weir config show`: each effective value and where it came from.

use crate::args::{ConfigAction, Global};
use crate::output;
use crate::project::Project;
use serde_json::json;
use weir_config::Flags;

pub(super) fn run(global: &Global, action: &ConfigAction) -> anyhow::Result<()> {
    let ConfigAction::Show = action;
    let project = Project::of_command(global, None, &Flags::default())?;
    let rows = project
        .loaded
        .entries()
        .iter()
        .map(|e| json!({ "key": e.path, "value": e.value, "origin": e.origin.to_string() }));
    output::list(&rows.collect::<Vec<_>>(), global.json, &["key", "value", "origin"]);
    Ok(())
}
