//! From exec to the first request served, and memory when idle.

use crate::measure::{ROUNDS, median};
use crate::process::{Server, free_port, weir};
use crate::report::{Row, Target};
use anyhow::bail;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

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
    let row = |path: &str, ours: String, value, target| Row {
        path: path.into(),
        against: "—".into(),
        ours,
        reference: "—".into(),
        value,
        target,
    };
    Ok(vec![
        row(
            "`weir dev` from exec to first request served",
            format!("{time:.1} ms"),
            time,
            Target::AtMost(100.0),
        ),
        row("idle memory", format!("{memory:.1} MiB"), memory, Target::AtMost(40.0)),
    ])
}

fn first_request(binary: &Path, project: &Path) -> anyhow::Result<(Duration, Server)> {
    let port = free_port()?;
    let started = Instant::now();
    let server = Server::start(Command::new(binary).args(["dev", "--port", &port.to_string()]).arg(project))?;
    loop {
        if started.elapsed() > PATIENCE {
            bail!("no answer after {PATIENCE:?}");
        }
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        if stream.read_to_string(&mut answer).is_ok() && answer.starts_with("HTTP/1.1 200") {
            return Ok((started.elapsed(), server));
        }
    }
}
