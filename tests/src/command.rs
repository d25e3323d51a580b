//! Running `weir` and looking at what came of it.

use crate::binary::weir;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A command that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote as its result.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

impl Finished {
    /// Every line of the result as JSON.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e} in the line {line:?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The same, where the command must have done what it was told.
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }
}

/// `weir` with an environment of its own: what the machine has set must not decide a test.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new(weir());
    clean(&mut command).current_dir(folder);
    command
}

/// Takes everything out of the environment but the search path.
pub(crate) fn clean(command: &mut Command) -> &mut Command {
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
}

/// Runs `weir` in `folder` to its end.
pub(crate) async fn run<A: AsRef<OsStr>>(
    folder: &Path,
    env: &[(&str, &str)],
    args: &[A],
    stdin: &str,
) -> Finished {
    let mut command = command(folder);
    command.envs(env.iter().copied()).args(args);
    finished(command, stdin).await
}

/// Runs a program to its end, with this on its stdin.
///
/// # Panics
/// It cannot be run, or writes what is no text.
pub async fn finished(mut command: Command, stdin: &str) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let stdin = stdin.to_owned();
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn()?;
        let mut input = child.stdin.take().expect("stdin is piped");
        // beside its output: it may answer line by line. One that does not read may have ended already
        let writer = std::thread::spawn(move || input.write_all(stdin.as_bytes()).ok());
        let output = child.wait_with_output();
        drop(writer.join());
        output
    });
    let output =
        ended.await.expect("the task does not panic").unwrap_or_else(|why| panic!("it cannot be run: {why}"));
    let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
    Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
