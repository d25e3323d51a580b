//! `weir dev`: a save under `app/`, `lib/`, `templates/` or `config/` is served at once.

use crate::node::{self, Node, load};
use crate::project::{CONFIG, Project};
use crate::watching::{self, Changes, Watching};
use anyhow::Context as _;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::watch;
use weir_gateway::Router;
use weir_runtime::{Code, Session};
use weir_triggers::Triggers;

struct Reloader {
    project: Project,
    /// Opens the project again as it was opened.
    reopen: Box<dyn Fn() -> anyhow::Result<Project> + Send>,
    session: Arc<Session>,
    triggers: Triggers,
    code: watch::Sender<Arc<Code>>,
    live: watch::Sender<Arc<weir_gateway::Project>>,
    runtime: Handle,
}

/// Watches the project of `node`, by looking if `poll` says so; `reopen` reads its configuration again.
pub(crate) fn watch(
    project: Project,
    node: &Node,
    poll: bool,
    reopen: impl Fn() -> anyhow::Result<Project> + Send + 'static,
) -> anyhow::Result<Watching> {
    let (watching, changes) = watching::watch(&project.root, &["app", "lib", "templates", "config"], poll)?;
    let reloader = Reloader {
        project,
        reopen: Box::new(reopen),
        session: node.admin.session.clone(),
        triggers: node.admin.triggers.clone(),
        code: node.code.clone(),
        live: node.live.clone(),
        runtime: Handle::current(),
    };
    // ends when the watcher, and so its channel, is gone
    std::thread::Builder::new()
        .name("reload".into())
        .spawn(move || reloader.run(&changes))
        .context("start a thread")?;
    Ok(watching)
}

impl Reloader {
    fn run(mut self, changes: &Changes) {
        let mut text = self.project.text.clone();
        // what was saved before the watch began
        self.look(&mut text);
        while changes.wait() {
            self.look(&mut text);
        }
    }

    /// Takes over what has changed; `text` is the configuration that was looked at last.
    fn look(&mut self, text: &mut String) {
        let has_new_config = match std::fs::read_to_string(&self.project.file) {
            Ok(now) if now != *text => {
                *text = now;
                self.reload_config()
            }
            Ok(_) => false,
            Err(error) => {
                tracing::error!("read {}: {error}", self.project.file.display());
                false
            }
        };
        self.reload_code(has_new_config);
    }

    /// Takes over the configuration; a mistake leaves the last good one in force.
    fn reload_config(&mut self) -> bool {
        let project = match (self.reopen)() {
            Ok(project) => project,
            Err(mistakes) => {
                tracing::error!("{mistakes:#}");
                return false;
            }
        };
        for warning in &project.loaded.warnings {
            tracing::warn!("{warning}");
        }
        for key in needs_restart(&self.project, &project) {
            tracing::warn!("{CONFIG}: {key} has changed: restart to take it over");
        }
        let declared = self.runtime.block_on(node::declare_topics(&project, &self.session));
        if let Err(error) = declared {
            tracing::error!("{error:#}");
            return false;
        }
        self.session.set_env(project.function_env());
        self.project = project;
        true
    }

    /// Serves what is on disk; what does not compile is said, and what else is there keeps its last good version.
    fn reload_code(&self, has_new_config: bool) {
        let before = self.live.borrow().clone();
        let (code, router) = match load(&self.project.root, &self.project.function_env(), Some(&before.code))
        {
            Ok(served) => served,
            Err(mistakes) => {
                for mistake in mistakes {
                    tracing::error!("{mistake}");
                }
                // routes stay as they were; functions are reloaded all the same
                (Arc::new(before.code.reload(&self.project.root)), before.router.clone())
            }
        };
        if code.version() == before.code.version() && !has_new_config {
            return;
        }
        for error in code.errors() {
            tracing::error!("{error}");
        }
        tracing::info!(version = %code.version(), "reloaded");
        self.serve(code, router, &before, has_new_config);
    }

    fn serve(
        &self,
        code: Arc<Code>,
        router: Arc<Router>,
        before: &weir_gateway::Project,
        has_new_config: bool,
    ) {
        let settings =
            if has_new_config { Arc::new(self.project.gateway_settings()) } else { before.settings.clone() };
        self.code.send_replace(code.clone());
        let served = Arc::new(weir_gateway::Project { code, router, settings });
        self.live.send_replace(served.clone());
        self.runtime.block_on(node::change_triggers(&self.project, &self.triggers, &served, has_new_config));
    }
}

/// What a running server cannot take over.
fn needs_restart(before: &Project, after: &Project) -> Vec<&'static str> {
    let (before, after) = (before.config(), after.config());
    let mut keys = Vec::new();
    let mut differs = |is: bool, key| {
        if is {
            keys.push(key)
        }
    };
    differs(before.gateway != after.gateway, "functionInvoker");
    differs(before.write_proxy != after.write_proxy, "writeProxyListen");
    differs(before.admin != after.admin, "weir.admin");
    differs(before.health != after.health, "weir.health");
    differs(before.log != after.log, "logStorage");
    differs(before.app_name != after.app_name, "appName");
    differs(before.telemetry != after.telemetry, "weir.telemetry");
    differs(before.outbound != after.outbound, "weir.outbound");
    differs(before.data_dir != after.data_dir, "weir.dataDir");
    keys
}
