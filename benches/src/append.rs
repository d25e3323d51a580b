//! Appends to the embedded log: the log's own bench, whose last line is its result.

use crate::report::{Row, Target};
use anyhow::{Context as _, bail};
use std::process::Command;

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let out = Command::new("cargo").args(["bench", "-q", "-p", "weir-log", "--bench", "append"]).output();
    let out = out.context("run cargo")?;
    if !out.status.success() {
        bail!("{}", String::from_utf8_lossy(&out.stderr));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let result = text.lines().rev().find_map(|l| l.strip_prefix("RESULT "));
    let result: serde_json::Value =
        serde_json::from_str(result.context("the bench printed no RESULT line")?)?;
    let number = |name: &str| result[name].as_f64().with_context(|| format!("the RESULT line has no {name}"));
    Ok(vec![
        Row {
            path: "append, embedded, 256 writers".into(),
            against: "raw SQLite batches of the same rows".into(),
            ours: format!("{:.0}/s", number("writers_per_s")?),
            reference: format!("{:.0}/s", number("raw_per_s")?),
            value: number("writers_per_s")? / number("raw_per_s")?,
            target: Target::AtLeast(0.6),
        },
        Row {
            path: "append, one writer, p50".into(),
            against: "the disk's own sync time".into(),
            ours: format!("{:.3} ms", number("one_ms")?),
            reference: format!("{:.3} ms", number("sync_ms")?),
            value: number("one_ms")? / number("sync_ms")?,
            target: Target::AtMost(1.5),
        },
    ])
}
