//! Runs an invocation as a transaction of its own: run, commit, and run again where what it read has changed.

use crate::host::{Immediate, LogHost};
use crate::idempotency::{Idempotency, Stored};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_log::CommitError;
use weir_runtime::{
    Code, Effects, Failure, FailureKind, Invocation, Outcome, Reply, Session, SpanKind, Usage, Worker, within,
};
use weir_schema::{Read, Receipt, Records, TraceContext, Transaction};

/// How often an invocation is run again because what it read had changed.
const MAX_RERUNS: u32 = 20;

/// The first pause before a transaction is sent again; it doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How long after the wall limit a commit that has begun may still answer.
const GRACE: Duration = Duration::from_millis(250);

/// What became of an invocation.
#[derive(Debug)]
pub struct Done {
    /// The reply, whose effects are durable, or why there is none.
    pub result: Result<Reply, Refusal>,
    /// What the last attempt used.
    pub usage: Usage,
    /// How often it ran again.
    pub reruns: u32,
    /// In a dry run: what would have been committed.
    pub effects: Effects,
    /// Whether the reply is an earlier request's with the same `Idempotency-Key`.
    pub replayed: bool,
    /// Whether the log was asked to commit and has not answered.
    is_committing: bool,
}

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The function failed; nothing is committed.
    #[error("{}", .0.message)]
    Failed(Box<Failure>),
    /// What it reads changes faster than it runs.
    #[error("what this function reads kept changing: it ran {MAX_RERUNS} times in vain")]
    Conflict,
    /// The log can never take it.
    #[error("{0}")]
    Rejected(String),
    /// The log is not available; nothing is committed.
    #[error("{0}")]
    Unavailable(String),
    /// Whether it was committed is not known.
    #[error("the outcome of the commit is not known: {0}")]
    OutcomeUnknown(String),
    /// The same `Idempotency-Key` came with another request.
    #[error("this Idempotency-Key was used with another request")]
    KeyReused,
}

/// What the transactions of one worker need.
#[derive(Clone, Debug)]
pub struct Transactor {
    /// The worker's VM.
    pub worker: Rc<Worker>,
    /// What the process shares.
    pub session: Arc<Session>,
}

impl Transactor {
    /// Runs and commits. The reply is given only after its transaction is durable; one that only reads does not
    /// wait for a commit. With `dry`, nothing is committed.
    pub async fn run(
        &self,
        code: &Arc<Code>,
        invocation: &Rc<Invocation>,
        idempotency: Option<&Idempotency>,
        parent: TraceContext,
        dry: bool,
    ) -> Done {
        let wall = invocation.limits.wall;
        let mut done = Done {
            result: Err(Refusal::Conflict),
            usage: Usage::default(),
            reruns: 0,
            effects: Effects::default(),
            replayed: false,
            is_committing: false,
        };
        let trace = invocation.trace;
        let begun = Instant::now();
        let immediate = (!dry).then(Rc::default);
        let run = Run { code, invocation, idempotency, trace, parent, begun, immediate };
        // pinned here, as in the worker: moving it into the timeout would copy it
        let is_over = {
            let attempts = std::pin::pin!(self.attempts(&run, &mut done));
            within(begun, wall + GRACE, attempts).await.is_none()
        };
        // the worker ends a function at the limit by itself: what is left here is the commit, or one run too many
        if is_over {
            done.result = Err(match done.is_committing {
                true => Refusal::OutcomeUnknown(format!("no answer within {wall:?}")),
                false => Refusal::Conflict,
            });
        }
        done
    }

    async fn attempts(&self, run: &Run<'_>, done: &mut Done) {
        let wall = run.invocation.limits.wall;
        loop {
            match self.attempt(run, done).await {
                Ok(reply) => {
                    done.result = Ok(reply);
                    return;
                }
                Err(Attempt::Stale) if done.reruns < MAX_RERUNS && run.begun.elapsed() < wall => {
                    done.reruns += 1;
                }
                Err(Attempt::Stale) => {
                    done.result = Err(Refusal::Conflict);
                    return;
                }
                Err(Attempt::Over(refusal)) => {
                    done.result = Err(refusal);
                    return;
                }
            }
        }
    }

    async fn attempt(&self, run: &Run<'_>, done: &mut Done) -> Result<Reply, Attempt> {
        let now = self.session.clock().now();
        let id = run.invocation.id;
        let host = Rc::new(LogHost::new(self.session.clone(), now, id, run.trace, run.immediate.clone()));
        if let Some(stored) = find_stored(run.idempotency, &host).await? {
            done.replayed = true;
            return Ok(stored);
        }
        let started = Instant::now();
        let outcome = self.worker.run_shared(run.code, run.invocation.clone(), host.clone()).await;
        done.usage = outcome.usage;
        self.session.record("invoke", run.trace, run.parent.span_id, started, |span| {
            span.attributes = vec![
                ("weir.function", run.invocation.function.to_string()),
                ("weir.invocation", run.invocation.id.to_string()),
                ("weir.attempt", (done.reruns + 1).to_string()),
            ];
            span.error = outcome.result.as_ref().err().map(|f| f.message.clone());
        });
        self.conclude(run, outcome, &host, done).await
    }

    async fn conclude(
        &self,
        run: &Run<'_>,
        outcome: Outcome,
        host: &LogHost,
        done: &mut Done,
    ) -> Result<Reply, Attempt> {
        let reads = host.take_reads();
        let Outcome { result, effects, .. } = outcome;
        match result {
            Err(failure) => {
                // an error counts only if what it is built on is still so
                if is_torn(&reads, &failure) {
                    self.check(reads).await?;
                }
                Err(Attempt::Over(Refusal::Failed(Box::new(failure))))
            }
            Ok(reply) if run.immediate.is_none() => {
                self.check(reads).await?;
                done.effects = effects;
                Ok(reply)
            }
            Ok(reply) => {
                done.is_committing = true;
                let committed = self.commit(&reply, effects, reads, host, run).await;
                done.is_committing = false;
                committed?;
                Ok(reply)
            }
        }
    }

    async fn commit(
        &self,
        reply: &Reply,
        effects: Effects,
        reads: Vec<Read>,
        host: &LogHost,
        run: &Run<'_>,
    ) -> Result<(), Attempt> {
        let mut transaction = self.session.transaction(self.session.next_id(), effects);
        if let Some(key) = run.idempotency {
            transaction.writes.push(key.write(reply, transaction.id, weir_runtime::Host::now(host)));
        }
        // a single row is read in one piece, so it needs no check
        if transaction.is_read_only() && reads.len() < 2 {
            return Ok(());
        }
        transaction.reads = reads;
        // a trigger is trying to get past these rows; the reservation is short
        while self.session.is_reserved(&transaction.writes) {
            tokio::time::sleep(FIRST_PAUSE).await;
        }
        let started = Instant::now();
        let (events, rows) =
            (transaction.appends.iter().map(Records::len).sum::<usize>(), transaction.writes.len());
        let transaction = Arc::new(transaction);
        let committed = self.send(transaction.clone()).await.map(drop);
        let span = run.trace.child(fastrand::u64(..));
        self.session.record("commit", span, run.trace.span_id, started, |span| {
            span.kind = if events > 0 { SpanKind::Producer } else { SpanKind::Internal };
            span.attributes = vec![("weir.events", events.to_string()), ("weir.rows", rows.to_string())];
            span.error = committed.as_ref().err().map(|_| "not committed".to_owned());
        });
        if committed.is_ok() {
            self.session.committed(&transaction);
        }
        committed
    }

    /// Whether these reads are all of one moment.
    async fn check(&self, reads: Vec<Read>) -> Result<(), Attempt> {
        if reads.len() < 2 {
            return Ok(());
        }
        let mut transaction = Transaction::new(self.session.next_id(), self.session.catalog());
        transaction.reads = reads;
        self.send(Arc::new(transaction)).await.map(drop)
    }

    /// Commits; an outcome that is not known is resolved by sending the same transaction again.
    async fn send(&self, transaction: Arc<Transaction>) -> Result<Receipt, Attempt> {
        let mut pause = FIRST_PAUSE;
        loop {
            let over = |refusal| Err(Attempt::Over(refusal));
            match self.session.log().commit(transaction.clone()).await {
                Ok(receipt) => return Ok(receipt),
                Err(CommitError::Conflict { .. }) => return Err(Attempt::Stale),
                Err(CommitError::Rejected(why)) => return over(Refusal::Rejected(why.to_string())),
                Err(CommitError::Unavailable(source)) => {
                    return over(Refusal::Unavailable(source.to_string()));
                }
                Err(CommitError::Ambiguous(source)) => {
                    tracing::warn!(%source, "the outcome of a commit is not known, sending it again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                Err(e @ (CommitError::Fenced(_) | CommitError::Moved(_))) => {
                    return over(Refusal::Rejected(format!("a request carries no fence, yet: {e}")));
                }
            }
        }
    }
}

/// What is the same for all attempts. A dry run has no immediate appends.
struct Run<'r> {
    code: &'r Arc<Code>,
    invocation: &'r Rc<Invocation>,
    idempotency: Option<&'r Idempotency>,
    /// The invocation's own span, and the one it is a child of.
    trace: TraceContext,
    parent: TraceContext,
    begun: Instant,
    immediate: Option<Rc<Immediate>>,
}

/// Why an attempt gave no reply.
enum Attempt {
    /// What it read has changed: run again.
    Stale,
    /// It will not get better.
    Over(Refusal),
}

async fn find_stored(idempotency: Option<&Idempotency>, host: &LogHost) -> Result<Option<Reply>, Attempt> {
    let Some(key) = idempotency else { return Ok(None) };
    let stored =
        host.read(key.row()).await.map_err(|e| Attempt::Over(Refusal::Unavailable(e.to_string())))?;
    match stored.map(|s| key.open(&s)) {
        None => Ok(None),
        Some(Stored::Reply(reply)) => Ok(Some(reply)),
        Some(Stored::OtherRequest) => Err(Attempt::Over(Refusal::KeyReused)),
    }
}

/// Whether an error may come from rows read at different moments. A limit or a missing function never does.
fn is_torn(reads: &[Read], failure: &Failure) -> bool {
    reads.len() > 1
        && matches!(failure.kind, FailureKind::Refused | FailureKind::Raised | FailureKind::Rejected)
}
