//! A node: the log, the workers, the triggers and the HTTP APIs of one process, put together.
//!
//! Served, it has listeners; for a command on a log that no server has open, it has none and holds the triggers still.

use crate::numbers;
use crate::project::{Project, bytes};
use crate::telemetry::Otlp;
use crate::terminal;
use crate::worker::{self, WorkerParts};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use weir_gateway::{Admin, AdminSettings, Calls, Live, Router};
use weir_library::Services;
use weir_log::{Log, SystemClock, TopicSpec};
use weir_runtime::{Code, Session, Watchdog, Worker, WorkerOptions};
use weir_schema::TopicName;
use weir_triggers::{Beginning, Begun, PumpHandle, Replays, Trigger, Triggers, pump_channel};

/// What a process runs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) admin: Admin,
    pub(crate) live: watch::Sender<Arc<weir_gateway::Project>>,
    pub(crate) code: watch::Sender<Arc<Code>>,
    pub(crate) begun: Vec<Begun>,
    workers: Vec<JoinHandle<()>>,
    otlp: Option<Arc<Otlp>>,
    shutdown: CancellationToken,
    stop: CancellationToken,
}

/// How a node is to run.
#[derive(Debug)]
pub(crate) struct NodeOptions {
    /// One listener per worker, or none, for a node with one worker that serves nothing.
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) triggers: RunTriggers,
    /// How long to wait for a log that cannot be reached.
    pub(crate) wait: Duration,
}

/// What becomes of the triggers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RunTriggers {
    /// They run.
    Yes,
    /// Their partitions are taken, so that they can be moved, but no function runs.
    Hold,
    /// They are only known.
    No,
}

impl Node {
    /// Opens the log, compiles the project and starts the workers.
    pub(crate) async fn start(project: &Project, options: NodeOptions) -> anyhow::Result<Self> {
        let (root, env) = (project.root.clone(), project.function_env());
        let settings = Arc::new(project.gateway_settings());
        let served = tokio::task::spawn_blocking(move || load(&root, &env, None));
        let log = crate::log::open(project, options.wait).await?;
        let otlp = otlp(project)?;
        let session = Arc::new(session(project, log.clone(), otlp.clone()));
        let services = Arc::new(Services::new(project.outbound()?));
        declare_topics(project, &session).await?;
        let served = served.await.context("compile the project")?;
        let (code, router) = served.unwrap_or_else(|mistakes| without_routes(&project.root, &mistakes));
        let served = weir_gateway::Project { code, router, settings };
        let (code, code_seen) = watch::channel(served.code.clone());
        let (live, live_seen) = watch::channel(Arc::new(served));
        let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut pumps, mut calls, mut workers) = (Vec::new(), Vec::new(), Vec::new());
        let mut listeners = options.listeners.into_iter();
        for index in 0..listeners.len().max(1) {
            let (pump, inbox) = pump_channel();
            let (call, calls_seen) = mpsc::channel(64);
            workers.push(worker::spawn(WorkerParts {
                index,
                session: session.clone(),
                services: services.clone(),
                live: live_seen.clone(),
                code: code_seen.clone(),
                inbox,
                calls: calls_seen,
                listener: listeners.next(),
                shutdown: shutdown.clone(),
                stop: stop.clone(),
            })?);
            pumps.push(pump);
            calls.push(call);
        }
        let (triggers, begun) = start_triggers(
            project,
            &session,
            pumps,
            &live_seen.borrow().clone(),
            &shutdown,
            options.triggers,
        )
        .await?;
        let admin = Admin {
            session,
            replays: replays(&triggers, &live_seen, options.triggers),
            live: live_seen,
            calls: Arc::new(Calls::new(calls)),
            triggers,
            settings: Arc::new(admin_settings(project)),
            shutdown: shutdown.clone(),
            metrics: numbers::start(),
        };
        Ok(Self { admin, live, code, begun, workers, otlp, shutdown, stop })
    }

    /// Ends when the node is asked to stop.
    pub(crate) fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// No new work, let what has begun end, hand the triggers over at an event's boundary, close the log.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.admin.triggers.stopped().await;
        self.stop.cancel();
        let workers = self.workers;
        let joined = tokio::task::spawn_blocking(move || workers.into_iter().all(|w| w.join().is_ok())).await;
        self.admin.session.log().close().await.context("close the log")?;
        if let Some(otlp) = self.otlp {
            tokio::task::spawn_blocking(move || otlp.stop()).await.context("send the last spans")?;
        }
        if !joined.context("wait for the workers")? {
            bail!("a worker's thread ended by a panic");
        }
        Ok(())
    }
}

/// The replays of the log, served from now on.
fn replays(triggers: &Triggers, live: &Live, run: RunTriggers) -> Replays {
    let live = live.clone();
    let limits = Arc::new(move |function: &_| live.borrow().settings.limits_of(function));
    let replays = Replays::new(triggers.clone(), limits, run == RunTriggers::Yes);
    replays.serve();
    replays
}

/// How the process's workers are made: they share one watchdog, and what libraries share.
pub(crate) fn worker_options() -> anyhow::Result<WorkerOptions> {
    static OPTIONS: OnceLock<WorkerOptions> = OnceLock::new();
    if OPTIONS.get().is_none() {
        // of two that are started at once one is kept, and the other's watchdog ends with it
        OPTIONS.set(WorkerOptions::new(Watchdog::start().context("start the watchdog")?)).ok();
    }
    OPTIONS.get().cloned().context("the options have just been set")
}

/// Compiles a project and reads its routes, which see `env`. What is wrong with the routes is returned; functions that do not compile
/// are in the code itself.
pub(crate) fn load(
    root: &Path,
    env: &BTreeMap<String, String>,
    before: Option<&Code>,
) -> Result<(Arc<Code>, Arc<Router>), Vec<String>> {
    let code = Arc::new(match before {
        Some(code) => code.reload(root),
        None => Code::load(root),
    });
    let options = worker_options().map_err(|e| vec![format!("{e:#}")])?;
    let worker = Worker::new(&options).map_err(|e| vec![e.to_string()])?;
    let routes = worker
        .routes(&code, env)
        .map_err(|failure| vec![format!("{}\n{}", failure.message, failure.frame)])?;
    let router = Arc::new(weir_gateway::read_routes(routes)?);
    Ok((code, router))
}

/// Serves what there is: every route answers 404 until app/gateway.lua is mended.
fn without_routes(root: &Path, mistakes: &[String]) -> (Arc<Code>, Arc<Router>) {
    for mistake in mistakes {
        tracing::error!("{mistake}");
    }
    (Arc::new(Code::load(root)), Arc::default())
}

/// Where spans go, if anywhere.
fn otlp(project: &Project) -> anyhow::Result<Option<Arc<Otlp>>> {
    let config = project.config();
    let otlp = config.telemetry.otlp.as_ref().map(|url| Otlp::new(url, config.app_name.as_str()));
    Ok(otlp.transpose()?.map(Arc::new))
}

fn session(project: &Project, log: Arc<dyn Log>, otlp: Option<Arc<Otlp>>) -> Session {
    let session = Session::new(log, Arc::new(SystemClock), project.function_env());
    match otlp {
        Some(otlp) => session.with_spans(otlp),
        None => session,
    }
}

/// Creates the topics that the configuration declares.
pub(crate) async fn create_topics(project: &Project, log: &dyn Log) -> anyhow::Result<()> {
    for topic in &project.config().topics {
        let spec = TopicSpec {
            name: topic.name.clone(),
            partitions: topic.partitions.get(),
            partitioner: topic.partitioner,
            retention: topic.retention,
        };
        log.create_topic(&spec).await.with_context(|| format!("create the topic {}", topic.name))?;
    }
    Ok(())
}

pub(crate) async fn declare_topics(project: &Project, session: &Session) -> anyhow::Result<()> {
    create_topics(project, &**session.log()).await?;
    let declared: Vec<TopicName> = project.config().topics.iter().map(|t| t.name.clone()).collect();
    session.refresh_topics(|t| declared.contains(&t.spec.name)).await.context("list the topics")
}

pub(crate) fn admin_settings(project: &Project) -> AdminSettings {
    let config = project.config();
    AdminSettings {
        token: config.admin.token.as_ref().map(|t| t.reveal().to_owned()).unwrap_or_default(),
        app: config.app_name.to_string(),
        env: config.environment.as_str().to_owned(),
        body: bytes(config.limits.body),
    }
}

async fn start_triggers(
    project: &Project,
    session: &Arc<Session>,
    pumps: Vec<PumpHandle>,
    served: &weir_gateway::Project,
    shutdown: &CancellationToken,
    run: RunTriggers,
) -> anyhow::Result<(Triggers, Vec<Begun>)> {
    let triggers = Triggers::new(session.clone(), pumps, shutdown.clone(), run == RunTriggers::Hold);
    let is_first_start = session.log().positions(None).await.context("read the positions")?.is_empty();
    let mut begun = Vec::new();
    for declared in project.config().triggers.iter().filter(|t| t.enabled) {
        let trigger = trigger(project, declared, served);
        if run == RunTriggers::No {
            triggers.declare(trigger);
            continue;
        }
        let started = triggers.start(trigger, declared.start_from, is_first_start).await;
        begun.extend(started.with_context(|| format!("start the trigger {}", declared.name()))?);
    }
    if run == RunTriggers::Yes {
        triggers.keep_retention();
    }
    Ok((triggers, begun))
}

/// After a reload: triggers that are new, gone or changed are started, stopped or started again; and the parked events
/// of all are tried again at once, for the functions that failed them may be mended.
pub(crate) async fn change_triggers(
    project: &Project,
    triggers: &Triggers,
    served: &weir_gateway::Project,
    has_new_config: bool,
) {
    if has_new_config {
        let wanted: Vec<_> = project.config().triggers.iter().filter(|t| t.enabled).collect();
        for known in triggers.all() {
            let same = wanted.iter().map(|d| trigger(project, d, served)).any(|t| t.is_same(&known));
            // what it lacked may be there now
            if !same || triggers.needs_start(&known.group) {
                triggers.stop(&known.group).await;
            }
        }
        let known = triggers.all();
        for declared in wanted.iter().filter(|d| !known.iter().any(|t| t.group == d.group)) {
            let started =
                triggers.start(trigger(project, declared, served), declared.start_from, false).await;
            match started {
                Ok(Some(begun)) if begun.at == Beginning::NeedsStart => {
                    tracing::warn!("{}", terminal::of_beginning(&begun));
                }
                Ok(_) => tracing::info!(trigger = declared.name(), "started"),
                Err(error) => tracing::error!(trigger = declared.name(), %error, "cannot start the trigger"),
            }
        }
    }
    if let Err(error) = triggers.redrive_all().await {
        tracing::debug!(%error, "parked events wait for their time");
    }
}

/// A trigger whose name is no function but the path of a POST route runs that route's function.
pub(crate) fn trigger(
    project: &Project,
    declared: &weir_config::Trigger,
    served: &weir_gateway::Project,
) -> Trigger {
    let name = &declared.function;
    let is_function = served.code.functions().contains(name);
    let routed = served.router.find("POST", &format!("/{name}")).map(|m| m.route.function.clone());
    let function = routed.filter(|_| !is_function).unwrap_or_else(|| name.clone());
    Trigger {
        topic: declared.topic.clone(),
        name: name.clone(),
        limits: project.limits_of(&function),
        function,
        group: declared.group.clone(),
        settings: dispatch_settings(declared),
        replay: None,
    }
}

fn dispatch_settings(declared: &weir_config::Trigger) -> weir_triggers::dispatcher::Settings {
    use weir_triggers::dispatcher::{Breaker, OnExhausted, Retry, Settings};
    let count = |n: std::num::NonZeroU32| n.get() as usize;
    let (retry, breaker) = (declared.retry, declared.breaker);
    Settings {
        window: count(declared.window),
        max_concurrent: count(declared.max_concurrent),
        max_parked: count(declared.max_parked),
        detach_after: declared.detach_after,
        retry: Retry {
            attempts: retry.attempts.get(),
            backoff: retry.backoff,
            max_backoff: retry.max_backoff,
            jitter: retry.jitter,
        },
        on_exhausted: match declared.on_exhausted {
            weir_config::OnExhausted::Hold => OnExhausted::Hold,
            weir_config::OnExhausted::Skip => OnExhausted::Skip,
            weir_config::OnExhausted::Pause => OnExhausted::Pause,
        },
        breaker: Some(Breaker {
            failures: count(breaker.failures),
            keys: count(breaker.keys),
            ratio: breaker.ratio,
            within: breaker.within,
            probe: breaker.probe,
        }),
        seed: fastrand::u64(..),
        ..Settings::default()
    }
}
