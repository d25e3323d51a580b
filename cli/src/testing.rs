//! `weir test`: a project's `test/*.lua`, run by the real runtime against logs in memory.

mod answers;
mod host;
mod junit;
mod suite;
mod tap;
mod world;

use crate::args::{Global, Test};
use crate::node::{load, worker_options};
use crate::output;
use crate::project::Project;
use crate::watching::{self, Changes};
use crate::worker::STACK;
use answers::Answers;
use anyhow::{Context as _, bail};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use suite::{End, LIBRARY, Planned, Ran};
use tokio::task::LocalSet;
use weir_config::Flags;
use weir_library::{Outbound, Services};
use weir_runtime::{Code, Worker, WorkerOptions};
use world::Ground;

/// Runs the tests once, or again and again as files change.
pub(crate) async fn run(global: &Global, test: &Test) -> anyhow::Result<ExitCode> {
    let project = open(global)?;
    let (global, test) = (global.clone(), test.clone());
    // functions need the stack that a server's workers have
    let thread = std::thread::Builder::new().name("tests".into()).stack_size(STACK);
    let thread = thread.spawn(move || match test.watch {
        false => run_once(project, &test),
        true => {
            let folders = ["app", "lib", "templates", "config", "test"];
            let (watching, changes) = watching::watch(&project.root, &folders, false)?;
            let again = run_again(&global, &test, &changes);
            drop(watching);
            again
        }
    });
    let thread = thread.context("start a thread")?;
    let ended = tokio::task::spawn_blocking(move || thread.join()).await.context("wait for the tests")?;
    ended.unwrap_or_else(|_| bail!("the tests ended by a panic"))
}

fn open(global: &Global) -> anyhow::Result<Project> {
    Project::of_command(global, None, &Flags::default())
}

/// Ends when the process does.
fn run_again(global: &Global, test: &Test, changes: &Changes) -> anyhow::Result<ExitCode> {
    loop {
        // a mistake in the configuration is one more thing to mend
        match open(global).and_then(|project| run_once(project, test)) {
            Ok(_) => {}
            Err(error) => crate::terminal::fail(&error),
        }
        crate::terminal::tell("waiting for changes");
        if !changes.wait() {
            bail!("the project is watched no more");
        }
    }
}

fn run_once(project: Project, test: &Test) -> anyhow::Result<ExitCode> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a reactor")?;
    let ran = LocalSet::new().block_on(&runtime, run_all(project, test))?;
    if let Some(file) = &test.junit {
        std::fs::write(file, junit::report(&ran)).with_context(|| format!("write {}", file.display()))?;
    }
    let failed = ran.iter().filter(|ran| matches!(ran.end, End::Failed(_))).count();
    Ok(ExitCode::from(u8::from(failed > 0)))
}

async fn run_all(project: Project, test: &Test) -> anyhow::Result<Vec<Ran>> {
    let ground = Rc::new(ground(project)?);
    let planned = suite::plan(&ground, &test.patterns).await?;
    if planned.is_empty() && !test.patterns.is_empty() {
        bail!("no test's name holds {}", test.patterns.join(" or "));
    }
    output::line(&tap::header(planned.len()));
    let mut all = Vec::new();
    for planned in planned {
        let ran = match planned {
            Planned::Done(ran) => ran,
            Planned::Test { file, name } => suite::run_test(&ground, file, name).await?,
        };
        output::line(&tap::lines(all.len() + 1, &ran));
        all.push(ran);
    }
    output::line(&summary(&all));
    Ok(all)
}

/// The project as a server would serve it, and one worker.
fn ground(project: Project) -> anyhow::Result<Ground> {
    let (code, router) = match load(&project.root, &project.function_env(), None) {
        Ok((code, router)) => (Arc::into_inner(code).context("the code is nobody else's yet")?, router),
        // a test that asks for a route is told; the others need none
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| output::line(&tap::comment(mistake)));
            (Code::load(&project.root), Arc::default())
        }
    };
    let settings = Arc::new(project.gateway_settings());
    let served =
        Arc::new(weir_gateway::Project { code: Arc::new(code.with_library(LIBRARY)), router, settings });
    // the engine's errors stay on their thread, so only its words go on
    let answers = Arc::new(Answers::default());
    let services = Arc::new(Services::new(Outbound::answered_by(answers.clone())));
    let options = WorkerOptions { services: services.clone(), ..worker_options()? };
    let worker = Worker::new(&options).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(Ground { project, worker: Rc::new(worker), served, services, answers })
}

fn summary(all: &[Ran]) -> String {
    let count = |which: fn(&End) -> bool| all.iter().filter(|ran| which(&ran.end)).count();
    let (failed, skipped) =
        (count(|end| matches!(end, End::Failed(_))), count(|end| matches!(end, End::Skipped(_))));
    let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
    format!("# {} tests, {failed} failed{skipped}", all.len())
}
