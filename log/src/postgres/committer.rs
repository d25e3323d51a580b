//! The task that writes: takes what waits, has it applied by one call, answers when it is durable.
//!
//! There is no linger: a lone transaction is committed at once, and while a call is under way, the next batch gathers.
//! One batch is under way at a time, and each has a number. A call whose connection was lost is made again under the
//! same number; the server tells what it came to, and has the repeat wait for the first one's end.

use super::answer::{Answer, Receipts};
use super::call::Call;
use super::check::{self, Stale};
use super::error::Failure;
use super::facts::Facts;
use super::lane::{Broken, Lane};
use super::plan::{Draft, Ground, Plan, Refusal};
use super::{Shared, schema};
use super::{state, topics};
use crate::batch::{self, Outcome, Waiting};
use crate::ledger::Ledger;
use crate::{Clock, CommitError, LogError, LogLimits};
use deadpool_postgres::Client;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use weir_schema::{At, Offset, Read, Receipt, Records, TableName, TopicId, Transaction, TxnId};

/// What the committer is given: there are no changes of the log's own among it.
pub(super) type Job = batch::Job<std::convert::Infallible>;

/// The committer's own.
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: LogLimits,
    pub(super) lane: Lane,
    /// The last batch, if its call was made and its end is not known.
    pub(super) unsure: Option<Unsure>,
    pub(super) known: Known,
    pub(super) ledger: Ledger,
}

/// What is in the database and never changes.
#[derive(Default, Debug)]
pub(super) struct Known {
    tables: HashMap<TableName, i32>,
    /// How many partitions they have.
    topics: HashMap<TopicId, u32>,
}

/// A batch that may have been applied.
#[derive(Debug)]
pub(super) struct Unsure {
    ids: Vec<TxnId>,
    drafts: Vec<Draft>,
    receipts: Receipts,
}

/// A batch that has come to its end. Who waits for it is told while the server works on the next one: neither waits
/// for the other.
#[derive(Default)]
struct Ended {
    batch: Waiting,
    outcomes: Vec<Outcome>,
}

impl Ended {
    /// As soon as the call that was made just before is on its way.
    async fn tell_soon(self) {
        if !self.batch.is_empty() {
            tokio::task::yield_now().await;
        }
        self.tell();
    }

    fn tell(self) {
        for ((_, done), outcome) in self.batch.into_iter().zip(self.outcomes) {
            // whoever asked may have gone
            drop(done.send(outcome));
        }
    }
}

/// What becomes of a member.
enum Verdict {
    /// It was applied before.
    Known(Receipt),
    /// It is the member with this index.
    Same(usize),
    /// It is the draft with this index.
    Accepted(usize),
    Refused(Refusal),
}

impl Committer {
    /// Works until the log is closed or dropped, and everything enqueued is done.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut next = None;
        let mut ended = Ended::default();
        loop {
            let job = match next.take().or_else(|| jobs.try_recv().ok()) {
                Some(job) => Some(job),
                None => {
                    std::mem::take(&mut ended).tell();
                    jobs.recv().await
                }
            };
            match job {
                Some(Job::Commit(transaction, done)) => {
                    let (batch, other) = batch::gather(&mut jobs, transaction, done);
                    next = other;
                    let before = std::mem::take(&mut ended);
                    let (outcomes, ()) = tokio::join!(self.commit(&batch), before.tell_soon());
                    ended = Ended { batch, outcomes };
                }
                Some(Job::Change(never)) => match never {},
                Some(Job::Close) => jobs.close(),
                None => break,
            }
        }
        self.leave().await;
    }

    async fn leave(&mut self) {
        let writer = self.shared.seat.writer;
        let left =
            self.shared.server.once(|client| async move { schema::leave(&client, writer).await }).await;
        if let Err(failure) = left {
            let error = failure.into_log_error("leave", &self.shared.server.place);
            tracing::debug!(%error, "the writer's lane is left behind; nothing depends on it");
        }
    }

    async fn commit(&mut self, batch: &Waiting) -> Vec<Outcome> {
        match self.write(batch).await {
            Ok(outcomes) => outcomes,
            Err(Broken::Before(error)) => {
                // that the server does not answer is said already
                if !error.is_retryable() {
                    tracing::warn!(%error, transactions = batch.len(), "a batch was not committed");
                }
                self.refuse(batch, error)
            }
            Err(Broken::During(error)) => {
                tracing::warn!(%error, transactions = batch.len(), "what became of a batch is not known");
                self.refuse(batch, error)
            }
        }
    }

    /// Outcomes for a batch that was not applied; but of what is in a call whose end is not known, that cannot be said.
    fn refuse(&self, batch: &Waiting, error: LogError) -> Vec<Outcome> {
        let error = Arc::new(error);
        let unsure = |id| self.unsure.as_ref().is_some_and(|unsure| unsure.ids.contains(&id));
        let outcome = |(transaction, _): &(Arc<Transaction>, _)| {
            let error = error.clone().into();
            Err(if unsure(transaction.id) {
                CommitError::Ambiguous(error)
            } else {
                CommitError::Unavailable(error)
            })
        };
        batch.iter().map(outcome).collect()
    }

    async fn write(&mut self, batch: &Waiting) -> Result<Vec<Outcome>, Broken> {
        self.shared.history.check(&self.shared.server.place).map_err(Broken::Before)?;
        self.settle_unsure().await?;
        self.learn_names(batch).await?;
        let mut facts = Facts::default();
        let now = self.clock.now();
        loop {
            self.read_ranges(batch, &mut facts).await?;
            let ground = Ground { facts: &facts, now, limits: &self.limits, topics: &self.known.topics };
            let mut plan = Plan::new(ground);
            let mut drafts = Vec::new();
            let verdicts = judge(&self.ledger, batch, &mut plan, &mut drafts);
            if plan.is_empty() {
                return Ok(self.outcomes(batch, verdicts, &[]).await);
            }
            let call = Call::new(&plan, &facts, self.shared.seat, now, &self.known.tables);
            let ids =
                verdicts.iter().zip(batch).filter(|(verdict, _)| matches!(verdict, Verdict::Accepted(_)));
            let ids: Vec<_> = ids.map(|(_, (transaction, _))| transaction.id).collect();
            let receipts = Receipts::of(&plan);
            match self.lane.send(&self.shared, call).await {
                Ok(answer) if answer.applied => {
                    let filled = self.applied(&answer, &receipts, &ids, drafts);
                    return Ok(self.outcomes(batch, verdicts, &filled).await);
                }
                Ok(answer) => {
                    let lesson = answer.lesson(&plan);
                    facts.learn(lesson);
                }
                Err(broken) => {
                    if matches!(broken, Broken::During(_)) {
                        self.unsure = Some(Unsure { ids, drafts, receipts });
                    }
                    return Err(broken);
                }
            }
        }
    }

    /// Before anything else is written: finds out what became of the last batch, if that is not known, and sees to it
    /// that it is not applied later.
    async fn settle_unsure(&mut self) -> Result<(), Broken> {
        let Some(unsure) = self.unsure.take() else { return Ok(()) };
        let answer = match self.lane.send(&self.shared, Call::empty(self.shared.seat)).await {
            Ok(answer) => answer,
            Err(Broken::Before(error) | Broken::During(error)) => {
                self.unsure = Some(unsure);
                return Err(Broken::Before(error));
            }
        };
        tracing::info!(committed = answer.applied, "what became of the last batch is known now");
        if answer.applied {
            self.applied(&answer, &unsure.receipts, &unsure.ids, unsure.drafts);
        }
        Ok(())
    }

    /// Makes receipts of a batch that was applied, remembers them and tells of the news.
    fn applied(
        &mut self,
        answer: &Answer,
        receipts: &Receipts,
        ids: &[TxnId],
        drafts: Vec<Draft>,
    ) -> Vec<Receipt> {
        let filled = receipts.fill(answer, drafts);
        for (id, receipt) in ids.iter().zip(&filled) {
            self.ledger.remember(*id, receipt);
        }
        let tails: Vec<(At, Offset)> = receipts.tails(answer);
        let (catalog, control) = (answer.catalog.unwrap_or_default(), answer.control.unwrap_or_default());
        self.shared.tell(&tails, catalog, control);
        filled
    }

    /// Learns the numbers of the tables and the shapes of the topics that `batch` names.
    async fn learn_names(&mut self, batch: &Waiting) -> Result<(), Broken> {
        let transactions = || batch.iter().map(|(transaction, _)| transaction);
        let read = transactions().flat_map(|t| &t.reads).map(|read| match read {
            Read::Key(key, _) => &key.table,
            Read::Range(range, _) => &range.table,
        });
        let written = transactions().flat_map(|t| &t.writes).map(|write| &write.key.table);
        let tables = read.chain(written).filter(|table| !self.known.tables.contains_key(*table));
        let tables: Vec<_> = tables.cloned().collect();
        let mut events = transactions().flat_map(|t| &t.appends).flat_map(Records::iter);
        if !tables.is_empty() {
            let learn = |client: Client| {
                let tables = tables.clone();
                async move { state::table_numbers(&client, &tables).await }
            };
            let numbers = self.shared.server.with(learn).await.map_err(|failure| self.before(failure))?;
            self.known.tables.extend(numbers);
        }
        if events.any(|event| !self.known.topics.contains_key(&event.meta.at.topic)) {
            let shapes = self.shared.server.with(async |client| topics::shapes(&client).await).await;
            self.known.topics = shapes.map_err(|failure| self.before(failure))?;
        }
        Ok(())
    }

    /// Reads the ranges that members have read, and that are not among the facts.
    async fn read_ranges(&self, batch: &Waiting, facts: &mut Facts) -> Result<(), Broken> {
        let reads = batch.iter().flat_map(|(transaction, _)| &transaction.reads);
        for read in reads {
            let Read::Range(range, _) = read else { continue };
            if facts.ranges.contains_key(range) {
                continue;
            }
            let read = |client: Client| {
                let range = range.clone();
                async move { state::held(&client, &range).await }
            };
            let held = self.shared.server.with(read).await.map_err(|failure| self.before(failure))?;
            facts.ranges.insert(range.clone(), held);
        }
        Ok(())
    }

    /// What verdicts mean to those who wait. `receipts` are the drafts', filled.
    async fn outcomes(&self, batch: &Waiting, verdicts: Vec<Verdict>, receipts: &[Receipt]) -> Vec<Outcome> {
        let mut stale = self.stale(batch, &verdicts).await.into_iter();
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(batch.len());
        for verdict in verdicts {
            let outcome = match verdict {
                Verdict::Known(receipt) => Ok(receipt),
                Verdict::Accepted(draft) => Ok(receipts[draft].clone()),
                Verdict::Same(first) => Ok(outcomes[first].as_ref().map(Receipt::clone).unwrap_or_default()),
                Verdict::Refused(Refusal::Fenced(epoch)) => Err(CommitError::Fenced(epoch)),
                Verdict::Refused(Refusal::Moved(position)) => Err(CommitError::Moved(position)),
                Verdict::Refused(Refusal::Rejected(rejection)) => Err(CommitError::Rejected(rejection)),
                Verdict::Refused(Refusal::Stale) => {
                    Err(stale.next().unwrap_or_else(|| Stale::default().into()))
                }
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    /// What the stale members saw, as it is now.
    async fn stale(&self, batch: &Waiting, verdicts: &[Verdict]) -> Vec<CommitError> {
        let is_stale = |verdict: &Verdict| matches!(verdict, Verdict::Refused(Refusal::Stale));
        let members = batch.iter().zip(verdicts).filter(|(_, verdict)| is_stale(verdict));
        let members: Arc<[_]> = members.map(|((transaction, _), _)| transaction.clone()).collect();
        if members.is_empty() {
            return Vec::new();
        }
        let look = |mut client: Client| {
            let members = members.clone();
            async move { check::stale(&mut client, &members).await }
        };
        match self.shared.run("read stale rows of", look).await {
            Ok(stale) => stale.into_iter().map(CommitError::from).collect(),
            Err(error) => {
                let error = Arc::new(error);
                members.iter().map(|_| CommitError::Unavailable(error.clone().into())).collect()
            }
        }
    }

    fn before(&self, failure: Failure) -> Broken {
        Broken::Before(failure.into_log_error("write", &self.shared.server.place))
    }
}

/// Judges the members of a batch one after the other; those accepted are in `plan`, and their receipts in `drafts`.
fn judge<'a>(
    ledger: &Ledger,
    batch: &'a Waiting,
    plan: &mut Plan<'a>,
    drafts: &mut Vec<Draft>,
) -> Vec<Verdict> {
    let mut here: HashMap<TxnId, usize> = HashMap::new();
    let mut verdicts = Vec::with_capacity(batch.len());
    for (index, (transaction, _)) in batch.iter().enumerate() {
        let verdict = if let Some(first) = here.get(&transaction.id) {
            Verdict::Same(*first)
        } else if let Some(receipt) = ledger.get(transaction) {
            Verdict::Known(receipt)
        } else {
            match plan.add(transaction) {
                Ok(draft) => {
                    here.insert(transaction.id, index);
                    drafts.push(draft);
                    Verdict::Accepted(drafts.len() - 1)
                }
                Err(refusal) => Verdict::Refused(refusal),
            }
        };
        verdicts.push(verdict);
    }
    verdicts
}
