//! Does what a page of the documentation tells its reader to do.
//!
//! - A block ```` ```lua app/hello.lua ```` (any language, a path behind it) is saved as that file.
//! - In a block ```` ```console ```` a line `$ …` is typed, and the lines below it are what must be seen. JSON is
//!   compared as JSON; `…` at the end of a line stands for its rest, a line `…` for any further lines.
//! - `$ weir dev` and `$ weir start` serve until the page ends; `localhost:3000` and `:3001` mean that server.
//! - What only reads is typed again until it shows what it must: triggers take their milliseconds.

use crate::binary::weir;
use crate::command::clean;
use crate::eventually::{PATIENCE, eventually};
use crate::server::{Server, ServerOptions};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Commands that change nothing.
const READS: [&str; 9] = [
    "curl localhost",
    "weir check",
    "weir events",
    "weir parked list",
    "weir parked show",
    "weir state get",
    "weir state list",
    "weir status",
    "weir triggers --json",
];

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Save { file: String, text: String },
    Type { line: String, shown: Vec<String> },
}

/// Follows a page from its first line to its last, in an empty folder. Returns how many commands were typed.
pub async fn follow(page: &str) -> usize {
    let folder = TempDir::with_prefix("weir-guide-").expect("make a temporary folder");
    std::fs::create_dir(folder.path().join("bin")).expect("make a folder");
    std::os::unix::fs::symlink(weir(), folder.path().join("bin/weir")).expect("link the binary");
    std::fs::create_dir(folder.path().join("here")).expect("make a folder");
    let mut reader = Reader { here: folder.path().join("here"), folder, server: None };
    let steps = read(page);
    for step in &steps {
        reader.take(step).await;
    }
    steps.iter().filter(|step| matches!(step, Step::Type { .. })).count()
}

struct Reader {
    // dropped first: it lives in the folder
    server: Option<Server>,
    here: PathBuf,
    folder: TempDir,
}

impl Reader {
    async fn take(&mut self, step: &Step) {
        let (line, shown) = match step {
            Step::Save { file, text } => return self.save(file, text).await,
            Step::Type { line, shown } => (line.as_str(), shown),
        };
        if let Some(folder) = line.strip_prefix("cd ") {
            self.here = self.here.join(folder);
        } else if let Some(command) = ["dev", "start"].into_iter().find(|c| line == format!("weir {c}")) {
            let options = ServerOptions { command, ..ServerOptions::default() };
            let log = self.folder.path().join("server.log");
            self.server = Some(Server::start(&self.here, &options, log).await);
        } else if READS.iter().any(|read| line.starts_with(read)) && !line.contains(" -d ") {
            eventually(PATIENCE, || self.type_in(line, shown)).await;
        } else if let Err(differs) = self.type_in(line, shown).await {
            panic!("{differs}");
        }
    }

    /// Saves a file, and waits until a server that runs has taken it over.
    async fn save(&self, file: &str, text: &str) {
        let reloads = || self.server.as_ref().map_or(0, |s| s.said().matches("reloaded").count());
        let before = reloads();
        let (file, draft) = (self.here.join(file), self.folder.path().join("draft"));
        std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("make a folder");
        std::fs::write(&draft, text).expect("write a draft");
        std::fs::rename(draft, file).expect("put the draft into its place");
        if self.server.is_some() {
            eventually(PATIENCE, || async { if reloads() > before { Ok(()) } else { Err("not reloaded") } })
                .await;
        }
    }

    async fn type_in(&self, line: &str, shown: &[String]) -> Result<(), String> {
        let mut real = line.replace("curl ", "curl -sS ");
        if let Some(server) = &self.server {
            real = real.replace("http://localhost", "localhost");
            real = real
                .replace("localhost:3000", &server.at.gateway)
                .replace("localhost:3001", &server.at.admin);
        }
        let (said, is_ok) = shell(&self.here, &self.folder.path().join("bin"), &real).await;
        let lines: Vec<_> = said.lines().collect();
        if shows(&lines, shown) && (is_ok || !shown.is_empty()) {
            return Ok(());
        }
        Err(format!("$ {line}\nmust show\n{}\nand shows\n{said}", shown.join("\n")))
    }
}

async fn shell(here: &Path, bin: &Path, line: &str) -> (String, bool) {
    let mut command = Command::new("sh");
    clean(&mut command).args(["-c", line]).current_dir(here).stdin(Stdio::null());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.to_owned()).chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(paths).expect("the folder's path has no colon"));
    let output =
        tokio::task::spawn_blocking(move || command.output()).await.expect("the task does not panic");
    let output = output.expect("run a shell");
    let both = [output.stdout, output.stderr].concat();
    (String::from_utf8(both).expect("what is shown is UTF-8"), output.status.success())
}

fn shows(lines: &[&str], wanted: &[String]) -> bool {
    match (lines.split_first(), wanted.split_first()) {
        (_, Some((first, []))) if first == "…" => true,
        (Some((line, lines)), Some((first, wanted))) => is_line(line, first) && shows(lines, wanted),
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => true,
    }
}

fn is_line(line: &str, wanted: &str) -> bool {
    if let Some(start) = wanted.strip_suffix('…') {
        return line.starts_with(start);
    }
    let json = |text: &str| serde_json::from_str::<Value>(text).ok();
    line.trim_end() == wanted.trim_end() || (json(line).is_some() && json(line) == json(wanted))
}

fn read(page: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
        match info.split_once(' ') {
            Some((_, file)) => {
                steps.push(Step::Save { file: file.to_owned(), text: format!("{}\n", block.join("\n")) });
            }
            None if info == "console" => steps.extend(typed(&block)),
            None => {}
        }
    }
    steps
}

fn typed(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(line), _) => steps.push(Step::Type { line: line.to_owned(), shown: Vec::new() }),
            (None, Some(Step::Type { shown, .. })) => shown.push((*line).to_owned()),
            (None, _) => panic!("a block of the console begins with `$ `, not with {line:?}"),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_as_files_and_commands() {
        let page = "text\n```lua app/a.lua\nreturn 1\n```\n```yaml\na: b\n```\n```console\n$ weir dev\n$ curl x\n{}\n```\n";
        let line = |line: &str, shown: &[&str]| Step::Type {
            line: line.into(),
            shown: shown.iter().map(|s| (*s).to_owned()).collect(),
        };
        let save = Step::Save { file: "app/a.lua".into(), text: "return 1\n".into() };
        assert_eq!(read(page), [save, line("weir dev", &[]), line("curl x", &["{}"])]);
    }

    #[test]
    fn what_is_shown_must_be_all_that_was_promised_and_no_more() {
        let shows = |lines: &[&str], wanted: &[&str]| {
            shows(lines, &wanted.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
        };
        assert!(shows(&[r#"{"a":1,"b":2}"#], &[r#"{"b":2,"a":1}"#]));
        assert!(shows(&["a b", "c", "d"], &["a…", "…"]));
        assert!(!shows(&["a", "b"], &["a"]) && !shows(&["a"], &["a", "b"]) && !shows(&["a"], &["b"]));
    }
}
