//! A node in this process: a log, one worker, its triggers.

use crate::store::Log;
use anyhow::Context as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use weir_log::TopicInfo;
use weir_runtime::{Code, Limits, Watchdog, Worker, WorkerOptions};
use weir_schema::{FunctionName, GroupName, Position};
use weir_triggers::{Pump, Trigger, Triggers, dispatcher, pump_channel};

/// See the module's docs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) log: Log,
    triggers: Triggers,
    shutdown: CancellationToken,
    stop: CancellationToken,
    worker: Option<std::thread::JoinHandle<()>>,
}

impl Node {
    /// A node on a log whose functions are these files below `app/` in `folder`.
    pub(crate) fn start(log: Log, folder: &Path, functions: &[(&str, &str)]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder.join("app"))?;
        for (name, text) in functions {
            std::fs::write(folder.join(format!("app/{name}.lua")), text)?;
        }
        let session = log.session.clone();
        let (_, code) = watch::channel(Arc::new(Code::load(folder)));
        let (pump, inbox) = pump_channel();
        let (shutdown, stop) = (CancellationToken::new(), CancellationToken::new());
        let (session_there, stop_there) = (session.clone(), stop.clone());
        let options = WorkerOptions::new(Watchdog::start()?);
        let worker = std::thread::Builder::new().stack_size(8 << 20).spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a reactor starts");
            let worker = Rc::new(Worker::new(&options).expect("a VM starts"));
            let pump = Pump::new(session_there, worker, code, inbox);
            tokio::task::LocalSet::new().block_on(&runtime, pump.run(stop_there));
        })?;
        let triggers = Triggers::new(session, vec![pump], shutdown.clone(), false);
        Ok(Self { log, triggers, shutdown, stop, worker: Some(worker) })
    }

    /// Runs `function` on every event of `topic` from the earliest on.
    pub(crate) async fn trigger(&self, topic: &TopicInfo, function: &str) -> anyhow::Result<GroupName> {
        let name = FunctionName::new(function)?;
        let group = GroupName::of_trigger(&topic.spec.name, &name);
        let trigger = Trigger {
            topic: topic.spec.name.clone(),
            name: name.clone(),
            function: name,
            group: group.clone(),
            settings: dispatcher::Settings::default(),
            limits: Limits::default(),
            replay: None,
        };
        self.triggers.start(trigger, Some(Position::Earliest), true).await?;
        Ok(group)
    }

    /// Waits until a group has handled `events` events.
    pub(crate) async fn handled(&self, group: &GroupName, events: u64) -> anyhow::Result<()> {
        loop {
            let positions = self.log.session.log().positions(Some(group)).await?;
            if positions.iter().map(|p| p.position.0).sum::<u64>() >= events {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    /// Events a second that `function` handles of the first `events` of `topic`; then the node is stopped.
    pub(crate) async fn rate(self, topic: &TopicInfo, function: &str, events: u64) -> anyhow::Result<f64> {
        let started = Instant::now();
        let group = self.trigger(topic, function).await?;
        self.handled(&group, events).await?;
        let rate = events as f64 / started.elapsed().as_secs_f64();
        self.stop().await?;
        Ok(rate)
    }

    /// Hands over, and closes the log.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.triggers.stopped().await;
        self.stop.cancel();
        if let Some(worker) = self.worker.take() {
            tokio::task::spawn_blocking(move || worker.join())
                .await?
                .ok()
                .context("the worker ended by a panic")?;
        }
        Ok(self.log.session.log().close().await?)
    }
}
