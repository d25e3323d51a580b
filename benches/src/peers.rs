//! `make bench-peers`: what users would pick instead, on the same work, in the same run. A peer that cannot be installed
//! or measured is named with the reason, never left out.

mod nats;
mod queues;
mod restate;

use crate::probe::Probe;
use crate::process::target_folder;
use crate::report::{Part, Row};
use crate::{functions, is_wanted, report};
use anyhow::{Context as _, bail};
use std::path::PathBuf;
use std::process::Command;

/// What was found beside one peer.
#[derive(Debug)]
struct Beside {
    rows: Vec<Row>,
    /// What each of the two syncs, and how they were set.
    notes: Vec<String>,
}

/// A peer by its name on the command line.
type Peer = (&'static str, fn() -> anyhow::Result<Beside>);

const PEERS: [Peer; 4] =
    [("restate", restate::run), ("nats", nats::run), ("queues", queues::run), ("nginx", nginx)];

/// Measures beside the wanted peers; nothing named is all, and only all is written down.
pub(crate) fn run(wanted: &[String]) -> anyhow::Result<()> {
    let before = Probe::take()?;
    let (mut rows, mut notes, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for (name, peer) in PEERS.iter().filter(|(name, _)| is_wanted(wanted, name)) {
        eprintln!("{name} …");
        match peer() {
            Ok(beside) => {
                beside.rows.iter().for_each(|row| println!("{row}"));
                beside.notes.iter().for_each(|note| println!("- {note}"));
                rows.extend(beside.rows);
                notes.extend(beside.notes);
            }
            Err(e) => missing.push(format!("**{name} is missing**: {}", format!("{e:#}").replace('\n', " "))),
        }
    }
    if wanted.is_empty() {
        notes.extend(missing.clone());
        report::write(Part::Peers, &rows, (&before, &Probe::take()?), &notes)?;
    }
    if missing.is_empty() { Ok(()) } else { bail!("not everything was measured\n{}", missing.join("\n")) }
}

/// The row of `make bench`, here because nginx with Lua is a peer too.
fn nginx() -> anyhow::Result<Beside> {
    let notes = vec!["Hello keeps nothing, so neither nginx nor Weir syncs anything there.".to_owned()];
    Ok(Beside { rows: functions::hello()?, notes })
}

/// Where a peer is installed: below what cargo builds into, so that nothing of it is kept in the repository.
pub(crate) fn folder(peer: &str) -> anyhow::Result<PathBuf> {
    let folder = target_folder()?.join("peers").join(peer);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Installs a peer from npm, and writes what we run with it beside it. Returns its folder.
fn npm(peer: &str, files: &[(&str, &str)]) -> anyhow::Result<PathBuf> {
    let folder = folder(peer)?;
    for (name, text) in files {
        std::fs::write(folder.join(name), text)?;
    }
    // no scripts: those of the packages only tell their maker that they were installed
    let options = ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
    output(Command::new("npm").args(options).current_dir(&folder))?;
    Ok(folder)
}

/// What a program prints, if it succeeds.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let out = command.output().with_context(|| format!("run {:?}", command.get_program()))?;
    if !out.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}
