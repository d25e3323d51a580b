//! `weir import spacer`: the events of a Spacer database, and where its triggers stood.

use super::stopped_project;
use crate::args::{Global, Spacer};
use crate::log;
use crate::node::create_topics;
use crate::progress::Moving;
use crate::project::Project;
use crate::{output, terminal};
use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use std::time::Duration;
use weir_log::{Driver, Imported, SpacerImport, SpacerTopic};
use weir_schema::GroupName;

pub(super) async fn spacer(global: &Global, args: &Spacer) -> anyhow::Result<()> {
    let project = stopped_project(global)?;
    let what = SpacerImport {
        from: log::server(&project, &args.conn),
        group: project.config().consumer_group.clone(),
        topics: topics(&project, args.topic.as_deref())?,
    };
    let driver = log::config(&project).driver;
    if matches!(driver, Driver::Memory) {
        bail!("the log is in memory, and would be gone again: name another one in logStorage");
    }
    let opened = log::open(&project, Duration::ZERO).await?;
    let writer = opened.capabilities().writer;
    let created = create_topics(&project, &*opened).await;
    opened.close().await.context("close the log")?;
    created?;
    let mut progress = Moving::new();
    let imported = weir_log::import_spacer(&what, driver, writer, &mut |now| progress.show(now)).await;
    drop(progress);
    let (imported, others) = imported.map_err(|error| {
        let breaks_off = error.is_retryable();
        let error = anyhow::Error::from(error);
        if breaks_off {
            error.context("the import broke off; run it again, it goes on where it was")
        } else {
            error
        }
    })?;
    show(&what.group, &imported, global.json);
    for other in others.iter().filter(|_| args.topic.is_none()) {
        terminal::tell(&format!("Spacer's topic {other} is not in the configuration: left out"));
    }
    Ok(())
}

/// The topics that are asked for, with their triggers.
fn topics(project: &Project, only: Option<&str>) -> anyhow::Result<Vec<SpacerTopic>> {
    let config = project.config();
    let triggers = |topic: &weir_config::Topic| -> Vec<GroupName> {
        let own = config.triggers.iter().filter(|trigger| trigger.topic == topic.name);
        own.map(|trigger| trigger.group.clone()).collect()
    };
    let asked = config.topics.iter().filter(|topic| only.is_none_or(|only| only == topic.name.as_str()));
    let topics: Vec<_> =
        asked.map(|topic| SpacerTopic { name: topic.name.clone(), triggers: triggers(topic) }).collect();
    match only {
        Some(only) if topics.is_empty() => {
            bail!("there is no topic {only} in the configuration: add it to topics")
        }
        _ => Ok(topics),
    }
}

fn show(group: &str, imported: &[Imported], json: bool) {
    let names = |groups: &[GroupName]| -> Vec<String> { groups.iter().map(ToString::to_string).collect() };
    let row = |one: &Imported| {
        json!({
            "topic": one.topic,
            "imported": one.events,
            "imported_before": one.before,
            "to_run": one.to_run,
            "triggers": names(&one.moved),
            "triggers_kept": names(&one.kept),
        })
    };
    let rows: Vec<Value> = imported.iter().map(row).collect();
    output::list(&rows, json, &["topic", "imported", "imported_before", "to_run", "triggers"]);
    for one in imported.iter().filter(|one| !one.kept.is_empty()) {
        let kept = names(&one.kept).join(", ");
        terminal::tell(&format!(
            "{kept}: goes on where it is: it has moved by itself, or the topic holds events of its own"
        ));
    }
    terminal::tell(&format!(
        "to_run: what Spacer's group {group} has not handled; it runs when the server starts"
    ));
}
