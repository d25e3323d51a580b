//! The machine that the figures are of.

use crate::measure::median;
use anyhow::Context as _;
use std::io::Write as _;
use std::time::Instant;

/// What is worth knowing of it.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) machine: String,
    /// Median time to write and sync 300 bytes.
    pub(crate) sync_ms: f64,
}

impl Probe {
    pub(crate) fn take() -> anyhow::Result<Self> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
            .map_or("?", |(_, m)| m.trim());
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let machine = format!("{cores} cores of {model}, Linux {}.", kernel.trim());
        Ok(Self { machine, sync_ms: sync_ms()? })
    }
}

/// The median time that the disk takes to sync 300 appended bytes.
pub(crate) fn sync_ms() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile_in(".").context("make a file to sync")?;
    let mut times = Vec::new();
    for _ in 0..300 {
        let started = Instant::now();
        file.write_all(&[7; 300])?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times))
}
