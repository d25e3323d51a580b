//! The relay: brings what the store has committed to Kafka, in commit order, each transaction once.
//!
//! Of all processes that share a store one has the lease. It reads the rows of the outbox in order, sends many in one
//! transaction of Kafka's, and records in that same transaction the number of the first row that it has not sent
//! ([`Transactor`]). Whoever comes after it ends what it left open, reads the number, and goes on from there: whatever a
//! row's transaction came to, the number tells.

mod elsewhere;
mod record;
mod refused;
mod session;
mod transactor;

use super::clients::Clients;
use super::notes::Notes;
use super::shared::Shared;
use crate::store::Store;
use crate::{Change, LogError, Membership};
use session::Session;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use weir_schema::{At, Epoch, GroupName, Offset, WriterId};

pub(super) use record::{SETTINGS, reached, topic};
pub(super) use refused::troubles;
pub(super) use session::first;

/// The group whose lease the relay has.
pub(super) const GROUP: &str = "_weir_relay";

/// What the relay works with.
#[derive(Clone, Debug)]
pub(super) struct Relay {
    pub(super) clients: Clients,
    pub(super) store: Arc<dyn Store>,
    pub(super) notes: Notes,
    pub(super) outbox: At,
    pub(super) shared: Arc<Shared>,
    pub(super) writer: WriterId,
    /// Where the store's futures run while a thread waits for them.
    pub(super) handle: Handle,
    /// Whether this process has the lease.
    pub(super) runs_here: Arc<AtomicBool>,
}

/// A thread that relays. Stops when it is dropped.
struct Running {
    epoch: Epoch,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Relay {
    /// Takes part in the lease.
    pub(super) async fn join(&self) -> Result<Membership, LogError> {
        self.store.join(&group(), &[(self.outbox, Offset::ZERO)]).await
    }

    /// Relays whenever this process has the lease, until `stop`.
    pub(super) async fn attend(self, mut membership: Membership, stop: CancellationToken) {
        let mut running: Option<Running> = None;
        while let Some(Some(change)) = stop.run_until_cancelled(membership.changes.recv()).await {
            match change {
                Change::Assigned { epoch, .. } => {
                    end(running.take(), None).await;
                    running = self.start(epoch);
                }
                Change::Revoking { .. } => end(running.take(), Some((&membership, self.outbox))).await,
                Change::Lost { .. } => end(running.take(), None).await,
            }
        }
        end(running, Some((&membership, self.outbox))).await;
    }

    fn start(&self, epoch: Epoch) -> Option<Running> {
        let (relay, stop) = (self.clone(), CancellationToken::new());
        let (tell, ended) = oneshot::channel();
        let token = stop.clone();
        let runs_here = self.runs_here.clone();
        let work = move || {
            runs_here.store(true, Ordering::SeqCst);
            Session::new(relay, epoch, token).run();
            runs_here.store(false, Ordering::SeqCst);
            // nobody waits for it unless the lease goes on
            tell.send(()).unwrap_or(());
        };
        match std::thread::Builder::new().name("weir-kafka-relay".into()).spawn(work) {
            Ok(_) => Some(Running { epoch, stop, ended }),
            Err(error) => {
                tracing::error!(%error, "no thread can be started for the relay: nothing reaches Kafka");
                None
            }
        }
    }
}

/// Ends a thread, and hands its lease over if it is to.
async fn end(running: Option<Running>, release: Option<(&Membership, At)>) {
    let Some(mut running) = running else { return };
    running.stop.cancel();
    drop((&mut running.ended).await);
    if let Some((membership, at)) = release
        && let Err(error) = membership.release(at, running.epoch).await
    {
        tracing::debug!(%error, "the relay's lease was not handed over; it will be taken");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The relay's group.
pub(super) fn group() -> GroupName {
    GroupName::new(GROUP).expect("the constant is a valid name")
}
