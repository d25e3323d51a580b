//! Other programs: servers under load, and what they use.

use crate::syncs;
use anyhow::{Context as _, bail};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to answer its first request.
const READY: Duration = Duration::from_secs(20);

/// A server that ends with its owner.
#[derive(Debug)]
pub(crate) struct Server(Child);

impl Server {
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Ok(Self(child.with_context(|| format!("start {command:?}"))?))
    }

    /// Starts it; with `traced`, each of its syncs leaves a line there.
    pub(crate) fn start_traced(mut command: Command, traced: Option<&Path>) -> anyhow::Result<Self> {
        match traced {
            Some(file) => Self::start(&mut syncs::traced(&command, file)),
            None => Self::start(&mut command),
        }
    }

    /// CPU seconds of the process and its children so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<f64> {
        let mut seconds = 0.0;
        for pid in family(self.0.id())? {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |i: usize| fields.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
            seconds += (ticks(11) + ticks(12)) / 100.0; // USER_HZ is 100 on every Linux that matters here
        }
        Ok(seconds)
    }

    /// Resident memory in MiB.
    pub(crate) fn memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("a process has a VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended by itself
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut all = vec![pid];
    for child in children.split_whitespace() {
        all.extend(family(child.parse()?)?);
    }
    Ok(all)
}

/// The release binary, built if need be.
pub(crate) fn weir() -> anyhow::Result<PathBuf> {
    let built = Command::new("cargo")
        .args(["build", "-q", "--release", "-p", "weir-cli"])
        .status()
        .context("run cargo")?;
    if !built.success() {
        bail!("the release binary does not build");
    }
    Ok(target_folder()?.join("release/weir"))
}

/// The folder that cargo builds into.
pub(crate) fn target_folder() -> anyhow::Result<PathBuf> {
    let target = Command::new("cargo").args(["metadata", "--format-version=1", "--no-deps"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&target.stdout)?;
    Ok(metadata["target_directory"].as_str().context("cargo knows its target folder")?.into())
}

/// A TCP port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Waits until the address takes a connection.
pub(crate) fn wait_for(port: u16) -> anyhow::Result<()> {
    let started = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        if started.elapsed() > READY {
            bail!("nothing listens on port {port} after {READY:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
