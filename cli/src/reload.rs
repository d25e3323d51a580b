//! `weir dev`: a save under `app/`, `lib/` or `config/` is served at once.

use crate::node::{Node, load};
use crate::project::{CONFIG, Project};
use anyhow::Context as _;
use notify::RecursiveMode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use weir_runtime::Code;

/// A save comes as several events: what comes within this time is one.
const SETTLE: Duration = Duration::from_millis(15);

/// How often folders are looked through where the system tells of no changes.
const POLL: Duration = Duration::from_millis(250);

/// Watches until it is dropped.
pub(crate) struct Watching {
    _watcher: Box<dyn notify::Watcher + Send>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").finish_non_exhaustive()
    }
}

struct Reloader {
    root: PathBuf,
    code: watch::Sender<Arc<Code>>,
    live: watch::Sender<Arc<weir_gateway::Project>>,
}

pub(crate) fn watch(project: &Project, node: &Node) -> anyhow::Result<Watching> {
    let (sender, changes) = sync_channel(256);
    let told = move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // full: a reload is due anyway
            sender.try_send(()).ok();
        }
    };
    let mut watcher = watcher(told)?;
    for folder in ["app", "lib", "config"].map(|f| project.root.join(f)).iter().filter(|f| f.is_dir()) {
        watcher
            .watch(folder, RecursiveMode::Recursive)
            .with_context(|| format!("watch {}", folder.display()))?;
    }
    let reloader = Reloader { root: project.root.clone(), code: node.code.clone(), live: node.live.clone() };
    let thread = std::thread::Builder::new().name("reload".into()).spawn(move || reloader.run(&changes));
    Ok(Watching { _watcher: watcher, thread: Some(thread.context("start a thread")?) })
}

/// The system's watcher; a poll where it has none (network and container mounts).
fn watcher(
    told: impl Fn(notify::Result<notify::Event>) + Send + Clone + 'static,
) -> anyhow::Result<Box<dyn notify::Watcher + Send>> {
    match notify::recommended_watcher(told.clone()) {
        Ok(watcher) => Ok(Box::new(watcher)),
        Err(error) => {
            tracing::warn!(%error, "the system tells of no changes: folders are looked through instead");
            let config = notify::Config::default().with_poll_interval(POLL).with_compare_contents(true);
            Ok(Box::new(notify::PollWatcher::new(told, config).context("watch the project")?))
        }
    }
}

impl Reloader {
    fn run(&self, changes: &Receiver<()>) {
        let mut config = modified(&self.root.join(CONFIG));
        while changes.recv().is_ok() {
            loop {
                match changes.recv_timeout(SETTLE) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            self.reload();
            let now = modified(&self.root.join(CONFIG));
            if now != config {
                tracing::warn!("{CONFIG} has changed: restart to take it over");
                config = now;
            }
        }
    }

    /// Serves what is on disk; what does not compile is said, and what else is there keeps its last good version.
    fn reload(&self) {
        let before = self.live.borrow().clone();
        let is_same = |code: &Code| code.version() == before.code.version();
        let served = match load(&self.root, Some(&before.code)) {
            Ok(served) if is_same(&served.code) => return,
            Ok(served) => served,
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("{mistake}");
                }
                // routes stay as they were; functions are reloaded all the same
                let code = Arc::new(before.code.reload(&self.root));
                weir_gateway::Project { code, router: before.router.clone() }
            }
        };
        for error in served.code.errors() {
            tracing::error!("{error}");
        }
        tracing::info!(version = served.code.version(), "reloaded");
        drop(self.code.send_replace(served.code.clone()));
        drop(self.live.send_replace(Arc::new(served)));
    }
}

fn modified(file: &Path) -> Option<std::time::SystemTime> {
    std::fs::metadata(file).and_then(|m| m.modified()).ok()
}

impl Drop for Watching {
    fn drop(&mut self) {
        // the thread ends when the watcher, and so its channel, is gone
        drop(self.thread.take());
    }
}
