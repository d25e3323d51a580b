//! The `weir` command: what the user says → the parts that do it. The only crate that reads arguments, the
//! environment and signals.
#![forbid(unsafe_code)]

mod api;
mod args;
mod commands;
mod editor;
mod listeners;
mod log;
mod logging;
mod node;
mod numbers;
mod output;
mod progress;
mod project;
mod reload;
mod run_file;
mod serve;
mod signals;
mod telemetry;
mod terminal;
mod testing;
mod watching;
mod worker;

use args::{Cli, Command};
use clap::Parser as _;
use std::process::ExitCode;

/// A quarter of a function's time was spent in the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let done = match runtime {
        Ok(runtime) => {
            let done = runtime.block_on(run(cli));
            // a second signal ends at once: what still runs is not waited for
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error.into()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            terminal::fail(&error);
            ExitCode::from(1)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Dev(dev) => serve::dev(&global, &dev).await?,
        Command::Start(start) => serve::start(&global, &start).await?,
        other => return commands::run(&global, other).await,
    }
    Ok(ExitCode::SUCCESS)
}
