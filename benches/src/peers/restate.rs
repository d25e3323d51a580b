//! Restate: durable calls that read and write keyed state. Its server and its SDK for Node come from npm.

use super::{Beside, npm, output};
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
    let idle = installed.idle(&ours, &theirs.calls)?;
    let mut rows = installed.called(&ours, &theirs.calls)?;
    rows.extend(idle);
    let handler_mib = theirs.handler.memory()?;
    drop((ours, theirs)); // what follows has the machine for itself
    let setting = format!(
        "Restate as it comes (its defaults, one node, 24 partitions), its handler in Node {} with {handler_mib:.0} MiB \
         after the load, beside the server. It is ready when its ingress says that it is healthy; Weir when it has \
         answered its first durable call.",
        installed.node
    );
    Ok(Beside { rows, notes: vec![installed.syncs(data.path())?, setting] })
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
        let folder = npm("restate", &[("package.json", PACKAGE), ("handler.mjs", HANDLER)])?;
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

    /// Before any load.
    fn idle(&self, ours: &Durable, theirs: &Durable) -> anyhow::Result<Vec<Row>> {
        std::thread::sleep(Duration::from_secs(1)); // what starting took is given back
        let row = |path: &str, unit: &str, ours: f64, theirs: f64| {
            let shown = |figure: f64| format!("{figure:.0} {unit}");
            self.row(path, (shown(ours), shown(theirs)), theirs / ours, Target::None)
        };
        let ms = |durable: &Durable| durable.ready.as_secs_f64() * 1e3;
        Ok(vec![
            row("from exec to ready", "ms", ms(ours), ms(theirs)),
            row("idle memory", "MiB", ours.server.memory()?, theirs.server.memory()?),
        ])
    }

    /// Under load.
    fn called(&self, ours: &Durable, theirs: &Durable) -> anyhow::Result<Vec<Row>> {
        theirs.load(CONNECTIONS)?; // the handler's engine compiles what is often run
        let (many, their_many) = paired(ours, theirs, CONNECTIONS)?;
        let (one, their_one) = paired(ours, theirs, 1)?;
        Ok(vec![
            self.row(
                "durable call with state, embedded, 64 connections",
                (many.shown(), their_many.shown()),
                many.per_second / their_many.per_second,
                Target::AtLeast(10.0),
            ),
            self.row(
                "durable call with state, embedded, one connection, p50",
                (one.shown(), their_one.shown()),
                their_one.p50_ms / one.p50_ms,
                Target::None,
            ),
        ])
    }

    fn row(&self, path: &str, (ours, reference): (String, String), value: f64, target: Target) -> Row {
        Row { path: path.into(), against: self.version.clone(), ours, reference, value, target }
    }

    /// What both sync when calls come one after the other.
    fn syncs(&self, data: &Path) -> anyhow::Result<String> {
        let (ours_trace, theirs_trace) = (data.join("ours.syncs"), data.join("theirs.syncs"));
        let ours = durable::start(&new_folder(data, "ours traced")?, Some(&ours_trace))?;
        let ours = syncs::per_request(&ours_trace, || Ok(ours.load(1)?.requests))?;
        let theirs = self.start(&new_folder(data, "theirs traced")?, Some(&theirs_trace))?;
        let theirs = syncs::per_request(&theirs_trace, || Ok(theirs.calls.load(1)?.requests))?;
        Ok(format!(
            "Durable calls: over one connection Weir syncs {ours:.2} times a call (its one log, once for all that wait), \
             Restate {theirs:.2} times (counted by `strace` in a run of its own)."
        ))
    }
}

/// A server and its handler.
#[derive(Debug)]
struct Restate {
    calls: Durable,
    handler: Server,
}
