//! Weir, serving a project of a few files.

use crate::http::until_answered;
use crate::process::{Server, free_port, weir};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A server and where it listens.
#[derive(Debug)]
pub(crate) struct Weir {
    pub(crate) server: Server,
    pub(crate) port: u16,
    pub(crate) admin: u16,
    /// From exec to the first answer of the gateway.
    pub(crate) ready: Duration,
}

impl Weir {
    /// Serves `files` as a project in `folder`. `more` are arguments of `weir start`, `traced` is where its syncs are
    /// written, and `first` the request (method and path) that tells that it is ready.
    pub(crate) fn start(
        folder: &Path,
        files: &[(&str, &str)],
        more: &[&str],
        first: (&str, &str),
        traced: Option<&Path>,
    ) -> anyhow::Result<Self> {
        for part in ["app", "config"] {
            fs::create_dir_all(folder.join(part))?;
        }
        for (name, text) in files {
            fs::write(folder.join(name), text)?;
        }
        let (port, admin, proxy) = (free_port()?, free_port()?, free_port()?);
        let mut command = Command::new(weir()?);
        command.args(["start", "--log-level", "warn"]).args(more);
        for (option, port) in [("--listen", port), ("--admin", admin), ("--write-proxy", proxy)] {
            command.arg(option).arg(format!("127.0.0.1:{port}"));
        }
        command.arg(folder);
        let started = Instant::now();
        let server = Server::start_traced(command, traced)?;
        until_answered(first.0, port, first.1)?;
        Ok(Self { server, port, admin, ready: started.elapsed() })
    }
}
