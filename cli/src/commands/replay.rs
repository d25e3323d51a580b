//! `weir replay`: run a range of a topic again, dry or in place, and look after what runs.

use crate::api::{Api, encode};
use crate::args::{Replay, ReplayAction};
use crate::commands::functions::list;
use crate::{output, progress, terminal};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures::StreamExt as _;
use http::Method;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// How often the progress is asked for.
const LOOK: Duration = Duration::from_millis(200);

/// How it ends when no mode is named: wrong usage.
const USAGE: u8 = 2;

const SHADOW_IS_LATER: &str = "--shadow comes with a later version; there are --dry-run and --in-place";

pub(super) async fn run(api: &Api, replay: &Replay, json: bool) -> anyhow::Result<ExitCode> {
    if let Some(action) = &replay.action {
        return act(api, action, json).await;
    }
    if replay.shadow {
        bail!("{SHADOW_IS_LATER}");
    }
    if replay.dry_run {
        return dry_run(api, replay, json).await;
    }
    let plan = api.call(Method::POST, "/v1/replays?plan=true", Some(body(replay, None))).await?;
    if !replay.in_place {
        terminal::tell(&explain(replay, &plan));
        return Ok(ExitCode::from(USAGE));
    }
    terminal::confirm(&question(replay, &plan), replay.yes)?;
    let begun = api.call(Method::POST, "/v1/replays", Some(body(replay, Some("in-place")))).await?;
    let name = begun["name"].as_str().context("the server's answer names no replay")?.to_owned();
    if replay.detach {
        output::thing(&begun, json);
        return Ok(ExitCode::SUCCESS);
    }
    watch(api, &name, json).await
}

async fn act(api: &Api, action: &ReplayAction, json: bool) -> anyhow::Result<ExitCode> {
    let (name, act) = match action {
        ReplayAction::List => {
            let columns = [
                "name",
                "mode",
                "state",
                "topic",
                "function",
                "done",
                "total",
                "rate",
                "eta_seconds",
                "parked",
            ];
            list(api, "/v1/replays", json, &columns).await?;
            return Ok(ExitCode::SUCCESS);
        }
        ReplayAction::Show { name } => (name, None),
        ReplayAction::Pause { name } => (name, Some("pause")),
        ReplayAction::Resume { name } => (name, Some("resume")),
        ReplayAction::Cancel { name } => (name, Some("cancel")),
        ReplayAction::Promote { name } => (name, Some("promote")),
        ReplayAction::Rollback { name } => (name, Some("rollback")),
        ReplayAction::Compare { name } => {
            let compared = api.get(&format!("/v1/replays/{}/compare", encode(name))).await?;
            output::thing(&compared, json);
            return Ok(ExitCode::SUCCESS);
        }
    };
    let path = format!("/v1/replays/{}", encode(name));
    let replay = match act {
        Some(act) => api.call(Method::POST, &format!("{path}/{act}"), None).await?,
        None => api.get(&path).await?,
    };
    show(&replay, json);
    Ok(ExitCode::SUCCESS)
}

fn body(replay: &Replay, mode: Option<&str>) -> Value {
    json!({
        "topic": replay.topic,
        "function": replay.function,
        "mode": mode,
        "from": replay.from,
        "to": replay.to,
        "partition": replay.partition,
        "key": replay.key,
        "rate": replay.rate,
        "emit": replay.emit,
        "allow_http": replay.allow_http,
        "name": replay.name,
    })
}

fn tables(plan: &Value) -> String {
    match output::text(&plan["tables"]) {
        none if none.is_empty() => "none that it is known to have written".to_owned(),
        tables => tables,
    }
}

/// What the modes would do with this range.
fn explain(replay: &Replay, plan: &Value) -> String {
    let (topic, function) = (output::text(&plan["topic"]), output::text(&plan["function"]));
    let (all, handled) = (&plan["events"], &plan["events_in_place"]);
    let appends = if replay.emit { "appends are committed" } else { "appends are suppressed without --emit" };
    format!(
        "{topic} → {function}: {all} events. Name a mode:
  --dry-run   runs {all} events, commits nothing, and tells what would be appended and written
  --in-place  runs {handled} events that were handled already again, on the live tables ({tables}); \
         counters count them again, {appends}
  --shadow    builds the tables anew beside the live ones (comes with a later version)",
        tables = tables(plan),
    )
}

fn question(replay: &Replay, plan: &Value) -> String {
    let (topic, function) = (output::text(&plan["topic"]), output::text(&plan["function"]));
    let live = match plan["live"].as_str() {
        Some(live) => format!(" {live} stands still meanwhile."),
        None => String::new(),
    };
    let appends = if replay.emit { "Its appends are committed." } else { "Its appends are suppressed." };
    let key = replay.key.as_ref().map(|k| format!(" (those of the key {k} alone)")).unwrap_or_default();
    format!(
        "Run {} events of {topic}{key} through {function} again, on the live tables ({}; those of functions that it calls \
         are not listed)? Counters count them again. {appends}{live}",
        plan["events_in_place"],
        tables(plan),
    )
}

/// Shows the progress until it is over; Ctrl-C leaves it alone.
async fn watch(api: &Api, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let bar = progress_bar();
    let path = format!("/v1/replays/{}", encode(name));
    let over = async {
        loop {
            let replay = api.get(&path).await?;
            draw(&bar, &replay);
            if !matches!(replay["state"].as_str(), Some("running" | "paused")) {
                return anyhow::Ok(replay);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let replay = tokio::select! {
        replay = over => replay?,
        stopped = tokio::signal::ctrl_c() => {
            stopped.context("wait for Ctrl-C")?;
            bar.abandon();
            terminal::tell(&format!("{name} goes on in the server: weir replay show {name}, weir replay cancel {name}"));
            return Ok(ExitCode::SUCCESS);
        }
    };
    bar.finish_and_clear();
    show(&replay, json);
    let is_good = replay["state"] == "done" && replay["parked"] == 0;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn progress_bar() -> ProgressBar {
    progress::bar("{bar:30} {pos}/{len} {msg}")
}

fn draw(bar: &ProgressBar, replay: &Value) {
    bar.set_length(replay["total"].as_u64().unwrap_or_default());
    bar.set_position(replay["done"].as_u64().unwrap_or_default());
    let eta = replay["eta_seconds"].as_f64().map(|s| format!(" {s:.0} s left")).unwrap_or_default();
    let parked =
        replay["parked"].as_u64().filter(|n| *n > 0).map(|n| format!(" {n} parked")).unwrap_or_default();
    let state = replay["state"].as_str().filter(|s| *s == "paused").unwrap_or_default();
    let rate = replay["rate"].as_f64().unwrap_or_default();
    bar.set_message(format!("{rate:.0}/s{eta}{parked} {state}"));
}

fn show(replay: &Value, json: bool) {
    if json {
        output::thing(replay, true);
        return;
    }
    let mut replay = replay.clone();
    let failures = replay.as_object_mut().and_then(|r| r.remove("failures"));
    output::thing(&replay, false);
    failures.iter().filter_map(Value::as_array).flatten().for_each(tell_failure);
}

fn tell_failure(failure: &Value) {
    let error = failure["error"].as_str().unwrap_or("not run: an earlier event of its key failed");
    let key = failure["key"].as_str().map(|k| format!(" (key {k})")).unwrap_or_default();
    output::line(&format!(
        "failed: partition {} offset {}{key}: {error}",
        failure["partition"], failure["offset"]
    ));
}

/// Shows what comes of a dry run: with `json` every effect, else the failures and the sums.
async fn dry_run(api: &Api, replay: &Replay, json: bool) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/replays?effects={json}");
    let body = Bytes::from(body(replay, Some("dry-run")).to_string());
    let mut stream = api.stream(Method::POST, &path, "application/x-ndjson", body).await?;
    let bar = progress_bar();
    let (mut text, mut report) = (Vec::new(), None);
    while let Some(piece) = stream.next().await {
        text.extend_from_slice(&piece?);
        while let Some(end) = text.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let line: Value = serde_json::from_slice(&line).context("the server's line is not JSON")?;
            if let Some(error) = line["error"].as_str() {
                bail!("{error}");
            }
            if let Some(progress) = line.get("progress") {
                draw(&bar, progress);
                continue;
            }
            report = line.get("report").cloned().or(report);
            bar.suspend(|| tell_line(&line, json));
        }
    }
    bar.finish_and_clear();
    let report = report.context("the server ended the dry run before its end")?;
    if !json {
        tell_report(&report);
    }
    Ok(if report["parked"] == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn tell_line(line: &Value, json: bool) {
    if json {
        output::line(&line.to_string());
    } else if let Some(failure) = line.get("failure") {
        tell_failure(failure);
    }
}

fn tell_report(report: &Value) {
    let sums = |field: &str| report[field].as_object().cloned().unwrap_or_default();
    output::line(&format!(
        "{} events, {} run, {} passed over, {} failed or behind one that did; nothing was committed",
        report["done"], report["run"], report["passed_over"], report["parked"]
    ));
    let suppressed = if report["emit"] == true { "" } else { " (suppressed without --emit)" };
    for (topic, count) in sums("appends") {
        output::line(&format!("would append {count} to {topic}{suppressed}"));
    }
    for (table, count) in sums("rows") {
        output::line(&format!("would write {count} rows of {table}"));
    }
}
