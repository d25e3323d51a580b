//! Servers that run beside the tests, each in the care of a shell that outlives whoever asked for it.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A shell that runs `script`; arguments are to follow.
pub(super) fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    // signals of a terminal are for the tests; the server ends when they have
    command.process_group(0);
    command
}

/// Starts it, and waits until it says `ready`: with what it says behind that.
///
/// # Errors
/// It does not start, or ends before: with what it said instead.
pub(super) fn start(shell: &mut Command) -> Result<(Child, String), String> {
    let mut child = shell.spawn().map_err(|e| format!("cannot start a shell: {e}"))?;
    let stdout = child.stdout.take().ok_or("the shell has no output")?;
    let mut said = String::new();
    for line in BufReader::new(stdout).lines() {
        let line = line.map_err(|e| e.to_string())?;
        if let Some(told) = line.strip_prefix("ready") {
            return Ok((child, told.trim_start().to_owned()));
        }
        said.push_str(&line);
        said.push('\n');
    }
    Err(format!("it did not start:\n{said}"))
}

/// A temporary folder whose name begins with `prefix`, for a server that removes it at its end.
pub(super) fn folder(prefix: &str) -> Result<PathBuf, String> {
    Ok(tempfile::Builder::new().prefix(prefix).tempdir().map_err(|e| e.to_string())?.keep())
}

/// A name on a server that nobody else has, its words set apart by `by`.
pub(super) fn fresh_name(by: char) -> String {
    static LAST: AtomicU32 = AtomicU32::new(0);
    let number = LAST.fetch_add(1, Ordering::SeqCst);
    format!("case{by}{}{by}{number}", std::process::id())
}
