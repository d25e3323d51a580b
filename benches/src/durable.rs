//! A durable call: a function behind a route reads and writes the state of its key, and the answer leaves when that is
//! on disk.

use crate::http::request;
use crate::load::{Load, wrk};
use crate::measure::ROUNDS;
use crate::process::Server;
use crate::report::{Row, Target};
use crate::weir::Weir;
use anyhow::ensure;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls under way at a time.
pub(crate) const CONNECTIONS: u32 = 64;
/// Of each round.
pub(crate) const SECONDS: u32 = 4;

const ADD: &str = "local state = require 'state'
return function(args)
  local seen = (state.get('counters', args.key) or 0) + 1
  state.set('counters', args.key, seen)
  return seen
end";

/// A server that takes such calls.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) server: Server,
    pub(crate) ready: Duration,
    port: u16,
    script: PathBuf,
}

impl Durable {
    /// A server that counts the calls of `KEY` at `POST <before>KEY<after>`; it is called to see that it does.
    pub(crate) fn new(
        folder: &Path,
        server: Server,
        ready: Duration,
        port: u16,
        (before, after): (&str, &str),
    ) -> anyhow::Result<Self> {
        for seen in 1..=3 {
            let answer = request("POST", port, &format!("{before}checked{after}"), "")?;
            let answer: serde_json::Value = serde_json::from_str(&answer)?;
            let count = answer.get("data").unwrap_or(&answer);
            ensure!(count == seen, "call {seen} of a key was answered by {answer}");
        }
        let script = folder.join("call.lua");
        let text = format!(
            "local calls = 0
             function request()
               calls = calls + 1
               return wrk.format('POST', '{before}key-' .. calls % 1000 .. '{after}')
             end"
        );
        fs::write(&script, text)?;
        Ok(Self { server, ready, port, script })
    }

    /// Calls it over so many connections, on 1000 keys in turn.
    pub(crate) fn load(&self, connections: u32) -> anyhow::Result<Load> {
        wrk(&format!("http://127.0.0.1:{}/", self.port), connections, SECONDS, Some(&self.script))
    }
}

/// Ours, with the embedded log in `folder`.
pub(crate) fn start(folder: &Path, traced: Option<&Path>) -> anyhow::Result<Durable> {
    let files = [
        ("app/gateway.lua", "return {{'POST', '/add/:key', 'add'}}"),
        ("app/add.lua", ADD),
        ("config/application.yml", "appName: counters\n"),
    ];
    let weir = Weir::start(folder, &files, &["--log", "sqlite"], ("POST", "/add/first"), traced)?;
    Durable::new(folder, weir.server, weir.ready, weir.port, ("/add/", ""))
}

/// Ours alone: `make bench-peers` holds it against Restate.
pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir_in(".")?;
    let ours = start(folder.path(), None)?;
    let rounds = (0..ROUNDS).map(|_| ours.load(CONNECTIONS)).collect::<anyhow::Result<Vec<_>>>()?;
    let load = Load::median(&rounds);
    let path = format!("durable call with state, embedded, {CONNECTIONS} connections");
    let against = "Restate: measured by `make bench-peers`";
    Ok(vec![Row::alone(path, against, load.shown(), load.per_second, Target::None)])
}
