//! The world of an invocation that is a transaction of its own: it reads the log as it is, and remembers what it
//! read.

use bytes::Bytes;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use weir_log::{Log, LogError};
use weir_runtime::{
    Answer, CalledFunction, Host, HostError, HostPage, HostRow, LogLine, Sent, Session, TopicRef,
};
use weir_schema::{
    At, DigestBuilder, InvocationId, Millis, Offset, Read, Records, StateKey, StateRange, TraceContext,
    Transaction, Versioned,
};

/// The host of one attempt.
#[derive(Debug)]
pub(crate) struct LogHost {
    session: Arc<Session>,
    now: Millis,
    invocation: InvocationId,
    trace: TraceContext,
    seen: Rc<RefCell<Seen>>,
    immediate: Option<Rc<Immediate>>,
}

/// The immediate appends of one invocation, by number: what an attempt appended, a re-run gets back.
pub(crate) type Immediate = RefCell<HashMap<u32, Vec<(At, Offset)>>>;

/// What an attempt has read.
#[derive(Default, Debug)]
struct Seen {
    rows: foldhash::HashMap<StateKey, Option<Versioned>>,
    reads: Vec<Read>,
}

impl LogHost {
    /// A host whose clock shows `now`. Without `immediate`, immediate appends are suppressed.
    pub(crate) fn new(
        session: Arc<Session>,
        now: Millis,
        invocation: InvocationId,
        trace: TraceContext,
        immediate: Option<Rc<Immediate>>,
    ) -> Self {
        Self { session, now, invocation, trace, seen: Rc::default(), immediate }
    }

    /// What it read so far, for the commit.
    pub(crate) fn take_reads(&self) -> Vec<Read> {
        std::mem::take(&mut self.seen.borrow_mut().reads)
    }

    /// Reads a row for the platform's own use, as an invocation would.
    pub(crate) async fn read(&self, key: StateKey) -> Result<Option<Bytes>, HostError> {
        Ok(self.get(key).get().await?.map(|row| row.value))
    }
}

impl Host for LogHost {
    fn now(&self) -> Millis {
        self.now
    }

    fn wall(&self) -> Duration {
        self.session.clock().precise()
    }

    fn topic(&self, name: &str) -> Result<TopicRef, String> {
        self.session.topic(name)
    }

    fn generation(&self, _table: &str) -> u32 {
        0
    }

    fn get(&self, key: StateKey) -> Answer<Result<Option<HostRow>, HostError>> {
        let now = self.now;
        if let Some(row) = self.seen.borrow().rows.get(&key) {
            return Answer::Now(Ok(live(row.as_ref(), now)));
        }
        let (session, seen) = (self.session.clone(), self.seen.clone());
        Answer::Later(Box::pin(async move {
            let mut rows = session.log().get(std::slice::from_ref(&key)).await.map_err(unavailable)?;
            let row = rows.pop().flatten();
            let live = live(row.as_ref(), now);
            let mut seen = seen.borrow_mut();
            seen.reads.push(Read::Key(key.clone(), row.as_ref().map(|r| r.stamp)));
            seen.rows.insert(key, row);
            Ok(live)
        }))
    }

    fn scan(&self, range: StateRange, limit: u32) -> Answer<Result<HostPage, HostError>> {
        let (session, seen, now) = (self.session.clone(), self.seen.clone(), self.now);
        Answer::Later(Box::pin(async move {
            let (page, read) = scan_live(&**session.log(), range, limit, now).await?;
            seen.borrow_mut().reads.push(read);
            Ok(page)
        }))
    }

    fn append_now(&self, n: u32, records: Records) -> Answer<Result<Vec<(At, Offset)>, HostError>> {
        let Some(done) = self.immediate.clone() else { return Answer::Now(Ok(Vec::new())) };
        if let Some(offsets) = done.borrow().get(&n) {
            return Answer::Now(Ok(offsets.clone()));
        }
        let session = self.session.clone();
        Answer::Later(Box::pin(async move {
            let offsets = append(&session, records).await?;
            done.borrow_mut().insert(n, offsets.clone());
            Ok(offsets)
        }))
    }

    fn env(&self, name: &str) -> Option<String> {
        self.session.env(name)
    }

    fn log(&self, line: LogLine<'_>) {
        line.emit("request", self.invocation);
    }

    fn called(&self, call: &CalledFunction<'_>) {
        self.session.record_call(self.trace, call);
    }

    fn sent(&self, parent: u64, request: &Sent<'_>) {
        self.session.record_sent(self.trace, parent, request);
    }

    fn chain(&self) -> Answer<String> {
        Answer::Now(format!("invocation {}", self.invocation))
    }
}

fn live(row: Option<&Versioned>, now: Millis) -> Option<HostRow> {
    HostRow::from(row?.clone()).live(now)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` takes")]
fn unavailable(error: LogError) -> HostError {
    HostError::Unavailable(error.to_string())
}

/// Pages through a range until `limit` live rows are found; what it says it read ends where it stopped looking.
async fn scan_live(
    log: &dyn Log,
    range: StateRange,
    limit: u32,
    now: Millis,
) -> Result<(HostPage, Read), HostError> {
    let mut page = HostPage::default();
    let mut digest = DigestBuilder::default();
    let mut rest = range.clone();
    let mut read = range;
    loop {
        let wanted = limit.saturating_sub(u32::try_from(page.rows.len()).unwrap_or(u32::MAX)).max(1);
        let found = log.scan(&rest, wanted).await.map_err(unavailable)?;
        for (key, row) in found.rows {
            digest.row(&key, row.stamp);
            if row.is_live(now) {
                page.rows.push((key, row.value));
            }
        }
        match found.next {
            None => {
                page.is_last = true;
                break;
            }
            Some(next) if page.rows.len() >= limit as usize => {
                read.to = Some(next);
                break;
            }
            Some(next) => rest.from = next,
        }
    }
    Ok((page, Read::Range(read, digest.finish())))
}

/// Appends outside the invocation's transaction.
async fn append(session: &Session, records: Records) -> Result<Vec<(At, Offset)>, HostError> {
    let mut transaction = Transaction::new(session.next_id(), session.catalog());
    transaction.appends.push(records);
    let committed = session.commit_surely(transaction).await;
    let receipt = committed.map_err(|e| HostError::Unavailable(e.to_string()))?;
    Ok(receipt.offsets().collect())
}
