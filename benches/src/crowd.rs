//! A hundred functions on one worker, a few of which misbehave: what the others get through beside them, of what they get
//! through alone.

use crate::load::wrk;
use crate::measure::paired;
use crate::process::Server;
use crate::report::{Row, Target};
use crate::weir::Weir;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// How many behave.
const GOOD: usize = 97;
const SECONDS: u32 = 4;

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

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let weir = start(&folder.path().join("crowd"))?;
    let script = folder.path().join("all.lua");
    fs::write(
        &script,
        format!(
            "local n = 0 function request() n = n % {GOOD} + 1 return wrk.format('GET', '/good/' .. n) end"
        ),
    )?;
    // it takes connections, and never says a word
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent_port = silent.local_addr()?.port();
    let url = |path: &str| format!("http://127.0.0.1:{}{path}", weir.port);
    let good = || Ok(wrk(&url("/"), 64, SECONDS, Some(&script))?.per_second);
    let beside = || {
        let _bad = BAD
            .iter()
            .map(|(name, _)| press(&url(&format!("/{name}?port={silent_port}"))))
            .collect::<anyhow::Result<Vec<_>>>()?;
        good()
    };
    let (crowded, alone) = paired(beside, good)?;
    Ok(vec![Row::rates(
        "97 functions, beside one that burns CPU, one that leaks and one that waits, one worker",
        "the same 97 alone",
        crowded,
        alone,
        Target::AtLeast(0.8),
    )])
}

/// Asks for `url` over four connections until it is dropped.
fn press(url: &str) -> anyhow::Result<Server> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c4", "-d600s", "--timeout", "60s", url]);
    Server::start(&mut command)
}

fn start(folder: &std::path::Path) -> anyhow::Result<Weir> {
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
