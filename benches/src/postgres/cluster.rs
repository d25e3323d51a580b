//! A PostgreSQL server for the benches, which syncs what it commits.

use anyhow::{Context as _, anyhow, bail};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use weir_log::conformance::server::{Server, folder};
use weir_log::{Driver, PostgresOptions};

const SETTINGS: &str = "-c fsync=on -c synchronous_commit=on -c shared_buffers=1GB -c max_wal_size=8GB";
const SECONDS: u32 = 3;

/// A server that ends with this process.
#[derive(Debug)]
pub(crate) struct Cluster {
    server: Server,
    folder: PathBuf,
    schemas: AtomicU32,
}

impl Cluster {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = folder().map_err(|e| anyhow!(e))?;
        let server = Server::start(&folder, SETTINGS).map_err(|e| anyhow!(e))?;
        Ok(Self { server, folder, schemas: AtomicU32::new(0) })
    }

    /// The name of a schema for a new log.
    pub(crate) fn schema(&self) -> String {
        format!("bench_{}", self.schemas.fetch_add(1, Ordering::Relaxed))
    }

    /// Where the log in a schema is.
    pub(crate) fn place(&self, schema: &str) -> Driver {
        Driver::Postgres(PostgresOptions::new(format!("{} schema={schema}", self.server.conn())))
    }

    /// The folder with its socket.
    pub(crate) fn socket(&self) -> &std::path::Path {
        &self.folder
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> anyhow::Result<tokio_postgres::Client> {
        Ok(self.server.connect().await?)
    }

    /// Makes the tables of `pgbench`: a million rows.
    pub(crate) fn prepare_pgbench(&self) -> anyhow::Result<()> {
        self.run_pgbench(&["-q", "-i", "-s", "10"]).map(drop)
    }

    /// Transactions a second of its simple update by so many clients.
    pub(crate) fn pgbench(&self, clients: u32) -> anyhow::Result<f64> {
        let (clients, seconds) = (clients.to_string(), SECONDS.to_string());
        let threads = if clients == "1" { "1" } else { "2" };
        let said =
            self.run_pgbench(&["-n", "-N", "-M", "prepared", "-j", threads, "-c", &clients, "-T", &seconds])?;
        let tps = said.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next());
        Ok(tps.with_context(|| format!("pgbench tells no rate: {said}"))?.parse()?)
    }

    fn run_pgbench(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let program =
            Server::program("pgbench").context("there is no pgbench beside the server's programs")?;
        let mut command = Command::new(program);
        command.args(arguments).args(["-U", "weir", "-h"]).arg(&self.folder).arg("postgres");
        let out = command.output().context("run pgbench")?;
        if !out.status.success() {
            bail!("{command:?}: {}", String::from_utf8_lossy(&out.stderr));
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }
}
