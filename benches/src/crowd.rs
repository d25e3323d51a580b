//! A hundred functions on one worker, a few of which misbehave: what the others get through beside them, and how long they
//! take, of what they do alone.

use crate::load::{Load, wrk};
use crate::measure::ROUNDS;
use crate::process::Server;
use crate::report::{Row, Target};
use crate::weir::Weir;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// How many behave.
const GOOD: usize = 97;
const SECONDS: u32 = 3;
/// The first answers load the functions.
const WARM_UP: u32 = 1;

/// What the others do, all the time, over four connections each.
const BAD: [(&str, &str); 3] = [
    ("burn", "return function() while true do end end"),
    ("leak", "return function() local t = {} while true do t[#t + 1] = {} end end"),
    (
        "wait",
        "local http = require 'weir/http'
         return function(args) http.get('http://127.0.0.1:' .. args.port .. '/', {timeout = 5000}) end",
    ),
];

/// Who is there in a measurement.
const CROWDS: [(&str, &[&str]); 4] = [
    ("one that burns CPU", &["burn"]),
    ("one that leaks to its memory limit", &["leak"]),
    ("one that waits for a server that never answers", &["wait"]),
    ("all three", &["burn", "leak", "wait"]),
];

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("all.lua");
    fs::write(
        &script,
        format!(
            "local n = 0 function request() n = n % {GOOD} + 1 return wrk.format('GET', '/good/' .. n) end"
        ),
    )?;
    let measure = |bad| measure(folder.path(), &script, bad);
    let (mut alone, mut beside) = (Vec::new(), CROWDS.map(|_| Vec::new()));
    for _ in 0..ROUNDS {
        alone.push(measure(&[])?);
        for (loads, (_, bad)) in beside.iter_mut().zip(CROWDS) {
            loads.push(measure(bad)?);
        }
    }
    let alone = Load::median(&alone);
    Ok(beside
        .iter()
        .zip(CROWDS)
        .flat_map(|(loads, (who, _))| rows(who, &Load::median(loads), &alone))
        .collect())
}

/// What they get through, and how much longer the slowest of a hundred takes.
fn rows(who: &str, beside: &Load, alone: &Load) -> [Row; 2] {
    let row = |path, value, target| Row {
        path,
        against: "the same 97 alone".into(),
        ours: beside.shown(),
        reference: alone.shown(),
        value,
        target,
    };
    [
        row(
            format!("97 functions, one worker, beside {who}: requests a second"),
            beside.per_second / alone.per_second,
            Target::AtLeast(0.8),
        ),
        row(
            format!("97 functions, one worker, beside {who}: p99, ms more"),
            beside.p99_ms - alone.p99_ms,
            Target::AtMost(5.0),
        ),
    ]
}

/// Those that behave beside some of `BAD`, on a server of their own: what has begun goes on when its client is gone.
fn measure(folder: &Path, script: &Path, bad: &[&str]) -> anyhow::Result<Load> {
    let weir = start(&folder.join("crowd"))?;
    // it takes connections, and never says a word
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent_port = silent.local_addr()?.port();
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", weir.port);
    let good = |seconds| wrk(&url("/"), 64, seconds, Some(script));
    good(WARM_UP)?;
    let press = |name| press(&url(&format!("/{name}?port={silent_port}")));
    let _bad = bad.iter().map(press).collect::<anyhow::Result<Vec<_>>>()?;
    good(SECONDS)
}

/// Asks for `url` over four connections until it is dropped.
fn press(url: &str) -> anyhow::Result<Server> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c4", "-d600s", "--timeout", "60s", url]);
    Server::start(&mut command)
}

fn start(folder: &Path) -> anyhow::Result<Weir> {
    let mut routes = String::from("return {");
    let mut files = Vec::new();
    for n in 1..=GOOD {
        write!(routes, "{{'GET', '/good/{n}', 'good_{n}'}},")?;
        files.push((format!("app/good_{n}.lua"), format!("return function() return {n} end")));
    }
    for (name, text) in BAD {
        write!(routes, "{{'GET', '/{name}', '{name}'}},")?;
        files.push((format!("app/{name}.lua"), text.to_owned()));
    }
    files.push(("app/gateway.lua".into(), format!("{routes}}}")));
    files.push((
        "config/application.yml".into(),
        "appName: crowd\nweir: {outbound: {private: [\"127.0.0.0/8\"]}}\n".into(),
    ));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Weir::start(folder, &files, &["--workers", "1", "--log", "memory"], ("GET", "/good/1"), None)
}
