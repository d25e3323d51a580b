//! What a server tells whoever started it.

use crate::listeners::Addresses;
use crate::log;
use crate::node::Node;
use crate::project::Project;
use crate::run_file::url;
use weir_config::Mode;
use weir_triggers::{Beginning, Begun};

/// The ready line: where the log is, where the server is, what to try.
#[expect(clippy::print_stderr, reason = "the ready line is for whoever sits at the terminal")]
pub(crate) fn ready(project: &Project, node: &Node, addresses: &Addresses) {
    let config = project.config();
    let gateway = url(addresses.gateway);
    let project_now = node.live.borrow();
    eprintln!("{} · {} · {}", config.app_name, config.environment.as_str(), log_line(project));
    eprintln!(
        "  gateway      {gateway}   {} routes, {} triggers",
        project_now.router.routes().len(),
        config.triggers.len()
    );
    eprintln!("  admin API    {}", url(addresses.admin));
    eprintln!("  write proxy  {}", url(addresses.write_proxy));
    for begun in &node.begun {
        eprintln!("  {}", of_beginning(begun));
    }
    for error in project_now.code.errors() {
        eprintln!("{error}");
    }
    if project.mode == Mode::Dev {
        for line in curls(&gateway, project_now.router.routes()) {
            eprintln!("  try          {line}");
        }
    }
    eprintln!("ready");
}

/// Where a trigger began, and what to do where that is not what is wanted.
pub(crate) fn of_beginning(begun: &Begun) -> String {
    let name = &begun.trigger;
    let (topic, function) = name.split_once('/').unwrap_or((name, ""));
    match &begun.at {
        Beginning::Tail(events) => format!(
            "{name} is new and begins at the tail: {events} events before it are not handled (weir replay {topic} --function {function} would)"
        ),
        Beginning::After(group) => {
            format!("{name} begins where the consumer group {group} has come to")
        }
        Beginning::NeedsStart => format!(
            "{name} needs-start: {topic} has events that were there before this application, and it handles none until it is told where to \
             begin: weir.triggers.{name}.startFrom: earliest, latest or a position in the configuration, or weir triggers seek {name} --to POSITION"
        ),
    }
}

fn log_line(project: &Project) -> String {
    match &project.config().log {
        weir_config::LogStorage::Postgres(_) | weir_config::LogStorage::Kafka(_) => log::place(project),
        weir_config::LogStorage::Memory => "log in memory: gone at the end".to_owned(),
        weir_config::LogStorage::Sqlite => format!("sqlite {}", log::place(project)),
    }
}

/// Two lines to try: a route that writes, and one that reads.
fn curls(gateway: &str, routes: &[weir_gateway::Route]) -> Vec<String> {
    let line = |route: &weir_gateway::Route| {
        let path: Vec<_> =
            route.path.split('/').map(|s| if s.starts_with([':', '*']) { "ada" } else { s }).collect();
        let method = if route.method == "GET" { String::new() } else { format!("-X {} ", route.method) };
        format!("curl {method}{gateway}{}", path.join("/"))
    };
    let writes = routes.iter().find(|r| r.method == "POST");
    let reads = routes.iter().filter(|r| r.method == "GET").max_by_key(|r| r.path.contains(':'));
    writes.into_iter().chain(reads).map(line).collect()
}

/// On a terminal, which log a command is about to act on.
#[expect(clippy::print_stderr, reason = "the line is for whoever sits at the terminal")]
pub(crate) fn which_log(place: &str) {
    use std::io::IsTerminal as _;
    if std::io::stderr().is_terminal() {
        eprintln!("{place}");
    }
}

/// Tells whoever started the command something that is no result.
#[expect(clippy::print_stderr, reason = "results go to stdout, and this is none")]
pub(crate) fn tell(text: &str) {
    eprintln!("{text}");
}

/// Asks before an act that cannot be undone. Without a terminal nobody can answer, so `--yes` must.
#[expect(clippy::print_stderr, reason = "the question is for whoever sits at the terminal")]
pub(crate) fn confirm(question: &str, yes: bool) -> anyhow::Result<()> {
    use std::io::IsTerminal as _;
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        anyhow::bail!("{question} Nobody is here to answer: say --yes");
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") { Ok(()) } else { anyhow::bail!("nothing was done") }
}

/// Says why the command failed.
#[expect(clippy::print_stderr, reason = "the one place where a command says why it failed")]
pub(crate) fn fail(error: &anyhow::Error) {
    let label = if crate::logging::colours() { "\u{1b}[31merror:\u{1b}[0m" } else { "error:" };
    eprintln!("{label} {}", chain(error));
}

/// An error and its causes in one line. Some tell their cause themselves: it is not told again.
fn chain(error: &anyhow::Error) -> String {
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.ends_with(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_cause_is_told_once() {
        let error = anyhow!("the disk is full").context("write log a.db: the disk is full").context("copy");
        assert_eq!(chain(&error), "copy: write log a.db: the disk is full");
    }
}
