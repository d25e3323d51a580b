//! Durability: a commit is on the server's disk when it resolves (`synchronous_commit=on`).
//!
//! One schema of one database. One task of each process writes ([`committer`]), by one call of a function of the schema
//! for each batch; reads have connections of their own and see a snapshot each. Several processes may have the schema
//! open: each writes and reads, and they share the partitions of a group among them ([`membership`]).

mod answer;
mod call;
mod check;
mod committer;
mod connection;
mod edits;
mod error;
mod events;
mod facts;
mod groups;
mod health;
mod held;
mod history;
mod lane;
mod membership;
mod news;
mod opening;
mod options;
mod outline;
mod parameters;
mod passfile;
mod placement;
mod plan;
mod schema;
mod spacer;
mod state;
mod surroundings;
mod target;
mod tls;
mod topics;

use crate::batch;
use crate::keeper::Keeper;
use crate::ledger::Ledger;
use crate::members::Members;
use crate::versions::Migration;
use crate::{
    Capabilities, Clock, Commit, CommitError, GroupPosition, Hint, Log, LogError, LogLimits, Membership,
    ReadLimit, TopicInfo, TopicSpec,
};
use committer::{Committer, Job, Known};
use connection::Server;
use deadpool_postgres::Client;
use error::Failure;
use history::History;
use lane::Lane;
use news::News;
use schema::Seat;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use weir_schema::{
    AppName, At, CatalogVersion, GroupName, Millis, Offset, Receipt, Records, ScanPage, StateKey, StateRange,
    Transaction, Versioned,
};

pub(crate) use held::Held;
pub(crate) use opening::schema_state;
pub use options::{ConnString, PostgresOptions};
#[cfg(feature = "conformance")]
pub(crate) use parameters::in_words;
pub(crate) use spacer::{Message, Spacer, Standing, find};
pub use surroundings::Surroundings;

/// A log in PostgreSQL. See the module's docs.
#[derive(Debug)]
pub(crate) struct PostgresLog {
    capabilities: Capabilities,
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    jobs: mpsc::Sender<Job>,
    /// Resolves when the committer has ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

/// What the log's own tasks need too.
#[derive(Debug)]
struct Shared {
    server: Server,
    seat: Seat,
    history: History,
    lease: Duration,
    hint: watch::Sender<Hint>,
    news: News,
    members: Members,
    /// Held by whoever changes which partitions are whose.
    balancing: Mutex<()>,
    /// Held by whoever renews the lease or gives it back; whether it has been given back, for good.
    departed: Mutex<bool>,
    /// Told when another process has changed something about groups.
    regroup: Notify,
    closed: AtomicBool,
}

impl PostgresLog {
    /// Opens the log that `options` name; makes the schema and its tables if there are none.
    pub(crate) async fn open(
        options: PostgresOptions,
        app: Option<AppName>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        Self::open_as(options, app, clock, schema::MIGRATIONS).await
    }

    /// Likewise, as a program does that knows `migrations`.
    async fn open_as(
        options: PostgresOptions,
        app: Option<AppName>,
        clock: Arc<dyn Clock>,
        migrations: &'static [Migration],
    ) -> Result<Self, LogError> {
        let server = Server::new(&options)?;
        let keeper = Arc::new(Keeper::start().map_err(|error| LogError::no_thread(&server.place, error))?);
        let opening = {
            let (server, lease) = (server.clone(), options.lease);
            async move { opening::begin(&server, app.as_ref(), migrations, lease).await }
        };
        let opened = keeper.complete(opening).await.ok_or(LogError::Closed)?;
        let (seat, hint, history) =
            opened.map_err(|failure| failure.into_log_error("open", &server.place))?;
        let capabilities = opening::capabilities(&server, seat);
        let shared = Arc::new(Shared {
            server,
            seat,
            history,
            lease: options.lease,
            hint: watch::Sender::new(hint),
            news: News::new(seat.space),
            members: Members::default(),
            balancing: Mutex::default(),
            departed: Mutex::default(),
            regroup: Notify::new(),
            closed: AtomicBool::new(false),
        });
        keeper.spawn(news::notify(shared.clone()));
        keeper.spawn(news::listen(shared.clone()));
        keeper.spawn(news::keep_looking(shared.clone()));
        keeper.spawn(membership::attend(shared.clone()));
        let (jobs, queue) = mpsc::channel(options.queue.max(1));
        let ended = start(&shared, &keeper, capabilities.limits, clock, queue);
        Ok(Self { capabilities, shared, keeper, jobs, ended: Mutex::new(Some(ended)) })
    }

    /// Does `work` on the log's own runtime, whatever runtime the caller is on. It may be done twice.
    async fn run<T, F>(
        &self,
        operation: &'static str,
        work: impl Fn(Client) -> F + Send + Sync + 'static,
    ) -> Result<T, LogError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
    {
        let shared = self.shared.clone();
        self.complete(async move { shared.run(operation, work).await }).await
    }

    async fn complete<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, LogError>> + Send + 'static,
    ) -> Result<T, LogError> {
        if self.shared.is_closed() {
            return Err(LogError::Closed);
        }
        self.keeper.complete(task).await.ok_or(LogError::Closed)?
    }

    /// Checks a transaction that changes nothing, beside the committer.
    fn check(&self, transaction: Arc<Transaction>) -> Commit {
        let (done, commit) = Commit::channel();
        let (shared, limits) = (self.shared.clone(), self.capabilities.limits);
        self.keeper.spawn(async move {
            let work = move |mut client: Client| {
                let transaction = transaction.clone();
                async move { check::read_only(&mut client, &transaction, &limits).await }
            };
            let checked = shared.run("check reads in", work).await;
            let checked = checked.unwrap_or_else(|error| Err(CommitError::Unavailable(error.into())));
            // whoever asked may have gone
            drop(done.send(checked.map(|()| Receipt::default())));
        });
        commit
    }
}

impl Shared {
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// This process's number among those that take part in groups.
    fn node(&self) -> i32 {
        self.seat.writer.0.cast_signed()
    }

    /// Does `work` on a connection; it may be done twice.
    async fn run<T, F>(&self, operation: &'static str, work: impl Fn(Client) -> F) -> Result<T, LogError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        self.history.check(&self.server.place)?;
        let done = self.server.with(work).await;
        done.map_err(|failure| failure.into_log_error(operation, &self.server.place))
    }

    /// Tells of tails and versions, here and elsewhere.
    fn tell(&self, tails: &[(At, Offset)], catalog: CatalogVersion, control: u64) {
        self.hint.send_if_modified(|hint| hint.merge(tails, catalog, control));
        self.news.tell(tails, catalog, control);
    }
}

/// Starts the committer's task.
fn start(
    shared: &Arc<Shared>,
    keeper: &Keeper,
    limits: LogLimits,
    clock: Arc<dyn Clock>,
    queue: mpsc::Receiver<Job>,
) -> oneshot::Receiver<()> {
    let (shared, known, lane, ledger) =
        (shared.clone(), Known::default(), Lane::default(), Ledger::default());
    let committer = Committer { shared, clock, limits, lane, unsure: None, known, ledger };
    let (ended, end) = oneshot::channel();
    keeper.spawn_to_end(async move {
        committer.run(queue).await;
        // nobody waits for it unless the log is closed
        ended.send(()).unwrap_or(());
    });
    end
}

#[async_trait::async_trait]
impl Log for PostgresLog {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn create_topic(&self, spec: &TopicSpec) -> Result<TopicInfo, LogError> {
        let spec = spec.clone();
        let work = move |mut client: Client| {
            let spec = spec.clone();
            async move { topics::create(&mut client, &spec).await }
        };
        let info = self.run("create a topic in", work).await?;
        let tails: Vec<_> = info.partitions().zip(info.tail.iter().copied()).collect();
        self.shared.tell(&tails, CatalogVersion::default(), 0);
        Ok(info)
    }

    async fn topics(&self) -> Result<Vec<TopicInfo>, LogError> {
        self.run("list the topics of", |client| async move { topics::all(&client).await }).await
    }

    fn commit(&self, transaction: Arc<Transaction>) -> Commit {
        if self.shared.is_closed() {
            return batch::refuse(LogError::Closed);
        }
        if transaction.is_read_only() {
            return self.check(transaction);
        }
        batch::enqueue(&self.jobs, transaction)
    }

    async fn read(&self, at: At, from: Offset, max: ReadLimit) -> Result<Records, LogError> {
        self.run("read", move |client| async move { events::read(&client, at, from, max).await }).await
    }

    async fn offset_at(&self, at: At, time: Millis) -> Result<Offset, LogError> {
        let work = move |client| async move { events::offset_at(&client, at, time).await };
        self.run("look a time up in", work).await
    }

    fn watch(&self) -> watch::Receiver<Hint> {
        self.shared.hint.subscribe()
    }

    async fn get(&self, keys: &[StateKey]) -> Result<Vec<Option<Versioned>>, LogError> {
        let keys: Arc<[_]> = keys.into();
        let work = move |client: Client| {
            let keys = keys.clone();
            async move { state::get(&client, &keys).await }
        };
        self.run("get rows of", work).await
    }

    async fn scan(&self, range: &StateRange, limit: u32) -> Result<ScanPage, LogError> {
        let range = range.clone();
        let work = move |client: Client| {
            let range = range.clone();
            async move { state::scan(&client, &range, limit).await }
        };
        self.run("scan", work).await
    }

    async fn join(&self, group: &GroupName, start: &[(At, Offset)]) -> Result<Membership, LogError> {
        let (shared, keeper) = (self.shared.clone(), self.keeper.clone());
        let (group, start) = (group.clone(), start.to_vec());
        self.complete(async move { membership::join(&shared, &keeper, &group, &start).await }).await
    }

    async fn positions(&self, group: Option<&GroupName>) -> Result<Vec<GroupPosition>, LogError> {
        let group = group.cloned();
        let work = move |client: Client| {
            let group = group.clone();
            async move { groups::positions(&client, group.as_ref()).await }
        };
        self.run("read the positions of", work).await
    }

    async fn forget(&self, group: &GroupName) -> Result<(), LogError> {
        let (shared, group) = (self.shared.clone(), group.clone());
        let task = async move {
            let _balancing = shared.balancing.lock().await;
            let work = |client: Client| {
                let group = group.clone();
                async move { groups::forget(&client, &group).await }
            };
            shared.run("forget a group in", work).await?;
            shared.members.forget(&group);
            Ok(())
        };
        self.complete(task).await
    }

    async fn trim(&self, at: At, before: Offset) -> Result<Offset, LogError> {
        let step = || {
            let step =
                move |mut client: Client| async move { events::trim_step(&mut client, at, before).await };
            self.run("trim", step)
        };
        crate::steps::trim(before, step).await
    }

    async fn close(&self) -> Result<(), LogError> {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return Err(LogError::Closed);
        }
        drop(self.jobs.send(Job::Close).await);
        if let Some(ended) = self.ended.lock().await.take() {
            drop(ended.await);
        }
        self.shared.members.close();
        let shared = self.shared.clone();
        let departed = self.keeper.complete(async move { membership::depart(&shared).await }).await;
        if let Some(Err(failure)) = departed {
            let error = failure.into_log_error("leave", &self.shared.server.place);
            tracing::debug!(%error, "the lease of this process ends by itself");
        }
        self.keeper.stop().await;
        self.shared.server.close();
        Ok(())
    }
}

#[cfg(feature = "kafka")]
#[async_trait::async_trait]
impl crate::store::Store for PostgresLog {
    async fn begin(&self, group: &GroupName, positions: &[(At, Offset)]) -> Result<(), LogError> {
        let (group, positions): (_, Arc<[_]>) = (group.clone(), positions.into());
        let work = move |client: Client| {
            let (group, positions) = (group.clone(), positions.clone());
            async move { groups::begin(&client, &group, &positions).await }
        };
        self.run("begin a group of", work).await
    }

    async fn grow(&self, topic: weir_schema::TopicId, partitions: u32) -> Result<(), LogError> {
        let work =
            move |mut client: Client| async move { topics::grow(&mut client, topic, partitions).await };
        self.run("add partitions to a topic of", work).await
    }

    async fn alter(&self, topic: weir_schema::TopicId, spec: &TopicSpec) -> Result<(), LogError> {
        let spec = spec.clone();
        let work = move |client: Client| {
            let spec = spec.clone();
            async move { topics::put(&client, topic, &spec).await }
        };
        self.run("change a topic of", work).await
    }
}
