//! The PostgreSQL server of the tests: one of their own in a temporary folder, or the one that `WEIR_TEST_POSTGRES`
//! names.

use super::shell::{self, shell, start};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// Makes a cluster in the folder `$1` with the programs in `$2` and the settings `$3`, which win, says `ready`, waits until whoever asked for it is gone,
/// however it ended, and removes it. What a crash of the machine would lose is no matter, so nothing is synced.
const SCRIPT: &str = r#"
cd "$1" || exit 1
"$2/initdb" -D data -U weir -A trust -N -E UTF8 --locale=C >log 2>&1 &&
"$2/pg_ctl" -D data -s -w -l log start -o "-c listen_addresses= -c unix_socket_directories='$1' -c fsync=off \
  -c max_connections=400 -c shared_buffers=64MB -c max_locks_per_transaction=256 $3" >/dev/null 2>&1 &&
echo ready || { cat log; rm -rf "$1"; exit 1; }
cat >/dev/null
"$2/pg_ctl" -D data -s -m immediate stop
cd / && rm -rf "$1"
"#;

/// A server that takes tests.
#[derive(Debug)]
pub struct Server {
    pub(super) conn: String,
    /// The server is stopped when this process's end of it is closed.
    _lifeline: Option<ChildStdin>,
}

impl Server {
    /// The server of this process; started when it is first asked for.
    ///
    /// # Panics
    /// If there is none: tests that need one must not pass without.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Result<Server, String>> = OnceLock::new();
        match SERVER.get_or_init(Self::find) {
            Ok(server) => server,
            Err(why) => panic!("{why}"),
        }
    }

    fn find() -> Result<Self, String> {
        if let Some(conn) = std::env::var_os("WEIR_TEST_POSTGRES") {
            let conn = conn.into_string().map_err(|_| "WEIR_TEST_POSTGRES is no text")?;
            let conn =
                crate::postgres::in_words(&conn).map_err(|why| format!("WEIR_TEST_POSTGRES: {why}"))?;
            return Ok(Self { conn, _lifeline: None });
        }
        Self::start(&folder()?, "")
    }

    /// Starts a server of its own in `folder`, with `settings` as its program takes them. It removes the folder at its end.
    ///
    /// # Errors
    /// There is no PostgreSQL here, or it does not start.
    pub fn start(folder: &Path, settings: &str) -> Result<Self, String> {
        let programs = programs().ok_or(
            "there is no PostgreSQL here. Install it (Debian: apt-get install postgresql; Fedora: dnf install \
             postgresql-server; macOS: brew install postgresql), or name a server in WEIR_TEST_POSTGRES, or leave \
             these tests out: cargo test -- --skip postgres",
        )?;
        let mut command = shell(SCRIPT);
        command.arg(folder).arg(&programs).arg(settings);
        // a server refuses to run as root
        if fs::metadata(folder).map_err(|e| e.to_string())?.uid() == 0 {
            let (uid, gid) =
                unprivileged().ok_or("there is no user postgres or nobody to run a server as")?;
            let within = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            for path in within.chain([folder.to_owned()]) {
                chown(path, Some(uid), Some(gid)).map_err(|e| e.to_string())?;
            }
            command.uid(uid).gid(gid);
        }
        let (mut child, _) =
            start(&mut command).map_err(|why| format!("the server of {}: {why}", programs.display()))?;
        let conn = format!("host={} user=weir dbname=postgres", folder.display());
        Ok(Self { conn, _lifeline: child.stdin.take() })
    }

    /// Where a program of PostgreSQL's is, if it is installed.
    #[must_use]
    pub fn program(name: &str) -> Option<PathBuf> {
        folders().into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
    }

    /// Runs `pg_ctl` on the server of `folder`, as the user that it runs as, to its end.
    ///
    /// # Errors
    /// What it said, if it failed.
    pub fn control(folder: &Path, arguments: &[&str]) -> Result<(), String> {
        let with = [&["-D", "data", "-l", "log", "-s", "-w"], arguments].concat();
        let said = || fs::read_to_string(folder.join("log")).unwrap_or_default();
        Self::run(folder, "pg_ctl", &with).map_err(|why| format!("{why}\n{}", said()))
    }

    /// Runs a program of PostgreSQL's in the server's `folder`, as the user that the server runs as, to its end.
    ///
    /// # Errors
    /// There is no such program, or it failed.
    pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
        let found = Self::program(program).ok_or_else(|| format!("there is no {program} here"))?;
        let owner = fs::metadata(folder).map_err(|e| e.to_string())?;
        let mut command = Command::new(found);
        // a server that it starts keeps what it is given
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let command = command.current_dir(folder).uid(owner.uid()).gid(owner.gid());
        let ended = command.status().map_err(|e| e.to_string())?;
        if ended.success() { Ok(()) } else { Err(format!("{program} {arguments:?} failed")) }
    }

    /// How it is connected to: `key=value …`.
    #[must_use]
    pub fn conn(&self) -> &str {
        &self.conn
    }

    /// A connection.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect(&self) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        Self::connect_to(&self.conn).await
    }

    /// A connection to the server that `conn` names.
    ///
    /// # Errors
    /// The server does not take it.
    pub async fn connect_to(conn: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(conn, tokio_postgres::NoTls).await?;
        #[expect(clippy::disallowed_methods, reason = "it ends with the client, or with the test's runtime")]
        drop(tokio::task::spawn(connection));
        Ok(client)
    }
}

/// A folder for a server, which removes it at its end.
///
/// # Errors
/// No temporary folder can be made.
pub fn folder() -> Result<PathBuf, String> {
    shell::folder("weir-pg")
}

/// The folder with the server's programs.
fn programs() -> Option<PathBuf> {
    let has_all =
        |folder: &PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).is_file());
    folders().into_iter().find(has_all)
}

/// Where programs of PostgreSQL may be, the likeliest first.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(told) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&told.stdout).trim().into());
    }
    for parent in ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt", "/usr/local/opt"] {
        let versions =
            fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
        let mut versions: Vec<_> = versions.collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
    }
    folders.push("/usr/local/pgsql/bin".into());
    folders
}

/// Number and group of a user without rights.
fn unprivileged() -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    user("postgres").or_else(|| user("nobody"))
}
