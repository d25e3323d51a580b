//! `docs/benchmarks.md`.

use crate::probe::Probe;
use anyhow::Context as _;
use std::fmt;
use std::fmt::Write as _;

/// One figure and what it is held against.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What was done.
    pub(crate) path: String,
    /// Against what, or in which unit.
    pub(crate) against: String,
    /// Ours, as it was measured.
    pub(crate) ours: String,
    /// The reference's.
    pub(crate) reference: String,
    /// The ratio, or the figure itself where the target is absolute.
    pub(crate) value: f64,
    /// What we hold ourselves to.
    pub(crate) target: Target,
}

/// A bound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = if self.target.is_met(self.value) { "met" } else { "**short**" };
        write!(
            f,
            "| {} | {} | {} | {} | {:.2} | {} | {met} |",
            self.path, self.against, self.ours, self.reference, self.value, self.target
        )
    }
}

/// Writes the page anew.
pub(crate) fn write(rows: &[Row], before: &Probe, after: &Probe) -> anyhow::Result<()> {
    let mut page = String::from(
        "# What was measured\n\nWritten by `make bench`. Ratios are of one run on one machine; the machine is probed \
         before and after, because disks change their mind. What holds the rows that fall short is in \
         [performance.md](performance.md).\n\n",
    );
    writeln!(
        page,
        "{}\n\nSync of 300 bytes (p50): {:.3} ms before, {:.3} ms after.\n",
        before.machine, before.sync_ms, after.sync_ms
    )?;
    page.push_str(
        "| path | against | ours | reference | value | target | |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        writeln!(page, "{row}")?;
    }
    std::fs::write("docs/benchmarks.md", page)
        .context("write docs/benchmarks.md (run it from the repository's root)")
}
