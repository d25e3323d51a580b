//! From exec to the first request served, and memory when idle.

use crate::http::until_answered;
use crate::measure::{ROUNDS, median};
use crate::process::{Server, free_port, weir};
use crate::report::{Row, Target};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) fn run() -> anyhow::Result<Vec<Row>> {
    let (binary, folder) = (weir()?, tempfile::tempdir()?);
    let project = folder.path().join("hello");
    Command::new(&binary).arg("init").arg(&project).output()?;
    let (mut times, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS + 2 {
        let (took, server) = first_request(&binary, &project)?;
        times.push(took.as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_millis(500)); // idle: what starting took is given back
        memory.push(server.memory()?);
    }
    let (time, memory) = (median(&mut times), median(&mut memory));
    Ok(vec![
        Row::alone(
            "`weir dev` from exec to first request served",
            "—",
            format!("{time:.1} ms"),
            time,
            Target::AtMost(100.0),
        ),
        Row::alone("idle memory", "—", format!("{memory:.1} MiB"), memory, Target::AtMost(40.0)),
    ])
}

fn first_request(binary: &Path, project: &Path) -> anyhow::Result<(Duration, Server)> {
    let port = free_port()?;
    let started = Instant::now();
    let server = Server::start(Command::new(binary).args(["dev", "--port", &port.to_string()]).arg(project))?;
    until_answered("GET", port, "/")?;
    Ok((started.elapsed(), server))
}
