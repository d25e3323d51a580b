//! The process's own log: on stderr, pretty or JSON.

use anyhow::Context as _;
use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;
use weir_config::LogFormat;

/// Starts it. `level` is a level or a filter as `weir_triggers=debug,info`.
pub(crate) fn start(level: Option<&str>, format: LogFormat, is_dev: bool) -> anyhow::Result<()> {
    let filter = EnvFilter::builder().parse(level.unwrap_or("info"));
    let filter = filter.with_context(|| format!("--log-level {:?}", level.unwrap_or_default()))?;
    let registry = tracing_subscriber::registry().with(filter);
    let stderr = fmt::layer().with_writer(std::io::stderr).with_ansi(colours());
    match format {
        LogFormat::Json => registry.with(stderr.json().flatten_event(true)).try_init(),
        LogFormat::Pretty if is_dev => {
            registry.with(stderr.compact().without_time().with_target(false)).try_init()
        }
        LogFormat::Pretty => registry.with(stderr.compact()).try_init(),
    }
    .context("start the log")
}

/// Colours only on a terminal, and not against the user's wish (<https://no-color.org>).
pub(crate) fn colours() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    std::io::stderr().is_terminal() && !is_unwanted
}
