//! How often a server tells the disk to sync, seen from outside: what stands behind its answers.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The same command under `strace`, which leaves a line in `file` for each sync. The server stays the child itself, so
/// that ending it ends both.
pub(crate) fn traced(command: &Command, file: &Path) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-D", "-f", "-q", "--seccomp-bpf", "-e", "signal=none"]);
    strace.args(["-e", "trace=fsync,fdatasync,sync_file_range,msync", "-o"]).arg(file);
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            strace.env(name, value);
        }
    }
    strace
}

/// The syncs for each request of a load that tells how many requests it made. The more slowly they follow each other the
/// fewer share a sync; with one at a time it is at least one where each answer is on disk.
pub(crate) fn per_request(file: &Path, load: impl FnOnce() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let before = count(file)?;
    let requests = load()?;
    Ok((count(file)? - before) / requests)
}

fn count(file: &Path) -> anyhow::Result<f64> {
    // a call that another thread interrupts takes two lines, of which the second is `resumed`
    let syncs =
        fs::read_to_string(file)?.lines().filter(|l| l.contains("sync") && !l.contains("resumed")).count();
    Ok(syncs as f64)
}
