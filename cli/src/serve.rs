//! `weir dev` and `weir start`: a node with listeners, until a signal.

use crate::args::{Dev, Global, Serve, Start};
use crate::listeners::Listeners;
use crate::node::{Node, NodeOptions, RunTriggers};
use crate::project::{Project, bytes};
use crate::run_file::RunFile;
use crate::signals::Signals;
use crate::watching::Watching;
use crate::{editor, logging, reload, terminal};
use anyhow::Context as _;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_config::{Flags, Mode};
use weir_gateway::{WriteProxy, admin_router, health_router, write_proxy};

/// How long to wait at the start and at the end.
#[derive(Clone, Copy)]
struct Patience {
    /// For a log that cannot be reached.
    wait: Duration,
    /// For what has begun, at a stop.
    grace: Duration,
}

/// In development.
const DEV: Patience = Patience { wait: Duration::ZERO, grace: Duration::from_secs(5) };

pub(crate) async fn dev(global: &Global, dev: &Dev) -> anyhow::Result<()> {
    let project = Project::open(global, dev.dir.as_deref(), Mode::Dev, &flags(&dev.serve))?;
    if dev.fresh {
        delete_log(&project)?;
    }
    if let Err(error) = editor::refresh(&project.root) {
        tracing::debug!("the editor's types stay as they are: {error:#}");
    }
    let (global_again, dir, flags) = (global.clone(), dev.dir.clone(), flags(&dev.serve));
    let reopen = move || Project::open(&global_again, dir.as_deref(), Mode::Dev, &flags);
    let poll = dev.poll;
    let watch = move |project, node: &Node| reload::watch(project, node, poll, reopen).map(Some);
    serve(global, project, &dev.serve, DEV, watch).await
}

pub(crate) async fn start(global: &Global, start: &Start) -> anyhow::Result<()> {
    let grace = weir_schema::parse_duration(&start.grace).context("--grace")?;
    let wait = start.wait.as_deref().map(weir_schema::parse_duration).transpose().context("--wait")?;
    let patience = Patience { wait: wait.unwrap_or_default(), grace };
    let project = Project::open(global, start.dir.as_deref(), Mode::Start, &flags(&start.serve))?;
    serve(global, project, &start.serve, patience, |_, _| Ok(None)).await
}

fn flags(serve: &Serve) -> Flags {
    Flags {
        listen: serve.listen.clone(),
        admin: serve.admin.clone(),
        write_proxy: serve.write_proxy.clone(),
        port: serve.port,
        log: serve.log.clone(),
        data: serve.data.clone(),
    }
}

fn delete_log(project: &Project) -> anyhow::Result<()> {
    for name in ["log.db", "log.db-wal", "log.db-shm"] {
        let file = project.data_dir().join(name);
        match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| format!("delete {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

async fn serve(
    global: &Global,
    project: Project,
    options: &Serve,
    patience: Patience,
    watch: impl FnOnce(Project, &Node) -> anyhow::Result<Option<Watching>>,
) -> anyhow::Result<()> {
    let is_dev = project.mode == Mode::Dev;
    logging::start(global.log_level.as_deref(), project.config().telemetry.log_format, is_dev)?;
    for warning in &project.loaded.warnings {
        tracing::warn!("{warning}");
    }
    let workers =
        options.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let listeners = Listeners::bind(project.config(), workers.max(1))?;
    let addresses = listeners.addresses()?;
    let run = NodeOptions { listeners: listeners.gateway, triggers: RunTriggers::Yes, wait: patience.wait };
    let node = Node::start(&project, run).await?;
    let edges = TaskTracker::new();
    let shutdown = node.shutdown();
    serve_router(&edges, listeners.admin, admin_router(node.admin.clone()), shutdown.clone())?;
    if let Some(health) = listeners.health {
        serve_router(&edges, health, health_router(&node.admin), shutdown.clone())?;
    }
    serve_router(&edges, listeners.write_proxy, proxy(&project, &node), shutdown.clone())?;
    let mut signals = Signals::listen()?;
    let run_file = RunFile::write(&project.data_dir(), &addresses)?;
    terminal::ready(&project, &node, &addresses);
    let watching = watch(project, &node)?;
    signals.next().await;
    tracing::info!("stopping: what has begun may end (again Ctrl-C ends at once)");
    drop(watching);
    edges.close();
    stop(node, &edges, patience.grace, &mut signals).await?;
    run_file.remove();
    Ok(())
}

async fn stop(node: Node, edges: &TaskTracker, grace: Duration, signals: &mut Signals) -> anyhow::Result<()> {
    let stopping = async {
        let stopped = node.stop().await;
        edges.wait().await;
        stopped
    };
    tokio::select! {
        stopped = tokio::time::timeout(grace, stopping) => match stopped {
            Ok(stopped) => stopped,
            Err(_) => {
                tracing::warn!("not everything ended within {grace:?}; what was committed is safe");
                Ok(())
            }
        },
        () = signals.next() => Ok(()),
    }
}

fn proxy(project: &Project, node: &Node) -> axum::Router {
    let config = project.config();
    let token = config.admin.token.as_ref().filter(|_| config.write_proxy.needs_token);
    write_proxy(WriteProxy {
        session: node.admin.session.clone(),
        token: token.map(|t| t.reveal().to_owned()).unwrap_or_default(),
        body: bytes(config.limits.body),
    })
}

fn serve_router(
    tasks: &TaskTracker,
    listener: std::net::TcpListener,
    router: axum::Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener).context("listen")?;
    tasks.spawn(async move {
        let stop = async move { shutdown.cancelled().await };
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
            tracing::error!(%error, "a listener ended");
        }
    });
    Ok(())
}
