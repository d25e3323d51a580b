//! `weir backup`: the log's file, copied while it is served.

use crate::args::{Backup, Global};
use crate::log;
use crate::progress::Moving;
use crate::project::Project;
use crate::{output, terminal};
use anyhow::{Context as _, bail};
use serde_json::json;
use std::process::ExitCode;
use weir_config::Flags;
use weir_log::Driver;

/// Wrong usage: this log is not backed up by this command.
const USAGE: u8 = 2;

pub(super) async fn run(global: &Global, backup: &Backup) -> anyhow::Result<ExitCode> {
    if global.url.is_some() {
        terminal::tell("weir backup reads the log's file: run it on the server's machine, without --url");
        return Ok(ExitCode::from(USAGE));
    }
    let project = Project::of_command(global, None, &Flags::default())?;
    let (log, file) = match log::config(&project).driver {
        Driver::Sqlite { path, .. } => (path, backup.file.clone()),
        Driver::Memory => {
            terminal::tell("a log in memory begins and ends with its server: there is nothing to back up");
            return Ok(ExitCode::from(USAGE));
        }
        Driver::Kafka(options) => {
            terminal::tell(&format!(
                "the events are in Kafka ({}), which keeps copies of its own; back its store up as a log of its kind",
                options.place()
            ));
            return Ok(ExitCode::from(USAGE));
        }
        Driver::Postgres(options) => {
            let line = options.dump_line(&backup.file.display().to_string());
            terminal::tell(&format!("the log is in PostgreSQL; its own program backs it up:\n  {line}"));
            return Ok(ExitCode::from(USAGE));
        }
    };
    if file.is_dir() || (file.exists() && file.canonicalize().ok() == log.canonicalize().ok()) {
        bail!("{} cannot be the backup: name a new file", file.display());
    }
    if file.exists() && !backup.yes {
        bail!("{} is there already: say --yes to replace it, or name a new file", file.display());
    }
    terminal::which_log(&log.display().to_string());
    let copy = move || {
        let mut progress = Moving::new();
        weir_log::backup(&log, &file, &mut |now| progress.show(now))
    };
    let made = tokio::task::spawn_blocking(copy).await.context("back the log up")??;
    let tables: serde_json::Map<_, _> =
        made.tables.iter().map(|(name, rows)| (name.clone(), json!(rows))).collect();
    let rows = |table: &str| tables.get(table).cloned().unwrap_or_default();
    let mut told = json!({
        "file": backup.file,
        "bytes": made.bytes,
        "topics": rows("topics"),
        "events": rows("events"),
        "rows": rows("rows"),
        "positions": rows("positions"),
    });
    if !global.json {
        told["checked"] = "integrity, and the rows of every table".into();
    }
    output::thing(&told, global.json);
    Ok(ExitCode::SUCCESS)
}
