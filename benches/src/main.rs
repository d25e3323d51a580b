//! `make bench`: the figures of `docs/benchmarks.md`, each beside its reference in the same run, medians of rounds that
//! alternate between the two. Only ratios mean something from one machine to the next. `make bench-peers` is
//! its command `peers`, `make bench-large` its command `large`, `make bench-kafka` its command `kafka`.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its figures are for people")]

mod append;
mod crowd;
mod durable;
mod functions;
mod http;
mod isolation;
mod kafka;
mod large;
mod load;
mod measure;
mod node;
mod peers;
mod postgres;
mod probe;
mod process;
mod report;
mod start;
mod store;
mod syncs;
mod trigger;
mod weir;

use anyhow::Context as _;
use report::{Part, Row};

/// As the `weir` binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A measurement by its name on the command line.
type Bench = (&'static str, fn() -> anyhow::Result<Vec<Row>>);

const BENCHES: [Bench; 8] = [
    ("append", append::run),
    ("trigger", trigger::run),
    ("start", start::run),
    ("functions", functions::run),
    ("crowd", crowd::run),
    ("isolation", isolation::run),
    ("durable", durable::run),
    ("postgres", postgres::run),
];

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    match wanted.split_first() {
        Some((first, peers)) if first == "peers" => peers::run(peers),
        Some((first, _)) if first == "large" => large::run(),
        Some((first, parts)) if first == "kafka" => kafka::run(parts),
        _ => targets(&wanted),
    }
}

/// Measures what is wanted of `BENCHES`; nothing named is all, and only all is written down.
fn targets(wanted: &[String]) -> anyhow::Result<()> {
    let before = probe::Probe::take()?;
    let mut rows = Vec::new();
    for (name, bench) in BENCHES.iter().filter(|(name, _)| is_wanted(wanted, name)) {
        eprintln!("{name} …");
        let measured = bench().with_context(|| format!("measure {name}"))?;
        measured.iter().for_each(|row| println!("{row}"));
        rows.extend(measured);
    }
    if wanted.is_empty() {
        report::write(Part::Targets, &rows, (&before, &probe::Probe::take()?), &[])?;
    }
    Ok(())
}

fn is_wanted(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|w| w == name)
}
