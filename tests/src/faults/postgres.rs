//! A server of a case's own, which may be stopped and hurt.

use super::run::Ground;
use crate::eventually::{PATIENCE, eventually};
use crate::place::LogPlace;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use tokio_postgres::Client;
use weir_log::conformance::server::{Server, folder};

/// What the nodes' connections are called.
pub const APP: &str = "app";

/// The server.
#[derive(Debug)]
pub struct Postgres {
    /// What is its own.
    pub folder: PathBuf,
    server: Server,
}

impl Ground for Postgres {
    fn log(&self) -> LogPlace {
        LogPlace::Postgres(self.conn())
    }

    fn database(&self) -> Option<&Postgres> {
        Some(self)
    }
}

impl Postgres {
    /// Starts one.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in(folder().expect("a folder is made"), "")
    }

    /// Starts one in `folder`, with `settings`.
    #[must_use]
    pub fn start_in(folder: PathBuf, settings: &str) -> Self {
        let server = Server::start(&folder, settings).unwrap_or_else(|why| panic!("{why}"));
        Self { folder, server }
    }

    /// How nodes connect to it.
    #[must_use]
    pub fn conn(&self) -> String {
        format!("{} application_name={APP}", self.server.conn())
    }

    /// Copies its folder while it is down.
    pub fn back_up(&self) {
        self.down(|data, copy| run("cp", &["-a", data, copy]));
    }

    /// Puts the copy in the folder's place while it is down.
    pub fn restore(&self) {
        self.down(|data, copy| {
            run("rm", &["-r", data]);
            run("mv", &[copy, data]);
        });
    }

    fn down(&self, act: impl FnOnce(&str, &str)) {
        Server::control(&self.folder, &["stop", "-m", "fast"]).unwrap_or_else(|why| panic!("{why}"));
        let path =
            |name| self.folder.join(name).to_str().expect("a temporary folder's name is text").to_owned();
        act(&path("data"), &path("copy"));
        self.restart("fast");
    }

    /// Restarts it: `fast` ends connections, `immediate` is a crash.
    pub fn restart(&self, mode: &str) {
        Server::control(&self.folder, &["restart", "-m", mode]).unwrap_or_else(|why| panic!("{why}"));
    }

    /// A connection of an administrator, who sees the log's tables; as soon as the server takes it.
    pub async fn administrator(&self) -> Client {
        let conn =
            format!("{} application_name=administrator options='-c search_path=weir'", self.server.conn());
        eventually(PATIENCE, || Server::connect_to(&conn)).await
    }

    /// Ends every connection of the nodes.
    pub async fn end_connections(&self) {
        let sql = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        self.administrator().await.execute(sql, &[&APP]).await.expect("an administrator may");
    }

    /// Stops all its processes where they are, until the result is dropped.
    pub async fn freeze(&self) -> Frozen {
        let administrator = self.administrator().await;
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        let first = file.lines().next().and_then(|line| line.parse().ok()).expect("its first line is a pid");
        // the first starts the others, so no more come after it has stopped
        let mut frozen = Frozen(vec![first]);
        frozen.signal(Signal::STOP);
        let all =
            administrator.query("SELECT pid FROM pg_stat_activity", &[]).await.expect("it still answers");
        frozen.0.extend(all.iter().map(|row| row.get::<_, i32>(0)));
        frozen.signal(Signal::STOP);
        frozen
    }
}

fn run(program: &str, arguments: &[&str]) {
    let ended = std::process::Command::new(program).args(arguments).status().expect("it can be run");
    assert!(ended.success(), "{program} {arguments:?} failed");
}

/// Processes that do nothing while this lives.
#[derive(Debug)]
pub struct Frozen(Vec<i32>);

impl Frozen {
    fn signal(&self, signal: Signal) {
        for pid in self.0.iter().filter_map(|pid| Pid::from_raw(*pid)) {
            // one that has ended meanwhile needs no signal
            kill_process(pid, signal).ok();
        }
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
    }
}
