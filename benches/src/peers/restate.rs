//! Restate: durable calls that read and write keyed state. Its server and its SDK for Node come from npm.

use super::{Beside, folder, output};
use crate::durable::{self, CONNECTIONS, Durable};
use crate::http::{request, until_answered};
use crate::load::Load;
use crate::measure::in_turns;
use crate::process::{Server, free_port, wait_for};
use crate::report::{Row, Target};
use crate::syncs;
use anyhow::Context as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PACKAGE: &str = include_str!("../../peers/restate/package.json");
const HANDLER: &str = include_str!("../../peers/restate/handler.mjs");

pub(crate) fn run() -> anyhow::Result<Beside> {
    let installed = Installed::new()?;
    let data = tempfile::tempdir_in(".")?;
    let ours = durable::start(&new_folder(data.path(), "ours")?, None)?;
    let theirs = installed.start(&new_folder(data.path(), "theirs")?, None)?;
    std::thread::sleep(Duration::from_secs(1)); // idle: what starting took is given back
    let memory = (ours.server.memory()?, theirs.calls.server.memory()?);
    theirs.calls.load(CONNECTIONS)?; // the handler's engine compiles what is often run
    let many = paired(&ours, &theirs.calls, CONNECTIONS)?;
    let one = paired(&ours, &theirs.calls, 1)?;
    let ready = (ours.ready.as_secs_f64() * 1e3, theirs.calls.ready.as_secs_f64() * 1e3);
    let handler = theirs.handler.memory()?;
    drop((ours, theirs)); // what follows has the machine for itself
    let row = |path: &str, (ours, reference): (String, String), value, target| Row {
        path: path.into(),
        against: installed.version.clone(),
        ours,
        reference,
        value,
        target,
    };
    let shown = |(ours, theirs): &(Load, Load)| (ours.shown(), theirs.shown());
    let mut notes = installed.syncs(data.path())?;
    notes.push(format!(
        "Restate as it comes (its defaults, one node, 24 partitions), its handler in Node {} with {handler:.0} MiB \
         beside the server. It is ready when its ingress says that it is healthy; Weir when it has answered its first \
         durable call.",
        installed.node
    ));
    Ok(Beside {
        rows: vec![
            row(
                "durable call with state, embedded, 64 connections",
                shown(&many),
                many.0.per_second / many.1.per_second,
                Target::AtLeast(10.0),
            ),
            row(
                "durable call with state, embedded, one connection, p50",
                shown(&one),
                one.1.p50_ms / one.0.p50_ms,
                Target::None,
            ),
            row(
                "from exec to ready",
                (format!("{:.0} ms", ready.0), format!("{:.0} ms", ready.1)),
                ready.1 / ready.0,
                Target::None,
            ),
            row(
                "idle memory",
                (format!("{:.0} MiB", memory.0), format!("{:.0} MiB", memory.1)),
                memory.1 / memory.0,
                Target::None,
            ),
        ],
        notes,
    })
}

fn new_folder(parent: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let folder = parent.join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

fn paired(ours: &Durable, theirs: &Durable, connections: u32) -> anyhow::Result<(Load, Load)> {
    let (ours, theirs) = in_turns(|| ours.load(connections), || theirs.load(connections))?;
    Ok((Load::median(&ours), Load::median(&theirs)))
}

/// The server and the handler, on disk.
#[derive(Debug)]
struct Installed {
    server: PathBuf,
    handler: PathBuf,
    version: String,
    node: String,
}

impl Installed {
    fn new() -> anyhow::Result<Self> {
        let folder = folder("restate")?;
        fs::write(folder.join("package.json"), PACKAGE)?;
        fs::write(folder.join("handler.mjs"), HANDLER)?;
        // no scripts: those of the packages only tell their maker that they were installed
        let options = ["install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
        output(Command::new("npm").args(options).current_dir(&folder))?;
        let server = fs::read_dir(folder.join("node_modules/@restatedev"))?
            .filter_map(|entry| Some(entry.ok()?.path().join("bin/restate-server")))
            .find(|path| path.exists())
            .context("npm has no restate-server for this machine")?;
        let version = output(Command::new(&server).arg("--version"))?;
        let version = version.split_whitespace().nth(1).context("a version is printed")?;
        Ok(Self {
            version: format!("Restate {version}"),
            server,
            handler: folder.join("handler.mjs"),
            node: output(Command::new("node").arg("--version"))?,
        })
    }

    /// Serves calls, with its data in `folder`.
    fn start(&self, folder: &Path, traced: Option<&Path>) -> anyhow::Result<Restate> {
        let handler_port = free_port()?;
        let handler = Server::start(Command::new("node").arg(&self.handler).arg(handler_port.to_string()))?;
        wait_for(handler_port)?;
        let (ingress, admin, node) = (free_port()?, free_port()?, free_port()?);
        let mut command = Command::new(&self.server);
        command.args(["--listen-mode", "tcp", "--log-filter", "warn", "--base-dir"]).arg(folder);
        command.args(["--bind-address", &format!("127.0.0.1:{node}")]);
        command.env("RESTATE_INGRESS__BIND_ADDRESS", format!("127.0.0.1:{ingress}"));
        command.env("RESTATE_ADMIN__BIND_ADDRESS", format!("127.0.0.1:{admin}"));
        command.env("RESTATE_DISABLE_TELEMETRY", "true");
        let started = Instant::now();
        let server = Server::start_traced(command, traced)?;
        until_answered("GET", ingress, "/restate/health")?;
        let ready = started.elapsed();
        until_answered("GET", admin, "/health")?;
        let deployment = format!("{{\"uri\":\"http://127.0.0.1:{handler_port}\"}}");
        request("POST", admin, "/deployments", &deployment).context("register the handler")?;
        let calls = Durable::new(folder, server, ready, ingress, ("/counter/", "/add"))?;
        Ok(Restate { calls, handler })
    }

    /// What both sync when calls come one after the other.
    fn syncs(&self, data: &Path) -> anyhow::Result<Vec<String>> {
        let (ours_trace, theirs_trace) = (data.join("ours.syncs"), data.join("theirs.syncs"));
        let ours = durable::start(&new_folder(data, "ours traced")?, Some(&ours_trace))?;
        let ours = syncs::per_request(&ours_trace, || Ok(ours.load(1)?.requests))?;
        let theirs = self.start(&new_folder(data, "theirs traced")?, Some(&theirs_trace))?;
        let theirs = syncs::per_request(&theirs_trace, || Ok(theirs.calls.load(1)?.requests))?;
        Ok(vec![format!(
            "Durable calls: over one connection Weir syncs {ours:.2} times a call (its one log, once for all that wait), \
             Restate {theirs:.2} times (counted by `strace` in a run of its own)."
        )])
    }
}

/// A server and its handler.
#[derive(Debug)]
struct Restate {
    calls: Durable,
    handler: Server,
}
