//! Durability: none. A commit is visible when it resolves, and gone when the log is closed or dropped.
//!
//! The model of what a log does: one lock, and every transaction checked and applied under it, in call order. The
//! other backends are tested against it.

mod apply;
mod groups;
mod store;

use crate::keeper::Keeper;
use crate::members::Members;
use crate::{
    Capabilities, Clock, Commit, CommitError, GroupPosition, Hint, Log, LogError, LogLimits, Membership,
    MembershipEnd, ReadLimit, TopicInfo, TopicSpec,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::sync::{mpsc, watch};
use weir_schema::{
    At, GroupName, Millis, Offset, Records, ScanPage, StateKey, StateRange, Transaction, Versioned, WriterId,
};

/// A log in memory. See the module's docs.
#[derive(Debug)]
pub(crate) struct MemoryLog {
    shared: Arc<Shared>,
    capabilities: Capabilities,
    keeper: Keeper,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    members: Members,
    hint: watch::Sender<Hint>,
    clock: Arc<dyn Clock>,
}

impl MemoryLog {
    /// An empty log.
    pub(crate) fn open(clock: Arc<dyn Clock>) -> Result<Self, LogError> {
        let keeper = Keeper::start().map_err(|error| LogError::Unavailable {
            operation: "start the log's thread".into(),
            source: error.into(),
            retry: true,
        })?;
        let capabilities = Capabilities {
            driver: "memory",
            place: "memory".into(),
            durability: "none: everything is gone when the process ends",
            dense: true,
            atomic_visibility: true,
            counts_bytes: true,
            takes_partitioner: false,
            shared: false,
            tells_within: Some(Duration::ZERO),
            writer: WriterId(1),
            limits: LogLimits::default(),
        };
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            members: Members::default(),
            hint: watch::Sender::default(),
            clock,
        });
        Ok(Self { shared, capabilities, keeper })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store, unless the log has been closed.
    fn open(&self) -> Result<MutexGuard<'_, Store>, LogError> {
        let store = self.lock();
        if store.closed { Err(LogError::Closed) } else { Ok(store) }
    }

    async fn serve(&self, number: u64, group: &GroupName, mut ends: mpsc::Receiver<MembershipEnd>) {
        while let Some(end) = ends.recv().await {
            match end {
                MembershipEnd::Release(at, epoch, done) => {
                    let released = self.open().map(|mut store| store.release(group, at, epoch));
                    self.members.released(number, at);
                    drop(done.send(released));
                }
                MembershipEnd::Settled(at, epoch, done) => {
                    drop(done.send(self.open().map(|mut store| store.settle(group, at, epoch))));
                }
            }
        }
        drop(self.members.leave(number));
    }
}

#[async_trait::async_trait]
impl Log for MemoryLog {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let info = self.shared.open()?.create_topic(spec)?;
        self.shared.hint.send_modify(|hint| {
            hint.tails.extend(info.partitions().zip(info.tail.iter().copied()));
        });
        Ok(info)
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        Ok(self.shared.open()?.topics())
    }

    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        let mut store = match self.shared.open() {
            Ok(store) => store,
            Err(closed) => return Commit::ready(Err(CommitError::Unavailable(closed.into()))),
        };
        let outcome = store.commit(&transaction, self.shared.clock.now(), &self.capabilities.limits);
        // under the lock, so that hints never go back
        if outcome.is_ok() && !transaction.is_read_only() {
            self.shared.hint.send_modify(|hint| store.refresh(hint, &transaction));
        }
        Commit::ready(outcome)
    }

    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        self.shared.open()?.read(at, from, max)
    }

    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        self.shared.open()?.offset_at(at, time)
    }

    fn watch(&self) -> watch::Receiver<Hint> {
        self.shared.hint.subscribe()
    }

    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        let store = self.shared.open()?;
        Ok(keys.iter().map(|key| store.row(key)).collect())
    }

    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        Ok(self.shared.open()?.scan(range, limit))
    }

    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        let mut store = self.shared.open()?;
        let claims = store.start(group, start)?;
        let joined = self.shared.members.enter(group, claims.clone()).ok_or(LogError::Closed)?;
        let assigned = claims.into_iter().map(|at| store.take_over(group, at)).collect();
        self.shared.members.assign(joined.number, assigned);
        let (shared, group) = (self.shared.clone(), group.clone());
        self.keeper.spawn(async move { shared.serve(joined.number, &group, joined.ends).await });
        Ok(joined.membership)
    }

    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        Ok(self.shared.open()?.positions(group))
    }

    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        self.shared.open()?.forget(group);
        self.shared.members.forget(group);
        Ok(())
    }

    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        self.shared.open()?.trim(at, before)
    }

    async fn close(&self) -> Result<(), LogError> {
        {
            let mut store = self.shared.open()?;
            store.closed = true;
        }
        self.shared.members.close();
        self.keeper.stop().await;
        Ok(())
    }
}
