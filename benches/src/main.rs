//! `make bench`: the figures of `docs/benchmarks.md`, each beside its reference in the same run, medians of rounds that
//! alternate between the two. Only ratios mean something from one machine to the next.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its figures are for people")]

mod append;
mod hello;
mod measure;
mod node;
mod probe;
mod process;
mod report;
mod start;
mod trigger;

use anyhow::Context as _;
use report::Row;

/// A measurement by its name on the command line.
type Bench = (&'static str, fn() -> anyhow::Result<Vec<Row>>);

const BENCHES: [Bench; 4] =
    [("append", append::run), ("trigger", trigger::run), ("start", start::run), ("hello", hello::run)];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let before = probe::Probe::take()?;
    let mut rows = Vec::new();
    for (name, bench) in BENCHES.iter().filter(|(n, _)| wanted.is_empty() || wanted.iter().any(|w| w == n)) {
        eprintln!("{name} …");
        let measured = bench().with_context(|| format!("measure {name}"))?;
        measured.iter().for_each(|row| println!("{row}"));
        rows.extend(measured);
    }
    let after = probe::Probe::take()?;
    if wanted.is_empty() {
        report::write(&rows, &before, &after)?;
        println!("written to docs/benchmarks.md");
    }
    Ok(())
}
