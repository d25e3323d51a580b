//! What all invocations of one process share: the log, the clock, the declared topics, the transaction ids.
//!
//! The hosts of the gateway and of the triggers differ in where they read; they build their transactions here.

use crate::spans::{Span, SpanClock, SpanKind, SpanSink};
use crate::{CalledFunction, Effects, TopicRef};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weir_library::Sent;
use weir_log::{Clock, CommitError, Hint, Log, LogError, TopicInfo};
use weir_schema::{
    At, CatalogVersion, FunctionName, Millis, Offset, Op, Receipt, StateKey, StateRange, TableName, TopicId,
    TopicName, TraceContext, Transaction, TxnId, Write,
};

/// One process's use of a log. Shared by its workers.
#[derive(Debug)]
pub struct Session {
    log: Arc<dyn Log>,
    hints: watch::Receiver<Hint>,
    clock: Arc<dyn Clock>,
    env: RwLock<BTreeMap<String, String>>,
    sequence: AtomicU64,
    topics: RwLock<foldhash::HashMap<String, TopicRef>>,
    writers: Mutex<foldhash::HashSet<(FunctionName, TableName)>>,
    reserved: Mutex<Reserved>,
    has_reserved: AtomicBool,
    spans: Option<Arc<dyn SpanSink>>,
    span_clock: SpanClock,
}

/// What requests keep off, and until when.
#[derive(Default, Debug)]
struct Reserved {
    keys: HashMap<StateKey, Millis>,
    ranges: Vec<(StateRange, Millis)>,
}

/// The pause before a transaction whose outcome is not known is sent again.
const RESEND: Duration = Duration::from_millis(20);

/// How long a reservation holds at most.
const RESERVED_FOR: Duration = Duration::from_secs(2);

impl Session {
    /// The table that records which function wrote which table: key `TABLE\0FUNCTION`.
    pub const WRITERS: &'static str = "_weir_writers";

    /// A session on `log`. `env` is what functions see of the environment.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, clock: Arc<dyn Clock>, env: BTreeMap<String, String>) -> Self {
        Self {
            hints: log.watch(),
            log,
            clock,
            env: RwLock::new(env),
            sequence: AtomicU64::new(0),
            topics: RwLock::default(),
            writers: Mutex::default(),
            reserved: Mutex::default(),
            has_reserved: AtomicBool::new(false),
            spans: None,
            span_clock: SpanClock::default(),
        }
    }

    /// The same, with its spans recorded.
    #[must_use]
    pub fn with_spans(self, sink: Arc<dyn SpanSink>) -> Self {
        Self { spans: Some(sink), ..self }
    }

    /// Whether spans of this trace are recorded.
    #[must_use]
    pub fn records(&self, trace: &TraceContext) -> bool {
        self.spans.is_some() && trace.is_sampled
    }

    /// Records the span of a callee of `flow`, in the invocation whose span is `invocation`.
    pub fn record_call(&self, invocation: TraceContext, call: &CalledFunction<'_>) {
        let parent = if call.parent == 0 { invocation.span_id } else { call.parent };
        self.record("call", invocation.child(call.id), parent, call.started, |span| {
            span.attributes = vec![("weir.function", call.function.to_string())];
            span.error = call.error.map(str::to_owned);
        });
    }

    /// Records the span of a request to another server, in the invocation whose span is `invocation`.
    pub fn record_sent(&self, invocation: TraceContext, parent: u64, request: &Sent<'_>) {
        let parent = if parent == 0 { invocation.span_id } else { parent };
        self.record("http", invocation.child(request.span), parent, request.started, |span| {
            span.kind = SpanKind::Client;
            span.attributes = vec![
                ("http.request.method", request.method.to_owned()),
                ("server.address", request.host.to_owned()),
                ("url.path", request.path.to_owned()),
            ];
            if let Some(status) = request.status {
                span.attributes.push(("http.response.status_code", status.to_string()));
            }
            span.error.clone_from(&request.error);
        });
    }

    /// Records a span that began at `started` and ends now, if anyone wants it. `fill` adds what is worth knowing.
    pub fn record(
        &self,
        name: &'static str,
        context: TraceContext,
        parent: u64,
        started: Instant,
        fill: impl FnOnce(&mut Span),
    ) {
        let Some(sink) = self.spans.as_ref().filter(|_| context.is_sampled) else { return };
        let mut span = Span {
            context,
            parent,
            name,
            kind: SpanKind::Internal,
            start: self.span_clock.wall(started),
            took: started.elapsed(),
            attributes: Vec::new(),
            error: None,
            links: Vec::new(),
        };
        fill(&mut span);
        sink.record(span);
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// A variable that functions may see.
    #[must_use]
    pub fn env(&self, name: &str) -> Option<String> {
        self.env.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Lets functions see these variables from now on.
    pub fn set_env(&self, env: BTreeMap<String, String>) {
        *self.env.write().unwrap_or_else(PoisonError::into_inner) = env;
    }

    /// An id that no attempt has had.
    #[must_use]
    pub fn next_id(&self) -> TxnId {
        TxnId::new(self.log.capabilities().writer, self.sequence.fetch_add(1, Ordering::Relaxed))
    }

    /// The catalog's version, as far as is known here.
    #[must_use]
    pub fn catalog(&self) -> CatalogVersion {
        self.hints.borrow().catalog
    }

    /// The tail of a partition, as far as is known here.
    #[must_use]
    pub fn tail(&self, at: At) -> Option<Offset> {
        self.hints.borrow().tails.get(&at).copied()
    }

    /// Asks the log for its topics again; functions may append to those that `declared` names.
    ///
    /// # Errors
    /// As [`Log::topics`].
    pub async fn refresh_topics(&self, declared: impl Fn(&TopicInfo) -> bool) -> Result<(), LogError> {
        let topics = self.log.topics().await?;
        let declared = topics.iter().filter(|t| declared(t)).map(|t| {
            let spec = &t.spec;
            let topic = TopicRef {
                name: spec.name.clone(),
                id: t.id,
                partitions: spec.partitions,
                partitioner: spec.partitioner,
            };
            (spec.name.to_string(), topic)
        });
        *self.topics.write().unwrap_or_else(PoisonError::into_inner) = declared.collect();
        Ok(())
    }

    /// A declared topic, with the partitions that it has now.
    ///
    /// # Errors
    /// The text says which line to add where.
    pub fn topic(&self, name: &str) -> Result<TopicRef, String> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let topic = topics.get(name).cloned().ok_or_else(|| {
            format!("topic {name:?} is not declared: add it to `topics: [{name}]` in config/application.yml")
        })?;
        drop(topics);
        Ok(self.grown(topic))
    }

    /// The topic with the partitions that were added since the log was asked: it tells their tails.
    fn grown(&self, mut topic: TopicRef) -> TopicRef {
        let hints = self.hints.borrow();
        while hints.tails.contains_key(&At { topic: topic.id, partition: topic.partitions }) {
            topic.partitions += 1;
        }
        topic
    }

    /// The names of the declared topics.
    #[must_use]
    pub fn topic_names(&self) -> HashMap<TopicId, TopicName> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().map(|t| (t.id, t.name.clone())).collect()
    }

    /// A transaction of what an invocation did, its writes stamped with the transaction's id. The first write of a
    /// table by a function is recorded with it.
    #[must_use]
    pub fn transaction(&self, id: TxnId, effects: Effects) -> Transaction {
        let mut transaction = Transaction::new(id, self.catalog());
        let writers = self.new_writers(&effects.writers);
        transaction.writes.extend(effects.writes.into_iter().chain(writers).map(|(key, op)| Write {
            key,
            op,
            stamp: id,
        }));
        if !effects.appends.is_empty() {
            transaction.appends.push(effects.appends);
        }
        transaction
    }

    /// Rows that record writers of which no row is known to be committed. They are blind, so that they conflict with
    /// nothing. See [`Self::committed`].
    pub fn new_writers(&self, pairs: &[(FunctionName, TableName)]) -> Vec<(StateKey, Op)> {
        if pairs.is_empty() {
            return Vec::new();
        }
        let known = self.writers.lock().unwrap_or_else(PoisonError::into_inner);
        let unmet = pairs.iter().filter(|p| !known.contains(*p));
        let table = TableName::new(Self::WRITERS).expect("a constant that is well-formed");
        let row = |(function, written): &(FunctionName, TableName)| {
            let key = StateKey {
                table: table.clone(),
                generation: 0,
                key: format!("{written}\0{function}").into(),
            };
            (key, Op::Put { value: "true".into(), expires: None })
        };
        unmet.map(row).collect()
    }

    /// Takes note of the writers that a committed transaction records: their rows need not come again. Those of one
    /// that was thrown away do.
    pub fn committed(&self, transaction: &Transaction) {
        let mut rows = transaction.writes.iter().filter(|w| w.key.table.as_str() == Self::WRITERS).peekable();
        if rows.peek().is_some() {
            let pairs = rows.filter_map(|row| {
                let (table, function) = std::str::from_utf8(&row.key.key).ok()?.split_once('\0')?;
                Some((FunctionName::new(function).ok()?, TableName::new(table).ok()?))
            });
            self.writers.lock().unwrap_or_else(PoisonError::into_inner).extend(pairs);
        }
    }

    /// Commits; an outcome that is not known is resolved by the same transaction again, for as long as it takes: the
    /// caller's wall limit ends the wait.
    ///
    /// # Errors
    /// As [`Log::commit`], but for `Ambiguous`.
    pub async fn commit_surely(&self, transaction: Transaction) -> Result<Receipt, CommitError> {
        let transaction = Arc::new(transaction);
        loop {
            match self.log.commit(transaction.clone()).await {
                Err(CommitError::Ambiguous(_)) => tokio::time::sleep(RESEND).await,
                outcome => return outcome,
            }
        }
    }

    /// Asks requests to keep off these rows for a moment: a trigger that reads them has conflicted again and again.
    pub fn reserve(&self, keys: Vec<StateKey>, ranges: Vec<StateRange>, now: Millis) {
        let mut reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        let until = now.after(RESERVED_FOR);
        reserved.keys.retain(|_, until| *until > now);
        reserved.ranges.retain(|(_, until)| *until > now);
        reserved.keys.extend(keys.into_iter().map(|key| (key, until)));
        reserved.ranges.extend(ranges.into_iter().map(|range| (range, until)));
        self.has_reserved.store(true, Ordering::Release);
    }

    /// Ends the reservations: what they were for has been committed.
    pub fn release_reserved(&self) {
        if self.has_reserved.swap(false, Ordering::AcqRel) {
            *self.reserved.lock().unwrap_or_else(PoisonError::into_inner) = Reserved::default();
        }
    }

    /// Whether a request must wait before it writes.
    #[must_use]
    pub fn is_reserved(&self, writes: &[Write]) -> bool {
        if !self.has_reserved.load(Ordering::Acquire) {
            return false;
        }
        let now = self.clock.now();
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner);
        writes.iter().any(|w| {
            let by_key = reserved.keys.get(&w.key).is_some_and(|until| *until > now);
            by_key || reserved.ranges.iter().any(|(range, until)| *until > now && range.contains(&w.key))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_log::{Driver, LogConfig, ManualClock};

    #[tokio::test]
    async fn a_writer_is_recorded_until_its_row_is_committed() {
        let clock = Arc::new(ManualClock::default());
        let config = LogConfig { driver: Driver::Memory, app: None, clock: clock.clone() };
        let log = weir_log::open(config).await.expect("there is memory");
        let session = Session::new(log, clock, BTreeMap::new());
        let name = |text| FunctionName::new(text).expect("valid");
        let writers = vec![(name("a/b"), TableName::new("t").expect("valid"))];
        let effects = || Effects { writers: writers.clone(), ..Effects::default() };
        let thrown_away = session.transaction(session.next_id(), effects());
        assert_eq!(thrown_away.writes.len(), 1);
        let sent = session.transaction(session.next_id(), effects());
        assert_eq!(sent.writes.len(), 1, "nothing of the first one was committed");
        session.committed(&sent);
        assert_eq!(session.transaction(session.next_id(), effects()).writes, []);
        assert_eq!(session.new_writers(&[(name("c"), writers[0].1.clone())]).len(), 1, "another one");
    }
}
