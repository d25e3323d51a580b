//! A project in a temporary folder.

use crate::binary::repository;
use crate::command::{self, Finished};
use crate::place::LogPlace;
use crate::server::{Server, ServerOptions};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// What a project is configured by.
const CONFIG: &str = "config/application.yml";

/// A project of its own, deleted with the value.
#[derive(Debug)]
pub struct Sandbox {
    folder: TempDir,
    log: LogPlace,
    servers: AtomicUsize,
}

/// What a sandbox begins with.
#[derive(Debug, Default)]
#[must_use]
pub struct Builder {
    files: Vec<(String, String)>,
    example: Option<String>,
    log: LogPlace,
}

impl Sandbox {
    /// An empty folder, until files are added.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The project's folder.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    /// Writes a file of the project, whole or not at all, as editors do. The configuration is told where the log is.
    pub fn write(&self, name: &str, text: &str) {
        let log = if name == CONFIG { self.log.configured() } else { String::new() };
        let (file, draft) = (self.project().join(name), self.folder.path().join("draft"));
        std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("make the folder");
        std::fs::write(&draft, format!("{text}{log}")).expect("write a draft");
        std::fs::rename(&draft, &file).expect("put the draft into its place");
    }

    /// Starts `weir dev` on free ports.
    pub async fn dev(&self) -> Server {
        self.serve(&ServerOptions::default()).await
    }

    /// Starts a server on free ports.
    pub async fn serve(&self, options: &ServerOptions) -> Server {
        let n = self.servers.fetch_add(1, Ordering::Relaxed);
        Server::start(&self.project(), options, self.output(n)).await
    }

    /// What the server that was started as the `n`th, from 0, has said so far: also one that is not ready yet.
    #[must_use]
    pub fn said_by(&self, n: usize) -> String {
        std::fs::read_to_string(self.output(n)).unwrap_or_default()
    }

    fn output(&self, n: usize) -> PathBuf {
        self.folder.path().join(format!("server-{n}.log"))
    }

    /// Runs `weir` in the project's folder.
    pub async fn weir<A: AsRef<OsStr>>(&self, args: &[A]) -> Finished {
        command::run(&self.project(), &[], args, "").await
    }

    /// Starts `weir` in the project's folder, and waits for nothing. What it writes is not read.
    pub fn begin<A: AsRef<OsStr>>(&self, args: &[A]) -> Child {
        let mut command = command::command(&self.project());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("start weir")
    }

    /// Runs `weir` in the project's folder with this on its stdin.
    pub async fn weir_with<A: AsRef<OsStr>>(&self, args: &[A], stdin: &str) -> Finished {
        command::run(&self.project(), &[], args, stdin).await
    }

    /// Runs `weir` in the project's folder with these variables in its environment.
    pub async fn weir_in<A: AsRef<OsStr>>(&self, env: &[(&str, &str)], args: &[A]) -> Finished {
        command::run(&self.project(), env, args, "").await
    }
}

impl Builder {
    /// Begins with a copy of an example.
    pub fn example(mut self, name: &str) -> Self {
        self.example = Some(name.to_owned());
        self
    }

    /// Adds a file.
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds `config/application.yml`.
    pub fn config(self, text: &str) -> Self {
        self.file(CONFIG, text)
    }

    /// Keeps the log there.
    pub fn log(mut self, place: LogPlace) -> Self {
        self.log = place;
        self
    }

    /// Makes the folder.
    #[must_use]
    pub fn build(self) -> Sandbox {
        let folder = TempDir::with_prefix("weir-").expect("make a temporary folder");
        let sandbox = Sandbox { folder, log: self.log, servers: AtomicUsize::new(0) };
        let project = sandbox.project();
        std::fs::create_dir(&project).expect("make the project's folder");
        if let Some(example) = self.example {
            copy(&repository().join("examples").join(example), &project);
        }
        for (name, text) in self.files {
            sandbox.write(&name, &text);
        }
        sandbox
    }
}

/// Copies a folder, without what a server left in it.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("read an example") {
        let entry = entry.expect("read an example");
        let target = to.join(entry.file_name());
        if entry.file_name() == ".weir" {
            continue;
        }
        if entry.file_type().expect("a kind of file").is_dir() {
            std::fs::create_dir(&target).expect("make a folder");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("copy a file");
        }
    }
}
