//! A `weir dev` or `weir start` as a child process.

use crate::answer::Answer;
use crate::command::command;
use crate::eventually::{PATIENCE, eventually};
use http::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};

/// A running server; it is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it is reached.
    pub at: Addresses,
    output: PathBuf,
    client: reqwest::Client,
}

/// Where a server is reached: `http://HOST:PORT` each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// Its routes.
    pub gateway: String,
    /// Its admin API.
    pub admin: String,
    /// Its write proxy.
    pub write_proxy: String,
}

/// How a server is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerOptions {
    /// `dev` or `start`.
    pub command: &'static str,
    /// Further arguments.
    pub args: Vec<String>,
    /// Further variables.
    pub env: Vec<(String, String)>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { command: "dev", args: Vec::new(), env: Vec::new() }
    }
}

impl Server {
    /// Starts it on free ports and waits until it is ready. Its log goes to `output`.
    pub(crate) async fn start(project: &Path, options: &ServerOptions, output: PathBuf) -> Self {
        let log = File::create(&output).expect("make the file for the server's log");
        let mut command = command(project);
        command.arg(options.command).args(["--port", "0"]).args(&options.args);
        command.envs(options.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("share the file")).stderr(log);
        let mut child = command.spawn().expect("start weir");
        let run = project.join(".weir/run.json");
        let at = eventually(PATIENCE, || {
            let found = Addresses::read(&run, child.id());
            let ended = child.try_wait().expect("ask for the child's state");
            let said = || std::fs::read_to_string(&output).unwrap_or_default();
            assert!(ended.is_none(), "the server ended before it was ready:\n{}", said());
            async move { found.ok_or("no run.json of this server") }
        })
        .await;
        Self { child, at, output, client: http_client() }
    }

    /// A request to the gateway.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.at.gateway))
    }

    /// A request to the admin API.
    pub fn admin(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.at.admin))
    }

    /// A request to the write proxy.
    pub fn write_proxy(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.post(format!("{}{path}", self.at.write_proxy))
    }

    /// GET from the gateway.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// POST of a JSON body to the gateway.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await.expect("an answer")
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.output).expect("read the server's log")
    }

    /// Ends it as a power cut would: SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("kill the server");
        self.child.wait().expect("wait for the server");
    }

    /// Ends it as an operator would, SIGTERM, and waits for its end.
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        eventually(PATIENCE, || {
            let ended = self.child.try_wait().expect("ask for the child's state");
            async move { ended.ok_or("the server still runs") }
        })
        .await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a child has a pid");
        kill_process(pid, signal).expect("send a signal");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended already: then there is nothing to kill
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.output).unwrap_or_default();
            let lines: Vec<_> = said.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            #[expect(clippy::print_stderr, reason = "shown with the test that failed")]
            {
                eprintln!("--- the server's last lines ---\n{last}\n---");
            }
        }
    }
}

/// A client that asks the machine's settings for nothing.
pub(crate) fn http_client() -> reqwest::Client {
    // of two clients the second finds it there
    rustls::crypto::ring::default_provider().install_default().ok();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    client.expect("an HTTP client")
}

impl Addresses {
    /// What `run.json` says, if the process `pid` wrote it.
    fn read(file: &Path, pid: u32) -> Option<Self> {
        let run: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        let address = |name: &str| run[name].as_str().map(str::to_owned);
        (run["pid"] == pid).then_some(())?;
        Some(Self {
            gateway: address("gateway")?,
            admin: address("admin")?,
            write_proxy: address("write_proxy")?,
        })
    }
}
