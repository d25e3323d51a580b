//! `weir config show`: each effective value and where it came from.

use crate::args::{ConfigAction, Global};
use crate::output;
use crate::project::Project;
use serde_json::json;
use weir_config::{Flags, Mode};

pub(super) fn run(global: &Global, action: &ConfigAction) -> anyhow::Result<()> {
    let ConfigAction::Show = action;
    let mode = match global.env.as_deref() {
        None | Some("development") => Mode::Dev,
        Some(_) => Mode::Start,
    };
    let project = Project::open(global, None, mode, &Flags::default())?;
    let rows = project
        .loaded
        .entries()
        .iter()
        .map(|e| json!({ "key": e.path, "value": e.value, "origin": e.origin.to_string() }));
    output::list(&rows.collect::<Vec<_>>(), global.json, &["key", "value", "origin"]);
    Ok(())
}
