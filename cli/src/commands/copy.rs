//! `weir copy`: the whole log into another one.

use super::stopped_project;
use crate::args::{Copy, Global};
use crate::log;
use crate::progress::Moving;
use crate::project::Project;
use crate::{output, terminal};
use anyhow::bail;
use serde_json::json;
use std::path::Path;
use weir_log::{Copied, Driver};

/// What the connection strings of PostgreSQL begin with.
const POSTGRES: [&str; 5] = ["postgres://", "postgresql://", "host=", "dbname=", "user="];

pub(super) async fn run(global: &Global, copy: &Copy) -> anyhow::Result<()> {
    let project = stopped_project(global)?;
    let to = target(&project, &copy.to)?;
    let mut progress = Moving::new();
    let app = &project.config().app_name;
    let copied = weir_log::copy(log::config(&project).driver, to, app, &mut |now| progress.show(now)).await;
    drop(progress);
    show(&copied?, global.json)
}

fn target(project: &Project, url: &str) -> anyhow::Result<Driver> {
    if url == "memory" {
        return Ok(Driver::Memory);
    }
    if POSTGRES.iter().any(|begin| url.starts_with(begin)) {
        return Ok(Driver::Postgres(log::server(project, url)));
    }
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    if path.contains("://") || path.is_empty() || Path::new(path).is_dir() {
        bail!(
            "--to {url:?} is no log: write postgres://USER@HOST/DATABASE, sqlite:PATH or the path of a file"
        );
    }
    Ok(Driver::sqlite(path))
}

fn show(copied: &Copied, json: bool) -> anyhow::Result<()> {
    let mut told = json!({
        "from": copied.from,
        "to": copied.to,
        "topics": copied.topics,
        "events": copied.events,
        "rows": copied.rows,
        "positions": copied.positions,
        "copied_before": copied.before,
    });
    if json {
        told["differences"] = copied.differences.clone().into();
        let tally = |t: &weir_log::Tally| json!({"name": t.name, "count": t.count, "digest": t.digest});
        told["compared"] = copied.tallies.iter().map(tally).collect();
    }
    output::thing(&told, json);
    if copied.differences.is_empty() {
        terminal::tell(
            "The two are the same. To use the copy, name it in logStorage; the original stays as it is.",
        );
        return Ok(());
    }
    for difference in &copied.differences {
        terminal::tell(difference);
    }
    bail!("the copy differs from the original, and stays closed: delete {}, and copy again", copied.to)
}
