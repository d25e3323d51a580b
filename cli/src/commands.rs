//! Every command but `dev` and `start`: one file each.

mod append;
mod backup;
mod call;
mod check;
mod config;
mod copy;
mod events;
mod functions;
mod import;
mod init;
mod migrate;
mod parked;
mod refused;
mod replay;
mod state;
mod status;
mod topics;
mod triggers;

use crate::api::{Api, Needs};
use crate::args::{Cli, Command, Events, Global, Import};
use crate::project::Project;
use crate::run_file::Running;
use crate::{log, output, terminal, testing};
use anyhow::bail;
use clap::CommandFactory as _;
use std::process::ExitCode;
use weir_config::Flags;

pub(crate) async fn run(global: &Global, command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Init(init) => init::run(&init)?,
        Command::Migrate(migrate) => migrate::run(global, &migrate).await?,
        Command::Check { dir } => check::run(global, dir.as_deref())?,
        Command::Test(test) => return testing::run(global, &test).await,
        Command::Config { action } => config::run(global, &action)?,
        Command::Copy(copy) => copy::run(global, &copy).await?,
        Command::Backup(backup) => return backup::run(global, &backup).await,
        Command::Import { from: Import::Spacer(spacer) } => import::spacer(global, &spacer).await?,
        Command::Version => output::line(&format!("weir {}", env!("CARGO_PKG_VERSION"))),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "weir", &mut std::io::stdout());
        }
        other => return on_log(global, other).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// The project of a command that needs its log for itself.
fn stopped_project(global: &Global) -> anyhow::Result<Project> {
    if let Some(url) = &global.url {
        bail!("this command works on the log itself: run it where the log is, without --url {url}");
    }
    let project = Project::of_command(global, None, &Flags::default())?;
    if let Some(running) = Running::find(&project.data_dir()) {
        bail!("a server works on this log (pid {}, {}): stop it first", running.pid, running.gateway);
    }
    let env = project.config().environment.as_str();
    terminal::which_log(&format!("{env} · {}", log::place(&project)));
    Ok(project)
}

async fn on_log(global: &Global, command: Command) -> anyhow::Result<ExitCode> {
    let moves =
        matches!(&command, Command::Triggers { action: Some(_) } | Command::Parked { action: Some(_) });
    let api = Api::open(global, if moves { Needs::Triggers } else { Needs::Log }).await?;
    let done = dispatch(global, &api, command).await;
    let closed = api.close().await;
    let code = done?;
    closed?;
    Ok(code)
}

async fn dispatch(global: &Global, api: &Api, command: Command) -> anyhow::Result<ExitCode> {
    let json = global.json;
    match command {
        Command::Call(call) => return call::run(api, &call).await,
        Command::Status => return status::run(api, json).await,
        Command::Routes => functions::routes(api, json).await?,
        Command::Functions => functions::functions(api, json).await?,
        Command::Topics { action } => topics::run(api, action, json).await?,
        Command::Append(append) => append::run(api, &append, json).await?,
        Command::Events(events) => events::run(api, &events).await?,
        Command::Tail { topic, partition, key } => {
            let from = Some("latest".to_owned());
            let events = Events { topic, from, to: None, partition, key, limit: None, follow: true };
            events::run(api, &events).await?;
        }
        Command::Triggers { action } => triggers::run(api, action, json).await?,
        Command::Parked { action } => parked::run(api, action, json).await?,
        Command::Refused { action } => refused::run(api, action, json).await?,
        Command::Replay(replay) => return replay::run(api, &replay, json).await,
        Command::State { action } => state::run(api, action, json).await?,
        Command::Init(_)
        | Command::Migrate(_)
        | Command::Check { .. }
        | Command::Test(_)
        | Command::Config { .. }
        | Command::Copy(_)
        | Command::Backup(_)
        | Command::Import { .. }
        | Command::Version
        | Command::Completions { .. }
        | Command::Dev(_)
        | Command::Start(_) => unreachable!("run before a log is opened"),
    }
    Ok(ExitCode::SUCCESS)
}
