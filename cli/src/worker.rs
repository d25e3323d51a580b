//! One worker: a thread with a reactor, a VM, an accept loop, a pump for triggers.

use crate::node::worker_options;
use anyhow::Context as _;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, watch};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;
use weir_gateway::{Call, Gateway, Live, Transactor};
use weir_library::Services;
use weir_runtime::{Code, Session, Worker, WorkerOptions};
use weir_triggers::{Inbox, Pump};

/// Lua's C frames need room: see the limits of the runtime.
pub(crate) const STACK: usize = 8 << 20;

/// What a worker is given.
#[derive(Debug)]
pub(crate) struct WorkerParts {
    pub(crate) index: usize,
    pub(crate) session: Arc<Session>,
    pub(crate) services: Arc<Services>,
    pub(crate) live: Live,
    pub(crate) code: watch::Receiver<Arc<Code>>,
    pub(crate) inbox: Inbox,
    pub(crate) calls: mpsc::Receiver<Call>,
    /// None where nothing is served.
    pub(crate) listener: Option<std::net::TcpListener>,
    /// No new requests.
    pub(crate) shutdown: CancellationToken,
    /// No more work at all.
    pub(crate) stop: CancellationToken,
}

/// Starts the worker's thread.
pub(crate) fn spawn(parts: WorkerParts) -> anyhow::Result<JoinHandle<()>> {
    let index = parts.index;
    let builder = std::thread::Builder::new().name(format!("worker-{index}")).stack_size(STACK);
    let thread = builder.spawn(move || {
        if let Err(error) = run(parts) {
            tracing::error!(worker = index, "a worker ended: {error:#}");
        }
    });
    thread.context("start a worker's thread")
}

fn run(parts: WorkerParts) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a reactor")?;
    // the engine's errors stay on their thread, so only its words go on
    let options = WorkerOptions { services: parts.services.clone(), ..worker_options()? };
    let worker = Worker::new(&options).map_err(|e| anyhow::anyhow!("{e}"))?;
    let worker = Rc::new(worker);
    LocalSet::new().block_on(&runtime, serve(parts, worker))
}

async fn serve(parts: WorkerParts, worker: Rc<Worker>) -> anyhow::Result<()> {
    let transactor = Transactor { worker: worker.clone(), session: parts.session.clone() };
    let gateway = Gateway::new(transactor.clone(), parts.live.clone());
    let pump = Pump::new(parts.session, worker, parts.code, parts.inbox);
    let accept = async {
        match parts.listener {
            Some(listener) => weir_gateway::serve(listener, gateway, parts.shutdown.clone()).await,
            None => Ok(()),
        }
    };
    let calls = serve_calls(parts.calls, transactor, parts.live, parts.stop.clone());
    let (accepted, (), ()) = tokio::join!(biased; accept, pump.run(parts.stop), calls);
    accepted.context("serve the gateway")
}

/// Runs the functions that the admin API calls.
async fn serve_calls(
    mut calls: mpsc::Receiver<Call>,
    transactor: Transactor,
    live: Live,
    stop: CancellationToken,
) {
    loop {
        let call = tokio::select! {
            () = stop.cancelled() => return,
            call = calls.recv() => match call {
                Some(call) => call,
                None => return,
            },
        };
        let (transactor, code) = (transactor.clone(), live.borrow().code.clone());
        tokio::task::spawn_local(async move {
            let invocation = Rc::new(call.invocation);
            let done = transactor.run(&code, &invocation, None, call.trace, call.dry).await;
            drop(call.done.send(done)); // who asked may have gone
        });
    }
}
