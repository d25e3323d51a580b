//! The thread that a log does its housekeeping on: memberships, polls, checkpoints.
//!
//! A log may be used from any runtime and outlive it, so its own tasks live on a runtime of its own. They all end
//! when the keeper is stopped or dropped.

use std::io;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many reads that are too long for their caller's thread run at once.
const BLOCKING_THREADS: usize = 4;

/// A thread with a runtime. Dropping it stops its tasks.
#[derive(Debug)]
pub(crate) struct Keeper {
    handle: Handle,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Keeper {
    /// Starts the thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
        let keeper = Self {
            handle: runtime.handle().clone(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (stop, tasks) = (keeper.stop.clone(), keeper.tasks.clone());
        std::thread::Builder::new().name("weir-log-keeper".into()).spawn(move || {
            runtime.block_on(async {
                stop.cancelled().await;
                tasks.wait().await;
            });
        })?;
        Ok(keeper)
    }

    /// Runs `task` until it ends or the keeper is stopped.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        let until_stopped = async move { stop.run_until_cancelled(task).await.unwrap_or(()) };
        drop(self.tasks.spawn_on(until_stopped, &self.handle));
    }

    /// Runs `task` to its end, also when the keeper is dropped; whoever stops it sees to it that there is an end.
    pub(crate) fn spawn_to_end(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn_on(task, &self.handle));
    }

    /// Runs `task` here and waits for it, on whatever runtime the caller is; none if the keeper has stopped.
    pub(crate) async fn complete<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        self.handle.spawn(task).await.ok()
    }

    /// Runs `work` on a thread where it may take its time; none if the keeper has stopped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        self.handle.spawn_blocking(work).await.ok()
    }

    /// Runs `work` likewise, and waits for nothing.
    pub(crate) fn run_detached(&self, work: impl FnOnce() + Send + 'static) {
        drop(self.handle.spawn_blocking(work));
    }

    /// Where work that takes its time may be spawned from the keeper's own tasks.
    pub(crate) fn blocking(&self) -> Handle {
        self.handle.clone()
    }

    /// Ends every task and waits for them.
    pub(crate) async fn stop(&self) {
        self.tasks.close();
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.tasks.close();
        self.stop.cancel();
    }
}
